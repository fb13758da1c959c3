/*
 * restore_output - the file that a restore makes: pending until it is proved
 *
 * The temporary file .<name>.seawal-restore-<random> beside the output is locked with flock(2)
 * while it is written, so that what a killed restore left can be told from one that is running.
 */
#ifndef SEAWAL_REPLICA_RESTORE_OUTPUT_PRIV_H
#define SEAWAL_REPLICA_RESTORE_OUTPUT_PRIV_H

#include "base/error.h"

#include <stdint.h>

struct restore_output {
    char *target;
    char *folder;
    char *temp; /* NULL when nothing is pending */
    int fd;     /* -1 when nothing is pending */
};
#define RESTORE_OUTPUT_INIT ((struct restore_output){ .fd = -1 })
#define auto_restore_output __attribute__((cleanup(restore_output_abort)))

/* Codes as restore_run(). Sweeps what killed restores of the same output left. */
must_use rc restore_output_begin(
    struct restore_output *output, const char *target, struct error *err);

/* Give it its size and make its bytes durable. */
must_use rc restore_output_sync(struct restore_output *output, uint64_t size, struct error *err);

/* Rename, never replacing, and make the name durable. Nothing is left pending, also on failure. */
must_use rc restore_output_commit(struct restore_output *output, struct error *err);
void restore_output_abort(struct restore_output *output);

#endif
