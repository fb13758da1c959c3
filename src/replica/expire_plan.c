/*
 * expire_plan - what retention may remove; pure: a catalog, rules, holds and the time in
 */
#include "expire_plan_priv.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "expire_age_priv.h"
#include "route_priv.h"

/*
 * One object of the catalog. The three kinds stand in one array for each timeline: snapshots, logs,
 * merged, as the catalog has them.
 */
struct plan_item {
    bool goes;
};

struct plan_timeline {
    struct plan_item *items;
    size_t item_count;
    struct txid_set points;    /* of the whole chain, now */
    struct txid_set survivors; /* those that must be points afterwards */
};

struct planner {
    const struct expire_input *input;
    const struct catalog *catalog;
    struct plan_timeline *timelines;
    uint64_t waiting_count;
    uint64_t later_count;
};
#define auto_planner __attribute__((cleanup(planner_release)))

static void planner_release(struct planner *planner)
{
    for (size_t i = 0; i < planner->catalog->timeline_count; i++) {
        free(planner->timelines[i].items);
        txid_set_release(&planner->timelines[i].points);
        txid_set_release(&planner->timelines[i].survivors);
    }
    free(planner->timelines);
}

void expire_plan_release(struct expire_plan *plan)
{
    free(plan->objects);
    free(plan->lost);
    free(plan->gone);
    *plan = EXPIRE_PLAN_INIT;
}

/* ---- one object of a timeline */

/* By its place among the items: snapshots, logs, merged. */
static struct restore_object plan_object(const struct catalog_timeline *timeline, size_t index)
{
    struct restore_object object = { .timeline = timeline->timeline };

    if (index < timeline->snapshot_count) {
        const struct catalog_snapshot *snapshot = &timeline->snapshots[index];
        object.kind = SEGMENT_SNAPSHOT;
        object.level = LEVEL_SNAPSHOT;
        object.name = snapshot->name;
        object.size = snapshot->size;
        object.first_txid = snapshot->name.min_txid;
        object.last_txid = snapshot->summary.max_txid;
        return object;
    }
    index -= timeline->snapshot_count;
    const struct segment_entry *entry;
    if (index < timeline->log_count) {
        entry = &timeline->logs[index];
        object.kind = SEGMENT_LOG;
    } else {
        const struct catalog_segment *merged = &timeline->merged[index - timeline->log_count];
        entry = &merged->entry;
        object.kind = SEGMENT_MERGED;
        object.level = merged->level;
    }
    object.name = entry->name;
    object.size = entry->size;
    object.first_txid = entry->name.min_txid;
    object.last_txid = entry->name.max_txid;
    return object;
}

/* ---- catalogs that might be */

/* All of the catalog, what goes weighing so much more that it is used only where it must be. */
enum { PLAN_GOES_WEIGHT_BITS = 40 };

static uint64_t plan_weight(const struct plan_item *item, uint64_t size, bool is_weighed)
{
    return is_weighed && item->goes ? size + (UINT64_C(1) << PLAN_GOES_WEIGHT_BITS) : size;
}

/* TIMELINE without what goes, or all of it with weights. */
static struct catalog_timeline plan_copy_timeline(
    const struct catalog_timeline *timeline, const struct plan_item *items, bool is_weighed)
{
    struct catalog_timeline copy = *timeline;

    copy.snapshots = mem_new_array(timeline->snapshot_count + 1, sizeof copy.snapshots[0]);
    copy.logs = mem_new_array(timeline->log_count + 1, sizeof copy.logs[0]);
    copy.merged = mem_new_array(timeline->merged_count + 1, sizeof copy.merged[0]);
    copy.snapshot_count = copy.log_count = copy.merged_count = 0;
    for (size_t i = 0; i < timeline->snapshot_count; i++, items++) {
        if (items->goes && !is_weighed)
            continue;
        copy.snapshots[copy.snapshot_count] = timeline->snapshots[i];
        copy.snapshots[copy.snapshot_count++].size =
            plan_weight(items, timeline->snapshots[i].size, is_weighed);
    }
    for (size_t i = 0; i < timeline->log_count; i++, items++) {
        if (items->goes && !is_weighed)
            continue;
        copy.logs[copy.log_count] = timeline->logs[i];
        copy.logs[copy.log_count++].size = plan_weight(items, timeline->logs[i].size, is_weighed);
    }
    for (size_t i = 0; i < timeline->merged_count; i++, items++) {
        if (items->goes && !is_weighed)
            continue;
        const struct catalog_segment *merged = &timeline->merged[i];
        copy.merged[copy.merged_count] = *merged;
        copy.merged[copy.merged_count++].entry.size =
            plan_weight(items, merged->entry.size, is_weighed);
    }
    return copy;
}

