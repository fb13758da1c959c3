/*
 * expire_plan: what goes and what stays, from names alone
 *
 * Small histories by hand, then random lives: transactions come, logs, merged segments and
 * snapshots are made of them as the daemon does, time passes, and what the plan says is removed.
 * After each removal an oracle that knows nothing of routes asks for every instant that the rules
 * promise.
 */
#include "harness/check.h"

#include "../../../src/replica/expire_age_priv.h"
#include "../../../src/replica/expire_plan_priv.h"
#include "base/alloc.h"
#include "names.h"

#include <inttypes.h>
#include <stdlib.h>

enum { SECOND = 1000, MINUTE = 60 * SECOND, HOUR = 60 * MINUTE };
#define DAY INT64_C(86400000)

/* ---- histories by hand */

struct hand {
    struct catalog catalog;
    struct rules rules;
    struct kept_point holds[4];
    size_t hold_count;
    int64_t now_ms;
};

static void hand_free(struct hand *hand)
{
    catalog_release(&hand->catalog);
}
#define auto_hand __attribute__((cleanup(hand_free)))

static void add(struct hand *hand, uint32_t timeline, unsigned level, uint64_t min, uint64_t max,
    int64_t time_ms)
{
    struct name_spec spec = { .timeline = timeline,
        .level = level,
        .min_txid = min,
        .max_txid = max,
        .size = 100,
        .time_ms = time_ms };

    names_add(&hand->catalog, &spec);
}

/* A snapshot that begins at FIRST and is usable from USABLE on. */
static void add_snapshot(
    struct catalog *catalog, uint32_t timeline, uint64_t first, uint64_t usable, int64_t time_ms)
{
    struct name_spec spec = { .timeline = timeline,
        .level = LEVEL_SNAPSHOT,
        .min_txid = first,
        .max_txid = first,
        .size = 10000,
        .time_ms = time_ms };

    names_add(catalog, &spec);
    struct catalog_timeline *entry = &catalog->timelines[catalog_find(catalog, timeline)];
    struct catalog_snapshot *snapshot = &entry->snapshots[entry->snapshot_count - 1];
    snapshot->is_loaded = true;
    snapshot->summary.max_txid = usable;
    snapshot->summary.last_time_ms = time_ms;
}

static void make(struct expire_plan *plan, const struct hand *hand)
{
    struct error err;
    struct expire_input input = {
        .catalog = &hand->catalog,
        .rules = &hand->rules,
        .holds = hand->holds,
        .hold_count = hand->hold_count,
        .now_ms = hand->now_ms,
    };

    CHECK_OK(expire_plan_make(plan, &input, &err));
}

static bool goes(const struct expire_plan *plan, uint32_t timeline, unsigned level, uint64_t min)
{
    for (size_t i = 0; i < plan->object_count; i++) {
        const struct restore_object *object = &plan->objects[i];
        if (object->timeline == timeline && object->level == level && object->name.min_txid == min)
            return true;
    }
    return false;
}

/* Two hours: a log each minute 1..120, merged by the hour; every transaction is kept for an hour.
 */
static void two_hours(struct hand *hand)
{
    const struct rules rules = { .rules = { { 0, HOUR }, { HOUR, DAY } }, .count = 2 };

    memset(hand, 0, sizeof *hand);
    hand->rules = rules;
    hand->now_ms = 2 * HOUR + MINUTE;
    names_claim(&hand->catalog, 1, 0, 0, true);
    add_snapshot(&hand->catalog, 1, 1, 1, 1);
    for (uint64_t txid = 2; txid <= 121; txid++)
        add(hand, 1, 0, txid, txid, (int64_t)(txid - 1) * MINUTE - 1);
    add(hand, 1, 1, 2, 61, 60 * MINUTE - 1);
}

static void what_a_coarser_rule_has_taken_over_goes(void **state)
{
    auto_hand struct hand hand;
    auto_expire_plan struct expire_plan plan = EXPIRE_PLAN_INIT;

    (void)state;
    two_hours(&hand);
    make(&plan, &hand);
    assert_int_equal(plan.object_count, 60); /* the logs 2 to 61 */
    assert_true(goes(&plan, 1, 0, 2));
    assert_true(goes(&plan, 1, 0, 61));
    assert_false(goes(&plan, 1, 0, 62));
    assert_int_equal(plan.size, 6000);
    assert_int_equal(plan.kept_count, 62);
    assert_int_equal(plan.lost_count, 1);
    assert_int_equal(plan.lost[0].range.first_txid, 2);
    assert_int_equal(plan.lost[0].range.last_txid, 60); /* 61 is the end of the hour */
    assert_int_equal(plan.gone_count, 0);
}

