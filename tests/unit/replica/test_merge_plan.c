/*
 * merge_plan: which windows are merged, and from what
 */
#include "harness/check.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "replica/merge_plan.h"

enum { MINUTE = 60 * 1000, HOUR = 60 * MINUTE, SOURCES_MAX = 8192 };

static const struct rules usual = {
    .rules = {
        { .every_ms = 0, .keep_ms = 24 * HOUR },
        { .every_ms = MINUTE, .keep_ms = 168 * (int64_t)HOUR },
        { .every_ms = HOUR, .keep_ms = RULE_KEEP_FOREVER },
    },
    .count = 3,
};

/* A history, and what is to be made of it next. */
struct world {
    struct merge_source sources[SOURCES_MAX];
    size_t count;
    const uint64_t *cuts;
    size_t cut_count;
    int64_t now_ms;
    uint64_t newest_txid;
};

static void world_add(struct world *world, unsigned level, uint64_t min, uint64_t max, int64_t ms)
{
    assert_true(world->count < SOURCES_MAX);
    world->sources[world->count++] = (struct merge_source){
        .level = level,
        .name = { .min_txid = min, .max_txid = max, .time_ms = ms },
        .size = 100,
    };
}

static struct merge_sight world_sight(const struct world *world)
{
    return (struct merge_sight){
        .sources = world->sources,
        .source_count = world->count,
        .rules = &usual,
        .cuts = world->cuts,
        .cut_count = world->cut_count,
        .now_ms = world->now_ms,
        .newest_txid = world->newest_txid,
    };
}

/* The next step is LEVEL, FIRST to LAST from COUNT sources; it is taken as done. COUNT 0: none. */
static void world_expect(
    struct world *world, unsigned level, uint64_t first, uint64_t last, size_t count)
{
    auto_merge_step struct merge_step step = MERGE_STEP_INIT;
    struct merge_sight sight = world_sight(world);

    bool is_there = merge_plan_next(&step, &sight);
    if (is_there != (count > 0) || step.source_count != count ||
        (is_there && (step.level != level || step.min_txid != first || step.max_txid != last)))
        fail_msg("level %u, %llu to %llu of %zu; expected %u, %llu to %llu of %zu", step.level,
            (unsigned long long)step.min_txid, (unsigned long long)step.max_txid, step.source_count,
            level, (unsigned long long)first, (unsigned long long)last, count);
    if (is_there)
        world_add(world, level, first, last, step.sources[count - 1].name.time_ms);
}

static void a_closed_window_becomes_one_segment(void **state)
{
    auto_free struct world *world = mem_new(sizeof *world);
    (void)state;

    world_expect(world, 0, 0, 0, 0);
    world_add(world, 0, 2, 5, HOUR);
    world_add(world, 0, 6, 6, HOUR + 30000);
    world->now_ms = HOUR + 2 * MINUTE - 1;
    world_expect(world, 0, 0, 0, 0); /* open, as far as is known */
    world_add(world, 0, 7, 9, HOUR + MINUTE);
    world_expect(world, 1, 2, 6, 2); /* a later one is in another window */
    world_expect(world, 0, 0, 0, 0);

    /* The clock alone closes one a minute late, when nothing more can be in it. */
    world->now_ms = HOUR + 3 * MINUTE - 1;
    world_expect(world, 0, 0, 0, 0);
    world->now_ms++;
    world->newest_txid = 10;
    world_expect(world, 0, 0, 0, 0);
    world->newest_txid = 9;
    world_expect(world, 1, 7, 9, 1);
    world_expect(world, 0, 0, 0, 0);
    world->now_ms = 2 * HOUR + MINUTE;
    world_expect(world, 2, 2, 9, 2);
    world_expect(world, 0, 0, 0, 0);
}

static void a_clock_may_jump(void **state)
{
    auto_free struct world *world = mem_new(sizeof *world);
    (void)state;

    /* A day ahead, and held there until the wall clock has come after it. */
    world_add(world, 0, 2, 2, HOUR);
    world_add(world, 0, 3, 3, 25 * HOUR);
    world_add(world, 0, 4, 4, 25 * HOUR);
    world->now_ms = HOUR + 10 * MINUTE;
    world_expect(world, 1, 2, 2, 1);
    world_expect(world, 2, 2, 2, 1);
    world_expect(world, 0, 0, 0, 0);
    struct merge_sight sight = world_sight(world);
    assert_int_equal(merge_plan_due_ms(&sight), 25 * HOUR + 2 * MINUTE);
    /* Names of another writer's clock fall: a window begins all the same. */
    world_add(world, 0, 5, 5, 2 * HOUR);
    world_expect(world, 1, 3, 4, 2);
    world_expect(world, 2, 3, 4, 1);
    world->now_ms = 2 * HOUR + 2 * MINUTE;
    world_expect(world, 1, 5, 5, 1);
    world_expect(world, 0, 0, 0, 0);
}

