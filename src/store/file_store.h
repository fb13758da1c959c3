/*
 * file_store - what file_store.c and file_list.c share: names of temporary files and the walk
 */
#ifndef SEAWAL_STORE_FILE_STORE_H
#define SEAWAL_STORE_FILE_STORE_H

#include "store/store.h"

/* Whether NAME (no slash in it) is what pending_file_open() calls its temporary files. */
bool file_store_is_temp_name(const char *name);

enum file_list_what {
    FILE_LIST_OBJECTS, /* regular files but the temporary ones */
    FILE_LIST_TEMPS,   /* the temporary ones */
};

struct file_list {
    const char *root;
    const char *prefix;
    const char *after; /* NULL: from the start */
    enum file_list_what what;
};

/*
 * Walk the tree in the order of the keys' bytes. Names that vanish meanwhile are left out; a ROOT
 * that is not there is an empty tree.
 */
must_use rc file_list_run(
    const struct file_list *list, store_each_fn *each, void *payload, struct error *err);

#endif
