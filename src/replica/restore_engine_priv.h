/*
 * restore_engine - a plan's objects into an image: the part that knows no output file
 */
#ifndef SEAWAL_REPLICA_RESTORE_ENGINE_PRIV_H
#define SEAWAL_REPLICA_RESTORE_ENGINE_PRIV_H

#include "base/cancel.h"
#include "image_priv.h"
#include "object_source_priv.h"
#include "replica/restore.h"
#include "segment/page_set.h"
#include "store/store.h"

#include <stdatomic.h>

enum { RESTORE_THREAD_COUNT_MAX = 16, RESTORE_THREAD_COUNT_DEFAULT = 4 };

/* Everything that one restore shares; set up by its caller. */
struct restore_engine {
    struct store *store;
    const struct restore_plan *plan;
    struct image *image;
    unsigned thread_count;
    struct cancel *cancel;
    bool digests_only; /* read indexes, no blocks */

    /* Only these pages are rebuilt (and what shares a block with them), unproved: the image must be
     * told to be partial. NULL: all. */
    const struct page_set *only;

    restore_progress_fn *progress;
    void *progress_payload;
    int64_t progress_at_ms; /* of the last call */

    atomic_uint_fast64_t received; /* stored bytes fetched */
    uint64_t transaction_count;    /* applied from the log */
    size_t failed_object;          /* of the plan: the segment that could not be applied; 0: none */
};

/* Snapshot, then segments, then the proof that the image is the target. */
must_use rc restore_engine_run(struct restore_engine *engine, struct error *err);

/* restore_pages.c: the snapshot. */
must_use rc restore_pages_run(struct restore_engine *engine, struct error *err);

/* restore_pages.c: one merged segment, whose bytes come from SOURCE; the error does not name it. */
must_use rc restore_pages_merge(struct restore_engine *engine, const struct restore_object *object,
    struct object_source *source, struct error *err);

/* restore_log.c: the segments behind the snapshot, in order. */
must_use rc restore_log_run(struct restore_engine *engine, struct error *err);

/* Tell the caller; without FORCE at most ten times a second. Only on the caller's thread. */
void restore_engine_tell(struct restore_engine *engine, enum restore_phase phase, bool force);

#endif
