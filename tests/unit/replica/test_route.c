/*
 * route: which transactions a snapshot leads to, and the cheapest way there, from names alone
 */
#include "harness/check.h"

#include "../../../src/replica/route_priv.h"
#include "base/alloc.h"
#include "names.h"

#include <stdlib.h>

/* ---- logs */

/* What is found from FROM in span SPAN; objects are counted on the way to UP_TO (0: END). */
struct expected {
    size_t span;
    uint64_t from;
    uint64_t up_to;
    uint64_t end;
    size_t count;
    bool has_hole;
    uint64_t hole_first;
    uint64_t hole_last;
};

/* A route is a row of objects without gaps, each used within its name. */
static void check_route(const struct route *route, uint64_t from_txid, uint64_t to_txid)
{
    uint64_t next = from_txid + 1;
    uint64_t size = 0;

    for (size_t i = 0; i < route->object_count; i++) {
        const struct restore_object *object = &route->objects[i];
        assert_int_equal(object->first_txid, next);
        assert_true(object->name.min_txid <= next);
        assert_true(object->last_txid >= next);
        if (object->kind == SEGMENT_LOG)
            assert_true(object->last_txid <= object->name.max_txid);
        else
            assert_int_equal(object->last_txid, object->name.max_txid);
        next = object->last_txid + 1;
        size += object->size;
    }
    assert_int_equal(next, to_txid + 1);
    assert_int_equal(size, route->size);
}

static void check(const struct catalog *catalog, uint32_t leaf, const struct expected *expected)
{
    struct error err;
    auto_chain struct chain chain = CHAIN_INIT;
    auto_reach struct reach reach = REACH_INIT;
    auto_route struct route route = ROUTE_INIT;
    CHECK_OK(chain_build(&chain, catalog, catalog_find(catalog, leaf), &err));

    reach_find(&reach, &chain, expected->span, expected->from);
    assert_int_equal(reach.range_count, 1); /* logs leave nothing out */
    assert_int_equal(reach.ranges[0].first_txid, expected->from);
    uint64_t end = expected->up_to != 0 ? expected->up_to : reach.ranges[0].last_txid;
    assert_int_equal(end, expected->end);
    if (expected->up_to == 0) {
        assert_int_equal(reach.has_hole, expected->has_hole);
        assert_int_equal(reach.hole_first, expected->hole_first);
        assert_int_equal(reach.hole_last, expected->hole_last);
    }
    assert_true(reach_has(&reach, end));
    route_find(&route, &reach, end);
    check_route(&route, expected->from, end);
    assert_int_equal(route.object_count, expected->count);
}

static void one_timeline(void **state)
{
    auto_catalog struct catalog catalog = CATALOG_INIT;
    (void)state;

    names_add_log(&catalog, 1, 2, 4);
    names_add_log(&catalog, 1, 5, 5);
    names_add_log(&catalog, 1, 6, 9);
    names_add_log(&catalog, 1, 12, 13);
    names_add_log(&catalog, 1, 13, 14);
    names_claim(&catalog, 1, 0, 0, true);
    const struct expected all[] = {
        { .from = 1, .up_to = 9, .end = 9, .count = 3 },
        { .from = 1, .up_to = 5, .end = 5, .count = 2 },
        { .from = 1, .up_to = 7, .end = 7, .count = 3 },
        { .from = 3, .up_to = 7, .end = 7, .count = 3 }, /* begins inside of a segment */
        { .from = 9, .up_to = 9, .end = 9, .count = 0 },
        { .from = 1, .up_to = 1, .end = 1, .count = 0 },
        { .from = 1, .end = 9, .count = 3, .has_hole = true, .hole_first = 10, .hole_last = 11 },
        { .from = 11, .end = 13, .count = 1, .has_hole = true, .hole_first = 13, .hole_last = 12 },
        { .from = 13, .end = 14, .count = 1 },
        { .from = 20, .end = 20, .count = 0 },
    };
    for (size_t i = 0; i < array_count(all); i++)
        check(&catalog, 1, &all[i]);
}