static void plan_copy(const struct planner *planner, struct catalog *ret, bool is_weighed)
{
    const struct catalog *catalog = planner->catalog;

    *ret = *catalog;
    ret->notes = CATALOG_NOTES_INIT;
    ret->timelines = mem_new_array(catalog->timeline_count + 1, sizeof ret->timelines[0]);
    for (size_t i = 0; i < catalog->timeline_count; i++)
        ret->timelines[i] =
            plan_copy_timeline(&catalog->timelines[i], planner->timelines[i].items, is_weighed);
}

/* ---- the rules */

static const struct rule *plan_rule(const struct planner *planner, unsigned level)
{
    const struct rules *rules = planner->input->rules;

    return &rules->rules[level < rules->count ? level : rules->count - 1];
}

static bool rule_keeps(const struct rule *rule, int64_t age_ms)
{
    return rule->keep_ms == RULE_KEEP_FOREVER || age_ms <= rule->keep_ms;
}

/* What the merged segments of TIMELINE tell, by level; LEVEL_LOG is not used. */
struct plan_cover {
    struct txid_set levels[REPLICA_LEVEL_MAX + 1];
};

static void plan_cover_release(struct plan_cover *cover)
{
    for (size_t i = 0; i <= REPLICA_LEVEL_MAX; i++)
        txid_set_release(&cover->levels[i]);
}
#define auto_plan_cover __attribute__((cleanup(plan_cover_release)))

static void plan_cover_find(struct plan_cover *ret, const struct catalog_timeline *timeline)
{
    *ret = (struct plan_cover){ .levels = { TXID_SET_INIT } };
    for (size_t i = 0; i < timeline->merged_count; i++) {
        const struct catalog_segment *merged = &timeline->merged[i];
        txid_set_add(
            &ret->levels[merged->level], merged->entry.name.min_txid, merged->entry.name.max_txid);
    }
}

/* Whether the levels above LEVEL, up to LAST, tell all of OBJECT's transactions. */
static bool plan_is_covered(
    const struct plan_cover *cover, const struct restore_object *object, unsigned last)
{
    auto_txid_set struct txid_set all = TXID_SET_INIT;

    for (unsigned level = object->level + 1; level <= last; level++) {
        const struct txid_set *set = &cover->levels[level];
        size_t index = txid_set_at(set, object->first_txid);
        for (; index < set->range_count && set->ranges[index].first_txid <= object->last_txid;
             index++)
            txid_set_add(&all, set->ranges[index].first_txid, set->ranges[index].last_txid);
    }
    return txid_set_has_all(&all, object->first_txid, object->last_txid);
}

/* Where a transaction stands, as far as the rules are concerned. */
enum plan_standing {
    PLAN_KEPT,    /* within the rule of its level */
    PLAN_WAITING, /* past it, but a coarser rule keeps points there that are not made yet */
    PLAN_PAST,
};

/* Of the transactions of OBJECT, the last of which is AGE_MS old. */
static enum plan_standing plan_standing(const struct planner *planner,
    const struct plan_cover *cover, const struct restore_object *object, int64_t age_ms)
{
    const struct rules *rules = planner->input->rules;
    unsigned level = object->level;

    if (rule_keeps(plan_rule(planner, level), age_ms))
        return PLAN_KEPT;
    for (level++; level < rules->count; level++) {
        if (rule_keeps(&rules->rules[level], age_ms))
            return plan_is_covered(cover, object, level) ? PLAN_PAST : PLAN_WAITING;
    }
    return PLAN_PAST;
}