static void what_overlaps_is_used_once(void **state)
{
    auto_free struct world *world = mem_new(sizeof *world);
    (void)state;

    /* Packed beside its originals; one pack is longer than the window that it begins in. */
    world_add(world, 0, 2, 3, HOUR);
    world_add(world, 0, 4, 5, HOUR + 1);
    world_add(world, 0, 2, 5, HOUR + 1);
    world_add(world, 0, 6, 7, HOUR + 2);
    world_add(world, 0, 8, 8, HOUR + MINUTE);
    world_add(world, 0, 6, 8, HOUR + MINUTE);
    world->now_ms = HOUR + MINUTE;
    world_expect(world, 1, 2, 7, 2);

    /* Merged in the spool beside what was stored by itself: it begins where the first one does. */
    world_add(world, 1, 7, 12, HOUR + MINUTE + 5);
    world_add(world, 0, 13, 13, HOUR + MINUTE + 6);
    world->now_ms = HOUR + 3 * MINUTE;
    world_expect(world, 1, 7, 13, 2);
    world_expect(world, 0, 0, 0, 0);
}

static void a_part_that_is_merged_is_gone_on_from(void **state)
{
    auto_free struct world *world = mem_new(sizeof *world);
    (void)state;

    /* The window was merged from where a process began, which was not its beginning. */
    world_add(world, 0, 2, 2, HOUR);
    world_add(world, 0, 3, 3, HOUR + 1);
    world_add(world, 0, 4, 4, HOUR + 2);
    world_add(world, 1, 3, 4, HOUR + 2);
    world_add(world, 0, 5, 5, HOUR + MINUTE);
    world->now_ms = HOUR + MINUTE;
    world_expect(world, 1, 2, 4, 2);
    world_expect(world, 0, 0, 0, 0);
}

static void a_hole_is_left_out(void **state)
{
    auto_free struct world *world = mem_new(sizeof *world);
    (void)state;

    world_add(world, 0, 2, 3, HOUR);
    world_add(world, 0, 5, 6, HOUR + 1); /* 4 is missing */
    world_add(world, 0, 7, 7, HOUR + MINUTE);
    world_add(world, 0, 8, 8, HOUR + 2 * MINUTE);
    world->now_ms = HOUR + 2 * MINUTE;
    world_expect(world, 1, 7, 7, 1);
    world_expect(world, 0, 0, 0, 0);
    world->now_ms = 3 * HOUR;
    world_expect(world, 1, 8, 8, 1);
    world_expect(world, 0, 0, 0, 0); /* nor is the hour */
}

static void a_coarser_segment_stands_for_finer_ones(void **state)
{
    auto_free struct world *world = mem_new(sizeof *world);
    (void)state;

    world_add(world, 2, 2, 100, HOUR - 1); /* what it was made from has expired */
    world_add(world, 1, 101, 110, HOUR);
    world_add(world, 0, 111, 111, HOUR + MINUTE);
    world->now_ms = HOUR + 10 * MINUTE;
    world_expect(world, 1, 111, 111, 1);
    world_expect(world, 0, 0, 0, 0);
    world->now_ms = 2 * HOUR + MINUTE;
    world_expect(world, 2, 101, 111, 2);
    world_expect(world, 0, 0, 0, 0);
}

static void what_is_older_than_its_rule_keeps_is_left_out(void **state)
{
    auto_free struct world *world = mem_new(sizeof *world);
    (void)state;

    world_add(world, 0, 2, 2, HOUR);
    world_add(world, 0, 3, 3, HOUR + MINUTE);
    world_add(world, 0, 4, 4, 200 * (int64_t)HOUR);
    world->now_ms = 200 * (int64_t)HOUR;
    world_expect(world, 2, 2, 3, 2); /* of level 0, there being no finer one */
    world_expect(world, 0, 0, 0, 0);
}

static void a_child_departs_at_the_end_of_a_window(void **state)
{
    static const uint64_t cuts[] = { 3 };
    auto_free struct world *world = mem_new(sizeof *world);
    (void)state;

    world->cuts = cuts;
    world->cut_count = array_count(cuts);
    for (uint64_t txid = 2; txid <= 5; txid++)
        world_add(world, 0, txid, txid, HOUR + (int64_t)txid);
    world->now_ms = HOUR + 2;
    world_expect(world, 1, 2, 3, 2);
    world_expect(world, 2, 2, 3, 1);
    world_expect(world, 0, 0, 0, 0);
    world->now_ms = 2 * HOUR + MINUTE;
    world_expect(world, 1, 4, 5, 2);
    world_expect(world, 2, 4, 5, 1);
    world_expect(world, 0, 0, 0, 0);
}

