/*
 * merge_plan - see replica/merge_plan.h
 */
#include "replica/merge_plan.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"

enum { MERGE_GRACE_MS_MAX = 60 * 1000 };

void merge_step_release(struct merge_step *step)
{
    free(step->sources);
    *step = MERGE_STEP_INIT;
}

int64_t merge_plan_grace_ms(int64_t every_ms)
{
    return every_ms < MERGE_GRACE_MS_MAX ? every_ms : MERGE_GRACE_MS_MAX;
}

/* By end; of those that end together the coarsest and longest first. */
static int merge_source_compare(const void *left, const void *right)
{
    const struct merge_source *a = left;
    const struct merge_source *b = right;

    if (a->name.max_txid != b->name.max_txid)
        return a->name.max_txid < b->name.max_txid ? -1 : 1;
    if (a->level != b->level)
        return a->level > b->level ? -1 : 1;
    return (a->name.min_txid > b->name.min_txid) - (a->name.min_txid < b->name.min_txid);
}

/* ---- windows */

/* Sources [first, end) by their ends; transactions from min_txid to that of the last end. */
struct merge_window {
    size_t first;
    size_t end;
    uint64_t min_txid;
    uint64_t max_txid;
    int64_t time_ms; /* of the last end */
    bool is_last;    /* nothing is known behind it */
};

struct merge_walk {
    const struct merge_sight *sight;
    const struct merge_source *sources; /* sorted */
    unsigned level;
    const struct rule *rule;
    struct merge_window window;
};

static bool merge_is_cut_between(
    const struct merge_sight *sight, uint64_t end_txid, uint64_t next_end_txid)
{
    for (size_t index = 0; index < sight->cut_count; index++) {
        if (sight->cuts[index] >= end_txid && sight->cuts[index] < next_end_txid)
            return true;
    }
    return false;
}

static bool merge_walk_is_end(const struct merge_walk *walk, size_t index)
{
    const struct segment_name *name = &walk->sources[index].name;
    const struct segment_name *next = &walk->sources[index + 1].name;

    if (next->max_txid == name->max_txid)
        return false;
    return rule_window(walk->rule, name->time_ms) != rule_window(walk->rule, next->time_ms) ||
           merge_is_cut_between(walk->sight, name->max_txid, next->max_txid);
}

static uint64_t merge_first_txid(const struct merge_source *sources, size_t count)
{
    uint64_t first = UINT64_MAX;

    for (size_t index = 0; index < count; index++) {
        if (sources[index].name.min_txid < first)
            first = sources[index].name.min_txid;
    }
    return first;
}

static bool merge_walk_next(struct merge_walk *walk)
{
    struct merge_window *window = &walk->window;
    size_t count = walk->sight->source_count;

    if (window->end == count)
        return false;
    window->min_txid = window->end == 0 ? merge_first_txid(walk->sources, count)
                                        : walk->sources[window->end - 1].name.max_txid + 1;
    window->first = window->end;
    while (window->end + 1 < count && !merge_walk_is_end(walk, window->end))
        window->end++;
    window->max_txid = walk->sources[window->end].name.max_txid;
    window->time_ms = walk->sources[window->end].name.time_ms;
    window->end++;
    window->is_last = window->end == count;
    return true;
}

/* When the window of TIME_MS is closed by the clock alone. */
static int64_t merge_closes_ms(const struct rule *rule, int64_t time_ms)
{
    int64_t end_ms = (rule_window(rule, time_ms) + 1) * rule->every_ms;

    return end_ms + merge_plan_grace_ms(rule->every_ms);
}

