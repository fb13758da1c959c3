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

/* "timeline 00000009 ...; there are 00000001, 00000002", the newest last. */
static rc view_no_timeline(const struct view *view, uint32_t timeline, struct error *err)
{
    enum { NAMED_COUNT_MAX = 16 };
    const struct catalog *catalog = &view->catalog;
    auto_buf struct buf names = BUF_INIT(NAMED_COUNT_MAX * 16);
    size_t first = 0;

    if (catalog->timeline_count > NAMED_COUNT_MAX)
        first = catalog->timeline_count - NAMED_COUNT_MAX;
    for (size_t i = first; i < catalog->timeline_count; i++)
        buf_put_format(
            &names, "%s%08" PRIx32, i > first ? ", " : "", catalog->timelines[i].timeline);
    buf_put_u8(&names, 0);
    FAIL(err, RC_NOT_FOUND, "there is no timeline %08" PRIx32 " at '%s'; there %s %s%s", timeline,
        store_name(view->store), catalog->timeline_count == 1 ? "is" : "are",
        first > 0 ? "older ones and " : "",
        catalog->timeline_count == 0 ? "none" : (const char *)names.data);
}

static rc view_choose(struct view *view, uint32_t timeline, struct error *err)
{
    size_t leaf = view->catalog.timeline_count;
    if (timeline != 0)
        leaf = catalog_find(&view->catalog, timeline);
    else if (leaf > 0)
        leaf--;
    if (leaf == view->catalog.timeline_count) {
        if (timeline == 0)
            return RC_OK;
        return view_no_timeline(view, timeline, err);
    }
    return chain_load(&view->chain, &view->catalog, view->store, leaf, err);
}

rc view_open(struct view *view, struct store *store, uint32_t timeline, struct error *err)
{
    *view = (struct view){ .store = store };
    TRY(catalog_load(&view->catalog, store, err));
    return view_choose(view, timeline, err);
}

rc view_open_whole(struct view *view, struct store *store, uint32_t timeline, struct error *err)
{
    *view = (struct view){ .store = store };
    TRY(catalog_load_whole(&view->catalog, store, err));
    return view_choose(view, timeline, err);
}

const struct catalog_snapshot *point_snapshot(const struct view *view, const struct point *point)
{
    const struct catalog_timeline *timeline = chain_timeline(&view->chain, point->span_index);

    assert(point->snapshot_index < timeline->snapshot_count);
    return &timeline->snapshots[point->snapshot_index];
}

void point_release(struct point *point)
{
    route_release(&point->route);
    *point = POINT_INIT;
}

/* What is known of the points of one snapshot. */
struct point_view {
    size_t span_index;
    size_t snapshot_index;
    uint64_t usable_txid; /* none before it */
    struct reach reach;
};
#define auto_point_view __attribute__((cleanup(point_view_release)))

static void point_view_release(struct point_view *points)
{
    reach_release(&points->reach);
}

/* RET of the snapshot at the indexes; no reach when it is not of the chain up to TXID. */
static rc point_view_open(struct view *view, const struct point *at, uint64_t txid,
    struct point_view *ret, struct error *err)
{
    const struct chain_span *span = &view->chain.spans[at->span_index];
    const struct catalog_snapshot *snapshot = point_snapshot(view, at);
    uint64_t limit_txid = span->limit_txid < txid ? span->limit_txid : txid;

    *ret = (struct point_view){
        .span_index = at->span_index,
        .snapshot_index = at->snapshot_index,
        .usable_txid = TXID_MAX,
    };
    if (snapshot->name.min_txid > limit_txid)
        return RC_OK;
    TRY(catalog_load_snapshot(
        &view->catalog, view->store, span->timeline_index, at->snapshot_index, err));
    if (snapshot->summary.max_txid > limit_txid)
        return RC_OK;
    ret->usable_txid = snapshot->summary.max_txid;
    reach_find(&ret->reach, &view->chain, at->span_index, snapshot->name.min_txid);
    return RC_OK;
}

/* Called with each snapshot of the chain, from the newest to the oldest, until it sets STOP. */
typedef rc point_view_fn(void *payload, struct view *view, const struct point_view *points,
    bool *stop, struct error *err);

static rc point_view_each(
    struct view *view, uint64_t up_to_txid, point_view_fn *each, void *payload, struct error *err)
{
    bool stop = false;

    for (size_t span = view->chain.span_count; span-- > 0 && !stop;) {
        const struct catalog_timeline *timeline = chain_timeline(&view->chain, span);
        for (size_t i = timeline->snapshot_count; i-- > 0 && !stop;) {
            struct point at = { .span_index = span, .snapshot_index = i };
            auto_point_view struct point_view points;
            TRY(point_view_open(view, &at, up_to_txid, &points, err));
            if (points.usable_txid != TXID_MAX)
                TRY(each(payload, view, &points, &stop, err));
        }
    }
    return RC_OK;
}

/* ---- one point */

