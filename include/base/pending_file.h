/*
 * pending_file - a file that appears whole or not at all
 *
 * Calling sequence:
 *
 *   pending_file_open()    makes .NAME.tmp-XXXXXX beside the target (O_EXCL, O_CLOEXEC)
 *   pending_file_write()   any number of times; after one failure, every later call repeats it
 *   pending_file_commit()  fsync, rename, fsync of the folder
 *
 * Leaving scope without a commit removes the temporary file. Commit and abort both return the
 * object to PENDING_FILE_INIT, so an abort after a commit does nothing. A crash leaves at most a
 * temporary file, which pending_file_sweep() removes.
 */
#ifndef SEAWAL_BASE_PENDING_FILE_H
#define SEAWAL_BASE_PENDING_FILE_H

#include "base/bytes.h"
#include "base/error.h"

#include <sys/types.h>

struct pending_file {
    char *target;
    char *temp;
    int fd;        /* -1 when nothing is pending */
    rc failed;     /* first failure; sticky until abort */
    uint64_t size; /* bytes appended so far */
};

#define PENDING_FILE_INIT ((struct pending_file){ .fd = -1 })
#define auto_pending_file __attribute__((cleanup(pending_file_abort)))

enum pending_file_mode {
    PENDING_FILE_REPLACE, /* the target may exist and is replaced */
    PENDING_FILE_NEW,     /* commit answers RC_EXISTS when the target is there */
};

must_use rc pending_file_open(
    struct pending_file *file, const char *target, mode_t mode, struct error *err);
must_use rc pending_file_write(struct pending_file *file, struct bytes data, struct error *err);
must_use rc pending_file_commit(
    struct pending_file *file, enum pending_file_mode mode, struct error *err);
void pending_file_abort(struct pending_file *file);

/* The same as commit, under another name in the same folder than the one given at open. */
must_use rc pending_file_commit_as(
    struct pending_file *file, const char *target, enum pending_file_mode mode, struct error *err);

/* Remove temporary files that a crash left in FOLDER; no pending file there may be open. */
must_use rc pending_file_sweep(const char *folder, struct error *err);

#endif