static bool merge_window_is_wanted(const struct merge_walk *walk)
{
    const struct merge_window *window = &walk->window;
    int64_t now_ms = walk->sight->now_ms;

    if (walk->rule->keep_ms != RULE_KEEP_FOREVER && window->time_ms < now_ms - walk->rule->keep_ms)
        return false;
    if (window->is_last && (now_ms < merge_closes_ms(walk->rule, window->time_ms) ||
                               window->max_txid < walk->sight->newest_txid))
        return false;
    /* Those that end with it come last, the coarsest of them first. */
    for (size_t index = window->end; index-- > window->first;) {
        const struct merge_source *source = &walk->sources[index];
        if (source->name.max_txid != window->max_txid)
            break;
        if (source->level >= walk->level && source->name.min_txid <= window->min_txid)
            return false;
    }
    return true;
}

/* ---- what a window is made from */

/*
 * The source that leads furthest from behind TXID, not beyond the window; NULL: a hole. A merged
 * one rather than a log that ends with it.
 */
static const struct merge_source *merge_source_behind(const struct merge_walk *walk, uint64_t txid)
{
    for (size_t index = walk->window.end; index-- > 0;) {
        const struct merge_source *source = &walk->sources[index];
        if (source->name.max_txid <= txid)
            return NULL;
        while (index > 0 && walk->sources[index - 1].name.max_txid == source->name.max_txid)
            index--;
        for (size_t same = index; same < walk->window.end; same++) {
            source = &walk->sources[same];
            if (source->name.max_txid != walk->sources[index].name.max_txid)
                break;
            if (source->level <= walk->level && source->name.min_txid <= txid + 1)
                return source;
        }
    }
    return NULL;
}

static bool merge_window_sources(const struct merge_walk *walk, struct merge_step *ret)
{
    uint64_t txid = walk->window.min_txid - 1;
    size_t capacity =
        walk->window.end < MERGE_SOURCE_COUNT_MAX ? walk->window.end : MERGE_SOURCE_COUNT_MAX;
    auto_merge_step struct merge_step step = { .level = walk->level };

    step.sources = mem_new_array(capacity, sizeof *step.sources);
    while (txid < walk->window.max_txid && step.source_count < capacity) {
        const struct merge_source *source = merge_source_behind(walk, txid);
        if (source == NULL)
            return false;
        step.sources[step.source_count++] = *source;
        txid = source->name.max_txid;
    }
    step.min_txid = step.sources[0].name.min_txid;
    step.max_txid = txid;
    *ret = step;
    step = MERGE_STEP_INIT;
    return true;
}

/* ---- the plan */

static bool merge_plan_level(struct merge_step *ret, struct merge_walk *walk)
{
    while (merge_walk_next(walk)) {
        if (merge_window_is_wanted(walk) && merge_window_sources(walk, ret))
            return true;
    }
    return false;
}

bool merge_plan_next(struct merge_step *ret, const struct merge_sight *sight)
{
    assert(sight->rules->count <= RULES_COUNT_MAX);

    *ret = MERGE_STEP_INIT;
    if (sight->source_count == 0)
        return false;
    auto_free struct merge_source *sources = mem_new_array(sight->source_count, sizeof *sources);
    memcpy(sources, sight->sources, sight->source_count * sizeof *sources);
    qsort(sources, sight->source_count, sizeof *sources, merge_source_compare);

    for (unsigned level = 1; level < sight->rules->count; level++) {
        struct merge_walk walk = {
            .sight = sight,
            .sources = sources,
            .level = level,
            .rule = &sight->rules->rules[level],
        };
        if (merge_plan_level(ret, &walk))
            return true;
    }
    return false;
}

int64_t merge_plan_due_ms(const struct merge_sight *sight)
{
    const struct segment_name *newest = NULL;
    int64_t due_ms = 0;

    for (size_t index = 0; index < sight->source_count; index++) {
        const struct segment_name *name = &sight->sources[index].name;
        if (newest == NULL || name->max_txid > newest->max_txid)
            newest = name;
    }
    for (unsigned level = 1; newest != NULL && level < sight->rules->count; level++) {
        int64_t closes_ms = merge_closes_ms(&sight->rules->rules[level], newest->time_ms);
        if (closes_ms > sight->now_ms && (due_ms == 0 || closes_ms < due_ms))
            due_ms = closes_ms;
    }
    return due_ms;
}
