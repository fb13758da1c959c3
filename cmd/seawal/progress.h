/*
 * progress - a bar on a terminal's standard error while a restore runs
 *
 * Nothing at all is written when standard error is not a terminal.
 */
#ifndef SEAWAL_CMD_SEAWAL_PROGRESS_H
#define SEAWAL_CMD_SEAWAL_PROGRESS_H

#include "replica/restore.h"

#include <stdbool.h>

struct progress {
    bool shown; /* a line is on the screen */
    bool is_terminal;
    int64_t started_ms;
};

void progress_begin(struct progress *progress);

/* A restore_progress_fn; PAYLOAD is a struct progress. */
void progress_show(void *payload, const struct restore_progress *state);

/* Take the line away again. */
void progress_end(struct progress *progress);

#endif
