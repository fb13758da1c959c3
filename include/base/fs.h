/*
 * fs - every file system call we make, whole and with an error that names the file
 *
 * Reads and writes are complete or fail; EINTR never escapes. Each call is one place where a test
 * build can make it fail. Durability: fs_sync() is fdatasync, fs_sync_parent() keeps a name.
 */
#ifndef SEAWAL_BASE_FS_H
#define SEAWAL_BASE_FS_H

#include "base/buf.h"
#include "base/error.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

/* FLAGS as for open(2); O_CLOEXEC is added. RC_NOT_FOUND: no such file; RC_EXISTS: by O_EXCL. */
must_use rc fs_open(int *ret, const char *path, int flags, mode_t mode, struct error *err);

/* Exactly SIZE bytes at OFFSET; RC_CORRUPT when the file ends before. */
must_use rc fs_read_exact(int fd, void *out, size_t size, uint64_t offset, struct error *err);

/* Up to SIZE bytes at OFFSET; *RET_SIZE is smaller only at the end of the file. */
must_use rc fs_read_some(
    int fd, void *out, size_t size, uint64_t offset, size_t *ret_size, struct error *err);

must_use rc fs_write_at(int fd, struct bytes bytes, uint64_t offset, struct error *err);

/* Append at the file position. */
must_use rc fs_write(int fd, struct bytes bytes, struct error *err);

/* A scratch file in FOLDER for reading and writing that has no name, so nothing of it survives. */
must_use rc fs_open_unnamed(int *ret, const char *folder, struct error *err);

must_use rc fs_sync(int fd, const char *path, struct error *err);
must_use rc fs_sync_parent(const char *path, struct error *err);
must_use rc fs_truncate(int fd, uint64_t size, struct error *err);
must_use rc fs_size(uint64_t *ret, int fd, struct error *err);
must_use rc fs_rename(const char *from, const char *to, struct error *err);

/* Rename that never replaces: RC_EXISTS when TO is there. */
must_use rc fs_rename_new(const char *from, const char *to, struct error *err);

/* A name that is gone already counts as removed. */
must_use rc fs_remove(const char *path, struct error *err);

/*
 * Extended attributes, which a file keeps when it is renamed and seldom when it is copied.
 * RC_NOT_FOUND: there is none of that name, or the file system has none at all; such a name counts
 * as removed.
 */
must_use rc fs_set_attribute(int fd, const char *name, struct bytes value, struct error *err);
must_use rc fs_get_attribute(
    struct buf *out, const char *path, const char *name, struct error *err);
must_use rc fs_remove_attribute(const char *path, const char *name, struct error *err);

/* mkdir -p; existing folders are fine, a file in the way is an error. */
must_use rc fs_make_folders(const char *path, mode_t mode, struct error *err);
must_use rc fs_stat(struct stat *ret, const char *path, struct error *err);
bool fs_exists(const char *path);

/* The whole of a small file; RC_CORRUPT when it is larger than the limit of OUT. */
must_use rc fs_read_file(struct buf *out, const char *path, struct error *err);

/* Called for each name but "." and "..", in no order. An answer other than RC_OK ends the walk. */
typedef rc fs_each_fn(void *payload, const char *name, bool is_folder, struct error *err);
must_use rc fs_each(const char *folder, fs_each_fn *each, void *payload, struct error *err);

/* How many more files the file system of PATH can have; UINT64_MAX where it does not count them. */
must_use rc fs_file_room(uint64_t *ret, const char *path, struct error *err);

/* Free bytes for us, and the total, of the file system that holds PATH. */
must_use rc fs_space(uint64_t *ret_free, uint64_t *ret_total, const char *path, struct error *err);

#endif
