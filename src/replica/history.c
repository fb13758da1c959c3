/*
 * history - a replica's timelines, snapshots, segments, windows and gaps
 */
#include "replica/history.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "object_source_priv.h"
#include "view_priv.h"

void history_release(struct history *history)
{
    for (size_t i = 0; i < history->timeline_count; i++) {
        struct history_timeline *timeline = &history->timelines[i];
        free(timeline->snapshots);
        free(timeline->segments);
        free(timeline->windows);
        free(timeline->merged);
        free(timeline->gaps);
    }
    free(history->timelines);
    *history = HISTORY_INIT;
}

static void history_fill_snapshots(
    struct history_timeline *out, const struct catalog_timeline *timeline)
{
    out->snapshot_count = timeline->snapshot_count;
    out->snapshots = mem_new_array(timeline->snapshot_count + 1, sizeof *out->snapshots);
    for (size_t i = 0; i < timeline->snapshot_count; i++) {
        const struct catalog_snapshot *snapshot = &timeline->snapshots[i];
        out->snapshots[i] = (struct history_snapshot){
            .first_txid = snapshot->name.min_txid,
            .usable_txid = snapshot->summary.max_txid,
            .began_ms = snapshot->name.time_ms,
            .usable_ms = snapshot->summary.last_time_ms,
            .page_count = snapshot->summary.page_count,
            .page_size = snapshot->identity.page_size,
            .size = snapshot->size,
        };
    }
}

static void history_fill_segments(
    struct history_timeline *out, const struct catalog_timeline *timeline)
{
    out->segments =
        mem_new_array(timeline->log_count + timeline->merged_count + 1, sizeof *out->segments);
    for (size_t i = 0; i < timeline->log_count; i++) {
        out->segments[out->segment_count++] = (struct history_segment){
            .level = LEVEL_LOG,
            .name = timeline->logs[i].name,
            .size = timeline->logs[i].size,
        };
    }
    for (size_t i = 0; i < timeline->merged_count; i++) {
        out->segments[out->segment_count++] = (struct history_segment){
            .level = timeline->merged[i].level,
            .name = timeline->merged[i].entry.name,
            .size = timeline->merged[i].entry.size,
        };
    }
    for (size_t i = 0; i < out->segment_count; i++)
        out->segment_size += out->segments[i].size;
}

/* ---- gaps */

static void history_add_gap(struct history_timeline *out, uint64_t first, uint64_t last)
{
    out->gaps = mem_resize(out->gaps, (out->gap_count + 1) * sizeof *out->gaps);
    struct history_gap *gap = &out->gaps[out->gap_count++];

    *gap = (struct history_gap){ .first_txid = first, .last_txid = last };
    if (first <= last) {
        snprintf(gap->text, sizeof gap->text, "transactions %" PRIu64 " to %" PRIu64 " are missing",
            first, last);
        return;
    }
    gap->last_txid = first;
    snprintf(gap->text, sizeof gap->text,
        "transaction %" PRIu64 " is there twice; two writers used one timeline", first);
}

/* The transaction that the first log segment must begin with; 0: not known. */
static uint64_t history_first_log(const struct catalog_timeline *timeline)
{
    if (!timeline->info.own_snapshot)
        return timeline->info.parent_txid + 1;
    if (timeline->info.parent_txid != 0)
        return timeline->info.parent_txid + 2;
    return timeline->snapshot_count > 0 ? timeline->snapshots[0].name.min_txid + 1 : 0;
}

static int history_by_begin(const void *left, const void *right)
{
    const struct history_segment *a = left;
    const struct history_segment *b = right;

    if (a->name.min_txid != b->name.min_txid)
        return a->name.min_txid < b->name.min_txid ? -1 : 1;
    return (a->level > b->level) - (a->level < b->level);
}

/* Of what is missing, what retention did not remove. */
static void history_add_missing(
    struct history_timeline *out, const struct txid_set *gone, uint64_t first, uint64_t last)
{
    auto_txid_set struct txid_set missing = TXID_SET_INIT;
    auto_txid_set struct txid_set damage = TXID_SET_INIT;

    txid_set_add(&missing, first, last);
    txid_set_minus(&damage, &missing, gone);
    for (size_t i = 0; i < damage.range_count; i++)
        history_add_gap(out, damage.ranges[i].first_txid, damage.ranges[i].last_txid);
}