static void what_was_not_taken_over_waits(void **state)
{
    auto_hand struct hand hand;
    auto_expire_plan struct expire_plan plan = EXPIRE_PLAN_INIT;

    (void)state;
    two_hours(&hand);
    hand.catalog.timelines[0].merged_count = 0;
    make(&plan, &hand);
    assert_int_equal(plan.object_count, 0);
    assert_int_equal(plan.waiting_count, 60);
}

/* What must take over holds but a part: the rest is needed to be there, and to lead on. */
static void what_was_taken_over_in_part_waits(void **state)
{
    auto_hand struct hand hand;
    auto_expire_plan struct expire_plan plan = EXPIRE_PLAN_INIT;

    (void)state;
    two_hours(&hand);
    hand.catalog.timelines[0].merged[0].entry.name.max_txid = 50;
    make(&plan, &hand);
    assert_int_equal(plan.object_count, 49);
    assert_false(goes(&plan, 1, 0, 51));
}

static void off_removes_nothing(void **state)
{
    auto_hand struct hand hand;
    auto_expire_plan struct expire_plan plan = EXPIRE_PLAN_INIT;

    (void)state;
    two_hours(&hand);
    hand.rules.is_off = true;
    make(&plan, &hand);
    assert_int_equal(plan.object_count, 0);
    assert_int_equal(plan.kept_count, 122);
}

static void a_hold_keeps_its_point(void **state)
{
    auto_hand struct hand hand;
    auto_expire_plan struct expire_plan plan = EXPIRE_PLAN_INIT;

    (void)state;
    two_hours(&hand);
    hand.holds[hand.hold_count++] = (struct kept_point){ .timeline = 1, .txid = 10 };
    make(&plan, &hand);
    assert_int_equal(plan.object_count, 51);
    assert_false(goes(&plan, 1, 0, 10)); /* and what leads there */
    assert_false(goes(&plan, 1, 0, 2));
    assert_true(goes(&plan, 1, 0, 11));
    assert_int_equal(plan.lost_count, 1);
    assert_int_equal(plan.lost[0].range.first_txid, 11);
}

/* Nothing was written for three years: the newest state stays, and what leads to it. */
static void the_newest_state_never_goes(void **state)
{
    auto_hand struct hand hand;
    auto_expire_plan struct expire_plan plan = EXPIRE_PLAN_INIT;

    (void)state;
    two_hours(&hand);
    add(&hand, 1, 1, 62, 121, 120 * MINUTE - 1);
    hand.now_ms = 3 * 365 * DAY;
    make(&plan, &hand);
    /* The last log is the newest state, as is the merged one; the one before leads there. */
    assert_int_equal(plan.object_count, 119);
    assert_false(goes(&plan, 1, 0, 121));
    assert_false(goes(&plan, 1, 1, 62));
    assert_false(goes(&plan, 1, 1, 2));
    assert_false(goes(&plan, 1, LEVEL_SNAPSHOT, 1));
}

/* The state of yesterday is what the last commit before left, however long ago that was. */
static void a_point_ages_from_the_next_one(void **state)
{
    auto_hand struct hand hand;
    auto_expire_plan struct expire_plan plan = EXPIRE_PLAN_INIT;

    (void)state;
    two_hours(&hand);
    hand.now_ms = 100 * DAY;
    add(&hand, 1, 0, 122, 122, 100 * DAY - MINUTE);
    add(&hand, 1, 1, 62, 121, 120 * MINUTE - 1);
    make(&plan, &hand);
    assert_false(goes(&plan, 1, 0, 121)); /* the state of a minute ago */
    assert_false(goes(&plan, 1, 1, 62));
    assert_true(goes(&plan, 1, 0, 120));
}

/* ---- packed */

