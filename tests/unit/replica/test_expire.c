/*
 * expire: what is condemned and removed in a real store, and what restores at every moment
 */
#include "model.h"

#include "harness/fault.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/fs.h"
#include "base/text.h"
#include "replica/expire.h"
#include "replica/hold.h"

enum { SECOND = 1000, MINUTE = 60 * SECOND, HOUR = 60 * MINUTE, GRACE = 8 * MINUTE };

static const struct rules short_rules = {
    .rules = { { .every_ms = 0, .keep_ms = 5 * MINUTE },
        { .every_ms = MINUTE, .keep_ms = 2 * HOUR } },
    .count = 2,
};

static struct restore_target at_txid(uint64_t txid)
{
    return (struct restore_target){ .kind = RESTORE_TXID, .txid = txid };
}

/* Nothing may fail. */
static void expire(
    struct model *model, const struct rules *rules, int64_t now_ms, struct expire_report *report)
{
    struct expire_options options = { .rules = *rules, .grace_ms = GRACE, .now_ms = now_ms };
    struct error err;

    expire_report_release(report);
    CHECK_OK(expire_run(report, model->replica, &options, &err));
}

/* A transaction about each 10 s, each a log segment of its own; every closed minute is merged. */
static void live(struct model *model, unsigned count)
{
    uint64_t first = model->txid + 1;

    for (unsigned i = 0; i < count; i++) {
        model->now_ms += 10 * SECOND;
        model_commit(model);
        model_store_segment(model);
        int64_t time_ms = model->versions[model->txid].time_ms;
        int64_t before_ms = model->versions[model->txid - 1].time_ms;
        if (time_ms / MINUTE == before_ms / MINUTE || model->txid == first)
            continue;
        struct model_merge merge = { .level = 1, .first = first, .last = model->txid - 1 };
        model_store_merged(model, &merge);
        first = model->txid;
    }
}

static struct model *life_new(uint64_t seed, unsigned count)
{
    struct model *model = model_new(seed, 512);

    model->now_ms = clock_wall_ms() / MINUTE * MINUTE + MINUTE;
    model_snapshot(model);
    live(model, count);
    return model;
}

static size_t count_objects(const struct model *model, const char *part)
{
    size_t count = 0;
    char **paths = model_objects(model, part, &count);

    model_objects_free(paths, count);
    return count;
}

/* Whether TXID restores to what it was; else it must be certainly not there. */
static bool restores(struct model *model, uint64_t txid)
{
    struct restore_target target = at_txid(txid);
    auto_restore_plan struct restore_plan plan = RESTORE_PLAN_INIT;
    struct error err;
    rc code = restore_plan_make(&plan, model->replica, &target, &err);

    if (code == RC_OK) {
        model_check_restore(model, &target, txid);
        return true;
    }
    if (code != RC_NOT_FOUND)
        fail_msg("transaction %" PRIu64 ": %s: %s", txid, rc_name(code), err.text);
    return false;
}

static uint64_t count_gaps(struct model *model)
{
    auto_history struct history history = HISTORY_INIT;
    struct error err;

    CHECK_OK(history_read(&history, model->replica, &err));
    return history.gap_count;
}

static void an_object_goes_in_two_steps(void **state)
{
    auto_expire_report struct expire_report report = EXPIRE_REPORT_INIT;
    struct model *model = life_new(1, 60);
    int64_t now_ms = model->now_ms + SECOND;
    size_t log_count = count_objects(model, "/0/");

    (void)state;
    expire(model, &short_rules, now_ms, &report);
    assert_true(report.condemned_count > 20);
    assert_int_equal(report.condemned_count, report.object_count);
    assert_int_equal(report.removed_count, 0);
    assert_int_equal(report.lost_count > 0, 1);
    assert_true(report.lost[0].first_ms > 0);
    assert_int_equal(count_objects(model, "/expire/"), 1);
    assert_int_equal(count_objects(model, "/0/"), log_count);
    uint64_t lost = report.lost[0].first_txid;
    uint64_t condemned_count = report.condemned_count;
    assert_true(restores(model, lost)); /* as long as it is there */

    expire(model, &short_rules, now_ms + GRACE / 2, &report);
    assert_int_equal(report.removed_count, 0);
    assert_true(report.pending_count >= condemned_count);

    expire(model, &short_rules, now_ms + GRACE, &report);
    assert_int_equal(report.removed_count, condemned_count);
    assert_int_equal(count_objects(model, "/0/"), log_count - condemned_count);
    assert_false(restores(model, lost));
    assert_int_equal(count_gaps(model), 0);
    unsigned restored_count = 0;
    for (uint64_t txid = 1; txid <= model->txid; txid++)
        restored_count += restores(model, txid);
    assert_in_range(restored_count, 60 - condemned_count, 61);
    model_free(model);
}

