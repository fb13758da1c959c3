/*
 * chain: how far the log leads, from names alone
 */
#include "harness/check.h"

#include "../../../src/replica/catalog_priv.h"
#include "base/alloc.h"

static void add(struct catalog *catalog, uint32_t timeline, uint64_t min, uint64_t max)
{
    struct error err;
    struct replica_key key = {
        .kind = REPLICA_KEY_SEGMENT,
        .timeline = timeline,
        .name = { .min_txid = min, .max_txid = max, .time_ms = 1 },
    };
    CHECK_OK(catalog_add(catalog, &key, 10, &err));
}

static void claim(
    struct catalog *catalog, uint32_t timeline, uint32_t parent, uint64_t parent_txid, bool own)
{
    struct error err;
    struct replica_key key = { .kind = REPLICA_KEY_TIMELINE, .timeline = timeline };
    CHECK_OK(catalog_add(catalog, &key, 10, &err));
    struct catalog_timeline *entry = &catalog->timelines[catalog_find(catalog, timeline)];
    entry->is_loaded = true;
    entry->info = (struct replica_timeline){
        .timeline = timeline,
        .parent_timeline = parent,
        .parent_txid = parent_txid,
        .own_snapshot = own,
    };
}

struct expected {
    size_t span;
    uint64_t from;
    uint64_t up_to;
    uint64_t end;
    size_t end_span;
    size_t count;
    bool has_hole;
    uint64_t hole_first;
    uint64_t hole_last;
};

static void check(const struct catalog *catalog, uint32_t leaf, const struct expected *expected)
{
    struct error err;
    auto_chain struct chain chain = CHAIN_INIT;
    CHECK_OK(chain_build(&chain, catalog, catalog_find(catalog, leaf), &err));
    struct chain_start start = {
        .span_index = expected->span,
        .from_txid = expected->from,
        .up_to_txid = expected->up_to != 0 ? expected->up_to : TXID_MAX,
    };
    struct restore_object objects[16];
    struct chain_run run;
    chain_run(&chain, &start, objects, &run);
    assert_int_equal(run.end_txid, expected->end);
    assert_int_equal(run.end_span, expected->end_span);
    assert_int_equal(run.segment_count, expected->count);
    assert_int_equal(run.size, 10 * expected->count);
    assert_int_equal(run.has_hole, expected->has_hole);
    assert_int_equal(run.hole_first, expected->hole_first);
    assert_int_equal(run.hole_last, expected->hole_last);
    uint64_t next = expected->from + 1;
    for (size_t i = 0; i < run.segment_count; i++) {
        assert_int_equal(objects[i].first_txid, next);
        assert_true(objects[i].name.min_txid <= next);
        assert_true(objects[i].last_txid <= objects[i].name.max_txid);
        next = objects[i].last_txid + 1;
    }
    assert_int_equal(next, run.end_txid + 1);
}

static void one_timeline(void **state)
{
    auto_catalog struct catalog catalog = CATALOG_INIT;
    (void)state;

    add(&catalog, 1, 2, 4);
    add(&catalog, 1, 5, 5);
    add(&catalog, 1, 6, 9);
    add(&catalog, 1, 12, 13);
    add(&catalog, 1, 13, 14);
    claim(&catalog, 1, 0, 0, true);
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

    add(&catalog, 1, 2, 6);
    add(&catalog, 1, 7, 12);
    add(&catalog, 2, 10, 11);
    add(&catalog, 2, 12, 15);
    add(&catalog, 4, 13, 14);
    claim(&catalog, 1, 0, 0, true);
    claim(&catalog, 2, 1, 9, false);  /* in the middle of a segment of its parent */
    claim(&catalog, 3, 2, 12, false); /* nothing of its own */
    claim(&catalog, 4, 3, 12, false); /* behind one that is empty */
    claim(&catalog, 5, 1, 9, true);   /* does not continue */
    claim(&catalog, 6, 2, 20, false); /* its parent is short */
    const struct {
        uint32_t leaf;
        struct expected expected;
    } all[] = {
        { 1, { .from = 1, .end = 12, .count = 2 } },
        { 2, { .from = 1, .end = 15, .end_span = 1, .count = 4 } },
        { 2, { .from = 1, .up_to = 9, .end = 9, .end_span = 0, .count = 2 } },
        { 2, { .from = 1, .up_to = 10, .end = 10, .end_span = 1, .count = 3 } },
        { 2, { .span = 1, .from = 11, .end = 15, .end_span = 1, .count = 1 } },
        { 3, { .from = 1, .end = 12, .end_span = 1, .count = 4 } },
        { 4, { .from = 1, .end = 14, .end_span = 3, .count = 5 } },
        { 5, { .from = 1, .end = 9, .end_span = 0, .count = 2 } },
        { 6, { .from = 1,
                 .end = 15,
                 .end_span = 1,
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

    add(&catalog, 1, 2, 6);
    add(&catalog, 2, 8, 9);
    add(&catalog, 3, 5, 9);
    claim(&catalog, 1, 0, 0, true);
    claim(&catalog, 2, 1, 6, false);
    claim(&catalog, 3, 1, 6, false);
    struct expected lost = { .from = 1, .end = 6, .count = 1, .has_hole = true };
    lost.hole_first = 7;
    lost.hole_last = 7;
    check(&catalog, 2, &lost);
    struct expected twice = { .from = 1, .end = 6, .count = 1, .has_hole = true };
    twice.hole_first = 5;
    twice.hole_last = 4;
    check(&catalog, 3, &twice);
}

static void impossible_parents_are_refused(void **state)
{
    struct error err;
    auto_catalog struct catalog catalog = CATALOG_INIT;
    auto_chain struct chain chain = CHAIN_INIT;
    (void)state;

    claim(&catalog, 2, 1, 9, false);
    CHECK_RC(chain_build(&chain, &catalog, 0, &err), RC_CORRUPT);
    claim(&catalog, 1, 0, 0, true);
    claim(&catalog, 3, 2, 8, false);
    CHECK_OK(chain_build(&chain, &catalog, catalog_find(&catalog, 2), &err));
    chain_release(&chain);
    CHECK_RC(chain_build(&chain, &catalog, catalog_find(&catalog, 3), &err), RC_CORRUPT);
}

static void segments_need_a_claimed_timeline(void **state)
{
    struct error err;
    auto_catalog struct catalog catalog = { .has_header = true };
    (void)state;

    CHECK_OK(catalog_check(&catalog, &err));
    add(&catalog, 7, 2, 3);
    CHECK_RC(catalog_check(&catalog, &err), RC_CORRUPT);
    claim(&catalog, 7, 0, 0, true);
    CHECK_OK(catalog_check(&catalog, &err));
    catalog.has_header = false;
    CHECK_RC(catalog_check(&catalog, &err), RC_CORRUPT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_timeline),
        cmocka_unit_test(a_child_continues_its_parent),
        cmocka_unit_test(a_childs_first_segment_must_follow),
        cmocka_unit_test(impossible_parents_are_refused),
        cmocka_unit_test(segments_need_a_claimed_timeline),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
