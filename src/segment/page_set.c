/*
 * page_set - see segment/page_set.h
 */
#include "segment/page_set.h"

#include "base/alloc.h"

#include <assert.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum {
    GROUP_ARRAY_MAX = 4096,
    GROUP_SPAN = 65536,
    GROUP_WORD_COUNT = GROUP_SPAN / 64,
    GROUP_ARRAY_CAPACITY_FIRST = 8,
};
_Static_assert(
    GROUP_ARRAY_MAX * 2 == GROUP_SPAN / 8, "the array gives way when the bitmap is as small");

struct page_group {
    uint32_t upper;
    uint32_t member_count;
    uint32_t capacity; /* of members; 0 once there is a bitmap */
    uint16_t *members; /* ascending, NULL once there is a bitmap */
    uint64_t *bitmap;
};

void page_set_release(struct page_set *set)
{
    for (size_t index = 0; index < set->group_count; index++) {
        free(set->groups[index].members);
        free(set->groups[index].bitmap);
    }
    free(set->groups);
    *set = PAGE_SET_INIT;
}

/* The index of the first group that is not below UPPER. */
static size_t page_set_find(const struct page_set *set, uint32_t upper)
{
    size_t low = 0;
    size_t high = set->group_count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (set->groups[middle].upper < upper)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* The group of UPPER, made when it is not there. */
static struct page_group *page_set_group(struct page_set *set, uint32_t upper)
{
    size_t low = page_set_find(set, upper);

    if (low < set->group_count && set->groups[low].upper == upper)
        return &set->groups[low];

    if (set->group_count == set->group_capacity) {
        set->group_capacity = set->group_capacity * 2 + 4;
        set->groups = mem_resize(set->groups, set->group_capacity * sizeof set->groups[0]);
    }
    memmove(
        &set->groups[low + 1], &set->groups[low], (set->group_count - low) * sizeof set->groups[0]);
    set->groups[low] = (struct page_group){ .upper = upper };
    set->group_count++;
    return &set->groups[low];
}

static bool group_bitmap_add(struct page_group *group, uint16_t lower)
{
    uint64_t bit = UINT64_C(1) << lower % 64;
    uint64_t *word = &group->bitmap[lower / 64];
    if ((*word & bit) != 0)
        return false;
    *word |= bit;
    return true;
}

static void group_make_bitmap(struct page_group *group)
{
    group->bitmap = mem_new_array(GROUP_WORD_COUNT, sizeof group->bitmap[0]);
    for (uint32_t index = 0; index < group->member_count; index++)
        group_bitmap_add(group, group->members[index]);
    free(group->members);
    group->members = NULL;
    group->capacity = 0;
}

/* The index of the first member that is not below LOWER. */
static uint32_t group_array_find(const struct page_group *group, uint32_t lower)
{
    uint32_t low = 0;
    uint32_t high = group->member_count;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (group->members[middle] < lower)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static bool group_array_add(struct page_group *group, uint16_t lower)
{
    uint32_t low = group_array_find(group, lower);

    if (low < group->member_count && group->members[low] == lower)
        return false;

    if (group->member_count == group->capacity) {
        group->capacity = group->capacity == 0 ? GROUP_ARRAY_CAPACITY_FIRST : group->capacity * 2;
        group->members = mem_resize(group->members, group->capacity * sizeof group->members[0]);
    }
    memmove(&group->members[low + 1], &group->members[low],
        (group->member_count - low) * sizeof group->members[0]);
    group->members[low] = lower;
    return true;
}

void page_set_add(struct page_set *set, uint32_t pgno)
{
    assert(pgno != 0);

    struct page_group *group = page_set_group(set, pgno / GROUP_SPAN);
    if (group->bitmap == NULL && group->member_count == GROUP_ARRAY_MAX)
        group_make_bitmap(group);

    uint16_t lower = (uint16_t)(pgno % GROUP_SPAN);
    bool is_new =
        group->bitmap != NULL ? group_bitmap_add(group, lower) : group_array_add(group, lower);
    if (is_new) {
        group->member_count++;
        set->count++;
    }
}

/* The smallest member that is not below LOWER; GROUP_SPAN when there is none. */
static uint32_t group_from(const struct page_group *group, uint32_t lower)
{
    if (group->bitmap == NULL) {
        uint32_t index = group_array_find(group, lower);
        return index < group->member_count ? group->members[index] : GROUP_SPAN;
    }

    uint64_t rest = UINT64_MAX << lower % 64;
    for (uint32_t index = lower / 64; index < GROUP_WORD_COUNT; index++, rest = UINT64_MAX) {
        uint64_t word = group->bitmap[index] & rest;
        if (word != 0)
            return index * 64 + (uint32_t)__builtin_ctzll(word);
    }
    return GROUP_SPAN;
}

uint32_t page_set_after(const struct page_set *set, uint32_t pgno)
{
    if (pgno == UINT32_MAX)
        return 0;

    uint32_t from = pgno + 1;
    for (size_t index = page_set_find(set, from / GROUP_SPAN); index < set->group_count; index++) {
        const struct page_group *group = &set->groups[index];
        uint32_t lower =
            group_from(group, group->upper == from / GROUP_SPAN ? from % GROUP_SPAN : 0);
        if (lower < GROUP_SPAN)
            return group->upper * GROUP_SPAN + lower;
    }
    return 0;
}

bool page_set_has(const struct page_set *set, uint32_t pgno)
{
    assert(pgno != 0);
    return page_set_after(set, pgno - 1) == pgno;
}

static rc group_bitmap_each(
    const struct page_group *group, page_set_fn *each, void *payload, struct error *err)
{
    for (uint32_t index = 0; index < GROUP_WORD_COUNT; index++) {
        for (uint64_t word = group->bitmap[index]; word != 0; word &= word - 1) {
            uint32_t lower = index * 64 + (uint32_t)__builtin_ctzll(word);
            TRY(each(payload, group->upper * GROUP_SPAN + lower, err));
        }
    }
    return RC_OK;
}

rc page_set_each(const struct page_set *set, page_set_fn *each, void *payload, struct error *err)
{
    for (size_t index = 0; index < set->group_count; index++) {
        const struct page_group *group = &set->groups[index];
        if (group->bitmap != NULL) {
            TRY(group_bitmap_each(group, each, payload, err));
            continue;
        }
        for (uint32_t member = 0; member < group->member_count; member++)
            TRY(each(payload, group->upper * GROUP_SPAN + group->members[member], err));
    }
    return RC_OK;
}
