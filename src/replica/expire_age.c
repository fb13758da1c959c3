/*
 * expire_age - since when a transaction is not the newest any more
 */
#include "expire_age_priv.h"

#include <assert.h>
#include <stdlib.h>

#include "base/alloc.h"

void ages_release(struct ages *ages)
{
    free(ages->marks);
    *ages = AGES_INIT;
}

static int age_mark_compare(const void *left, const void *right)
{
    const struct age_mark *a = left;
    const struct age_mark *b = right;

    if (a->txid != b->txid)
        return a->txid < b->txid ? -1 : 1;
    return (a->time_ms > b->time_ms) - (a->time_ms < b->time_ms);
}

static void ages_collect(struct ages *ages, const struct catalog_timeline *timeline)
{
    size_t count = timeline->snapshot_count + timeline->log_count + timeline->merged_count;

    ages->marks = mem_new_array(count + 1, sizeof ages->marks[0]);
    for (size_t i = 0; i < timeline->snapshot_count; i++) {
        const struct segment_summary *summary = &timeline->snapshots[i].summary;
        ages->marks[ages->mark_count++] =
            (struct age_mark){ summary->max_txid, summary->last_time_ms };
    }
    for (size_t i = 0; i < timeline->log_count; i++) {
        const struct segment_name *name = &timeline->logs[i].name;
        ages->marks[ages->mark_count++] = (struct age_mark){ name->max_txid, name->time_ms };
    }
    for (size_t i = 0; i < timeline->merged_count; i++) {
        const struct segment_name *name = &timeline->merged[i].entry.name;
        ages->marks[ages->mark_count++] = (struct age_mark){ name->max_txid, name->time_ms };
    }
    if (ages->mark_count > 1)
        qsort(ages->marks, ages->mark_count, sizeof ages->marks[0], age_mark_compare);
}

static void ages_mend(struct ages *ages)
{
    int64_t behind_ms = ages->now_ms;
    for (size_t i = ages->mark_count; i-- > 0;) {
        if (ages->marks[i].time_ms > ages->now_ms)
            ages->marks[i].time_ms = behind_ms;
        behind_ms = ages->marks[i].time_ms;
    }
    for (size_t i = 1; i < ages->mark_count; i++) {
        if (ages->marks[i].time_ms < ages->marks[i - 1].time_ms)
            ages->marks[i].time_ms = ages->marks[i - 1].time_ms;
    }
}

/*
 * When the next timeline became the state of the database. One that has to begin with a snapshot
 * and has none yet has not: until then what was before it is all that there is.
 */
static int64_t ages_end(const struct ages *ages, const struct catalog *catalog, size_t index)
{
    for (size_t i = index + 1; i < catalog->timeline_count; i++) {
        const struct catalog_timeline *next = &catalog->timelines[i];
        assert(next->is_loaded);
        if (next->info.own_snapshot && next->snapshot_count == 0)
            continue;
        int64_t end_ms = next->info.time_ms;
        if (end_ms > ages->now_ms)
            return ages->now_ms;
        bool is_before = ages->mark_count > 0 && ages->marks[ages->mark_count - 1].time_ms > end_ms;
        return is_before ? ages->marks[ages->mark_count - 1].time_ms : end_ms;
    }
    return ages->now_ms;
}

void ages_find(struct ages *ret, const struct catalog *catalog, size_t index, int64_t now_ms)
{
    assert(index < catalog->timeline_count);

    struct ages ages = { .now_ms = now_ms };
    ages_collect(&ages, &catalog->timelines[index]);
    ages_mend(&ages);
    ages.end_ms = ages_end(&ages, catalog, index);
    *ret = ages;
}

int64_t ages_of(const struct ages *ages, uint64_t txid)
{
    size_t low = 0;
    size_t high = ages->mark_count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (ages->marks[middle].txid <= txid)
            low = middle + 1;
        else
            high = middle;
    }
    int64_t since_ms = low < ages->mark_count ? ages->marks[low].time_ms : ages->end_ms;
    return since_ms < ages->now_ms ? ages->now_ms - since_ms : 0;
}
