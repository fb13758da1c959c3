/*
 * history - a replica's timelines, snapshots, segments, windows and gaps
 */
#include "replica/history.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

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

static void history_fill_gaps(struct history_timeline *out, const struct catalog_timeline *timeline)
{
    uint64_t next = history_first_log(timeline);

    for (size_t i = 0; i < timeline->log_count; i++) {
        const struct segment_name *name = &timeline->logs[i].name;
        if (next != 0 && name->min_txid > next)
            history_add_gap(out, next, name->min_txid - 1);
        /* The first snapshot may begin inside of a segment, and what is in front of it is allowed:
         * the rest of what was deleted. So what counts is the segment before. */
        if (i > 0 && name->min_txid <= timeline->logs[i - 1].name.max_txid)
            history_add_gap(out, name->min_txid, name->min_txid - 1);
        if (name->max_txid >= next)
            next = name->max_txid + 1;
    }
}

/* ---- windows */

static rc window_time(
    struct view *view, const struct point *point, uint64_t txid, int64_t *ret, struct error *err)
{
    struct point at;
    struct replica_position position;

    if (txid == point->run.end_txid)
        at = *point;
    else
        TRY(point_find(view, txid, &at, err));
    TRY(point_position(view, &at, &position, err));
    *ret = position.time_ms;
    return RC_OK;
}

/* Add the window [first, run end] that POINT's snapshot opens, joined with the one before it. */
static rc history_add_window(struct view *view, struct history_timeline *out,
    const struct point *point, uint64_t first_txid, struct error *err)
{
    struct history_window *last =
        out->window_count > 0 ? &out->windows[out->window_count - 1] : NULL;
    uint64_t end_txid = point->run.end_txid;

    if (last != NULL && end_txid <= last->last_txid)
        return RC_OK;
    if (last != NULL && first_txid <= last->last_txid + 1) {
        TRY(window_time(view, point, end_txid, &last->last_ms, err));
        last->last_txid = end_txid;
        return RC_OK;
    }

    struct history_window window = { .first_txid = first_txid, .last_txid = end_txid };
    TRY(window_time(view, point, first_txid, &window.first_ms, err));
    TRY(window_time(view, point, end_txid, &window.last_ms, err));
    out->windows = mem_resize(out->windows, (out->window_count + 1) * sizeof *out->windows);
    out->windows[out->window_count++] = window;
    return RC_OK;
}

/* From the snapshot at SPAN and INDEX of a chain: what it makes restorable of the last span. */
static rc history_window_of(struct view *view, struct history_timeline *out, size_t span_index,
    size_t index, struct error *err)
{
    const struct chain_span *span = &view->chain.spans[span_index];
    const struct chain_span *leaf = &view->chain.spans[view->chain.span_count - 1];
    const struct catalog_timeline *timeline = chain_timeline(&view->chain, span_index);
    const struct catalog_snapshot *snapshot = &timeline->snapshots[index];

    uint64_t usable_txid = snapshot->summary.max_txid;
    if (snapshot->name.min_txid > span->limit_txid || usable_txid > span->limit_txid)
        return RC_OK;
    struct point point = { .span_index = span_index, .snapshot_index = index };
    struct chain_start start = {
        .span_index = span_index,
        .from_txid = snapshot->name.min_txid,
        .up_to_txid = TXID_MAX,
    };
    chain_run(&view->chain, &start, NULL, &point.run);
    if (point.run.end_txid < usable_txid || point.run.end_txid <= leaf->after_txid)
        return RC_OK;
    uint64_t first = usable_txid > leaf->after_txid ? usable_txid : leaf->after_txid + 1;
    return history_add_window(view, out, &point, first, err);
}

static rc history_fill_windows(
    struct view *view, struct history_timeline *out, size_t leaf_index, struct error *err)
{
    chain_release(&view->chain);
    TRY(chain_load(&view->chain, &view->catalog, view->store, leaf_index, err));
    for (size_t span = 0; span < view->chain.span_count; span++) {
        const struct catalog_timeline *timeline = chain_timeline(&view->chain, span);
        for (size_t i = 0; i < timeline->snapshot_count; i++)
            TRY(history_window_of(view, out, span, i, err));
    }
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
        history_fill_gaps(out, &catalog->timelines[i]);
        history.gap_count += out->gap_count;
        TRY(history_fill_windows(&view, out, i, err));
    }

    *ret = history;
    history = HISTORY_INIT;
    return RC_OK;
}