static void a_child_continues_its_parent(void **state)
{
    auto_catalog struct catalog catalog = CATALOG_INIT;
    (void)state;

    names_add_log(&catalog, 1, 2, 6);
    names_add_log(&catalog, 1, 7, 12);
    names_add_log(&catalog, 2, 10, 11);
    names_add_log(&catalog, 2, 12, 15);
    names_add_log(&catalog, 4, 13, 14);
    names_claim(&catalog, 1, 0, 0, true);
    names_claim(&catalog, 2, 1, 9, false);  /* in the middle of a segment of its parent */
    names_claim(&catalog, 3, 2, 12, false); /* nothing of its own */
    names_claim(&catalog, 4, 3, 12, false); /* behind one that is empty */
    names_claim(&catalog, 5, 1, 9, true);   /* does not continue */
    names_claim(&catalog, 6, 2, 20, false); /* its parent is short */
    const struct {
        uint32_t leaf;
        struct expected expected;
    } all[] = {
        { 1, { .from = 1, .end = 12, .count = 2 } },
        { 2, { .from = 1, .end = 15, .count = 4 } },
        { 2, { .from = 1, .up_to = 9, .end = 9, .count = 2 } },
        { 2, { .from = 1, .up_to = 10, .end = 10, .count = 3 } },
        { 2, { .span = 1, .from = 11, .end = 15, .count = 1 } },
        { 3, { .from = 1, .end = 12, .count = 4 } },
        { 4, { .from = 1, .end = 14, .count = 5 } },
        { 5, { .from = 1, .end = 9, .count = 2 } },
        { 6, { .from = 1,
                 .end = 15,
                 .count = 4,
                 .has_hole = true,
                 .hole_first = 16,
                 .hole_last = 20 } },
    };
    for (size_t i = 0; i < array_count(all); i++)
        check(&catalog, all[i].leaf, &all[i].expected);
}

static void a_childs_first_segment_must_follow(void **state)
{
    auto_catalog struct catalog catalog = CATALOG_INIT;
    (void)state;

    names_add_log(&catalog, 1, 2, 6);
    names_add_log(&catalog, 2, 8, 9);
    names_add_log(&catalog, 3, 5, 9);
    names_claim(&catalog, 1, 0, 0, true);
    names_claim(&catalog, 2, 1, 6, false);
    names_claim(&catalog, 3, 1, 6, false);
    struct expected lost = { .from = 1, .end = 6, .count = 1, .has_hole = true };
    lost.hole_first = 7;
    lost.hole_last = 7;
    check(&catalog, 2, &lost);
    struct expected twice = { .from = 1, .end = 6, .count = 1, .has_hole = true };
    twice.hole_first = 5;
    twice.hole_last = 4;
    check(&catalog, 3, &twice);
}

/* ---- merged segments */

static void merged_only(struct catalog *catalog)
{
    static const struct name_spec specs[] = {
        { .timeline = 1, .level = 0, .min_txid = 2, .max_txid = 4, .size = 100 },
        { .timeline = 1, .level = 1, .min_txid = 5, .max_txid = 20, .size = 5000 },
        { .timeline = 1, .level = 0, .min_txid = 21, .max_txid = 22, .size = 100 },
        /* A leftover that no point leads to, and one that begins within. */
        { .timeline = 1, .level = 0, .min_txid = 9, .max_txid = 10, .size = 100 },
        { .timeline = 1, .level = 2, .min_txid = 15, .max_txid = 25, .size = 7000 },
    };
    for (size_t i = 0; i < array_count(specs); i++)
        names_add(catalog, &specs[i]);
    names_claim(catalog, 1, 0, 0, true);
}

static int log_compare(const void *left, const void *right)
{
    const struct segment_entry *a = left;
    const struct segment_entry *b = right;
    return (a->name.min_txid > b->name.min_txid) - (a->name.min_txid < b->name.min_txid);
}

/* As a listing has them. */
static void sort_logs(struct catalog *catalog, size_t index)
{
    struct catalog_timeline *timeline = &catalog->timelines[index];
    if (timeline->log_count > 1)
        qsort(timeline->logs, timeline->log_count, sizeof timeline->logs[0], log_compare);
}

static void within_a_merged_segment_is_no_point(void **state)
{
    struct error err;
    auto_catalog struct catalog catalog = CATALOG_INIT;
    auto_chain struct chain chain = CHAIN_INIT;
    auto_reach struct reach reach = REACH_INIT;
    (void)state;

    merged_only(&catalog);
    sort_logs(&catalog, 0);
    CHECK_OK(chain_build(&chain, &catalog, 0, &err));
    reach_find(&reach, &chain, 0, 1);
    assert_false(reach.has_hole);
    assert_int_equal(reach.newest_txid, 25);
    static const struct {
        uint64_t txid;
        uint64_t before;
        uint64_t after;
    } all[] = { { 1, 1, 1 }, { 3, 3, 3 }, { 4, 4, 4 }, { 5, 4, 20 }, { 9, 4, 20 }, { 19, 4, 20 },
        { 20, 20, 20 }, { 21, 21, 21 }, { 22, 22, 22 }, { 23, 22, 25 }, { 25, 25, 25 },
        { 26, 25, 0 } };
    for (size_t i = 0; i < array_count(all); i++) {
        assert_int_equal(reach_before(&reach, all[i].txid), all[i].before);
        assert_int_equal(reach_after(&reach, all[i].txid), all[i].after);
        assert_int_equal(reach_has(&reach, all[i].txid), all[i].before == all[i].txid);
    }
}