/* What no segment tells, whatever its level, and what two logs tell. */
static void history_fill_gaps(struct history_timeline *out, const struct catalog_timeline *timeline,
    const struct txid_set *gone)
{
    uint64_t next = history_first_log(timeline);
    uint64_t log_next = 0;
    auto_free struct history_segment *segments =
        mem_copy(out->segments, (out->segment_count + 1) * sizeof *segments);

    qsort(segments, out->segment_count, sizeof *segments, history_by_begin);
    for (size_t i = 0; i < out->segment_count; i++) {
        const struct segment_name *name = &segments[i].name;
        if (next != 0 && name->min_txid > next)
            history_add_missing(out, gone, next, name->min_txid - 1);
        if (name->max_txid >= next)
            next = name->max_txid + 1;
        if (segments[i].level != LEVEL_LOG)
            continue;
        /* The first snapshot may begin inside of a segment, and what is in front of it is allowed:
         * the rest of what was deleted. So what counts is the log segment before. */
        if (name->min_txid < log_next)
            history_add_gap(out, name->min_txid, name->min_txid - 1);
        log_next = name->max_txid + 1;
    }
}

/* ---- windows */

/* Put RANGE into the windows, joined with those that it touches. */
static void history_add_window(struct history_timeline *out, const struct route_range *range)
{
    struct history_window window = {
        .first_txid = range->first_txid,
        .last_txid = range->last_txid,
    };
    size_t first = out->window_count; /* of the windows that it touches */
    size_t end;

    while (first > 0 && out->windows[first - 1].last_txid + 1 >= window.first_txid)
        first--;
    for (end = first; end < out->window_count; end++) {
        const struct history_window *other = &out->windows[end];
        if (other->first_txid > window.last_txid + 1)
            break;
        if (other->first_txid < window.first_txid)
            window.first_txid = other->first_txid;
        if (other->last_txid > window.last_txid)
            window.last_txid = other->last_txid;
    }
    size_t count = out->window_count - (end - first) + 1;
    out->windows = mem_resize(out->windows, (out->window_count + 1) * sizeof *out->windows);
    memmove(&out->windows[first + 1], &out->windows[end],
        (out->window_count - end) * sizeof *out->windows);
    out->windows[first] = window;
    out->window_count = count;
}

static bool history_has(const struct history_timeline *out, uint64_t txid)
{
    for (size_t i = out->window_count; i-- > 0;) {
        if (out->windows[i].first_txid <= txid)
            return txid <= out->windows[i].last_txid;
    }
    return false;
}

/* From the snapshot at SPAN and INDEX of a chain: what it makes restorable of the last span. */
static void history_window_of(
    const struct view *view, struct history_timeline *out, size_t span_index, size_t index)
{
    const struct chain_span *span = &view->chain.spans[span_index];
    const struct chain_span *leaf = &view->chain.spans[view->chain.span_count - 1];
    const struct catalog_timeline *timeline = chain_timeline(&view->chain, span_index);
    const struct catalog_snapshot *snapshot = &timeline->snapshots[index];

    uint64_t usable_txid = snapshot->summary.max_txid;
    if (snapshot->name.min_txid > span->limit_txid || usable_txid > span->limit_txid)
        return;
    /* Where it leads, the snapshot leads that leads to it. */
    if (usable_txid > leaf->after_txid && history_has(out, usable_txid))
        return;

    auto_reach struct reach reach;
    reach_find(&reach, &view->chain, span_index, snapshot->name.min_txid);
    uint64_t first = usable_txid > leaf->after_txid ? usable_txid : leaf->after_txid + 1;
    for (size_t i = 0; i < reach.range_count; i++) {
        struct route_range range = reach.ranges[i];
        if (range.first_txid < first)
            range.first_txid = first;
        if (range.first_txid <= range.last_txid)
            history_add_window(out, &range);
    }
}

static int history_by_end(const void *left, const void *right)
{
    const struct history_segment *a = left;
    const struct history_segment *b = right;

    return (a->name.max_txid > b->name.max_txid) - (a->name.max_txid < b->name.max_txid);
}

/* The time of a point: by the name of a segment that ends there, else by a read. */
static rc history_time(struct view *view, const struct history_segment *by_end, size_t count,
    uint64_t txid, int64_t *ret, struct error *err)
{
    struct history_segment wanted = { .name.max_txid = txid };
    const struct history_segment *found =
        bsearch(&wanted, by_end, count, sizeof wanted, history_by_end);
    if (found != NULL) {
        *ret = found->name.time_ms;
        return RC_OK;
    }

    auto_point struct point point = POINT_INIT;
    struct replica_position position;
    TRY(point_find(view, txid, &point, err));
    TRY(point_position(view, &point, &position, err));
    *ret = position.time_ms;
    return RC_OK;
}

static rc history_fill_times(struct view *view, struct history_timeline *out, struct error *err)
{
    size_t count = out->segment_count;
    auto_free struct history_segment *by_end =
        mem_copy(out->segments, (count + 1) * sizeof *by_end);

    qsort(by_end, count, sizeof *by_end, history_by_end);
    for (size_t i = 0; i < out->window_count; i++) {
        struct history_window *window = &out->windows[i];
        TRY(history_time(view, by_end, count, window->first_txid, &window->first_ms, err));
        TRY(history_time(view, by_end, count, window->last_txid, &window->last_ms, err));
    }
    return RC_OK;
}