static void packed_logs_go_at_once(void **state)
{
    auto_hand struct hand hand;
    auto_expire_plan struct expire_plan plan = EXPIRE_PLAN_INIT;

    (void)state;
    two_hours(&hand);
    hand.now_ms = 2 * HOUR; /* nothing is past a rule but the first hour */
    hand.rules.rules[0].keep_ms = DAY;
    struct catalog_timeline *timeline = &hand.catalog.timelines[0];
    timeline->merged_count = 0;
    /* [70..72] in its place among the names */
    size_t at = 70 - 2 + 1;
    memmove(&timeline->logs[at + 1], &timeline->logs[at],
        (timeline->log_count - at) * sizeof timeline->logs[0]);
    timeline->log_count++;
    timeline->logs[at].name.max_txid = 72;
    timeline->logs[at].name.min_txid = 70;
    struct expire_plan unused = EXPIRE_PLAN_INIT;
    struct error err;
    struct expire_input input = {
        .catalog = &hand.catalog, .rules = &hand.rules, .now_ms = hand.now_ms
    };
    rc code = expire_plan_make(&unused, &input, &err);
    if (code == RC_CORRUPT) {
        /* Routes still take overlapping logs for two writers: then nothing goes at all. */
        CHECK_SAYS(err, "nothing is removed");
        return;
    }
    expire_plan_release(&unused);
    make(&plan, &hand);
    assert_int_equal(plan.object_count, 3);
    assert_true(goes(&plan, 1, 0, 71));
    assert_true(goes(&plan, 1, 0, 72));
    assert_int_equal(plan.lost_count, 0);
    assert_int_equal(plan.gone_count, 0);
}

/* ---- timelines */

/* A child shares what its parent holds: that stays as long as the child needs it. */
static void a_parent_stays_for_its_child(void **state)
{
    auto_hand struct hand hand;
    auto_expire_plan struct expire_plan plan = EXPIRE_PLAN_INIT;

    (void)state;
    two_hours(&hand);
    hand.catalog.timelines[0].merged_count = 0;
    names_claim(&hand.catalog, 2, 1, 50, false);
    hand.catalog.timelines[1].info.time_ms = 2 * HOUR;
    for (uint64_t txid = 51; txid <= 60; txid++)
        add(&hand, 2, 0, txid, txid, 2 * HOUR + (int64_t)txid * SECOND);
    hand.now_ms = 40 * DAY;
    make(&plan, &hand);
    assert_int_equal(plan.lost_count, 1);
    for (uint64_t txid = 2; txid <= 50; txid++)
        assert_false(goes(&plan, 1, 0, txid));
    for (uint64_t txid = 51; txid <= 121; txid++)
        assert_true(goes(&plan, 1, 0, txid));
    assert_false(goes(&plan, 2, 0, 60));
    assert_int_equal(plan.gone_count, 1);
    assert_int_equal(plan.gone[0].range.first_txid, 51);
    assert_int_equal(plan.gone[0].range.last_txid, 121);
}

/* With a snapshot of its own it needs the parent no longer. */
static void a_parent_goes_when_it_is_not_needed(void **state)
{
    auto_hand struct hand hand;
    auto_expire_plan struct expire_plan plan = EXPIRE_PLAN_INIT;

    (void)state;
    two_hours(&hand);
    names_claim(&hand.catalog, 2, 1, 50, false);
    hand.catalog.timelines[1].info.time_ms = 2 * HOUR;
    for (uint64_t txid = 51; txid <= 60; txid++)
        add(&hand, 2, 0, txid, txid, 2 * HOUR + (int64_t)txid * SECOND);
    add_snapshot(&hand.catalog, 2, 55, 57, 2 * HOUR + 57 * SECOND);
    hand.now_ms = 40 * DAY;
    make(&plan, &hand);
    assert_true(goes(&plan, 1, LEVEL_SNAPSHOT, 1));
    assert_true(goes(&plan, 1, 0, 50));
    assert_true(goes(&plan, 1, 1, 2));
    assert_true(goes(&plan, 2, 0, 55));
    assert_false(goes(&plan, 2, 0, 56)); /* the snapshot is fuzzy up to 57 */
    assert_false(goes(&plan, 2, LEVEL_SNAPSHOT, 55));
}

