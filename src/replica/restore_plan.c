/*
 * restore_plan - from a target to the exact transaction and the objects that give it
 */
#include "replica/restore.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/duration.h"
#include "object_source_priv.h"
#include "restore_plan_priv.h"
#include "segment/reader.h"
#include "view_priv.h"

void restore_plan_release(struct restore_plan *plan)
{
    free(plan->objects);
    free(plan->damages);
    *plan = RESTORE_PLAN_INIT;
}

/* ---- time to transaction */

struct time_search {
    int64_t time_ms;
    uint64_t limit_txid;
    uint64_t txid; /* the last one not after time_ms; 0: none */
};

static rc time_search_each(
    void *payload, const struct segment_transaction *transaction, struct error *err)
{
    struct time_search *search = payload;
    (void)err;

    if (transaction->time_ms <= search->time_ms && transaction->txid <= search->limit_txid)
        search->txid = transaction->txid;
    return RC_OK;
}

/* Look into the transaction table of a segment whose last transaction is too late. */
static rc time_search_segment(struct view *view, uint32_t timeline, const struct segment_entry *log,
    struct time_search *search, struct error *err)
{
    char key[REPLICA_KEY_SIZE];
    replica_key_segment(key, timeline, LEVEL_LOG, &log->name);
    struct object_source object;
    object_source_init(&object, view->store, key, log->size);

    struct segment_reader *reader = NULL;
    TRY_AS(err, segment_reader_open(&reader, object_source(&object), err), "segment '%s'", key);
    rc code = log_reader_each_transaction(reader, time_search_each, search, err);
    segment_reader_free(reader);
    if (code != RC_OK)
        return error_wrap(err, code, "segment '%s'", key);
    return RC_OK;
}

/*
 * The last transaction of one span that is not after the time, by its log. Times never fall within
 * a timeline, so the names lead to the one segment that has to be looked into.
 */
static rc time_search_logs(
    struct view *view, size_t span_index, struct time_search *search, struct error *err)
{
    const struct chain_span *span = &view->chain.spans[span_index];
    const struct catalog_timeline *timeline = chain_timeline(&view->chain, span_index);
    size_t low = 0;
    size_t high = timeline->log_count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const struct segment_name *name = &timeline->logs[middle].name;
        if (name->time_ms <= search->time_ms && name->max_txid <= span->limit_txid)
            low = middle + 1;
        else
            high = middle;
    }
    if (low > 0)
        search->txid = timeline->logs[low - 1].name.max_txid;
    search->limit_txid = span->limit_txid;
    if (low < timeline->log_count && timeline->logs[low].name.min_txid <= span->limit_txid)
        TRY(time_search_segment(view, timeline->timeline, &timeline->logs[low], search, err));
    return RC_OK;
}

/* The last transaction of a merged segment, whose name tells its time. */
static void time_search_merged(
    const struct view *view, size_t span_index, struct time_search *search)
{
    const struct chain_span *span = &view->chain.spans[span_index];
    const struct catalog_timeline *timeline = chain_timeline(&view->chain, span_index);

    for (size_t i = 0; i < timeline->merged_count; i++) {
        const struct segment_name *name = &timeline->merged[i].entry.name;
        if (name->time_ms <= search->time_ms && name->max_txid <= span->limit_txid &&
            name->max_txid > search->txid)
            search->txid = name->max_txid;
    }
}

/* A snapshot that is the only carrier of its transaction counts as well. */
static rc time_search_snapshots(
    struct view *view, size_t span_index, struct time_search *search, struct error *err)
{
    const struct chain_span *span = &view->chain.spans[span_index];
    const struct catalog_timeline *timeline = chain_timeline(&view->chain, span_index);

    for (size_t i = 0; i < timeline->snapshot_count; i++) {
        struct catalog_snapshot *snapshot = &timeline->snapshots[i];
        if (snapshot->name.min_txid > span->limit_txid || snapshot->name.min_txid <= search->txid)
            continue;
        TRY(catalog_load_snapshot(&view->catalog, view->store, span->timeline_index, i, err));
        const struct segment_summary *summary = &snapshot->summary;
        if (summary->last_time_ms <= search->time_ms && summary->max_txid <= span->limit_txid &&
            summary->max_txid > search->txid)
            search->txid = summary->max_txid;
    }
    return RC_OK;
}

/* The last transaction that a name or a table tells not to be after the time, restorable or not. */
static rc time_to_txid(struct view *view, int64_t time_ms, uint64_t *ret, struct error *err)
{
    struct time_search search = { .time_ms = time_ms };

    for (size_t span = view->chain.span_count; span-- > 0 && search.txid == 0;) {
        TRY(time_search_logs(view, span, &search, err));
        time_search_merged(view, span, &search);
        TRY(time_search_snapshots(view, span, &search, err));
    }
    *ret = search.txid;
    return RC_OK;
}

/* ---- what is there instead */

enum { POINT_TEXT_SIZE = 64 };

