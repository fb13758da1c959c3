/*
 * daemon - one process that replicates all configured databases
 *
 * A watcher thread (signals, inotify, timers) and fixed pools of workers: capture, upload,
 * snapshot. Their number does not grow with the number of databases; a database is worked on by one
 * capture worker at a time.
 */
#ifndef SEAWAL_DAEMON_DAEMON_H
#define SEAWAL_DAEMON_DAEMON_H

#include "base/error.h"
#include "config/config.h"

#include <stdbool.h>

struct daemon_options {
    const struct config *config; /* borrowed */
    const char *exec_command;    /* run the application as a child; NULL: none */
    bool once;                   /* make everything durable, then return */
    bool new_timeline;           /* an unrelated database may begin a new timeline */
};

/*
 * Runs until TERM or INT (then syncs once more, for the configured grace time at most), until the
 * child ends, or with once until all is durable. RC_OK: everything captured is durable; otherwise
 * what failed first, and the rest stays in the spool. *RET_CHILD_STATUS is the child's exit status,
 * -1 without one. Blocks signals in the calling thread.
 */
must_use rc daemon_run(
    const struct daemon_options *options, int *ret_child_status, struct error *err);

#endif
