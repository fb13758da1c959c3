/*
 * chain - a timeline with its parents, as one line of transactions; pure but for loading names
 */
#include "catalog_priv.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>

#include "base/alloc.h"

void chain_release(struct chain *chain)
{
    free(chain->spans);
    *chain = CHAIN_INIT;
}

const struct catalog_timeline *chain_timeline(const struct chain *chain, size_t span_index)
{
    assert(span_index < chain->span_count);
    return &chain->catalog->timelines[chain->spans[span_index].timeline_index];
}

/* The index of the parent of the timeline at INDEX; timeline_count when it has none. */
static rc chain_parent(size_t *ret, const struct catalog *catalog, size_t index, struct error *err)
{
    const struct replica_timeline *info = &catalog->timelines[index].info;

    *ret = catalog->timeline_count;
    if (info->parent_timeline == 0)
        return RC_OK;
    size_t parent = catalog_find(catalog, info->parent_timeline);
    if (parent == catalog->timeline_count) {
        FAIL(err, RC_CORRUPT,
            "timeline %08" PRIx32 " continues timeline %08" PRIx32 ", which is missing",
            info->timeline, info->parent_timeline);
    }
    *ret = parent;
    return RC_OK;
}

rc chain_build(
    struct chain *ret, const struct catalog *catalog, size_t leaf_index, struct error *err)
{
    auto_chain struct chain chain = { .catalog = catalog };

    for (size_t index = leaf_index; index < catalog->timeline_count; chain.span_count++) {
        assert(catalog->timelines[index].is_loaded);
        chain.spans = mem_resize(chain.spans, (chain.span_count + 1) * sizeof *chain.spans);
        chain.spans[chain.span_count] = (struct chain_span){ .timeline_index = index };
        TRY(chain_parent(&index, catalog, index, err));
    }
    for (size_t i = 0; i < chain.span_count / 2; i++) {
        struct chain_span other = chain.spans[chain.span_count - 1 - i];
        chain.spans[chain.span_count - 1 - i] = chain.spans[i];
        chain.spans[i] = other;
    }

    for (size_t i = 0; i < chain.span_count; i++) {
        struct chain_span *span = &chain.spans[i];
        const struct replica_timeline *info = &catalog->timelines[span->timeline_index].info;
        span->after_txid = info->parent_txid;
        span->own_snapshot = info->own_snapshot;
        span->limit_txid = TXID_MAX;
        if (i == 0)
            continue;
        struct chain_span *parent = &chain.spans[i - 1];
        parent->limit_txid = info->parent_txid;
        parent->limit_digest = info->parent_digest;
        if (parent->after_txid > parent->limit_txid) {
            FAIL(err, RC_CORRUPT,
                "timeline %08" PRIx32 " continues its parent at transaction %" PRIu64
                ", which is before the parent's beginning",
                info->timeline, info->parent_txid);
        }
    }

    *ret = chain;
    chain = CHAIN_INIT;
    return RC_OK;
}

rc chain_load(struct chain *ret, struct catalog *catalog, struct store *store, size_t leaf_index,
    struct error *err)
{
    for (size_t index = leaf_index; index < catalog->timeline_count;) {
        TRY(catalog_load_timeline(catalog, store, index, err));
        TRY(chain_parent(&index, catalog, index, err));
    }
    return chain_build(ret, catalog, leaf_index, err);
}

/* The first log segment that ends at or behind TXID. */
static size_t chain_first_log(const struct catalog_timeline *timeline, uint64_t txid)
{
    size_t low = 0;
    size_t high = timeline->log_count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (timeline->logs[middle].name.max_txid < txid)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static void run_take(struct chain_run *run, const struct catalog_timeline *timeline,
    const struct segment_entry *log, uint64_t last_txid, struct restore_object *objects)
{
    if (objects != NULL) {
        objects[run->segment_count] = (struct restore_object){
            .timeline = timeline->timeline,
            .kind = SEGMENT_LOG,
            .name = log->name,
            .size = log->size,
            .first_txid = run->end_txid + 1,
            .last_txid = last_txid,
        };
    }
    run->segment_count++;
    run->size += log->size;
    run->end_txid = last_txid;
}

static void run_hole(struct chain_run *run, uint64_t first, uint64_t last)
{
    run->has_hole = true;
    run->hole_first = first;
    run->hole_last = last;
}

/* Along one span; false when the run ended inside it. */
static bool run_span(const struct chain *chain, const struct chain_start *start, size_t span_index,
    struct restore_object *objects, struct chain_run *run)
{
    const struct chain_span *span = &chain->spans[span_index];
    const struct catalog_timeline *timeline = chain_timeline(chain, span_index);
    uint64_t limit = span->limit_txid < start->up_to_txid ? span->limit_txid : start->up_to_txid;
    bool is_first = true;

    for (size_t i = chain_first_log(timeline, run->end_txid + 1); run->end_txid < limit; i++) {
        if (i == timeline->log_count)
            return false;
        const struct segment_entry *log = &timeline->logs[i];
        uint64_t next = run->end_txid + 1;
        if (log->name.min_txid > span->limit_txid)
            return false;
        if (log->name.min_txid > next) {
            run_hole(run, next, log->name.min_txid - 1);
            return false;
        }
        /* A snapshot may begin inside of a segment; anything else that overlaps is there twice. */
        bool may_overlap = is_first && span_index == start->span_index;
        if (log->name.min_txid < next && !may_overlap) {
            run_hole(run, log->name.min_txid, log->name.min_txid - 1);
            return false;
        }
        uint64_t last = log->name.max_txid < limit ? log->name.max_txid : limit;
        run_take(run, timeline, log, last, objects);
        is_first = false;
    }
    return run->end_txid < start->up_to_txid;
}

void chain_run(const struct chain *chain, const struct chain_start *start,
    struct restore_object *objects, struct chain_run *ret)
{
    assert(start->span_index < chain->span_count);
    assert(start->from_txid <= chain->spans[start->span_index].limit_txid);

    struct chain_run run = { .end_txid = start->from_txid, .end_span = start->span_index };
    for (size_t i = start->span_index; i < chain->span_count; i++) {
        if (i > start->span_index) {
            if (chain->spans[i].own_snapshot)
                break;
            run.end_span = i;
        }
        if (run_span(chain, start, i, objects, &run))
            continue;

        /* A child that continues our log says that it reached the limit. */
        bool is_short =
            run.end_txid < chain->spans[i].limit_txid && run.end_txid < start->up_to_txid;
        bool is_continued = i + 1 < chain->span_count && !chain->spans[i + 1].own_snapshot;
        if (!run.has_hole && is_short && is_continued)
            run_hole(&run, run.end_txid + 1, chain->spans[i].limit_txid);
        break;
    }

    /* A span without transactions of its own holds no position. */
    while (
        run.end_span > start->span_index && run.end_txid == chain->spans[run.end_span].after_txid)
        run.end_span--;
    *ret = run;
}