/* Of a snapshot that begins at 8: what is merged before it may begin earlier. */
static void a_merged_segment_may_begin_before_the_snapshot(void **state)
{
    struct error err;
    auto_catalog struct catalog catalog = CATALOG_INIT;
    auto_chain struct chain chain = CHAIN_INIT;
    auto_reach struct reach reach = REACH_INIT;
    auto_route struct route route = ROUTE_INIT;
    (void)state;

    merged_only(&catalog);
    sort_logs(&catalog, 0);
    CHECK_OK(chain_build(&chain, &catalog, 0, &err));
    reach_find(&reach, &chain, 0, 8);
    assert_false(reach.has_hole);
    assert_int_equal(reach_after(&reach, 9), 9); /* the leftover leads on from there */
    assert_int_equal(reach_after(&reach, 11), 20);
    route_find(&route, &reach, 22);
    check_route(&route, 8, 22);
    assert_int_equal(route.object_count, 2);
    assert_int_equal(route.objects[0].level, 1);
    assert_int_equal(route.objects[0].first_txid, 9);
}

static void few_objects_and_bytes_are_preferred(void **state)
{
    struct error err;
    auto_catalog struct catalog catalog = CATALOG_INIT;
    auto_chain struct chain chain = CHAIN_INIT;
    auto_reach struct reach reach = REACH_INIT;
    (void)state;

    /* Each transaction alone; ten of them in a small merged one; thirty of them in a huge one. */
    for (uint64_t txid = 2; txid <= 61; txid++)
        names_add_log(&catalog, 1, txid, txid);
    struct name_spec small = { .timeline = 1, .level = 1, .min_txid = 2, .max_txid = 11 };
    struct name_spec huge = { .timeline = 1, .level = 1, .min_txid = 12, .max_txid = 41 };
    small.size = 3 * ROUTE_OBJECT_COST;
    huge.size = UINT64_C(31) * ROUTE_OBJECT_COST;
    names_add(&catalog, &small);
    names_add(&catalog, &huge);
    names_claim(&catalog, 1, 0, 0, true);
    CHECK_OK(chain_build(&chain, &catalog, 0, &err));
    reach_find(&reach, &chain, 0, 1);
    auto_route struct route route = ROUTE_INIT;
    route_find(&route, &reach, 61);
    check_route(&route, 1, 61);
    assert_int_equal(route.object_count, 1 + 50);
    assert_int_equal(route.objects[0].kind, SEGMENT_MERGED);
    assert_int_equal(route.objects[1].kind, SEGMENT_LOG);
}

/* What ends behind the fork is of no use to the child, and its log is cut off there. */
static void a_fork_cuts_merged_segments(void **state)
{
    struct error err;
    auto_catalog struct catalog catalog = CATALOG_INIT;
    auto_chain struct chain chain = CHAIN_INIT;
    auto_reach struct reach reach = REACH_INIT;
    (void)state;

    struct name_spec across = { .timeline = 1, .level = 1, .min_txid = 5, .max_txid = 12 };
    struct name_spec child = { .timeline = 2, .level = 1, .min_txid = 11, .max_txid = 13 };
    struct name_spec early = { .timeline = 2, .level = 1, .min_txid = 10, .max_txid = 13 };
    names_add_log(&catalog, 1, 2, 8);
    names_add(&catalog, &across);
    names_add(&catalog, &child);
    names_claim(&catalog, 1, 0, 0, true);
    names_claim(&catalog, 2, 1, 10, false);
    CHECK_OK(chain_build(&chain, &catalog, 1, &err));
    reach_find(&reach, &chain, 0, 1);
    assert_true(reach.has_hole);
    assert_int_equal(reach.hole_first, 9);
    assert_int_equal(reach.hole_last, 10);
    assert_int_equal(reach.newest_txid, 13);
    reach_release(&reach);

    names_add_log(&catalog, 1, 9, 11);
    reach_find(&reach, &chain, 0, 1);
    assert_false(reach.has_hole);
    assert_int_equal(reach.range_count, 2);
    assert_int_equal(reach.ranges[0].last_txid, 10);
    assert_int_equal(reach.ranges[1].first_txid, 13);
    reach_release(&reach);

    /* A child has nothing to say about what was before it. */
    names_add(&catalog, &early);
    reach_find(&reach, &chain, 0, 1);
    assert_true(reach.has_hole);
    assert_int_equal(reach.hole_first, 10);
    assert_int_equal(reach.hole_last, 9);
    assert_int_equal(reach.ranges[reach.range_count - 1].last_txid, 10);
}

