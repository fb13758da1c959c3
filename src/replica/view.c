/*
 * view - which points of a replica restore, and from what
 */
#include "view_priv.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "object_source_priv.h"
#include "segment/reader.h"

void view_release(struct view *view)
{
    chain_release(&view->chain);
    catalog_release(&view->catalog);
    *view = VIEW_INIT;
}

rc view_open(struct view *view, struct store *store, uint32_t timeline, struct error *err)
{
    *view = (struct view){ .store = store };
    TRY(catalog_load(&view->catalog, store, err));

    size_t leaf = view->catalog.timeline_count;
    if (timeline != 0)
        leaf = catalog_find(&view->catalog, timeline);
    else if (leaf > 0)
        leaf--;
    if (leaf == view->catalog.timeline_count) {
        if (timeline == 0)
            return RC_OK;
        FAIL(err, RC_NOT_FOUND, "there is no timeline %08" PRIx32 " at '%s'", timeline,
            store_name(store));
    }
    return chain_load(&view->chain, &view->catalog, store, leaf, err);
}

const struct catalog_snapshot *point_snapshot(const struct view *view, const struct point *point)
{
    const struct catalog_timeline *timeline = chain_timeline(&view->chain, point->span_index);

    assert(point->snapshot_index < timeline->snapshot_count);
    return &timeline->snapshots[point->snapshot_index];
}

static rc point_hole(const struct chain_run *run, struct error *err)
{
    if (run->hole_first > run->hole_last) {
        FAIL(err, RC_CORRUPT,
            "transaction %" PRIu64 " is in the replica twice; two writers used one timeline",
            run->hole_first);
    }
    FAIL(err, RC_CORRUPT, "transactions %" PRIu64 " to %" PRIu64 " are missing in the replica",
        run->hole_first, run->hole_last);
}

enum point_verdict { POINT_NO, POINT_YES, POINT_HOLE };

/* Whether the snapshot at the indexes of POINT leads to UP_TO; fills in the run. */
static rc point_try(struct view *view, uint64_t up_to_txid, struct point *point,
    enum point_verdict *ret, struct error *err)
{
    const struct chain_span *span = &view->chain.spans[point->span_index];
    const struct catalog_snapshot *snapshot = point_snapshot(view, point);
    uint64_t limit = span->limit_txid < up_to_txid ? span->limit_txid : up_to_txid;

    *ret = POINT_NO;
    if (snapshot->name.min_txid > limit)
        return RC_OK;
    TRY(catalog_load_snapshot(
        &view->catalog, view->store, span->timeline_index, point->snapshot_index, err));
    if (snapshot->summary.max_txid > limit)
        return RC_OK;

    struct chain_start start = {
        .span_index = point->span_index,
        .from_txid = snapshot->name.min_txid,
        .up_to_txid = up_to_txid,
    };
    chain_run(&view->chain, &start, NULL, &point->run);
    bool is_complete = point->run.end_txid >= snapshot->summary.max_txid;
    bool is_reached = up_to_txid == TXID_MAX ? is_complete && !point->run.has_hole
                                             : is_complete && point->run.end_txid == up_to_txid;
    if (is_reached)
        *ret = POINT_YES;
    else if (point->run.has_hole)
        *ret = POINT_HOLE;
    return RC_OK;
}

rc point_find(struct view *view, uint64_t up_to_txid, struct point *ret, struct error *err)
{
    struct chain_run hole = { 0 };

    for (size_t span = view->chain.span_count; span-- > 0;) {
        const struct catalog_timeline *timeline = chain_timeline(&view->chain, span);
        for (size_t i = timeline->snapshot_count; i-- > 0;) {
            struct point point = { .span_index = span, .snapshot_index = i };
            enum point_verdict verdict = POINT_NO;
            TRY(point_try(view, up_to_txid, &point, &verdict, err));
            if (verdict == POINT_YES) {
                *ret = point;
                return RC_OK;
            }
            if (verdict == POINT_NO)
                continue;
            /* Behind a hole lies what was newest: an older point must not pass for it. */
            if (up_to_txid == TXID_MAX)
                return point_hole(&point.run, err);
            hole = point.run;
        }
    }
    if (hole.has_hole)
        return point_hole(&hole, err);
    FAIL(err, RC_NOT_FOUND, "no snapshot reaches that point");
}

rc point_oldest(struct view *view, uint64_t *ret_txid, struct error *err)
{
    for (size_t span = 0; span < view->chain.span_count; span++) {
        const struct catalog_timeline *timeline = chain_timeline(&view->chain, span);
        for (size_t i = 0; i < timeline->snapshot_count; i++) {
            struct point point = { .span_index = span, .snapshot_index = i };
            enum point_verdict verdict = POINT_NO;
            uint64_t txid = timeline->snapshots[i].name.min_txid;
            if (txid > view->chain.spans[span].limit_txid)
                continue;
            TRY(catalog_load_snapshot(
                &view->catalog, view->store, view->chain.spans[span].timeline_index, i, err));
            txid = timeline->snapshots[i].summary.max_txid;
            TRY(point_try(view, txid, &point, &verdict, err));
            if (verdict == POINT_YES) {
                *ret_txid = txid;
                return RC_OK;
            }
        }
    }
    FAIL(err, RC_NOT_FOUND, "no complete snapshot yet");
}