/* What restores is named when something does not. */
static void what_was_removed_is_certainly_not_there(void **state)
{
    auto_expire_report struct expire_report report = EXPIRE_REPORT_INIT;
    auto_restore_plan struct restore_plan plan = RESTORE_PLAN_INIT;
    struct model *model = life_new(2, 60);
    int64_t now_ms = model->now_ms + SECOND;
    struct error err;

    (void)state;
    expire(model, &short_rules, now_ms, &report);
    expire(model, &short_rules, now_ms + GRACE, &report);
    uint64_t txid = 10;
    while (restores(model, txid))
        txid++;
    uint64_t before = txid - 1;
    uint64_t after = txid + 1;
    while (!restores(model, before))
        before--;
    while (!restores(model, after))
        after++;
    struct restore_target target = at_txid(txid);
    CHECK_RC(restore_plan_make(&plan, model->replica, &target, &err), RC_NOT_FOUND);
    auto_free char *text = text_format("%" PRIu64 " (", before);
    CHECK_SAYS(err, text);
    auto_free char *other = text_format("%" PRIu64 " (", after);
    CHECK_SAYS(err, other);
    CHECK_SAYS(err, "retention");

    /* By its time: the nearest one before it, and the plan says which. */
    struct restore_target time = { .kind = RESTORE_TIME, .time_ms = model->versions[txid].time_ms };
    CHECK_OK(restore_plan_make(&plan, model->replica, &time, &err));
    assert_int_equal(plan.target.txid, before);
    model_free(model);
}

/* At rest a baseline is left, what is gone is no damage, and there is nothing more to do. */
static void at_rest_little_is_left(void **state)
{
    auto_expire_report struct expire_report report = EXPIRE_REPORT_INIT;
    struct model *model = life_new(3, 60);

    (void)state;
    model_snapshot(model);
    int64_t now_ms = model->now_ms + 5 * HOUR;
    for (unsigned i = 0; i < 4; i++, now_ms += GRACE)
        expire(model, &short_rules, now_ms, &report);
    assert_int_equal(report.removed_count, 0);
    assert_int_equal(report.condemned_count, 0);
    assert_int_equal(report.object_count, 0);
    assert_int_equal(report.later_count, 0);
    assert_true(report.kept_count <= 3);
    assert_int_equal(count_objects(model, "/expire/"), 1);
    assert_false(restores(model, 20));
    assert_true(restores(model, model->txid));
    assert_int_equal(count_gaps(model), 0);

    /* And the history goes on behind it. */
    live(model, 30);
    now_ms += 3 * HOUR;
    for (unsigned i = 0; i < 4; i++, now_ms += GRACE)
        expire(model, &short_rules, now_ms, &report);
    assert_true(restores(model, model->txid));
    assert_false(restores(model, 20));
    assert_int_equal(count_gaps(model), 0);
    assert_in_range(count_objects(model, "/expire/"), 1, 2);
    model_free(model);
}

