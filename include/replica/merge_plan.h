/*
 * merge_plan - which windows of a history are to become one merged segment each; pure
 *
 * Level 0 keeps every transaction. Rule N (1 and up, see replica/rules.h) has one merged segment
 * for each of its windows, in level N: its end is the point that is left when finer levels expire.
 *
 * A window is found by walking the ends of the segments in the order of their transactions: a new
 * one begins where rule_window() is another than before, so that clocks may jump, or
 * behind a cut. It is closed when a later end is in another window, or when the wall clock is
 * beyond its end by a while (merge_plan_grace_ms()). A closed window that no segment of its level
 * or a coarser one stands for is merged from what is there of its level and finer: few and long
 * ones rather than many short ones; they may overlap. What has a hole, or is older than the rule
 * keeps, is left out.
 */
#ifndef SEAWAL_REPLICA_MERGE_PLAN_H
#define SEAWAL_REPLICA_MERGE_PLAN_H

#include "replica/rules.h"
#include "segment/name.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Of one step; a longer window takes several. */
enum { MERGE_SOURCE_COUNT_MAX = 4096 };

/* A stored log (level 0) or merged segment of the timeline. */
struct merge_source {
    unsigned level;
    struct segment_name name;
    uint64_t size; /* stored bytes */
};

/* One timeline; everything is borrowed. */
struct merge_sight {
    const struct merge_source *sources; /* in any order */
    size_t source_count;
    const struct rules *rules;
    const uint64_t *cuts; /* a window ends there, whatever the time: where children depart */
    size_t cut_count;
    int64_t now_ms; /* wall clock */

    /* More may be stored, up to here: the clock alone closes no window that ends before it. */
    uint64_t newest_txid;
};

/* One merged segment to be made. */
struct merge_step {
    unsigned level;
    struct merge_source *sources; /* owned; in the order in which segment/merge.h wants them */
    size_t source_count;
    uint64_t min_txid; /* of the first source */
    uint64_t max_txid; /* of the last one */
};
#define MERGE_STEP_INIT ((struct merge_step){ 0 })
#define auto_merge_step __attribute__((cleanup(merge_step_release)))
void merge_step_release(struct merge_step *step);

/* The next step, finest level first, then oldest first; false when there is none now. */
bool merge_plan_next(struct merge_step *ret, const struct merge_sight *sight);

/* How long after its end a window is closed by the clock alone: a minute, or as long as it is. */
int64_t merge_plan_grace_ms(int64_t every_ms);

/*
 * When the newest window that is not closed will be, by the clock alone (wall clock); 0 when none
 * is open.
 */
int64_t merge_plan_due_ms(const struct merge_sight *sight);

#endif