static rc point_describe(struct view *view, uint64_t txid, char out[POINT_TEXT_SIZE])
{
    auto_point struct point point = POINT_INIT;
    struct replica_position position;
    char when[INSTANT_TEXT_SIZE];

    TRY(point_find(view, txid, &point, NULL));
    TRY(point_position(view, &point, &position, NULL));
    instant_format_ms(when, position.time_ms);
    snprintf(out, POINT_TEXT_SIZE, "%" PRIu64 " (%s)", position.txid, when);
    return RC_OK;
}

/* "; the nearest ones are ...", when TXID (0: none) lies between two restorable transactions. */
static void plan_describe_nearest(struct view *view, uint64_t txid, char *out, size_t out_size)
{
    struct point_neighbours nearest = { 0 };
    char before[POINT_TEXT_SIZE];
    char after[POINT_TEXT_SIZE];

    out[0] = '\0';
    if (txid != 0 && point_nearest(view, txid, &nearest, NULL) == RC_OK &&
        nearest.before_txid != 0 && nearest.after_txid != 0 &&
        point_describe(view, nearest.before_txid, before) == RC_OK &&
        point_describe(view, nearest.after_txid, after) == RC_OK)
        snprintf(
            out, out_size, "; the nearest that are: %s before it and %s after it", before, after);
}

/* WHAT, of TXID or 0, is certainly not there; say what is, as far as it can be found out. */
static rc plan_not_found(struct view *view, const char *what, uint64_t txid, struct error *err)
{
    struct point_neighbours ends = { 0 };
    char nearest[64 + 2 * POINT_TEXT_SIZE];
    char oldest[POINT_TEXT_SIZE];
    char newest[POINT_TEXT_SIZE];

    bool is_known = point_nearest(view, 1, &ends, NULL) == RC_OK && ends.after_txid != 0 &&
                    point_describe(view, ends.after_txid, oldest) == RC_OK &&
                    point_describe(view, TXID_MAX, newest) == RC_OK;
    plan_describe_nearest(view, txid, nearest, sizeof nearest);
    if (!is_known)
        FAIL(err, RC_NOT_FOUND, "%s%s", what, nearest);
    FAIL(err, RC_NOT_FOUND, "%s%s; there are transactions %s to %s", what, nearest, oldest, newest);
}

/* ---- the point */

static rc plan_txid_not_found(struct view *view, uint64_t txid, struct error *err)
{
    char what[128];

    if (txid == TXID_MAX)
        FAIL(err, RC_NOT_FOUND, "the replica holds no complete snapshot yet");
    const char *why = view->catalog.notes.expire_count > 0 ? " any more (retention)" : "";
    snprintf(what, sizeof what, "transaction %" PRIu64 " is not restorable%s", txid, why);
    return plan_not_found(view, what, txid, err);
}

static rc plan_find_txid(struct view *view, uint64_t txid, struct point *ret, struct error *err)
{
    rc code = point_find(view, txid, ret, err);

    return code == RC_NOT_FOUND ? plan_txid_not_found(view, txid, err) : code;
}

/*
 * The newest restorable point whose time is not after TIME_MS: that transaction, or the nearest one
 * before it that still is a point of its own. Times never fall, so nothing nearer is left out.
 */
static rc plan_find_time(struct view *view, int64_t time_ms, struct point *ret, struct error *err)
{
    uint64_t txid = 0;
    struct point_neighbours nearest = { 0 };

    TRY(time_to_txid(view, time_ms, &txid, err));
    if (txid != 0) {
        rc code = point_find(view, txid, ret, err);
        if (code != RC_NOT_FOUND)
            return code;
        TRY(point_nearest(view, txid, &nearest, err));
    }
    if (nearest.before_txid != 0)
        return point_find(view, nearest.before_txid, ret, err);

    char when[INSTANT_TEXT_SIZE];
    char what[64 + INSTANT_TEXT_SIZE];
    instant_format_ms(when, time_ms);
    snprintf(what, sizeof what, "the history begins after %s", when);
    return plan_not_found(view, what, 0, err);
}

static rc plan_find_point(
    struct view *view, const struct restore_target *target, struct point *ret, struct error *err)
{
    if (view->chain.span_count == 0)
        FAIL(err, RC_NOT_FOUND, "the replica holds nothing yet: no timeline was begun");

    switch (target->kind) {
    case RESTORE_NEWEST:
        return plan_find_txid(view, TXID_MAX, ret, err);
    case RESTORE_TXID:
        if (target->txid == 0 || target->txid >= TXID_MAX)
            return plan_not_found(view, "no such transaction number", 0, err);
        return plan_find_txid(view, target->txid, ret, err);
    case RESTORE_TIME:
        return plan_find_time(view, target->time_ms, ret, err);
    }
    abort();
}

/* ---- around damage */

static void plan_add_damage(
    struct restore_plan *plan, const struct restore_object *object, const struct error *why)
{
    plan->damages = mem_resize(plan->damages, (plan->damage_count + 1) * sizeof *plan->damages);
    plan->damages[plan->damage_count++] = (struct restore_damage){ .object = *object, .why = *why };
}