static void plan_mark_segments(
    struct planner *planner, size_t index, const struct ages *ages, const struct plan_cover *cover)
{
    const struct catalog_timeline *timeline = &planner->catalog->timelines[index];
    struct plan_timeline *plan = &planner->timelines[index];

    for (size_t i = timeline->snapshot_count; i < plan->item_count; i++) {
        struct restore_object object = plan_object(timeline, i);
        int64_t age_ms = ages_of(ages, object.last_txid);
        enum plan_standing standing = plan_standing(planner, cover, &object, age_ms);
        bool is_forever = plan_rule(planner, object.level)->keep_ms == RULE_KEEP_FOREVER;
        plan->items[i].goes = standing == PLAN_PAST;
        planner->waiting_count += standing == PLAN_WAITING;
        planner->later_count += standing == PLAN_KEPT && age_ms > 0 && !is_forever;
    }
}

/*
 * Log segments whose transactions another, larger one holds: what was packed. Names come in the
 * order of their beginnings, of two with the same one the shorter first.
 */
static void plan_mark_packed(struct planner *planner, size_t index)
{
    const struct catalog_timeline *timeline = &planner->catalog->timelines[index];
    struct plan_item *items = planner->timelines[index].items + timeline->snapshot_count;
    uint64_t held_txid = 0; /* some log that begins before and stays goes up to here */

    for (size_t i = 0; i < timeline->log_count; i++) {
        const struct segment_name *name = &timeline->logs[i].name;
        bool is_held = name->max_txid <= held_txid;
        for (size_t k = i + 1; !is_held && k < timeline->log_count; k++) {
            const struct segment_name *next = &timeline->logs[k].name;
            if (next->min_txid != name->min_txid)
                break;
            is_held = next->max_txid > name->max_txid && !items[k].goes;
        }
        if (is_held)
            items[i].goes = true;
        else if (!items[i].goes && name->max_txid > held_txid)
            held_txid = name->max_txid;
    }
}

/* What the segments of TIMELINE tell. */
static void plan_told(struct txid_set *ret, const struct catalog_timeline *timeline)
{
    for (size_t i = 0; i < timeline->log_count; i++)
        txid_set_add(ret, timeline->logs[i].name.min_txid, timeline->logs[i].name.max_txid);
    for (size_t i = 0; i < timeline->merged_count; i++) {
        const struct segment_name *name = &timeline->merged[i].entry.name;
        txid_set_add(ret, name->min_txid, name->max_txid);
    }
}

/*
 * All past the first rule; what is needed, and what makes restores short, is taken back later. One
 * that alone tells of its transaction, as the first of a history does, stands for it at every
 * level, whether or not that is the last of a window.
 */
static void plan_mark_snapshots(struct planner *planner, size_t index, const struct ages *ages)
{
    const struct catalog_timeline *timeline = &planner->catalog->timelines[index];
    const struct rules *rules = planner->input->rules;
    struct plan_item *items = planner->timelines[index].items;
    auto_txid_set struct txid_set told = TXID_SET_INIT;

    plan_told(&told, timeline);
    for (size_t i = 0; i < timeline->snapshot_count; i++) {
        uint64_t txid = timeline->snapshots[i].summary.max_txid;
        bool is_told = txid_set_has_all(&told, txid, txid);
        const struct rule *rule = &rules->rules[is_told ? 0 : rules->count - 1];
        int64_t age_ms = ages_of(ages, txid);
        items[i].goes = !rule_keeps(rule, age_ms);
        planner->later_count += !items[i].goes && age_ms > 0 && rule->keep_ms != RULE_KEEP_FOREVER;
    }
}

/* ---- what must survive */

static void plan_add_survivor(
    struct planner *planner, size_t index, uint64_t first_txid, uint64_t last_txid)
{
    auto_txid_set struct txid_set wanted = TXID_SET_INIT;
    auto_txid_set struct txid_set found = TXID_SET_INIT;
    struct plan_timeline *plan = &planner->timelines[index];