/* ---- anything, against a search without ideas */

enum { RANDOM_TXID_MAX = 26, RANDOM_SEGMENT_MAX = 64 };

struct random_case {
    uint64_t state;
    struct catalog catalog;
    struct name_spec specs[RANDOM_SEGMENT_MAX];
    size_t spec_count;
    uint64_t limits[4]; /* by timeline: the last transaction of it that the chain has */
    uint64_t afters[4];
    uint32_t timeline_count;
};

static uint64_t random_below(struct random_case *random, uint64_t below)
{
    random->state ^= random->state << 13;
    random->state ^= random->state >> 7;
    random->state ^= random->state << 17;
    return (random->state >> 11) % below;
}

static void random_add(struct random_case *random, const struct name_spec *spec)
{
    random->specs[random->spec_count++] = *spec;
    names_add(&random->catalog, spec);
}

/* Logs in a row with some left out, merged ones anywhere. */
static void random_timeline(struct random_case *random, uint32_t timeline)
{
    uint64_t after_txid = random->afters[timeline];
    unsigned loss = (unsigned)random_below(random, 4);

    for (uint64_t min = after_txid + 1; min <= RANDOM_TXID_MAX;) {
        struct name_spec log = { .timeline = timeline, .min_txid = min };
        log.max_txid = min + random_below(random, 4);
        log.size = 1 + random_below(random, 100000);
        if (random_below(random, 6) >= loss)
            random_add(random, &log);
        min = log.max_txid + 1;
    }
    for (uint64_t count = random_below(random, 8); count-- > 0;) {
        struct name_spec merged = { .timeline = timeline };
        merged.level = 1 + (unsigned)random_below(random, 9);
        merged.min_txid = after_txid + 1 + random_below(random, RANDOM_TXID_MAX);
        merged.max_txid = merged.min_txid + random_below(random, 10);
        merged.size = 1 + random_below(random, 300000);
        random_add(random, &merged);
    }
}

static void random_make(struct random_case *random)
{
    random->timeline_count = 1 + (uint32_t)random_below(random, 3);
    names_claim(&random->catalog, 1, 0, 0, true);
    for (uint32_t timeline = 1; timeline <= random->timeline_count; timeline++) {
        random->limits[timeline] = TXID_MAX;
        if (timeline > 1) {
            uint64_t parent_txid =
                random->afters[timeline - 1] + 1 + random_below(random, RANDOM_TXID_MAX / 2);
            names_claim(&random->catalog, timeline, timeline - 1, parent_txid, false);
            random->afters[timeline] = parent_txid;
            random->limits[timeline - 1] = parent_txid;
        }
        random_timeline(random, timeline);
    }
}

/* The transaction that SPEC leads to from FROM; 0 when it does not, or not to TO or before. */
static uint64_t random_step(
    const struct random_case *random, const struct name_spec *spec, uint64_t from, uint64_t to)
{
    uint64_t limit = random->limits[spec->timeline];
    bool is_log = spec->level == LEVEL_LOG;
    uint64_t last = is_log && spec->max_txid > limit ? limit : spec->max_txid;

    if (from + 1 < spec->min_txid || from >= last || last > limit)
        return 0;
    if (last > to)
        return is_log ? to : 0;
    return last;
}

/* The cost of the cheapest way by trying all; UINT64_MAX when there is none. */
static uint64_t random_cost(const struct random_case *random, uint64_t from, uint64_t to)
{
    uint64_t costs[RANDOM_TXID_MAX * 3];
    assert_true(to < array_count(costs));

    for (uint64_t txid = from; txid <= to; txid++)
        costs[txid] = txid == from ? 0 : UINT64_MAX;
    for (uint64_t txid = from; txid < to; txid++) {
        for (size_t i = 0; i < random->spec_count && costs[txid] != UINT64_MAX; i++) {
            uint64_t next = random_step(random, &random->specs[i], txid, to);
            uint64_t cost = costs[txid] + random->specs[i].size + ROUTE_OBJECT_COST;
            if (next > txid && cost < costs[next])
                costs[next] = cost;
        }
    }
    return costs[to];
}