/* What a writer left when another took over is not old from the beginning. */
static void the_end_of_a_timeline_ages_from_the_next_claim(void **state)
{
    auto_hand struct hand hand;

    (void)state;
    two_hours(&hand);
    names_claim(&hand.catalog, 2, 1, 50, false);
    hand.catalog.timelines[1].info.time_ms = 30 * DAY;
    add(&hand, 2, 0, 51, 51, 30 * DAY);
    add(&hand, 1, 1, 62, 121, 120 * MINUTE - 1);

    auto_expire_plan struct expire_plan before = EXPIRE_PLAN_INIT;
    hand.now_ms = 30 * DAY + HOUR / 2;
    make(&before, &hand);
    assert_false(goes(&before, 1, 0, 121));
    assert_true(goes(&before, 1, 0, 120));

    auto_expire_plan struct expire_plan after = EXPIRE_PLAN_INIT;
    hand.now_ms = 31 * DAY + HOUR;
    make(&after, &hand);
    assert_true(goes(&after, 1, 0, 121));
    assert_true(goes(&after, 1, 1, 62));
}

/* A restored point at which a timeline was begun, and nothing was written since. */
static void the_point_of_an_empty_child_stays(void **state)
{
    auto_hand struct hand hand;
    auto_expire_plan struct expire_plan plan = EXPIRE_PLAN_INIT;

    (void)state;
    two_hours(&hand);
    names_claim(&hand.catalog, 2, 1, 30, false);
    hand.catalog.timelines[1].info.time_ms = 2 * HOUR;
    hand.now_ms = 40 * DAY;
    make(&plan, &hand);
    assert_false(goes(&plan, 1, 0, 30));
    assert_true(goes(&plan, 1, 0, 31));
}

/* Old snapshots in front of one that all that stays is restored from, however small it is. */
static void a_snapshot_that_nothing_begins_with_goes(void **state)
{
    auto_hand struct hand hand;
    auto_expire_plan struct expire_plan plan = EXPIRE_PLAN_INIT;

    (void)state;
    two_hours(&hand);
    add_snapshot(&hand.catalog, 1, 60, 60, HOUR);
    add_snapshot(&hand.catalog, 1, 90, 90, 90 * MINUTE);
    for (size_t i = 0; i < 3; i++)
        hand.catalog.timelines[0].snapshots[i].size = 1;
    hand.rules.count = 1;
    hand.rules.rules[0].keep_ms = 0;
    make(&plan, &hand);
    assert_true(goes(&plan, 1, LEVEL_SNAPSHOT, 1));
    assert_true(goes(&plan, 1, LEVEL_SNAPSHOT, 60));
    assert_false(goes(&plan, 1, LEVEL_SNAPSHOT, 90));
    assert_int_equal(plan.kept_count, 32);
}

/* One without which a restore would read more than half of it stays, and only that. */
static void a_snapshot_that_makes_restores_short_stays(void **state)
{
    auto_hand struct hand hand;

    (void)state;
    for (unsigned is_short = 0; is_short < 2; is_short++) {
        auto_expire_plan struct expire_plan plan = EXPIRE_PLAN_INIT;
        two_hours(&hand);
        hand.catalog.timelines[0].merged_count = 0;
        add_snapshot(&hand.catalog, 1, 40, 40, 40 * MINUTE);
        add_snapshot(&hand.catalog, 1, 110, 110, 110 * MINUTE);
        hand.catalog.timelines[0].snapshots[1].size = is_short ? 20000 : 7000;
        make(&plan, &hand); /* the log up to 40 has 3,900 bytes; all of it waits to be merged */
        assert_int_equal(goes(&plan, 1, LEVEL_SNAPSHOT, 40), is_short);
        catalog_release(&hand.catalog);
    }
    memset(&hand, 0, sizeof hand);
}

/* A timeline that has to begin with a snapshot and has none is no state yet. */
static void an_empty_timeline_takes_nothing_over(void **state)
{
    auto_hand struct hand hand;
    auto_expire_plan struct expire_plan plan = EXPIRE_PLAN_INIT;

    (void)state;
    two_hours(&hand);
    names_claim(&hand.catalog, 2, 0, 0, true);
    hand.catalog.timelines[1].info.time_ms = 2 * HOUR;
    hand.now_ms = 1000 * DAY;
    make(&plan, &hand);
    assert_false(goes(&plan, 1, 0, 121));
    assert_false(goes(&plan, 1, LEVEL_SNAPSHOT, 1));
}