    txid_set_add(&wanted, first_txid, last_txid);
    txid_set_common(&found, &wanted, &plan->points);
    txid_set_add_all(&plan->survivors, &found);
}

/*
 * The points of an object that stays by the rules. A log segment may stay for its last transaction
 * alone, as the newest one does for ever: the others ceased to be the newest with it.
 */
static struct txid_range plan_points_of(const struct planner *planner, const struct ages *ages,
    const struct plan_cover *cover, const struct restore_object *object)
{
    struct txid_range range = { object->last_txid, object->last_txid };
    struct restore_object others = *object;

    if (object->kind != SEGMENT_LOG || object->first_txid == object->last_txid)
        return range;
    others.last_txid--;
    int64_t age_ms = ages_of(ages, others.last_txid);
    if (plan_standing(planner, cover, &others, age_ms) != PLAN_PAST)
        range.first_txid = object->first_txid;
    return range;
}

static void plan_keep_points(
    struct planner *planner, size_t index, const struct ages *ages, const struct plan_cover *cover)
{
    const struct catalog_timeline *timeline = &planner->catalog->timelines[index];
    struct plan_timeline *plan = &planner->timelines[index];
    auto_txid_set struct txid_set wanted = TXID_SET_INIT;

    for (size_t i = 0; i < plan->item_count; i++) {
        if (plan->items[i].goes)
            continue;
        struct restore_object object = plan_object(timeline, i);
        struct txid_range range = plan_points_of(planner, ages, cover, &object);
        txid_set_add(&wanted, range.first_txid, range.last_txid);
    }
    txid_set_common(&plan->survivors, &wanted, &plan->points);
}

static void plan_keep_holds(struct planner *planner)
{
    for (size_t i = 0; i < planner->input->hold_count; i++) {
        const struct kept_point *hold = &planner->input->holds[i];
        size_t index = catalog_find(planner->catalog, hold->timeline);
        if (index < planner->catalog->timeline_count)
            plan_add_survivor(planner, index, hold->txid, hold->txid);
    }
}

/* The newest point of the newest timeline, which may lie in a parent of it. */
static void plan_keep_newest(struct planner *planner)
{
    size_t index = planner->catalog->timeline_count - 1;
    const struct txid_set *points = &planner->timelines[index].points;

    if (points->range_count > 0) {
        uint64_t txid = points->ranges[points->range_count - 1].last_txid;
        plan_add_survivor(planner, index, txid, txid);
    }
}

/* ---- what is needed is taken back */

static void plan_take_back(struct planner *planner, const struct restore_object *object)
{
    size_t index = catalog_find(planner->catalog, object->timeline);
    const struct catalog_timeline *timeline = &planner->catalog->timelines[index];
    struct plan_item *items = planner->timelines[index].items;
    size_t end = planner->timelines[index].item_count;
    size_t i = 0;

    if (object->kind != SEGMENT_SNAPSHOT)
        i += timeline->snapshot_count;
    if (object->kind == SEGMENT_MERGED)
        i += timeline->log_count;
    for (; i < end; i++) {
        struct restore_object other = plan_object(timeline, i);
        if (other.kind != object->kind)
            break;
        if (other.level == object->level && other.name.min_txid == object->name.min_txid &&
            other.name.max_txid == object->name.max_txid &&
            other.name.time_ms == object->name.time_ms)
            items[i].goes = false;
    }
}

/* A snapshot and the route behind it. */
struct plan_way {
    struct restore_object snapshot;
    struct route route;
};
#define auto_plan_way __attribute__((cleanup(plan_way_release)))

static void plan_way_release(struct plan_way *way)
{
    route_release(&way->route);
}

/* By snapshot I of SPAN, if it leads to TXID. */
static bool plan_try_way(
    struct plan_way *ret, const struct chain *chain, size_t span, size_t i, uint64_t txid)
{
    const struct catalog_timeline *timeline = chain_timeline(chain, span);
    const struct catalog_snapshot *snapshot = &timeline->snapshots[i];
    uint64_t limit_txid = chain->spans[span].limit_txid;
    uint64_t usable_txid = snapshot->summary.max_txid;