/* The same transaction as POINT without OBJECT, in which WHY was found. Fails without a text. */
static rc plan_go_around(struct view *view, struct restore_plan *plan, struct point *point,
    const struct restore_object *object, const struct error *why)
{
    auto_point struct point other = POINT_INIT;

    if (plan->damage_count == RESTORE_DAMAGE_COUNT_MAX)
        return why->code;
    plan_add_damage(plan, object, why);
    catalog_remove(&view->catalog, object);
    TRY(point_find(view, point->txid, &other, NULL));
    point_release(point);
    *point = other;
    other = POINT_INIT;
    return RC_OK;
}

/* The position of POINT, by another way when the segment that should tell it is damaged. */
static rc plan_position(
    struct view *view, struct restore_plan *plan, struct point *point, struct error *err)
{
    struct error first = { 0 };
    bool is_again = false;

    for (;;) {
        struct error why = { 0 };
        rc code = point_position(view, point, &plan->target, &why);
        if (code == RC_OK)
            return RC_OK;
        if (!is_again)
            first = why;
        is_again = true;
        const struct route *route = &point->route;
        struct restore_object last = { 0 };
        if (route->object_count > 0)
            last = route->objects[route->object_count - 1];
        if (code == RC_CORRUPT && route->object_count > 0 &&
            plan_go_around(view, plan, point, &last, &why) == RC_OK)
            continue;
        return error_copy(err, &first);
    }
}

/* ---- the plan */

/* The snapshot, then the segments of the route. */
static void plan_fill(struct restore_plan *plan, const struct view *view, const struct point *point)
{
    const struct catalog_snapshot *snapshot = point_snapshot(view, point);
    const struct route *route = &point->route;

    plan->newest_timeline = view->catalog.timelines[view->catalog.timeline_count - 1].timeline;
    plan->object_count = 1 + route->object_count;
    plan->objects = mem_new_array(plan->object_count, sizeof *plan->objects);
    plan->objects[0] = (struct restore_object){
        .timeline = chain_timeline(&view->chain, point->span_index)->timeline,
        .kind = SEGMENT_SNAPSHOT,
        .name = snapshot->name,
        .size = snapshot->size,
        .first_txid = snapshot->name.min_txid,
        .last_txid = snapshot->summary.max_txid,
    };
    for (size_t i = 0; i < route->object_count; i++)
        plan->objects[1 + i] = route->objects[i];
    plan->total_size = snapshot->size + route->size;
}

static rc plan_in_view(struct restore_plan *ret, struct view *view,
    const struct restore_target *target, struct error *err)
{
    auto_point struct point point = POINT_INIT;
    auto_restore_plan struct restore_plan plan = RESTORE_PLAN_INIT;
    TRY(plan_find_point(view, target, &point, err));
    TRY(plan_position(view, &plan, &point, err));
    plan_fill(&plan, view, &point);

    *ret = plan;
    plan = RESTORE_PLAN_INIT;
    return RC_OK;
}

rc restore_plan_make(struct restore_plan *ret, struct replica *replica,
    const struct restore_target *target, struct error *err)
{
    auto_view struct view view = VIEW_INIT;
    TRY(view_open(&view, replica->store, target->timeline, err));
    rc code = plan_in_view(ret, &view, target, err);
    if (code == RC_OK || view.catalog.notes.hidden_count == 0)
        return code;

    /* What is condemned is there for a while, and better than nothing. */
    auto_view struct view whole = VIEW_INIT;
    if (view_open_whole(&whole, replica->store, target->timeline, NULL) == RC_OK &&
        plan_in_view(ret, &whole, target, NULL) == RC_OK) {
        ret->is_expiring = true;
        return RC_OK;
    }
    return code;
}

rc restore_plan_around(struct restore_plan *ret, struct replica *replica,
    const struct restore_plan *plan, size_t object_index, const struct error *why)
{
    assert(object_index > 0);
    assert(object_index < plan->object_count);

    auto_view struct view view = VIEW_INIT;
    TRY(view_open_whole(&view, replica->store, plan->target.timeline, NULL));
    auto_restore_plan struct restore_plan other = RESTORE_PLAN_INIT;
    for (size_t i = 0; i < plan->damage_count; i++) {
        plan_add_damage(&other, &plan->damages[i].object, &plan->damages[i].why);
        catalog_remove(&view.catalog, &plan->damages[i].object);
    }
    auto_point struct point point = { .txid = plan->target.txid };
    TRY(plan_go_around(&view, &other, &point, &plan->objects[object_index], why));
    TRY(plan_position(&view, &other, &point, NULL));
    if (other.target.digest != plan->target.digest)
        return RC_MISMATCH;
    plan_fill(&other, &view, &point);

    restore_plan_release(ret);
    *ret = other;
    other = RESTORE_PLAN_INIT;
    return RC_OK;
}