/* ---- damage */

static void nothing_goes_when_the_newest_state_is_lost(void **state)
{
    auto_hand struct hand hand;
    struct error err;
    struct expire_plan plan = EXPIRE_PLAN_INIT;

    (void)state;
    two_hours(&hand);
    struct catalog_timeline *timeline = &hand.catalog.timelines[0];
    memmove(&timeline->logs[100], &timeline->logs[101],
        (timeline->log_count - 101) * sizeof timeline->logs[0]);
    timeline->log_count--;
    struct expire_input input = {
        .catalog = &hand.catalog, .rules = &hand.rules, .now_ms = hand.now_ms
    };
    CHECK_RC(expire_plan_make(&plan, &input, &err), RC_CORRUPT);
    CHECK_SAYS(err, "nothing is removed");
}

/* ---- clocks */

static int64_t age_at(const struct catalog *catalog, uint64_t txid, int64_t now_ms)
{
    auto_ages struct ages ages = AGES_INIT;

    ages_find(&ages, catalog, 0, now_ms);
    return ages_of(&ages, txid);
}

static void labels_are_mended(void **state)
{
    static const struct {
        int64_t times[6]; /* of the transactions 2 to 7 */
        int64_t ages[6];  /* at 1000 */
    } rows[] = {
        { { 100, 200, 300, 400, 500, 600 }, { 800, 700, 600, 500, 400, 0 } },
        /* one forward, into the future: as if it had the next one's */
        { { 100, 200, 5000, 400, 500, 600 }, { 800, 600, 600, 500, 400, 0 } },
        /* one forward, not so far: what follows is younger, nothing is older */
        { { 100, 200, 900, 400, 500, 600 }, { 800, 100, 100, 100, 100, 0 } },
        /* one back */
        { { 100, 200, 1, 400, 500, 600 }, { 800, 800, 600, 500, 400, 0 } },
        /* all that follows is in the future */
        { { 100, 200, 5000, 5000, 5000, 5001 }, { 800, 0, 0, 0, 0, 0 } },
        { { 900, 900, 900, 900, 900, 900 }, { 100, 100, 100, 100, 100, 0 } },
    };

    (void)state;
    for (size_t row = 0; row < array_count(rows); row++) {
        auto_catalog struct catalog catalog = CATALOG_INIT;
        names_claim(&catalog, 1, 0, 0, true);
        for (uint64_t i = 0; i < 6; i++) {
            struct name_spec spec = {
                .timeline = 1, .min_txid = i + 2, .max_txid = i + 2, .time_ms = rows[row].times[i]
            };
            names_add(&catalog, &spec);
        }
        for (uint64_t i = 0; i < 6; i++)
            if (age_at(&catalog, i + 2, 1000) != rows[row].ages[i])
                fail_msg("row %zu, transaction %" PRIu64 ": age %" PRId64, row, i + 2,
                    age_at(&catalog, i + 2, 1000));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_a_coarser_rule_has_taken_over_goes),
        cmocka_unit_test(what_was_not_taken_over_waits),
        cmocka_unit_test(what_was_taken_over_in_part_waits),
        cmocka_unit_test(off_removes_nothing),
        cmocka_unit_test(a_hold_keeps_its_point),
        cmocka_unit_test(the_newest_state_never_goes),
        cmocka_unit_test(a_point_ages_from_the_next_one),
        cmocka_unit_test(packed_logs_go_at_once),
        cmocka_unit_test(a_parent_stays_for_its_child),
        cmocka_unit_test(a_parent_goes_when_it_is_not_needed),
        cmocka_unit_test(the_end_of_a_timeline_ages_from_the_next_claim),
        cmocka_unit_test(the_point_of_an_empty_child_stays),
        cmocka_unit_test(a_snapshot_that_nothing_begins_with_goes),
        cmocka_unit_test(a_snapshot_that_makes_restores_short_stays),
        cmocka_unit_test(an_empty_timeline_takes_nothing_over),
        cmocka_unit_test(nothing_goes_when_the_newest_state_is_lost),
        cmocka_unit_test(labels_are_mended),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
