/*
 * txid_set - a set of transaction numbers as ranges, ascending and apart
 */
#include "txid_set_priv.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"

void txid_set_release(struct txid_set *set)
{
    free(set->ranges);
    *set = TXID_SET_INIT;
}

size_t txid_set_at(const struct txid_set *set, uint64_t txid)
{
    size_t low = 0;
    size_t high = set->range_count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (set->ranges[middle].last_txid < txid)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

bool txid_set_has_all(const struct txid_set *set, uint64_t first_txid, uint64_t last_txid)
{
    size_t index = txid_set_at(set, first_txid);

    return index < set->range_count && set->ranges[index].first_txid <= first_txid &&
           set->ranges[index].last_txid >= last_txid;
}

static void txid_set_reserve(struct txid_set *set)
{
    if (set->range_count < set->capacity)
        return;
    set->capacity = set->capacity == 0 ? 4 : 2 * set->capacity;
    set->ranges = mem_resize(set->ranges, set->capacity * sizeof set->ranges[0]);
}

void txid_set_add(struct txid_set *set, uint64_t first_txid, uint64_t last_txid)
{
    assert(first_txid <= last_txid);
    assert(last_txid < UINT64_MAX);

    struct txid_range added = { first_txid, last_txid };
    size_t first = txid_set_at(set, first_txid == 0 ? 0 : first_txid - 1); /* of those it touches */
    size_t end = first;
    for (; end < set->range_count && set->ranges[end].first_txid <= last_txid + 1; end++) {
        if (set->ranges[end].first_txid < added.first_txid)
            added.first_txid = set->ranges[end].first_txid;
        if (set->ranges[end].last_txid > added.last_txid)
            added.last_txid = set->ranges[end].last_txid;
    }

    txid_set_reserve(set);
    memmove(&set->ranges[first + 1], &set->ranges[end],
        (set->range_count - end) * sizeof set->ranges[0]);
    set->ranges[first] = added;
    set->range_count = set->range_count - (end - first) + 1;
}

void txid_set_add_all(struct txid_set *set, const struct txid_set *other)
{
    for (size_t i = 0; i < other->range_count; i++)
        txid_set_add(set, other->ranges[i].first_txid, other->ranges[i].last_txid);
}

void txid_set_common(
    struct txid_set *ret, const struct txid_set *left, const struct txid_set *right)
{
    for (size_t l = 0, r = 0; l < left->range_count && r < right->range_count;) {
        const struct txid_range *a = &left->ranges[l];
        const struct txid_range *b = &right->ranges[r];
        uint64_t first_txid = a->first_txid > b->first_txid ? a->first_txid : b->first_txid;
        uint64_t last_txid = a->last_txid < b->last_txid ? a->last_txid : b->last_txid;

        if (first_txid <= last_txid)
            txid_set_add(ret, first_txid, last_txid);
        if (a->last_txid < b->last_txid)
            l++;
        else
            r++;
    }
}

void txid_set_minus(struct txid_set *ret, const struct txid_set *left, const struct txid_set *right)
{
    size_t r = 0;

    for (size_t l = 0; l < left->range_count; l++) {
        struct txid_range rest = left->ranges[l];

        while (r < right->range_count && right->ranges[r].last_txid < rest.first_txid)
            r++;
        for (size_t at = r; at < right->range_count && rest.first_txid <= rest.last_txid; at++) {
            const struct txid_range *taken = &right->ranges[at];
            if (taken->first_txid > rest.last_txid)
                break;
            if (taken->first_txid > rest.first_txid)
                txid_set_add(ret, rest.first_txid, taken->first_txid - 1);
            rest.first_txid = taken->last_txid + 1;
        }
        if (rest.first_txid <= rest.last_txid)
            txid_set_add(ret, rest.first_txid, rest.last_txid);
    }
}