/* What is lost and was not removed is damage as before. */
static void damage_is_told_from_what_is_gone(void **state)
{
    auto_expire_report struct expire_report report = EXPIRE_REPORT_INIT;
    auto_restore_plan struct restore_plan plan = RESTORE_PLAN_INIT;
    struct model *model = life_new(4, 60);
    int64_t now_ms = model->now_ms + SECOND;
    struct error err;

    (void)state;
    expire(model, &short_rules, now_ms, &report);
    expire(model, &short_rules, now_ms + GRACE, &report);
    model_remove_logs(model, 58, 58);
    size_t count = 0;
    char **paths = model_objects(model, "/1/", &count);
    assert_int_equal(unlink(paths[count - 1]), 0);
    model_objects_free(paths, count);
    struct restore_target target = at_txid(58);
    CHECK_RC(restore_plan_make(&plan, model->replica, &target, &err), RC_CORRUPT);
    struct expire_options options = {
        .rules = short_rules, .grace_ms = GRACE, .now_ms = now_ms + 3 * GRACE
    };
    struct expire_report none = EXPIRE_REPORT_INIT;
    size_t object_count = count_objects(model, "/store/");
    CHECK_RC(expire_run(&none, model->replica, &options, &err), RC_CORRUPT);
    CHECK_SAYS(err, "nothing is removed");
    assert_int_equal(count_objects(model, "/store/"), object_count);
    model_free(model);
}

static void a_dry_run_changes_nothing(void **state)
{
    auto_expire_report struct expire_report report = EXPIRE_REPORT_INIT;
    struct model *model = life_new(5, 60);
    struct expire_options options = {
        .rules = short_rules, .grace_ms = GRACE, .now_ms = model->now_ms + SECOND, .dry_run = true
    };
    size_t object_count = count_objects(model, "/store/");
    struct error err;

    (void)state;
    CHECK_OK(expire_run(&report, model->replica, &options, &err));
    assert_true(report.object_count > 20);
    assert_true(report.object_size > 0);
    assert_int_equal(report.condemned_count, 0);
    assert_int_equal(count_objects(model, "/store/"), object_count);
    model_free(model);
}

static void off_asks_nothing(void **state)
{
    auto_expire_report struct expire_report report = EXPIRE_REPORT_INIT;
    struct model *model = life_new(6, 60);
    struct rules off = short_rules;
    struct store_stats before;
    struct store_stats after;

    (void)state;
    off.is_off = true;
    store_stats_read(model->store, &before);
    expire(model, &off, model->now_ms + HOUR, &report);
    store_stats_read(model->store, &after);
    assert_memory_equal(&before, &after, sizeof before);
    model_free(model);
}

/* ---- minds that change */

static void what_is_needed_after_all_is_pardoned(void **state)
{
    auto_expire_report struct expire_report report = EXPIRE_REPORT_INIT;
    struct model *model = life_new(7, 60);
    int64_t now_ms = model->now_ms + SECOND;
    struct rules wide = short_rules;

    (void)state;
    wide.rules[0].keep_ms = 2 * HOUR;
    expire(model, &short_rules, now_ms, &report);
    assert_true(report.condemned_count > 0);
    expire(model, &wide, now_ms + GRACE, &report);
    assert_int_equal(report.removed_count, 0);
    assert_int_equal(count_objects(model, "/expire/"), 1); /* another one, that condemns nothing */
    for (uint64_t txid = 1; txid <= model->txid; txid++)
        assert_true(restores(model, txid));
    expire(model, &wide, now_ms + 10 * GRACE, &report);
    assert_int_equal(report.removed_count, 0);
    model_free(model);
}

static void a_note_of_a_wrong_clock_removes_nothing(void **state)
{
    auto_expire_report struct expire_report report = EXPIRE_REPORT_INIT;
    struct model *model = life_new(8, 60);
    int64_t now_ms = model->now_ms + SECOND;
    int64_t wrong_ms = now_ms + INT64_C(365) * 24 * HOUR;

    (void)state;
    expire(model, &short_rules, wrong_ms, &report);
    assert_true(report.condemned_count > 50);
    expire(model, &short_rules, now_ms, &report);
    assert_int_equal(report.removed_count, 0);
    expire(model, &short_rules, now_ms + GRACE, &report);
    for (uint64_t txid = 50; txid <= model->txid; txid++)
        assert_true(restores(model, txid));
    assert_in_range(count_objects(model, "/expire/"), 1, 2);
    model_free(model);
}

/* ---- holds */