    if (snapshot->name.min_txid > limit_txid || usable_txid > limit_txid || usable_txid > txid)
        return false;
    auto_reach struct reach reach = REACH_INIT;
    reach_find(&reach, chain, span, snapshot->name.min_txid);
    if (!reach_has(&reach, txid))
        return false;
    ret->snapshot = plan_object(timeline, i);
    route_find(&ret->route, &reach, txid);
    return true;
}

/* As a restore does: by the newest snapshot that leads there; or the CHEAPEST way of all. */
static bool plan_find_way(
    struct plan_way *ret, const struct chain *chain, uint64_t txid, bool cheapest)
{
    bool is_found = false;

    for (size_t span = chain->span_count; span-- > 0;) {
        for (size_t i = chain_timeline(chain, span)->snapshot_count; i-- > 0;) {
            auto_plan_way struct plan_way way = { .route = ROUTE_INIT };
            if (!plan_try_way(&way, chain, span, i, txid))
                continue;
            if (is_found &&
                way.snapshot.size + way.route.size >= ret->snapshot.size + ret->route.size)
                continue;
            plan_way_release(ret);
            *ret = way;
            way.route = ROUTE_INIT;
            is_found = true;
            if (!cheapest)
                return true;
        }
    }
    return is_found;
}

/* Whatever the cheapest way to TXID of the timeline at INDEX needs. */
static rc plan_rescue(struct planner *planner, size_t index, uint64_t txid, struct error *err)
{
    auto_catalog struct catalog weighed = CATALOG_INIT;
    auto_chain struct chain chain = CHAIN_INIT;
    auto_plan_way struct plan_way way = { .route = ROUTE_INIT };

    plan_copy(planner, &weighed, true);
    TRY(chain_build(&chain, &weighed, index, err));
    if (!plan_find_way(&way, &chain, txid, true))
        FAIL(err, RC_CORRUPT, "transaction %" PRIu64 " of timeline %08" PRIx32 " has no way to it",
            txid, planner->catalog->timelines[index].timeline);
    plan_take_back(planner, &way.snapshot);
    for (size_t i = 0; i < way.route.object_count; i++)
        plan_take_back(planner, &way.route.objects[i]);
    return RC_OK;
}

/* Survivors of the timeline at INDEX that are no points any more without what goes. */
static rc plan_missing(
    const struct planner *planner, size_t index, struct txid_set *ret, struct error *err)
{
    auto_catalog struct catalog rest = CATALOG_INIT;
    auto_txid_set struct txid_set points = TXID_SET_INIT;

    plan_copy(planner, &rest, false);
    TRY(expire_points(&points, &rest, index, NULL, err));
    txid_set_minus(ret, &planner->timelines[index].survivors, &points);
    return RC_OK;
}

/*
 * Each turn makes the first and the last of what is missing points again, so at least one object
 * comes back each time; nearly always one turn does.
 */
static rc plan_rescue_timeline(struct planner *planner, size_t index, struct error *err)
{
    for (;;) {
        auto_txid_set struct txid_set missing = TXID_SET_INIT;
        TRY(plan_missing(planner, index, &missing, err));
        if (missing.range_count == 0)
            return RC_OK;
        const struct txid_range *last = &missing.ranges[missing.range_count - 1];
        TRY(plan_rescue(planner, index, missing.ranges[0].first_txid, err));
        TRY(plan_rescue(planner, index, last->last_txid, err));
    }
}

/* ---- snapshots that make restores short */

enum { PLAN_SNAPSHOT_SHARE = 2 }; /* a restore behind it may read this part of its size instead */

