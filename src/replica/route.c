/*
 * route - see route_priv.h
 */
#include "route_priv.h"

#include <assert.h>
#include <stdlib.h>

#include "base/alloc.h"

void reach_release(struct reach *reach)
{
    free(reach->ranges);
    free(reach->segments);
    *reach = REACH_INIT;
}

void route_release(struct route *route)
{
    free(route->objects);
    *route = ROUTE_INIT;
}

/* ---- the segments of the chain */

/* The first log segment that ends behind TXID. */
static size_t first_log_behind(const struct catalog_timeline *timeline, uint64_t txid)
{
    size_t low = 0;
    size_t high = timeline->log_count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (timeline->logs[middle].name.max_txid <= txid)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* TXID is told by a segment, and by an earlier one that ends at LIMIT_TXID. */
static void reach_told_twice(struct reach *reach, uint64_t txid, uint64_t limit_txid)
{
    if (limit_txid < reach->limit_txid)
        reach->limit_txid = limit_txid;
    if (reach->has_hole && reach->hole_first <= txid)
        return;
    reach->has_hole = true;
    reach->hole_first = txid;
    reach->hole_last = txid - 1;
}

/* AFTER_TXID: what this segment must lie behind; 0 when it may begin anywhere. */
static void reach_add(struct reach *reach, size_t span_index, unsigned level,
    const struct segment_entry *entry, uint64_t after_txid)
{
    uint64_t limit_txid = reach->chain->spans[span_index].limit_txid;

    if (entry->name.min_txid > limit_txid || entry->name.max_txid <= reach->from_txid)
        return;
    if (entry->name.min_txid <= after_txid)
        reach_told_twice(reach, entry->name.min_txid, after_txid);
    if (level != LEVEL_LOG && entry->name.max_txid > limit_txid)
        return; /* its pages are as of a transaction that the child does not have */
    reach->segments[reach->segment_count++] = (struct route_segment){
        .entry = entry,
        .span_index = span_index,
        .level = level,
        .last_txid = entry->name.max_txid < limit_txid ? entry->name.max_txid : limit_txid,
    };
}

static void reach_add_span(struct reach *reach, size_t span_index)
{
    const struct catalog_timeline *timeline = chain_timeline(reach->chain, span_index);
    bool is_first = span_index == reach->span_index;
    uint64_t after_txid = is_first ? 0 : reach->chain->spans[span_index].after_txid;
    size_t capacity = reach->segment_count + timeline->log_count + timeline->merged_count + 1;

    reach->segments = mem_resize(reach->segments, capacity * sizeof reach->segments[0]);
    uint64_t log_after_txid = after_txid;
    for (size_t i = first_log_behind(timeline, reach->from_txid); i < timeline->log_count; i++) {
        reach_add(reach, span_index, LEVEL_LOG, &timeline->logs[i], log_after_txid);
        log_after_txid = timeline->logs[i].name.max_txid;
    }
    for (size_t i = 0; i < timeline->merged_count; i++) {
        reach_add(
            reach, span_index, timeline->merged[i].level, &timeline->merged[i].entry, after_txid);
    }
}

static int route_segment_compare(const void *left, const void *right)
{
    const struct route_segment *a = left;
    const struct route_segment *b = right;

    if (a->last_txid != b->last_txid)
        return a->last_txid < b->last_txid ? -1 : 1;
    if (a->entry->name.min_txid != b->entry->name.min_txid)
        return a->entry->name.min_txid < b->entry->name.min_txid ? -1 : 1;
    return (a->level > b->level) - (a->level < b->level);
}

static void reach_collect(struct reach *reach)
{
    const struct chain *chain = reach->chain;

    reach->newest_txid = reach->from_txid;
    for (size_t i = reach->span_index; i < chain->span_count; i++) {
        if (i > reach->span_index) {
            if (chain->spans[i].own_snapshot)
                break;
            /* A child that continues the log says that it reached there. */
            if (chain->spans[i].after_txid > reach->newest_txid)
                reach->newest_txid = chain->spans[i].after_txid;
        }
        reach_add_span(reach, i);
    }
    if (reach->segment_count == 0)
        return;
    qsort(reach->segments, reach->segment_count, sizeof reach->segments[0], route_segment_compare);
    uint64_t last_txid = reach->segments[reach->segment_count - 1].last_txid;
    if (last_txid > reach->newest_txid)
        reach->newest_txid = last_txid;
}

/* ---- holes */

/* From the end to the beginning, so that the first hole is the one that stays. */
static void reach_find_hole(struct reach *reach)
{
    uint64_t needed = reach->newest_txid; /* no transaction behind it is in a hole */
    uint64_t first = 0;
    uint64_t last = 0;

    for (size_t i = reach->segment_count; i-- > 0 && needed > reach->from_txid;) {
        const struct route_segment *segment = &reach->segments[i];
        if (segment->last_txid < needed) {
            first = segment->last_txid + 1;
            last = needed;
        }
        if (segment->entry->name.min_txid <= needed)
            needed = segment->entry->name.min_txid - 1;
    }
    if (needed > reach->from_txid) {
        first = reach->from_txid + 1;
        last = needed;
    }
    if (first == 0 || (reach->has_hole && reach->hole_first < first))
        return;
    reach->has_hole = true;
    reach->hole_first = first;
    reach->hole_last = last;
}

/* ---- points */

/* The first range that ends at or behind TXID; range_count when there is none. */
static size_t reach_range_at(const struct reach *reach, uint64_t txid)
{
    size_t low = 0;
    size_t high = reach->range_count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (reach->ranges[middle].last_txid < txid)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* SEGMENT starts at the first point in [its min - 1, its last - 1], if there is one. */
static void reach_extend(struct reach *reach, const struct route_segment *segment)
{
    uint64_t base_txid = segment->entry->name.min_txid - 1;
    size_t index = reach_range_at(reach, base_txid);
    if (index == reach->range_count || reach->ranges[index].first_txid >= segment->last_txid)
        return;

    /* A log makes a point of each transaction from there on. */
    if (segment->level == LEVEL_LOG) {
        reach->ranges[index].last_txid = segment->last_txid;
        reach->range_count = index + 1;
        return;
    }
    struct route_range *last = &reach->ranges[reach->range_count - 1];
    if (segment->last_txid == last->last_txid + 1)
        last->last_txid = segment->last_txid;
    else if (segment->last_txid > last->last_txid)
        reach->ranges[reach->range_count++] =
            (struct route_range){ segment->last_txid, segment->last_txid };
}

/*
 * Segments come in the order of their ends, so every point before an end is known when it is looked
 * for; all but those within a log that ends later, and that one makes points of all that follow as
 * well.
 */
static void reach_find_points(struct reach *reach)
{
    size_t count = 0;

    reach->ranges = mem_new_array(reach->segment_count + 1, sizeof reach->ranges[0]);
    reach->ranges[0] = (struct route_range){ reach->from_txid, reach->from_txid };
    reach->range_count = 1;
    while (count < reach->segment_count && reach->segments[count].last_txid <= reach->limit_txid)
        reach_extend(reach, &reach->segments[count++]);
    reach->segment_count = count;
}

void reach_find(struct reach *ret, const struct chain *chain, size_t span_index, uint64_t from_txid)
{
    assert(span_index < chain->span_count);
    assert(from_txid <= chain->spans[span_index].limit_txid);

    *ret = (struct reach){
        .chain = chain,
        .span_index = span_index,
        .from_txid = from_txid,
        .limit_txid = TXID_MAX,
    };
    reach_collect(ret);
    reach_find_hole(ret);
    reach_find_points(ret);
    assert(ret->has_hole || reach_has(ret, ret->newest_txid));
}

bool reach_has(const struct reach *reach, uint64_t txid)
{
    return reach_after(reach, txid) == txid;
}

uint64_t reach_before(const struct reach *reach, uint64_t txid)
{
    size_t index = reach_range_at(reach, txid);

    if (index < reach->range_count && reach->ranges[index].first_txid <= txid)
        return txid;
    return index > 0 ? reach->ranges[index - 1].last_txid : 0;
}

uint64_t reach_after(const struct reach *reach, uint64_t txid)
{
    size_t index = reach_range_at(reach, txid);

    if (index == reach->range_count)
        return 0;
    return reach->ranges[index].first_txid > txid ? reach->ranges[index].first_txid : txid;
}

/* ---- the cheapest way */

/* A point at the end of a segment, and the cheapest way to it. */
struct route_node {
    uint64_t txid;
    uint64_t cost;
    const struct route_segment *segment; /* the last one of the way; NULL at the beginning */
    size_t before;                       /* the node that it goes on from */
};

/*
 * Nodes come in the order of their txids. The ladder holds those that are cheaper than every later
 * one, so the cheapest node at or behind a txid is the first one of the ladder there.
 */
struct route_search {
    struct route_node *nodes;
    size_t node_count;
    size_t *ladder;
    size_t ladder_count;
};

static void route_search_push(struct route_search *search, const struct route_node *node)
{
    while (search->ladder_count > 0 &&
           search->nodes[search->ladder[search->ladder_count - 1]].cost >= node->cost)
        search->ladder_count--;
    search->ladder[search->ladder_count++] = search->node_count;
    search->nodes[search->node_count++] = *node;
}

/* Improve BEST, whose txid is set, by a way that ends with SEGMENT. */
static void route_search_try(
    const struct route_search *search, const struct route_segment *segment, struct route_node *best)
{
    uint64_t base_txid = segment->entry->name.min_txid - 1;
    size_t low = 0;
    size_t high = search->ladder_count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (search->nodes[search->ladder[middle]].txid < base_txid)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == search->ladder_count)
        return;
    const struct route_node *base = &search->nodes[search->ladder[low]];
    uint64_t cost = base->cost + segment->entry->size + ROUTE_OBJECT_COST;
    if (best->segment != NULL && best->cost <= cost)
        return;
    best->cost = cost;
    best->segment = segment;
    best->before = search->ladder[low];
}

/* Whether SEGMENT ends at TXID, or can be cut off there. */
static bool route_segment_gives(const struct route_segment *segment, uint64_t txid)
{
    return segment->last_txid == txid ||
           (segment->level == LEVEL_LOG && segment->last_txid > txid &&
               segment->entry->name.min_txid <= txid);
}

/* All nodes before TO_TXID, then the one at it. */
static void route_search_run(
    struct route_search *search, const struct reach *reach, uint64_t to_txid)
{
    size_t i = 0;
    struct route_node start = { .txid = reach->from_txid };
    route_search_push(search, &start);

    while (i < reach->segment_count && reach->segments[i].last_txid < to_txid) {
        struct route_node node = { .txid = reach->segments[i].last_txid };
        for (; i < reach->segment_count && reach->segments[i].last_txid == node.txid; i++)
            route_search_try(search, &reach->segments[i], &node);
        if (node.segment != NULL)
            route_search_push(search, &node);
    }
    struct route_node end = { .txid = to_txid };
    for (; i < reach->segment_count; i++) {
        if (route_segment_gives(&reach->segments[i], to_txid))
            route_search_try(search, &reach->segments[i], &end);
    }
    if (to_txid > reach->from_txid) {
        assert(end.segment != NULL);
        route_search_push(search, &end);
    }
}

static void route_fill(
    struct route *route, const struct route_search *search, const struct chain *chain)
{
    for (const struct route_node *node = &search->nodes[search->node_count - 1]; node->segment;
         node = &search->nodes[node->before])
        route->object_count++;
    route->objects = mem_new_array(route->object_count + 1, sizeof route->objects[0]);

    const struct route_node *node = &search->nodes[search->node_count - 1];
    for (size_t i = route->object_count; i-- > 0; node = &search->nodes[node->before]) {
        const struct route_segment *segment = node->segment;
        route->size += segment->entry->size;
        route->objects[i] = (struct restore_object){
            .timeline = chain_timeline(chain, segment->span_index)->timeline,
            .kind = segment->level == LEVEL_LOG ? SEGMENT_LOG : SEGMENT_MERGED,
            .level = segment->level,
            .name = segment->entry->name,
            .size = segment->entry->size,
            .first_txid = search->nodes[node->before].txid + 1,
            .last_txid = node->txid,
        };
    }
}

void route_find(struct route *ret, const struct reach *reach, uint64_t to_txid)
{
    assert(reach_has(reach, to_txid));

    *ret = ROUTE_INIT;
    auto_free struct route_node *nodes = mem_new_array(reach->segment_count + 2, sizeof *nodes);
    auto_free size_t *ladder = mem_new_array(reach->segment_count + 2, sizeof *ladder);
    struct route_search search = { .nodes = nodes, .ladder = ladder };
    route_search_run(&search, reach, to_txid);
    route_fill(ret, &search, reach->chain);
}