static void a_held_point_stays(void **state)
{
    auto_expire_report struct expire_report report = EXPIRE_REPORT_INIT;
    struct model *model = life_new(9, 60);
    int64_t now_ms = model->now_ms + SECOND;
    struct restore_target target = at_txid(13);
    struct hold hold;
    struct error err;

    (void)state;
    CHECK_OK(replica_hold(model->replica, "before-upgrade", &target, &hold, &err));
    assert_int_equal(hold.txid, 13);
    assert_int_equal(hold.time_ms, model->versions[13].time_ms);
    CHECK_RC(replica_hold(model->replica, "before-upgrade", &target, &hold, &err), RC_EXISTS);
    CHECK_RC(replica_hold(model->replica, "a/b", &target, &hold, &err), RC_USAGE);
    CHECK_RC(replica_hold(model->replica, ".a", &target, &hold, &err), RC_USAGE);

    for (unsigned i = 0; i < 4; i++)
        expire(model, &short_rules, now_ms + 4 * HOUR + i * GRACE, &report);
    assert_true(restores(model, 13));
    assert_false(restores(model, 14));
    assert_true(restores(model, model->txid));

    auto_free struct hold *holds = NULL;
    size_t count = 0;
    CHECK_OK(replica_holds(model->replica, &holds, &count, &err));
    assert_int_equal(count, 1);
    assert_string_equal(holds[0].name, "before-upgrade");
    assert_int_equal(holds[0].txid, 13);

    CHECK_OK(replica_release(model->replica, "before-upgrade", &err));
    CHECK_RC(replica_release(model->replica, "before-upgrade", &err), RC_NOT_FOUND);
    for (unsigned i = 0; i < 4; i++)
        expire(model, &short_rules, now_ms + 5 * HOUR + i * GRACE, &report);
    assert_false(restores(model, 13));
    model_free(model);
}

/* Between condemned and removed it is too late for a hold. */
static void what_is_condemned_is_not_held(void **state)
{
    auto_expire_report struct expire_report report = EXPIRE_REPORT_INIT;
    struct model *model = life_new(10, 60);
    struct hold hold;
    struct error err;

    (void)state;
    expire(model, &short_rules, model->now_ms + SECOND, &report);
    struct restore_target target = at_txid(report.lost[0].first_txid);
    CHECK_RC(replica_hold(model->replica, "late", &target, &hold, &err), RC_NOT_FOUND);
    CHECK_SAYS(err, "retention");
    assert_int_equal(count_objects(model, "/holds/"), 0);
    model_free(model);
}

/* ---- a store that refuses, and one that holds what we do not know */

static void a_store_that_lets_nothing_go_is_told_once(void **state)
{
    auto_expire_report struct expire_report report = EXPIRE_REPORT_INIT;
    struct model *model = life_new(11, 60);
    int64_t now_ms = model->now_ms + SECOND;

    (void)state;
    expire(model, &short_rules, now_ms, &report);
    assert_false(report.is_refused);
    fault_arm_call(FAULT_REMOVE, 0, UINT64_MAX, EACCES);
    expire(model, &short_rules, now_ms + GRACE, &report);
    fault_disarm();
    assert_true(report.is_refused);
    assert_int_equal(report.removed_count, 0);
    for (uint64_t txid = 50; txid <= model->txid; txid++)
        assert_true(restores(model, txid));
    expire(model, &short_rules, now_ms + GRACE, &report);
    assert_true(report.removed_count > 0);
    model_free(model);
}

static void what_is_not_understood_stops_everything(void **state)
{
    static const char *const keys[] = { "notes.txt", "expire/x.txt", "holds/x.txt",
        "00000001/0/what.seg" };

    (void)state;
    for (size_t i = 0; i < array_count(keys); i++) {
        struct expire_report report = EXPIRE_REPORT_INIT;
        struct model *model = life_new(12, 30);
        struct error err;
        CHECK_OK(store_put(model->store, keys[i], bytes_of("x", 1), STORE_PUT_NEW, &err));
        size_t count = count_objects(model, "/store/");
        struct expire_options options = {
            .rules = short_rules, .grace_ms = GRACE, .now_ms = model->now_ms + HOUR
        };
        CHECK_RC(expire_run(&report, model->replica, &options, &err), RC_CORRUPT);
        CHECK_SAYS(err, keys[i]);
        assert_int_equal(count_objects(model, "/store/"), count);
        model_free(model);
    }
}

