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

size_t chain_span_of(const struct chain *chain, size_t first, uint64_t txid)
{
    size_t span_index = first;

    assert(first < chain->span_count);
    while (span_index + 1 < chain->span_count && !chain->spans[span_index + 1].own_snapshot &&
           chain->spans[span_index + 1].after_txid < txid)
        span_index++;
    return span_index;
}