/* What lies between two windows, unless something is missing there. */
static void history_fill_merged(struct history_timeline *out)
{
    out->merged = mem_new_array(out->window_count + 1, sizeof *out->merged);
    for (size_t i = 1; i < out->window_count; i++) {
        const struct history_window *window = &out->windows[i];
        struct history_merged merged = {
            .first_txid = out->windows[i - 1].last_txid + 1,
            .last_txid = window->first_txid,
            .last_ms = window->first_ms,
        };
        bool has_gap = false;
        for (size_t k = 0; k < out->gap_count && !has_gap; k++) {
            const struct history_gap *gap = &out->gaps[k];
            has_gap = gap->first_txid <= merged.last_txid && gap->last_txid >= merged.first_txid;
        }
        if (!has_gap)
            out->merged[out->merged_count++] = merged;
    }
}

static rc history_fill_windows(
    struct view *view, struct history_timeline *out, size_t leaf_index, struct error *err)
{
    chain_release(&view->chain);
    TRY(chain_load(&view->chain, &view->catalog, view->store, leaf_index, err));
    for (size_t span = 0; span < view->chain.span_count; span++) {
        const struct catalog_timeline *timeline = chain_timeline(&view->chain, span);
        for (size_t i = 0; i < timeline->snapshot_count; i++)
            history_window_of(view, out, span, i);
    }
    TRY(history_fill_times(view, out, err));
    history_fill_merged(out);
    return RC_OK;
}

/* Where the timeline at INDEX departs, by the clock. What was deleted there has no time any more.
 */
static rc history_fill_parent_time(
    struct view *view, struct history *history, size_t index, struct error *err)
{
    struct history_timeline *out = &history->timelines[index];
    size_t parent = catalog_find(&view->catalog, out->info.parent_timeline);
    const struct history_segment *found = NULL;
    auto_point struct point point = POINT_INIT;
    struct replica_position position;

    if (parent == view->catalog.timeline_count)
        return RC_OK;
    for (size_t i = 0; i < history->timelines[parent].segment_count && found == NULL; i++) {
        const struct history_segment *segment = &history->timelines[parent].segments[i];
        if (segment->name.max_txid == out->info.parent_txid)
            found = segment;
    }
    if (found != NULL) {
        out->parent_ms = found->name.time_ms;
        return RC_OK;
    }
    /* The view still shows the timeline itself, and the point as its parent's. */
    rc code = point_find(view, out->info.parent_txid, &point, err);
    if (code == RC_NOT_FOUND || code == RC_CORRUPT)
        return RC_OK;
    if (code != RC_OK)
        return code;
    TRY(point_position(view, &point, &position, err));
    out->parent_ms = position.time_ms;
    return RC_OK;
}

static rc history_load_all(struct view *view, struct error *err)
{
    for (size_t i = 0; i < view->catalog.timeline_count; i++) {
        TRY(catalog_load_timeline(&view->catalog, view->store, i, err));
        for (size_t k = 0; k < view->catalog.timelines[i].snapshot_count; k++)
            TRY(catalog_load_snapshot(&view->catalog, view->store, i, k, err));
    }
    return RC_OK;
}

rc history_read(struct history *ret, struct replica *replica, struct error *err)
{
    auto_view struct view view = VIEW_INIT;
    TRY(view_open(&view, replica->store, 0, err));
    TRY(history_load_all(&view, err));

    const struct catalog *catalog = &view.catalog;
    auto_history struct history history = {
        .database_id = catalog->header.database_id,
        .page_size = catalog->header.page_size,
        .created_ms = catalog->header.created_ms,
        .timelines = mem_new_array(catalog->timeline_count + 1, sizeof *history.timelines),
        .timeline_count = catalog->timeline_count,
    };
    for (size_t i = 0; i < catalog->timeline_count; i++) {
        struct history_timeline *out = &history.timelines[i];
        out->info = catalog->timelines[i].info;
        history_fill_snapshots(out, &catalog->timelines[i]);
        history_fill_segments(out, &catalog->timelines[i]);
        auto_txid_set struct txid_set gone = TXID_SET_INIT;
        catalog_gone(&gone, catalog, catalog->timelines[i].timeline);
        history_fill_gaps(out, &catalog->timelines[i], &gone);
        history.gap_count += out->gap_count;
        TRY(history_fill_windows(&view, out, i, err));
        TRY(history_fill_parent_time(&view, &history, i, err));
    }

    *ret = history;
    history = HISTORY_INIT;
    return RC_OK;
}