/* ---- at any line */

/* Every point that short_rules promise at NOW_MS, and a held one. */
static void check_promised(struct model *model, int64_t now_ms, uint64_t held)
{
    assert_true(restores(model, held));
    for (uint64_t txid = 2; txid <= model->txid; txid++) {
        int64_t until_ms = txid < model->txid ? model->versions[txid + 1].time_ms : now_ms;
        int64_t age_ms = now_ms - until_ms;
        bool is_last =
            txid == model->txid || until_ms / MINUTE != model->versions[txid].time_ms / MINUTE;
        if (age_ms <= 5 * MINUTE || (is_last && age_ms <= 2 * HOUR))
            assert_true(restores(model, txid));
    }
}

/* Each file system call of a run refused once, in the run that condemns and in the one that
 * removes. */
static void a_run_that_dies_anywhere_loses_nothing(void **state)
{
    unsigned failure_count = 0;

    (void)state;
    for (unsigned round = 0; round < 2; round++) {
        struct model *model = life_new(20 + round, 50);
        struct restore_target target = at_txid(9);
        struct hold hold;
        struct error err;
        CHECK_OK(replica_hold(model->replica, "h", &target, &hold, &err));
        int64_t now_ms = model->now_ms + SECOND;
        if (round == 1) {
            auto_expire_report struct expire_report report = EXPIRE_REPORT_INIT;
            expire(model, &short_rules, now_ms, &report);
            now_ms += GRACE;
        }
        struct expire_options options = {
            .rules = short_rules, .grace_ms = GRACE, .now_ms = now_ms
        };
        for (uint64_t nth = 1; fault_arm(nth, EIO); nth++) {
            auto_expire_report struct expire_report report = EXPIRE_REPORT_INIT;
            rc code = expire_run(&report, model->replica, &options, NULL);
            fault_disarm();
            failure_count += code != RC_OK;
            if (nth % 5 == 1)
                check_promised(model, now_ms, 9);
        }
        for (unsigned i = 0; i < 3; i++) {
            auto_expire_report struct expire_report report = EXPIRE_REPORT_INIT;
            now_ms += GRACE;
            expire(model, &short_rules, now_ms, &report);
        }
        check_promised(model, now_ms, 9);
        assert_false(restores(model, 10));
        assert_int_equal(count_gaps(model), 0);
        model_free(model);
    }
    print_message("%u failures\n", failure_count);
    assert_true(failure_count > 10);
}

/* ---- restores beside it */

struct beside {
    struct model *model;
    atomic_bool is_over;
    atomic_uint restored_count;
    atomic_uint not_there_count; /* or about to be removed, and removed */
    char *failure;               /* owned; set before has_failed */
    atomic_bool has_failed;
    unsigned number;
    atomic_uint_fast64_t *newest_txid; /* that may be asked for */
};

/*
 * Restore random points, as a user would: found and right, or certainly not there. What was
 * condemned before the plan was made may go.
 */
static void *restore_beside(void *payload)
{
    struct beside *beside = payload;
    uint64_t random = beside->number + 1;

    while (!atomic_load(&beside->is_over)) {
        struct error err = { 0 };
        auto_restore_plan struct restore_plan plan = RESTORE_PLAN_INIT;
        auto_free char *output =
            text_format("%s/beside-%u.db", beside->model->folder, beside->number);
        random = random * UINT64_C(6364136223846793005) + 1442695040888963407U;
        uint64_t txid = 1 + (random >> 33) % atomic_load(beside->newest_txid);
        struct restore_target target = at_txid(txid);
        rc code = restore_plan_make(&plan, beside->model->replica, &target, &err);
        if (code == RC_NOT_FOUND) {
            atomic_fetch_add(&beside->not_there_count, 1);
            continue;
        }
        struct restore_options options = { .output = output, .parallelism = 1 };
        struct restore_report report;
        if (code == RC_OK)
            code = restore_run(beside->model->replica, &plan, &options, &report, &err);
        if (code != RC_OK && plan.is_expiring) {
            atomic_fetch_add(&beside->not_there_count, 1);
            continue;
        }
        if (code != RC_OK) {
            beside->failure = text_format("transaction %" PRIu64 ": %s", txid, err.text);
            atomic_store(&beside->has_failed, true);
            break;
        }
        unlink(output);
        atomic_fetch_add(&beside->restored_count, 1);
    }
    return NULL;
}