static bool random_is_told(const struct random_case *random, uint64_t txid)
{
    for (size_t i = 0; i < random->spec_count; i++) {
        const struct name_spec *spec = &random->specs[i];
        bool is_of_chain = spec->level == LEVEL_LOG
                               ? txid <= random->limits[spec->timeline]
                               : spec->max_txid <= random->limits[spec->timeline];
        if (is_of_chain && spec->min_txid <= txid && txid <= spec->max_txid)
            return true;
    }
    return false;
}

static void random_check(struct random_case *random)
{
    struct error err;
    auto_chain struct chain chain = CHAIN_INIT;
    auto_reach struct reach reach = REACH_INIT;
    uint64_t from = 1 + random_below(random, 5);
    if (from > random->limits[1])
        from = random->limits[1];

    CHECK_OK(chain_build(&chain, &random->catalog, random->timeline_count - 1, &err));
    reach_find(&reach, &chain, 0, from);
    uint64_t hole = 0;
    for (uint64_t txid = from + 1; txid <= reach.newest_txid && hole == 0; txid++)
        hole = random_is_told(random, txid) ? 0 : txid;
    assert_int_equal(reach.has_hole, hole != 0);
    if (hole != 0)
        assert_int_equal(reach.hole_first, hole);
    assert_false(random_is_told(random, reach.newest_txid + 1));

    for (uint64_t txid = from; txid <= reach.newest_txid + 2; txid++) {
        uint64_t cost = random_cost(random, from, txid);
        assert_int_equal(reach_has(&reach, txid), cost != UINT64_MAX);
        if (cost == UINT64_MAX)
            continue;
        auto_route struct route route = ROUTE_INIT;
        route_find(&route, &reach, txid);
        check_route(&route, from, txid);
        assert_int_equal(route.size + route.object_count * ROUTE_OBJECT_COST, cost);
    }
}

static void every_point_and_the_cheapest_way_are_found(void **state)
{
    const char *seed_text = getenv("SEAWAL_SEED");
    uint64_t seed = seed_text != NULL ? strtoull(seed_text, NULL, 10) : 1;
    (void)state;

    print_message("seed %lu\n", (unsigned long)seed);
    for (uint64_t round = 0; round < 20000; round++) {
        struct random_case random = {
            .state = (seed * 1000003 + round) * UINT64_C(0x9e3779b97f4a7c15) + 1,
        };
        random_make(&random);
        random_check(&random);
        catalog_release(&random.catalog);
    }
}

/* A day of transactions a second, merged by minutes and hours: a plan takes no time to speak of. */
static void a_long_history_is_planned(void **state)
{
    enum { SECOND_COUNT = 3 * 86400 };
    struct error err;
    auto_catalog struct catalog catalog = CATALOG_INIT;
    auto_chain struct chain chain = CHAIN_INIT;
    auto_reach struct reach reach = REACH_INIT;
    auto_route struct route route = ROUTE_INIT;
    (void)state;

    static const uint64_t windows[] = { 1, 60, 3600 };
    for (unsigned level = 0; level < array_count(windows); level++) {
        for (uint64_t min = 2; min + windows[level] - 1 <= SECOND_COUNT; min += windows[level]) {
            struct name_spec spec = { .timeline = 1, .level = level, .min_txid = min };
            spec.max_txid = min + windows[level] - 1;
            spec.size = 600 * windows[level] / (level + 1);
            names_add(&catalog, &spec);
        }
    }
    names_claim(&catalog, 1, 0, 0, true);
    CHECK_OK(chain_build(&chain, &catalog, 0, &err));
    reach_find(&reach, &chain, 0, 1);
    assert_int_equal(reach.range_count, 1);
    route_find(&route, &reach, SECOND_COUNT);
    check_route(&route, 1, SECOND_COUNT);
    assert_true(route.object_count < 72 + 60 + 60);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_timeline),
        cmocka_unit_test(a_child_continues_its_parent),
        cmocka_unit_test(a_childs_first_segment_must_follow),
        cmocka_unit_test(within_a_merged_segment_is_no_point),
        cmocka_unit_test(a_merged_segment_may_begin_before_the_snapshot),
        cmocka_unit_test(few_objects_and_bytes_are_preferred),
        cmocka_unit_test(a_fork_cuts_merged_segments),
        cmocka_unit_test(every_point_and_the_cheapest_way_are_found),
        cmocka_unit_test(a_long_history_is_planned),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
