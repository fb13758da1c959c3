/*
 * dir - the local directory of level-0 segments, where capture and replica meet
 *
 * Capture adds a segment with segment_dir_begin/commit: pending file, fsync, rename, fsync of the
 * folder: one atomic step. The uploader lists, reads, and removes what the store has; the newest
 * segment is never removed, since its trailer is the position. Names are segment/name.h's.
 *
 * Thread rules: one thread adds; another may list, read and remove at the same time.
 */
#ifndef SEAWAL_SEGMENT_DIR_H
#define SEAWAL_SEGMENT_DIR_H

#include "base/error.h"
#include "base/pending_file.h"
#include "base/stream.h"
#include "segment/name.h"

#include <stddef.h>

struct segment_entry {
    struct segment_name name;
    uint64_t size; /* bytes */
};

struct segment_list {
    struct segment_entry *entries; /* ascending by min_txid */
    size_t count;
};
#define SEGMENT_LIST_INIT ((struct segment_list){ 0 })
#define auto_segment_list __attribute__((cleanup(segment_list_release)))
void segment_list_release(struct segment_list *list);

/* Makes FOLDER when needed and sweeps temporary files that a crash left. */
must_use rc segment_dir_prepare(const char *folder, struct error *err);

/* RC_CORRUPT names a file that does not belong there. Temporary files are left out. */
must_use rc segment_dir_list(struct segment_list *ret, const char *folder, struct error *err);

/* A pending file whose sink an encoder writes to; committed under the name it turned out to have.
 */
must_use rc segment_dir_begin(struct pending_file *ret, const char *folder, struct error *err);
struct sink pending_file_sink(struct pending_file *file);
must_use rc segment_dir_commit(struct pending_file *file, const char *folder,
    const struct segment_name *name, struct error *err);

/* A source over an open file; close with segment_dir_close(). */
struct segment_file {
    int fd;
    struct source source;
};
must_use rc segment_dir_open(struct segment_file *ret, const char *folder,
    const struct segment_name *name, struct error *err);
void segment_dir_close(struct segment_file *file);

must_use rc segment_dir_remove(
    const char *folder, const struct segment_name *name, struct error *err);

#endif
