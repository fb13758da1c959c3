/*
 * dir - the spool on local disk, where capture and replica meet
 *
 *   FOLDER/<name>.seg      level 0, as captured; without a gap, all but the newest may be removed
 *   FOLDER/1/<name>.seg    merged: made by capture when the store is away for long, in place of the
 *                          level-0 segments that they cover (capture/spool_merge_priv.h)
 *
 * A segment is added with segment_dir_begin/commit: pending file, fsync, rename, fsync of the
 * folder: one atomic step. The uploader lists, reads, and removes what the store has; the newest
 * level-0 segment is never removed, since its trailer is the position. Names are segment/name.h's.
 * Every call below is about one of the two folders; segment_dir_list_spool() is about both.
 *
 * Capture removes segments too: those that a merged one covers, after that one is there. So a
 * listed segment may be gone when it is opened (RC_NOT_FOUND): list again. One that is open stays
 * readable.
 *
 * Thread rules: one thread adds; another may list, read and remove at the same time.
 */
#ifndef SEAWAL_SEGMENT_DIR_H
#define SEAWAL_SEGMENT_DIR_H

#include "base/error.h"
#include "base/pending_file.h"
#include "base/stream.h"
#include "segment/name.h"

#include <stdbool.h>
#include <stddef.h>

struct segment_entry {
    struct segment_name name;
    uint64_t size;   /* bytes */
    bool is_merged;  /* lies in the folder of merged segments */
    bool is_covered; /* a merged segment of the same listing holds all of its transactions */
};

struct segment_list {
    struct segment_entry *entries; /* ascending by min_txid */
    size_t count;
};
#define SEGMENT_LIST_INIT ((struct segment_list){ 0 })
#define auto_segment_list __attribute__((cleanup(segment_list_release)))
void segment_list_release(struct segment_list *list);

/* The folder of merged segments inside FOLDER; the caller frees it. */
char *segment_dir_merged(const char *folder);

/* Makes FOLDER when needed, with those above it; sweeps temporary files that a crash left. */
must_use rc segment_dir_make(const char *folder, struct error *err);

/* The same for FOLDER and its merged one. */
must_use rc segment_dir_prepare(const char *folder, struct error *err);

/*
 * The segments of this one folder. RC_CORRUPT names a file that does not belong there. Temporary
 * files are left out.
 */
must_use rc segment_dir_list(struct segment_list *ret, const char *folder, struct error *err);

/*
 * Merged and level-0 segments of FOLDER together, ascending by min_txid, what covers before what is
 * covered. Whoever leaves out the covered ones has every transaction of the spool once, also when
 * segments are merged while this looks. A merged folder that is not there is empty.
 */
must_use rc segment_dir_list_spool(struct segment_list *ret, const char *folder, struct error *err);

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
#define SEGMENT_FILE_INIT ((struct segment_file){ .fd = -1 })
#define auto_segment_file __attribute__((cleanup(segment_dir_close)))
must_use rc segment_dir_open(struct segment_file *ret, const char *folder,
    const struct segment_name *name, struct error *err);
void segment_dir_close(struct segment_file *file);

/* A power cut may undo it until the folder is synced. */
must_use rc segment_dir_remove(
    const char *folder, const struct segment_name *name, struct error *err);

/* Names that were made or removed in FOLDER are durable. */
must_use rc segment_dir_sync(const char *folder, struct error *err);

#endif
