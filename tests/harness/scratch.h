/*
 * scratch - a folder for one test, removed with everything in it
 *
 *   auto_scratch struct scratch scratch = scratch_new();
 *   auto_free char *path = scratch_path(&scratch, "app.db");
 *
 * A test that fails leaves by longjmp and keeps its folder, which is printed by nobody but is named
 * after the test program.
 */
#ifndef SEAWAL_TESTS_HARNESS_SCRATCH_H
#define SEAWAL_TESTS_HARNESS_SCRATCH_H

#include "base/bytes.h"

struct scratch {
    char *folder;
};

#define auto_scratch __attribute__((cleanup(scratch_release)))

/* A new empty folder under $TMPDIR or /tmp; its path has no symbolic links in it. */
struct scratch scratch_new(void);
void scratch_release(struct scratch *scratch);

/* NAME in the folder; owned. */
char *scratch_path(const struct scratch *scratch, const char *name);

/* Make NAME hold exactly CONTENT. */
void scratch_write(const struct scratch *scratch, const char *name, struct bytes content);

/* Whether NAME holds exactly CONTENT. */
bool scratch_holds(const struct scratch *scratch, const char *name, struct bytes content);

/* How many names are in the folder, "." and ".." not counted. */
size_t scratch_name_count(const struct scratch *scratch);

#endif