static rc point_hole(uint64_t first_txid, uint64_t last_txid, struct error *err)
{
    if (first_txid > last_txid) {
        FAIL(err, RC_CORRUPT,
            "transaction %" PRIu64 " is in the replica twice; two writers used one timeline",
            first_txid);
    }
    FAIL(err, RC_CORRUPT, "transactions %" PRIu64 " to %" PRIu64 " are missing in the replica",
        first_txid, last_txid);
}

struct point_search {
    uint64_t txid; /* TXID_MAX: the newest */
    struct point *point;
    bool is_found;
    bool has_hole; /* of the oldest snapshot that does not reach the point for it */
    uint64_t hole_first;
    uint64_t hole_last;
};

static rc point_search_each(void *payload, struct view *view, const struct point_view *points,
    bool *stop, struct error *err)
{
    struct point_search *search = payload;
    const struct reach *reach = &points->reach;
    bool is_newest = search->txid == TXID_MAX;
    uint64_t txid = is_newest ? reach->newest_txid : search->txid;
    (void)view;

    /* Behind a hole lies what was newest: an older point must not pass for it. */
    bool is_behind_hole = reach->has_hole && reach->hole_first <= txid;
    bool is_point = txid >= points->usable_txid && reach_has(reach, txid);
    if (is_point && !(is_newest && reach->has_hole)) {
        search->is_found = true;
        *stop = true;
        search->point->span_index = points->span_index;
        search->point->snapshot_index = points->snapshot_index;
        search->point->txid = txid;
        route_find(&search->point->route, reach, txid);
        return RC_OK;
    }
    if (!is_behind_hole)
        return RC_OK;
    if (is_newest)
        return point_hole(reach->hole_first, reach->hole_last, err);
    search->has_hole = true;
    search->hole_first = reach->hole_first;
    search->hole_last = reach->hole_last;
    return RC_OK;
}

rc point_find(struct view *view, uint64_t up_to_txid, struct point *ret, struct error *err)
{
    struct point_search search = { .txid = up_to_txid, .point = ret };

    TRY(point_view_each(view, up_to_txid, point_search_each, &search, err));
    if (search.is_found)
        return RC_OK;
    /* What retention took is certainly not there; anything else that misses is damage. */
    if (search.has_hole && !chain_is_gone(&view->chain, search.hole_first, search.hole_last))
        return point_hole(search.hole_first, search.hole_last, err);
    FAIL(err, RC_NOT_FOUND, "no snapshot reaches that point");
}

/* ---- its neighbours */

struct nearest_search {
    uint64_t txid;
    struct point_neighbours found;
};

static rc nearest_each(void *payload, struct view *view, const struct point_view *points,
    bool *stop, struct error *err)
{
    struct nearest_search *search = payload;
    uint64_t at_or_after = search->txid > points->usable_txid ? search->txid : points->usable_txid;
    uint64_t before_txid = reach_before(&points->reach, search->txid);
    uint64_t after_txid = reach_after(&points->reach, at_or_after);
    (void)view;
    (void)stop;
    (void)err;

    if (before_txid >= points->usable_txid && before_txid > search->found.before_txid)
        search->found.before_txid = before_txid;
    bool is_nearer = search->found.after_txid == 0 || after_txid < search->found.after_txid;
    if (after_txid != 0 && is_nearer)
        search->found.after_txid = after_txid;
    return RC_OK;
}

rc point_nearest(struct view *view, uint64_t txid, struct point_neighbours *ret, struct error *err)
{
    struct nearest_search search = { .txid = txid };

    TRY(point_view_each(view, TXID_MAX, nearest_each, &search, err));
    *ret = search.found;
    return RC_OK;
}

/* ---- where it stands */

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

/* Digest, size and time from the segment that holds the transaction. */
static rc point_read_segment(struct view *view, const struct restore_object *last,
    struct replica_position *position, struct error *err)
{
    char key[REPLICA_KEY_SIZE];
    restore_object_key(key, last);
    struct object_source object;
    object_source_init(&object, view->store, key, last->size);

    auto_segment_reader struct segment_reader *reader = NULL;
    TRY_AS(err, segment_reader_open(&reader, object_source(&object), err), "segment '%s'", key);
    const struct segment_identity *identity = segment_reader_identity(reader);
    if (identity->kind != last->kind || identity->timeline != last->timeline ||
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
    size_t end_index = chain_span_of(&view->chain, point->span_index, point->txid);
    const struct chain_span *end = &view->chain.spans[end_index];
    const struct route *route = &point->route;
    const struct catalog_snapshot *snapshot = point_snapshot(view, point);
    struct replica_position position = {
        .database_id = view->catalog.header.database_id,
        .timeline = view->catalog.timelines[end->timeline_index].timeline,
        .txid = point->txid,
        .page_size = snapshot->identity.page_size,
        .digest = snapshot->summary.digest,
        .page_count = snapshot->summary.page_count,
        .time_ms = snapshot->summary.last_time_ms,
    };

    if (route->object_count > 0)
        TRY(point_read_segment(view, &route->objects[route->object_count - 1], &position, err));
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
