/*
 * merge - windows of a timeline become merged segments, one step at a time
 *
 * A merger belongs to one timeline that its caller writes. It stores what waits in a local folder,
 * keeps what it stored there while it is needed for a longer window, and makes what the plan
 * (replica/merge_plan.h) wants, from those files where they are there, else from the store:
 *
 *   WINDOWS_FOLDER/<level>/<name>.seg   made and not stored yet: by capture (level 1), or here
 *   KEPT_FOLDER/<level>/<name>.seg      stored, and likely to be read again; may be removed at will
 *
 * Nothing is ever overwritten or removed in the store: a merged segment lies beside what it was
 * made from. A crash between any two lines leaves a file that waits, which is stored again (and
 * found to be there), or none, and the step is planned again.
 *
 * What is known of the timeline is listed once, at first and where there is a hole, and told from
 * then on by what is stored: the segments behind the last one of the next level, so that memory
 * does not follow the history.
 *
 * Each page of a result was checked by its digest when it was made, so that its database is the one
 * of the last source (segment/merge.h).
 *
 * Thread rules: one thread at a time.
 */
#ifndef SEAWAL_REPLICA_MERGE_H
#define SEAWAL_REPLICA_MERGE_H

#include "base/cancel.h"
#include "base/error.h"
#include "replica/merge_plan.h"
#include "replica/replica.h"
#include "replica/rules.h"

#include <stdbool.h>
#include <stdint.h>

struct merger;

/* Strings and rules are copied, the rest is borrowed. */
struct merger_options {
    struct database_id database_id;
    uint32_t timeline;
    const char *windows_folder;
    const char *kept_folder;
    uint64_t kept_size_max; /* bytes of files kept */
    const struct rules *rules;
    struct cancel *cancel; /* looked at between sources; may be NULL */
};

struct merger *merger_new(struct replica *replica, const struct merger_options *options);
void merger_free(struct merger *merger);

struct merge_report {
    uint64_t stored_count; /* merged segments */
    uint64_t stored_size;
    uint64_t made_count;   /* of them, those that were made here; the rest is capture's */
    uint64_t source_size;  /* stored bytes of what those were made from */
    uint64_t fetched_size; /* of it, what came from the store */
    uint64_t given_up;     /* steps whose sources cannot be merged; ERR of the last one */
    struct error why;
    bool is_more;   /* call again soon */
    int64_t due_ms; /* wall clock: when there may be something to do though nothing is written; 0 */
};

/*
 * Store what waits and ends at or before DURABLE_TXID, the end of the stored log, then make one
 * merged segment if one is due, and store it. RET is always written.
 */
must_use rc merger_run(struct merger *merger, uint64_t durable_txid, int64_t wall_ms,
    struct merge_report *ret, struct error *err);

/* A window was lost: look at the store again when it is over. */
void merger_note_lost(struct merger *merger);

/*
 * Stored bytes of the merged segments that stand for all of the timeline's log since the last call
 * of merger_reset_size(), without those of windows that are open yet at the next level.
 */
uint64_t merger_size(const struct merger *merger);
void merger_reset_size(struct merger *merger);

#endif
