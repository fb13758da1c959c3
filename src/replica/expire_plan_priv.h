/*
 * expire_plan - what retention may remove; pure: a catalog, rules, holds and the time in
 *
 * By the rules an object of level i stays while the last of its transactions ceased to be the
 * newest (expire_age_priv.h) not longer ago than rule i keeps; a level without a rule goes by the
 * coarsest one. What is older may go when
 *
 *   - no coarser rule keeps points there, or segments of the levels in between tell all of its
 *     transactions; where those were not made yet, it waits;
 *   - or another log segment holds the same transactions and more;
 *   - and what stays restores. The points that objects within their rules give now, those that
 *     holds name, and the newest one must be points of the catalog without what goes: route.h, by
 *     which restores are planned, is asked. What is needed for a point that would be lost is taken
 *     back, the cheapest way to it that uses the fewest such objects. In the end all is computed
 *     anew from the names that would be left, and a difference is RC_CORRUPT.
 *
 * Timelines share what their parents hold, so points of all timelines are looked at, each along its
 * own chain. Of the snapshots those stay that lie within the first rule, the newest of each
 * timeline, those that a point needs, and those without which a restore would read half as much as
 * the snapshot weighs instead of it.
 *
 * RC_CORRUPT also when the newest state does not restore as it is: then nothing may go.
 */
#ifndef SEAWAL_REPLICA_EXPIRE_PLAN_PRIV_H
#define SEAWAL_REPLICA_EXPIRE_PLAN_PRIV_H

#include "catalog_priv.h"
#include "note_priv.h"
#include "replica/rules.h"
#include "txid_set_priv.h"

/* A point that stays, whatever the rules say. */
struct kept_point {
    uint32_t timeline;
    uint64_t txid;
};

struct expire_input {
    const struct catalog *catalog; /* every timeline and snapshot loaded */
    const struct rules *rules;
    const struct kept_point *holds;
    size_t hold_count;
    int64_t now_ms;
};

struct expire_plan {
    struct restore_object *objects; /* what goes; by timeline, level, name; snapshots last */
    size_t object_count;
    uint64_t size;       /* their bytes */
    uint64_t kept_count; /* segments and snapshots that stay */
    uint64_t kept_size;
    uint64_t waiting_count; /* of those: past their rule, but what must take over is not there */
    uint64_t later_count;   /* of those: will be past their rule, without anything being written */

    struct expire_range *lost; /* restorable now, and not afterwards; ascending */
    size_t lost_count;
    struct expire_range *gone; /* no object tells of them afterwards; ascending */
    size_t gone_count;
};
#define EXPIRE_PLAN_INIT ((struct expire_plan){ 0 })
#define auto_expire_plan __attribute__((cleanup(expire_plan_release)))
void expire_plan_release(struct expire_plan *plan);

must_use rc expire_plan_make(
    struct expire_plan *ret, const struct expire_input *input, struct error *err);

/*
 * The points of the chain of the timeline at LEAF_INDEX, its parents' included. Every timeline and
 * snapshot must be loaded. HAS_HOLE (may be NULL): the newest snapshot does not lead to the end.
 */
must_use rc expire_points(struct txid_set *ret, const struct catalog *catalog, size_t leaf_index,
    bool *has_hole, struct error *err);

#endif
