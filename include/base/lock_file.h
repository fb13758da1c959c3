/*
 * lock_file - one process per thing
 *
 * flock(2) on a file of our own (never on a database file: POSIX locks there belong to SQLite).
 * The lock goes with the process, so a crash leaves no stale lock.
 */
#ifndef SEAWAL_BASE_LOCK_FILE_H
#define SEAWAL_BASE_LOCK_FILE_H

#include "base/error.h"

/* RC_BUSY with the holder's pid in the text when another process holds it. */
must_use rc lock_file_open(int *ret_fd, const char *path, struct error *err);
void lock_file_close(int fd);

#endif