/* Let a restore of BESIDE end that began before; how many did by now. */
static unsigned await_restorer(struct beside *beside)
{
    unsigned done = atomic_load(&beside->restored_count) + atomic_load(&beside->not_there_count);

    while (atomic_load(&beside->restored_count) + atomic_load(&beside->not_there_count) == done) {
        if (atomic_load(&beside->has_failed))
            fail_msg("%s", beside->failure);
        clock_pause_us(200);
    }
    return atomic_load(&beside->restored_count);
}

/*
 * Time passes a minute a turn; each turn writes, merges and expires while restores run. The grace
 * is eight turns of real time, however fast they are: a turn waits for each restorer to get on.
 */
static void restores_beside_it_never_fail(void **state)
{
    enum { RESTORER_COUNT = 2 };
    const char *text = getenv("SEAWAL_RESTORE_COUNT");
    unsigned wanted = text != NULL ? (unsigned)strtoul(text, NULL, 10) : 40;
    struct model *model = life_new(30, 60);
    atomic_uint_fast64_t newest_txid = model->txid;
    struct beside beside[RESTORER_COUNT];
    pthread_t threads[RESTORER_COUNT];
    unsigned restored_count = 0;
    uint64_t removed_count = 0;

    (void)state;
    for (unsigned i = 0; i < RESTORER_COUNT; i++) {
        memset(&beside[i], 0, sizeof beside[i]);
        beside[i].model = model;
        beside[i].number = i;
        beside[i].newest_txid = &newest_txid;
        assert_int_equal(pthread_create(&threads[i], NULL, restore_beside, &beside[i]), 0);
    }
    while (restored_count < wanted || removed_count == 0) {
        auto_expire_report struct expire_report report = EXPIRE_REPORT_INIT;
        if (model->txid < 3000)
            live(model, 6);
        else
            model->now_ms += MINUTE;
        if (model->txid % 60 == 1)
            model_snapshot(model);
        atomic_store(&newest_txid, model->txid);
        expire(model, &short_rules, model->now_ms + SECOND, &report);
        removed_count += report.removed_count;
        restored_count = 0;
        for (unsigned i = 0; i < RESTORER_COUNT; i++)
            restored_count += await_restorer(&beside[i]);
    }
    for (unsigned i = 0; i < RESTORER_COUNT; i++) {
        atomic_store(&beside[i].is_over, true);
        pthread_join(threads[i], NULL);
        if (beside[i].failure != NULL)
            fail_msg("%s", beside[i].failure);
    }
    print_message("%u restores, %" PRIu64 " objects removed\n", restored_count, removed_count);
    assert_true(removed_count > 30);
    model_free(model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_object_goes_in_two_steps),
        cmocka_unit_test(what_was_removed_is_certainly_not_there),
        cmocka_unit_test(at_rest_little_is_left),
        cmocka_unit_test(damage_is_told_from_what_is_gone),
        cmocka_unit_test(a_dry_run_changes_nothing),
        cmocka_unit_test(off_asks_nothing),
        cmocka_unit_test(what_is_needed_after_all_is_pardoned),
        cmocka_unit_test(a_note_of_a_wrong_clock_removes_nothing),
        cmocka_unit_test(a_held_point_stays),
        cmocka_unit_test(what_is_condemned_is_not_held),
        cmocka_unit_test(a_store_that_lets_nothing_go_is_told_once),
        cmocka_unit_test(what_is_not_understood_stops_everything),
        cmocka_unit_test(a_run_that_dies_anywhere_loses_nothing),
        cmocka_unit_test(restores_beside_it_never_fail),
    };
    fault_skip_syncs();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