static void a_long_window_is_merged_in_parts(void **state)
{
    auto_free struct world *world = mem_new(sizeof *world);
    (void)state;

    for (uint64_t txid = 2; txid <= MERGE_SOURCE_COUNT_MAX + 100; txid++)
        world_add(world, 0, txid, txid, HOUR + (int64_t)txid);
    world->now_ms = HOUR + 2 * MINUTE;
    world_expect(world, 1, 2, MERGE_SOURCE_COUNT_MAX + 1, MERGE_SOURCE_COUNT_MAX);
    world_expect(world, 1, 2, MERGE_SOURCE_COUNT_MAX + 100, 100);
    world_expect(world, 0, 0, 0, 0);
}

/* ---- any history */

static uint64_t any_state;

static uint64_t any_below(uint64_t limit)
{
    any_state = any_state * 6364136223846793005U + 1442695040888963407U;
    return (any_state >> 33) % limit;
}

/* Every step follows from what is there, and in the end every closed window has its segment. */
static void any_check_end(const struct world *world)
{
    const struct rule *minute = &usual.rules[1];
    struct merge_sight sight = world_sight(world);

    for (size_t index = 0; index < world->count; index++) {
        const struct segment_name *name = &world->sources[index].name;
        bool is_end = true;
        bool is_there = false;
        for (size_t other = 0; other < world->count; other++) {
            const struct merge_source *source = &world->sources[other];
            if (source->name.max_txid > name->max_txid &&
                rule_window(minute, source->name.time_ms) == rule_window(minute, name->time_ms))
                is_end = false;
            is_there = is_there || (source->level > 0 && source->name.max_txid == name->max_txid);
        }
        bool is_closed = sight.now_ms >= (rule_window(minute, name->time_ms) + 1) * MINUTE + MINUTE;
        if (is_end && is_closed && !is_there)
            fail_msg("nothing ends at transaction %llu", (unsigned long long)name->max_txid);
    }
}

static void any_take(struct world *world, const struct merge_step *step)
{
    uint64_t txid = step->min_txid - 1;

    assert_true(step->source_count > 0);
    for (size_t index = 0; index < step->source_count; index++) {
        const struct merge_source *source = &step->sources[index];
        assert_true(source->level <= step->level);
        assert_true(source->name.min_txid <= txid + 1);
        assert_true(source->name.max_txid > txid);
        txid = source->name.max_txid;
    }
    assert_int_equal(txid, step->max_txid);
    for (size_t index = 0; index < world->count; index++) {
        const struct merge_source *source = &world->sources[index];
        if (source->level == step->level && source->name.min_txid == step->min_txid)
            assert_int_not_equal(source->name.max_txid, step->max_txid);
    }
    world_add(world, step->level, step->min_txid, step->max_txid,
        step->sources[step->source_count - 1].name.time_ms);
}

static void any_run(struct world *world)
{
    uint64_t txid = 1;
    int64_t ms = 1000 * (int64_t)HOUR;

    for (unsigned count = 0; count < 300; count++) {
        uint64_t length = 1 + any_below(5);
        uint64_t back = any_below(4) == 0 ? any_below(txid < 20 ? txid : 20) : 0;
        ms += (int64_t)any_below(any_below(20) == 0 ? 10 * HOUR : 40000);
        world_add(world, any_below(20) == 0 ? 1 : 0, txid + 1 - back, txid + length, ms);
        txid += length;
        world->now_ms = ms + (int64_t)any_below(HOUR);
        for (unsigned steps = any_below(3) == 0 ? 1000 : 0; steps > 0; steps--) {
            auto_merge_step struct merge_step step = MERGE_STEP_INIT;
            struct merge_sight sight = world_sight(world);
            if (!merge_plan_next(&step, &sight))
                break;
            any_take(world, &step);
        }
    }
}

static void any_history_comes_to_an_end(void **state)
{
    const char *seed = getenv("SEAWAL_SEED");
    (void)state;

    any_state = seed != NULL ? strtoull(seed, NULL, 10) : 20261121;
    printf("SEAWAL_SEED=%llu\n", (unsigned long long)any_state);
    for (unsigned round = 0; round < 10; round++) {
        auto_free struct world *world = mem_new(sizeof *world);
        any_run(world);
        world->now_ms += HOUR;
        for (;;) {
            auto_merge_step struct merge_step step = MERGE_STEP_INIT;
            struct merge_sight sight = world_sight(world);
            if (!merge_plan_next(&step, &sight))
                break;
            any_take(world, &step);
        }
        any_check_end(world);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_closed_window_becomes_one_segment),
        cmocka_unit_test(a_clock_may_jump),
        cmocka_unit_test(what_overlaps_is_used_once),
        cmocka_unit_test(a_part_that_is_merged_is_gone_on_from),
        cmocka_unit_test(a_hole_is_left_out),
        cmocka_unit_test(a_coarser_segment_stands_for_finer_ones),
        cmocka_unit_test(what_is_older_than_its_rule_keeps_is_left_out),
        cmocka_unit_test(a_child_departs_at_the_end_of_a_window),
        cmocka_unit_test(a_long_window_is_merged_in_parts),
        cmocka_unit_test(any_history_comes_to_an_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