bool point_last_object(
    const struct view *view, const struct point *point, struct restore_object *ret)
{
    if (point->run.segment_count == 0)
        return false;

    const struct catalog_timeline *timeline = chain_timeline(&view->chain, point->run.end_span);
    /* The last segment of the run is the one that holds its end; segments do not overlap. */
    size_t low = 0;
    size_t high = timeline->log_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (timeline->logs[middle].name.max_txid < point->run.end_txid)
            low = middle + 1;
        else
            high = middle;
    }
    assert(low < timeline->log_count);
    assert(timeline->logs[low].name.min_txid <= point->run.end_txid);
    *ret = (struct restore_object){
        .timeline = timeline->timeline,
        .kind = SEGMENT_LOG,
        .name = timeline->logs[low].name,
        .size = timeline->logs[low].size,
        .first_txid = timeline->logs[low].name.min_txid,
        .last_txid = point->run.end_txid,
    };
    return true;
}

struct transaction_search {
    uint64_t txid;
    bool is_found;
    struct segment_transaction transaction;
};

static rc transaction_search_each(
    void *payload, const struct segment_transaction *transaction, struct error *err)
{
    struct transaction_search *search = payload;
    (void)err;

    if (transaction->txid == search->txid) {
        search->is_found = true;
        search->transaction = *transaction;
    }
    return RC_OK;
}

static rc point_read_transaction(
    struct segment_reader *reader, struct replica_position *position, struct error *err)
{
    const struct segment_summary *summary = segment_reader_summary(reader);
    if (summary->max_txid == position->txid) {
        position->digest = summary->digest;
        position->page_count = summary->page_count;
        position->time_ms = summary->last_time_ms;
        return RC_OK;
    }

    struct transaction_search search = { .txid = position->txid };
    TRY(log_reader_each_transaction(reader, transaction_search_each, &search, err));
    if (!search.is_found)
        FAIL(err, RC_CORRUPT, "transaction %" PRIu64 " is not in its table", position->txid);
    position->digest = search.transaction.digest;
    position->page_count = search.transaction.page_count;
    position->time_ms = search.transaction.time_ms;
    return RC_OK;
}

static void point_reader_release(struct segment_reader *const *reader)
{
    segment_reader_free(*reader);
}

/* Digest, size and time from the segment that holds the transaction. */
static rc point_read_log(struct view *view, const struct restore_object *last,
    struct replica_position *position, struct error *err)
{
    char key[REPLICA_KEY_SIZE];
    restore_object_key(key, last);
    struct object_source object;
    object_source_init(&object, view->store, key, last->size);

    __attribute__((cleanup(point_reader_release))) struct segment_reader *reader = NULL;
    TRY_AS(err, segment_reader_open(&reader, object_source(&object), err), "segment '%s'", key);
    const struct segment_identity *identity = segment_reader_identity(reader);
    if (identity->kind != SEGMENT_LOG || identity->timeline != last->timeline ||
        identity->min_txid != last->name.min_txid ||
        segment_reader_summary(reader)->max_txid != last->name.max_txid)
        FAIL(err, RC_CORRUPT, "segment '%s': its name and its content disagree", key);
    position->page_size = identity->page_size;
    TRY_AS(err, point_read_transaction(reader, position, err), "segment '%s'", key);
    return RC_OK;
}

rc point_position(
    struct view *view, const struct point *point, struct replica_position *ret, struct error *err)
{
    const struct chain_span *end = &view->chain.spans[point->run.end_span];
    const struct catalog_snapshot *snapshot = point_snapshot(view, point);
    struct replica_position position = {
        .database_id = view->catalog.header.database_id,
        .timeline = view->catalog.timelines[end->timeline_index].timeline,
        .txid = point->run.end_txid,
        .page_size = snapshot->identity.page_size,
        .digest = snapshot->summary.digest,
        .page_count = snapshot->summary.page_count,
        .time_ms = snapshot->summary.last_time_ms,
    };

    struct restore_object last;
    if (point_last_object(view, point, &last))
        TRY(point_read_log(view, &last, &position, err));
    if (position.page_size != snapshot->identity.page_size) {
        FAIL(err, RC_CORRUPT, "page size changes from %" PRIu32 " to %" PRIu32 " within the log",
            snapshot->identity.page_size, position.page_size);
    }
    if (position.txid == end->limit_txid && position.digest != end->limit_digest) {
        FAIL(err, RC_CORRUPT,
            "transaction %" PRIu64 " of timeline %08" PRIx32
            " is not the one that its child timeline continues",
            position.txid, position.timeline);
    }

    *ret = position;
    return RC_OK;
}
