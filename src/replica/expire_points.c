/*
 * expire_points - which transactions of a chain restore, by route.h
 */
#include "expire_plan_priv.h"

#include "route_priv.h"

/* Snapshot INDEX of SPAN; where its first point is one already, it leads nowhere else. */
static bool points_add_snapshot(
    struct txid_set *set, const struct chain *chain, size_t span_index, size_t index)
{
    const struct chain_span *span = &chain->spans[span_index];
    const struct catalog_snapshot *snapshot = &chain_timeline(chain, span_index)->snapshots[index];
    uint64_t usable_txid = snapshot->summary.max_txid;

    if (snapshot->name.min_txid > span->limit_txid || usable_txid > span->limit_txid)
        return false;
    auto_reach struct reach reach = REACH_INIT;
    reach_find(&reach, chain, span_index, snapshot->name.min_txid);
    for (size_t i = 0; i < reach.range_count; i++) {
        uint64_t first_txid = reach.ranges[i].first_txid;
        if (first_txid < usable_txid)
            first_txid = usable_txid;
        if (first_txid <= reach.ranges[i].last_txid)
            txid_set_add(set, first_txid, reach.ranges[i].last_txid);
    }
    return reach.has_hole;
}

static bool points_has(const struct txid_set *set, const struct catalog_snapshot *snapshot)
{
    return txid_set_has_all(set, snapshot->summary.max_txid, snapshot->summary.max_txid);
}

rc expire_points(struct txid_set *ret, const struct catalog *catalog, size_t leaf_index,
    bool *has_hole, struct error *err)
{
    auto_chain struct chain chain = CHAIN_INIT;
    bool hole = false;

    TRY(chain_build(&chain, catalog, leaf_index, err));
    for (size_t span = 0; span < chain.span_count; span++) {
        const struct catalog_timeline *timeline = chain_timeline(&chain, span);
        for (size_t i = 0; i < timeline->snapshot_count; i++) {
            if (!points_has(ret, &timeline->snapshots[i]))
                hole = points_add_snapshot(ret, &chain, span, i);
        }
    }
    if (has_hole != NULL)
        *has_hole = hole;
    return RC_OK;
}
