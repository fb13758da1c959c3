/*
 * child - the application, run by -exec
 *
 * /bin/sh -c COMMAND in our process group, with default signal handling. As process 1 of a
 * container we also reap what the application leaves behind.
 */
#ifndef SEAWAL_DAEMON_CHILD_PRIV_H
#define SEAWAL_DAEMON_CHILD_PRIV_H

#include "base/error.h"

#include <stdbool.h>
#include <sys/types.h>

struct child {
    pid_t pid;     /* 0: not running */
    int exit_code; /* as a shell tells it: status, or 128 + signal */
};

must_use rc child_start(struct child *child, const char *command, struct error *err);

/* Collect every process that has ended; true when the child itself is among them. */
bool child_reap(struct child *child);

/* Send SIGNAL_NUMBER to the child; nothing when it is not running. */
void child_signal(const struct child *child, int signal_number);

#endif