/* Take snapshot I of the timeline at INDEX back when the way to what follows it is long without. */
static rc plan_weigh_snapshot(struct planner *planner, size_t index, size_t i, struct error *err)
{
    struct plan_timeline *plan = &planner->timelines[index];
    const struct catalog_timeline *timeline = &planner->catalog->timelines[index];
    const struct catalog_snapshot *snapshot = &timeline->snapshots[i];
    size_t range = txid_set_at(&plan->survivors, snapshot->summary.max_txid);

    if (range == plan->survivors.range_count)
        return RC_OK;
    uint64_t txid = plan->survivors.ranges[range].first_txid;
    if (txid < snapshot->summary.max_txid)
        txid = snapshot->summary.max_txid;

    auto_catalog struct catalog rest = CATALOG_INIT;
    auto_chain struct chain chain = CHAIN_INIT;
    auto_plan_way struct plan_way way = { .route = ROUTE_INIT };
    plan_copy(planner, &rest, false);
    TRY(chain_build(&chain, &rest, index, err));
    /* A newer snapshot leads there already: this one would not be begun with. */
    bool is_found = plan_find_way(&way, &chain, txid, false);
    if (is_found && way.snapshot.last_txid > snapshot->summary.max_txid)
        return RC_OK;
    bool is_newest = i + 1 == timeline->snapshot_count;
    if (is_newest || !is_found || way.route.size > snapshot->size / PLAN_SNAPSHOT_SHARE)
        plan->items[i].goes = false;
    return RC_OK;
}

static rc plan_weigh_snapshots(struct planner *planner, size_t index, struct error *err)
{
    const struct catalog_timeline *timeline = &planner->catalog->timelines[index];

    for (size_t i = 0; i < timeline->snapshot_count; i++) {
        if (planner->timelines[index].items[i].goes)
            TRY(plan_weigh_snapshot(planner, index, i, err));
    }
    return RC_OK;
}

/* ---- the plan */

/* The newest state must restore now, or nothing may be touched. */
static rc plan_find_points(struct planner *planner, struct error *err)
{
    size_t count = planner->catalog->timeline_count;

    for (size_t i = 0; i < count; i++) {
        bool has_hole = false;
        TRY(expire_points(&planner->timelines[i].points, planner->catalog, i, &has_hole, err));
        if (i + 1 == count && has_hole)
            FAIL(err, RC_CORRUPT,
                "transactions are missing behind the newest snapshot; nothing is removed");
    }
    return RC_OK;
}

/* What goes and what must survive, as far as one timeline alone is concerned. */
static void plan_mark(struct planner *planner, size_t index)
{
    auto_ages struct ages ages = AGES_INIT;
    auto_plan_cover struct plan_cover cover;

    ages_find(&ages, planner->catalog, index, planner->input->now_ms);
    plan_cover_find(&cover, &planner->catalog->timelines[index]);
    plan_mark_segments(planner, index, &ages, &cover);
    plan_mark_snapshots(planner, index, &ages);
    plan_mark_packed(planner, index);
    plan_keep_points(planner, index, &ages, &cover);
}

static rc plan_decide(struct planner *planner, struct error *err)
{
    const struct catalog *catalog = planner->catalog;

    TRY(plan_find_points(planner, err));
    for (size_t i = 0; i < catalog->timeline_count; i++)
        plan_mark(planner, i);
    plan_keep_holds(planner);
    plan_keep_newest(planner);
    for (size_t i = 0; i < catalog->timeline_count; i++)
        TRY(plan_rescue_timeline(planner, i, err));
    for (size_t i = 0; i < catalog->timeline_count; i++)
        TRY(plan_weigh_snapshots(planner, i, err));
    return RC_OK;
}

static void plan_list_objects(const struct planner *planner, struct expire_plan *plan, size_t index,
    struct txid_set *ret_gone)
{
    const struct catalog_timeline *timeline = &planner->catalog->timelines[index];
    const struct plan_timeline *from = &planner->timelines[index];
    auto_txid_set struct txid_set removed = TXID_SET_INIT;
    auto_txid_set struct txid_set kept = TXID_SET_INIT;

    plan->objects = mem_resize(
        plan->objects, (plan->object_count + from->item_count + 1) * sizeof plan->objects[0]);
    for (size_t n = 0; n < from->item_count; n++) {
        size_t i = (n + timeline->snapshot_count) % from->item_count; /* snapshots last */
        struct restore_object object = plan_object(timeline, i);
        if (object.kind != SEGMENT_SNAPSHOT)
            txid_set_add(
                from->items[i].goes ? &removed : &kept, object.first_txid, object.last_txid);
        if (!from->items[i].goes) {
            plan->kept_count++;
            plan->kept_size += object.size;
            continue;
        }
        plan->size += object.size;
        plan->objects[plan->object_count++] = object;
    }
    txid_set_minus(ret_gone, &removed, &kept);
}

