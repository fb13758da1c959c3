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
#include "segment/reader.h"
#include "view_priv.h"

void restore_plan_release(struct restore_plan *plan)
{
    free(plan->objects);
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

static rc time_to_txid(struct view *view, int64_t time_ms, uint64_t *ret, struct error *err)
{
    struct time_search search = { .time_ms = time_ms };

    for (size_t span = view->chain.span_count; span-- > 0 && search.txid == 0;) {
        TRY(time_search_logs(view, span, &search, err));
        TRY(time_search_snapshots(view, span, &search, err));
    }
    *ret = search.txid;
    return RC_OK;
}

/* ---- what is there instead */

static rc point_describe(struct view *view, uint64_t txid, char *out, size_t out_size)
{
    struct point point;
    struct replica_position position;
    char when[INSTANT_TEXT_SIZE];

    TRY(point_find(view, txid, &point, NULL));
    TRY(point_position(view, &point, &position, NULL));
    instant_format_ms(when, position.time_ms);
    snprintf(out, out_size, "%" PRIu64 " (%s)", position.txid, when);
    return RC_OK;
}

/* WHAT is certainly not there; say what is, as far as it can be found out. */
static rc plan_not_found(struct view *view, const char *what, struct error *err)
{
    uint64_t oldest_txid = 0;
    char oldest[64];
    char newest[64];

    bool is_known = point_oldest(view, &oldest_txid, NULL) == RC_OK &&
                    point_describe(view, oldest_txid, oldest, sizeof oldest) == RC_OK &&
                    point_describe(view, TXID_MAX, newest, sizeof newest) == RC_OK;
    if (!is_known)
        FAIL(err, RC_NOT_FOUND, "%s", what);
    FAIL(err, RC_NOT_FOUND, "%s; there are transactions %s to %s", what, oldest, newest);
}

/* ---- the plan */

static rc plan_choose_txid(
    struct view *view, const struct restore_target *target, uint64_t *ret, struct error *err)
{
    switch (target->kind) {
    case RESTORE_NEWEST:
        *ret = TXID_MAX;
        return RC_OK;
    case RESTORE_TXID:
        *ret = target->txid;
        if (target->txid == 0 || target->txid >= TXID_MAX)
            return plan_not_found(view, "no such transaction number", err);
        return RC_OK;
    case RESTORE_TIME: {
        TRY(time_to_txid(view, target->time_ms, ret, err));
        if (*ret != 0)
            return RC_OK;
        char when[INSTANT_TEXT_SIZE];
        char what[64 + INSTANT_TEXT_SIZE];
        instant_format_ms(when, target->time_ms);
        snprintf(what, sizeof what, "the history begins after %s", when);
        return plan_not_found(view, what, err);
    }
    }
    abort();
}

static rc plan_find_point(
    struct view *view, const struct restore_target *target, struct point *ret, struct error *err)
{
    if (view->chain.span_count == 0)
        FAIL(err, RC_NOT_FOUND, "the replica holds nothing yet: no timeline was begun");

    uint64_t txid = 0;
    TRY(plan_choose_txid(view, target, &txid, err));
    rc code = point_find(view, txid, ret, err);
    if (code != RC_NOT_FOUND)
        return code;
    if (txid == TXID_MAX)
        FAIL(err, RC_NOT_FOUND, "the replica holds no complete snapshot yet");
    char what[64];
    snprintf(what, sizeof what, "transaction %" PRIu64 " is not restorable", txid);
    return plan_not_found(view, what, err);
}

/* The snapshot, then the log segments of the run. */
static void plan_fill(struct restore_plan *plan, const struct view *view, const struct point *point)
{
    const struct catalog_snapshot *snapshot = point_snapshot(view, point);

    plan->object_count = 1 + point->run.segment_count;
    plan->objects = mem_new_array(plan->object_count, sizeof *plan->objects);
    plan->objects[0] = (struct restore_object){
        .timeline = chain_timeline(&view->chain, point->span_index)->timeline,
        .kind = SEGMENT_SNAPSHOT,
        .name = snapshot->name,
        .size = snapshot->size,
        .first_txid = snapshot->name.min_txid,
        .last_txid = snapshot->summary.max_txid,
    };
    plan->total_size = snapshot->size + point->run.size;
    if (point->run.segment_count == 0)
        return;

    struct chain_start start = {
        .span_index = point->span_index,
        .from_txid = snapshot->name.min_txid,
        .up_to_txid = point->run.end_txid,
    };
    struct chain_run run;
    chain_run(&view->chain, &start, plan->objects + 1, &run);
    assert(run.segment_count == point->run.segment_count);
}

rc restore_plan_make(struct restore_plan *ret, struct replica *replica,
    const struct restore_target *target, struct error *err)
{
    auto_view struct view view = VIEW_INIT;
    TRY(view_open(&view, replica->store, target->timeline, err));

    struct point point;
    TRY(plan_find_point(&view, target, &point, err));
    auto_restore_plan struct restore_plan plan = RESTORE_PLAN_INIT;
    TRY(point_position(&view, &point, &plan.target, err));
    plan.newest_timeline = view.catalog.timelines[view.catalog.timeline_count - 1].timeline;
    plan_fill(&plan, &view, &point);

    *ret = plan;
    plan = RESTORE_PLAN_INIT;
    return RC_OK;
}
