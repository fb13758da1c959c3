/*
 * snapshot_rule: what is uploaded follows what changed, whatever the database's size
 */
#include "harness/check.h"
#include "snapshot_rule_priv.h"

#include "../../../src/replica/merge_book_priv.h"

#include <inttypes.h>

#define GIB (UINT64_C(1) << 30)

static const struct snapshot_config usual = { .log_percent = 50 };

static void nothing_pays_without_a_change_or_a_snapshot(void **state)
{
    struct snapshot_account account = { .log_size = GIB, .behind_size = GIB };
    struct snapshot_config timed = { .interval_ms = 1000, .log_percent = 50 };
    (void)state;

    assert_false(snapshot_is_due(&account, &timed, 5000));
    account.snapshot_size = GIB;
    account.log_size = 0;
    assert_false(snapshot_is_due(&account, &timed, 5000));
    account.log_size = 1;
    account.behind_size = 0;
    assert_false(snapshot_is_due(&account, &usual, 5000));
    account.snapshot_time_ms = 4001;
    assert_false(snapshot_is_due(&account, &timed, 5000));
    assert_true(snapshot_is_due(&account, &timed, 5001));
}

static void a_share_of_the_snapshot_is_enough_but_for_small_ones(void **state)
{
    struct snapshot_account account = { .snapshot_size = GIB, .log_size = 1 };
    (void)state;

    account.behind_size = GIB / 100 * 49;
    assert_false(snapshot_is_due(&account, &usual, 0));
    account.behind_size = GIB / 100 * 51;
    assert_true(snapshot_is_due(&account, &usual, 0));
    account.snapshot_size = 4096;
    account.behind_size = SNAPSHOT_BEHIND_SIZE_MIN;
    assert_false(snapshot_is_due(&account, &usual, 0));
    account.behind_size++;
    assert_true(snapshot_is_due(&account, &usual, 0));
}

/* ---- a large database of which a hundredth changes every day */

enum { DAYS = 120, MINUTES_A_DAY = 1440 };

struct year {
    struct merge_book book;
    uint64_t uploaded;
    uint64_t largest_count; /* of segments in the book */
    unsigned snapshots;
};

/* Transaction N is that of minute N. */
static void year_merge(
    struct year *year, unsigned level, uint64_t first, uint64_t last, uint64_t size)
{
    struct merge_source source = {
        .level = level,
        .name = { .min_txid = first, .max_txid = last, .time_ms = (int64_t)last * 60000 },
        .size = size,
    };

    merge_book_add(&year->book, &source);
    merge_book_prune(&year->book);
    year->uploaded += size;
    if (year->book.count > year->largest_count)
        year->largest_count = year->book.count;
}

static void what_is_uploaded_follows_what_changed(void **state)
{
    const uint64_t database_size = 100 * GIB;
    const uint64_t minute_size = database_size / 100 / MINUTES_A_DAY;
    struct year year = { .book = { .top_level = 3 } };
    (void)state;

    for (uint64_t minute = 1; minute <= (uint64_t)DAYS * MINUTES_A_DAY; minute++) {
        year.uploaded += minute_size; /* level 0, no page of it small */
        year_merge(&year, 1, minute, minute, minute_size);
        if (minute % 60 == 0)
            year_merge(&year, 2, minute - 59, minute, 60 * minute_size);
        if (minute % MINUTES_A_DAY == 0)
            year_merge(&year, 3, minute - MINUTES_A_DAY + 1, minute, MINUTES_A_DAY * minute_size);
        struct snapshot_account account = {
            .snapshot_size = database_size,
            .log_size = 1,
            .behind_size = year.book.size,
        };
        if (snapshot_is_due(&account, &usual, 0)) {
            year.snapshots++;
            year.uploaded += database_size;
            year.book.size = 0;
        }
    }
    uint64_t changed = (uint64_t)DAYS * MINUTES_A_DAY * minute_size;
    print_message("%u snapshots in %d days; uploaded %.1f times what changed; %" PRIu64
                  " segments known at most\n",
        year.snapshots, DAYS, (double)year.uploaded / (double)changed, year.largest_count);
    assert_int_equal(year.snapshots, 2); /* half of it changed in 50 days */
    /* Each of four levels once, and a snapshot for each half of the database; not a full one a day.
     */
    assert_true(year.uploaded <= 6 * changed);
    assert_true(year.largest_count <= 60 + 24 + 3);
    merge_book_release(&year.book);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_pays_without_a_change_or_a_snapshot),
        cmocka_unit_test(a_share_of_the_snapshot_is_enough_but_for_small_ones),
        cmocka_unit_test(what_is_uploaded_follows_what_changed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
