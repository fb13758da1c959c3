/* test_txid_set - ranges of transactions against an array of booleans */
#include "harness/check.h"

#include "../../../src/replica/txid_set_priv.h"
#include "base/alloc.h"

#include <stdio.h>
#include <stdlib.h>

enum { TXID_COUNT = 64, ROUND_COUNT = 2000 };

static uint64_t random_state;

static uint64_t random_below(uint64_t below)
{
    random_state = random_state * UINT64_C(6364136223846793005) + 1442695040888963407U;
    return (random_state >> 33) % below;
}

/* Ascending, apart, and just what FLAGS say. */
static void check_set(const struct txid_set *set, const bool *flags)
{
    for (size_t i = 0; i < set->range_count; i++) {
        assert_true(set->ranges[i].first_txid <= set->ranges[i].last_txid);
        if (i > 0)
            assert_true(set->ranges[i].first_txid > set->ranges[i - 1].last_txid + 1);
    }
    for (uint64_t txid = 0; txid < TXID_COUNT; txid++)
        assert_int_equal(txid_set_has_all(set, txid, txid), flags[txid]);
}

static void fill(struct txid_set *set, bool *flags)
{
    memset(flags, 0, TXID_COUNT);
    for (uint64_t i = random_below(6); i > 0; i--) {
        uint64_t first = random_below(TXID_COUNT);
        uint64_t last = first + random_below(TXID_COUNT - first);
        if (random_below(2) == 0)
            last = first;
        txid_set_add(set, first, last);
        memset(flags + first, 1, last - first + 1);
        check_set(set, flags);
    }
}

static void sets_are_what_an_array_says(void **state)
{
    const char *seed = getenv("SEAWAL_SEED");

    (void)state;
    random_state = seed != NULL ? strtoull(seed, NULL, 10) : 1;
    print_message("SEAWAL_SEED=%llu\n", (unsigned long long)random_state);
    for (int round = 0; round < ROUND_COUNT; round++) {
        auto_txid_set struct txid_set left = TXID_SET_INIT;
        auto_txid_set struct txid_set right = TXID_SET_INIT;
        auto_txid_set struct txid_set common = TXID_SET_INIT;
        auto_txid_set struct txid_set minus = TXID_SET_INIT;
        bool in_left[TXID_COUNT];
        bool in_right[TXID_COUNT];
        bool flags[TXID_COUNT];

        fill(&left, in_left);
        fill(&right, in_right);
        txid_set_common(&common, &left, &right);
        for (size_t i = 0; i < TXID_COUNT; i++)
            flags[i] = in_left[i] && in_right[i];
        check_set(&common, flags);
        txid_set_minus(&minus, &left, &right);
        for (size_t i = 0; i < TXID_COUNT; i++)
            flags[i] = in_left[i] && !in_right[i];
        check_set(&minus, flags);
        txid_set_add_all(&left, &right);
        for (size_t i = 0; i < TXID_COUNT; i++)
            flags[i] = in_left[i] || in_right[i];
        check_set(&left, flags);
    }
}

static void ranges_are_found_whole(void **state)
{
    auto_txid_set struct txid_set set = TXID_SET_INIT;

    (void)state;
    txid_set_add(&set, 5, 9);
    txid_set_add(&set, 20, 29);
    assert_true(txid_set_has_all(&set, 5, 9));
    assert_true(txid_set_has_all(&set, 21, 21));
    assert_false(txid_set_has_all(&set, 5, 10));
    assert_false(txid_set_has_all(&set, 9, 20));
    assert_int_equal(txid_set_at(&set, 9), 0);
    assert_int_equal(txid_set_at(&set, 10), 1);
    assert_int_equal(txid_set_at(&set, 30), 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sets_are_what_an_array_says),
        cmocka_unit_test(ranges_are_found_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