/* The proof: all from the names that are left, and a plan to the ends of each range of survivors.
 */
static rc plan_prove(const struct planner *planner, const struct catalog *rest, size_t index,
    struct txid_set *ret_points, struct error *err)
{
    const struct txid_set *survivors = &planner->timelines[index].survivors;
    auto_chain struct chain chain = CHAIN_INIT;

    TRY(expire_points(ret_points, rest, index, NULL, err));
    TRY(chain_build(&chain, rest, index, err));
    for (size_t i = 0; i < survivors->range_count; i++) {
        const struct txid_range *range = &survivors->ranges[i];
        auto_plan_way struct plan_way way = { .route = ROUTE_INIT };
        bool is_proved = txid_set_has_all(ret_points, range->first_txid, range->last_txid) &&
                         plan_find_way(&way, &chain, range->last_txid, false);
        if (!is_proved)
            FAIL(err, RC_CORRUPT,
                "transactions %" PRIu64 " to %" PRIu64 " of timeline %08" PRIx32
                " would not restore; nothing is removed",
                range->first_txid, range->last_txid, rest->timelines[index].timeline);
    }
    return RC_OK;
}

static rc plan_finish(const struct planner *planner, struct expire_plan *plan, struct error *err)
{
    auto_catalog struct catalog rest = CATALOG_INIT;

    plan_copy(planner, &rest, false);
    for (size_t i = 0; i < rest.timeline_count; i++) {
        uint32_t timeline = rest.timelines[i].timeline;
        uint64_t after_txid = rest.timelines[i].info.parent_txid;
        auto_txid_set struct txid_set points = TXID_SET_INIT;
        auto_txid_set struct txid_set lost = TXID_SET_INIT;
        auto_txid_set struct txid_set gone = TXID_SET_INIT;

        TRY(plan_prove(planner, &rest, i, &points, err));
        plan_list_objects(planner, plan, i, &gone);
        for (size_t k = 0; k < gone.range_count; k++) {
            struct expire_range range = { .timeline = timeline, .range = gone.ranges[k] };
            expire_range_add(&plan->gone, &plan->gone_count, &range);
        }
        txid_set_minus(&lost, &planner->timelines[i].points, &points);
        for (size_t k = 0; k < lost.range_count; k++) {
            struct expire_range range = { .timeline = timeline, .range = lost.ranges[k] };
            if (range.range.first_txid <= after_txid) /* those of parents are told there */
                range.range.first_txid = after_txid + 1;
            if (range.range.first_txid <= range.range.last_txid)
                expire_range_add(&plan->lost, &plan->lost_count, &range);
        }
    }
    plan->waiting_count = planner->waiting_count;
    plan->later_count = planner->later_count;
    return RC_OK;
}

rc expire_plan_make(struct expire_plan *ret, const struct expire_input *input, struct error *err)
{
    const struct catalog *catalog = input->catalog;
    auto_planner struct planner planner = {
        .input = input,
        .catalog = catalog,
        .timelines = mem_new_array(catalog->timeline_count + 1, sizeof *planner.timelines),
    };
    auto_expire_plan struct expire_plan plan = EXPIRE_PLAN_INIT;

    assert(input->rules->count > 0);
    for (size_t i = 0; i < catalog->timeline_count; i++) {
        const struct catalog_timeline *timeline = &catalog->timelines[i];
        struct plan_timeline *to = &planner.timelines[i];
        to->item_count = timeline->snapshot_count + timeline->log_count + timeline->merged_count;
        to->items = mem_new_array(to->item_count + 1, sizeof to->items[0]);
    }
    if (!input->rules->is_off && catalog->timeline_count > 0)
        TRY(plan_decide(&planner, err));
    TRY(plan_finish(&planner, &plan, err));

    *ret = plan;
    plan = EXPIRE_PLAN_INIT;
    return RC_OK;
}
