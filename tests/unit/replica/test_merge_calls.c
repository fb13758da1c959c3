/*
 * merge calls: a call of the file system fails while windows are merged, all over the work
 *
 * It is told, or done all the same; the next run makes every window, and every point restores.
 */
#include "model.h"

#include "harness/fault.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/alloc.h"
#include "replica/merge.h"

enum {
    STRIKE_COUNT = 60,
    COMMITS = 14,
    RUNS_MAX = 200,
    SHORT_MS = 2 * 1000,
    LONG_MS = 6 * 1000,
    KEPT_SIZE = 3000,
};

static const struct rules quick = {
    .rules = {
        { .every_ms = 0, .keep_ms = RULE_KEEP_FOREVER },
        { .every_ms = SHORT_MS, .keep_ms = RULE_KEEP_FOREVER },
        { .every_ms = LONG_MS, .keep_ms = RULE_KEEP_FOREVER },
    },
    .count = 3,
};

static uint64_t calls_passed; /* of the last run */

static rc merge_all(
    struct merger *merger, const struct model *model, uint64_t *given_up, struct error *err)
{
    struct merge_report report = { .is_more = true };

    for (unsigned count = 0; report.is_more; count++) {
        assert_true(count < RUNS_MAX);
        TRY(merger_run(merger, model->txid, model->now_ms + 2 * LONG_MS + 200000, &report, err));
        *given_up += report.given_up;
    }
    return RC_OK;
}

static size_t count_level(const struct model *model, const char *part)
{
    size_t count = 0;

    model_objects_free(model_objects(model, part, &count), count);
    return count;
}

static void check_points(struct model *model)
{
    for (uint64_t txid = 1; txid <= model->txid; txid += 4) {
        struct restore_target target = { .kind = RESTORE_TXID, .txid = txid };
        model_check_restore(model, &target, txid);
    }
}

/* False: there is no NTH call. */
static bool strike(uint64_t nth, int sys_errno, unsigned *told)
{
    struct model *model = model_new(411, 512);
    auto_free char *windows = model_path(model, "windows");
    auto_free char *kept = model_path(model, "kept");
    struct merger_options options = {
        .database_id = model->id,
        .timeline = model->timeline,
        .windows_folder = windows,
        .kept_folder = kept,
        .kept_size_max = KEPT_SIZE,
        .rules = &quick,
    };
    struct error err = { 0 };
    uint64_t given_up = 0;

    model_snapshot(model);
    model_run(model, COMMITS, false);
    struct merger *merger = merger_new(model->replica, &options);
    fault_arm_plan(
        &(struct fault_plan){ .calls = FAULT_CALLS_OURS, .nth = nth, .sys_errno = sys_errno });
    rc code = merge_all(merger, model, &given_up, &err);
    bool fired = fault_fired();
    calls_passed = fault_passed();
    fault_disarm();
    if (code != RC_OK && (!fired || err.text[0] == '\0'))
        fail_msg("call %llu (%s): %s: '%s'", (unsigned long long)nth, fault_name(), rc_name(code),
            err.text);
    *told += code != RC_OK;

    /* What a window lost by being given up is looked for again by the next process. */
    merger_free(merger);
    merger = merger_new(model->replica, &options);
    CHECK_OK(merge_all(merger, model, &given_up, &err));
    merger_free(merger);
    /* A window that was given up is left to the longer one that holds it. */
    assert_true(count_level(model, "/1/") + count_level(model, "/2/") > 1);
    assert_true(count_level(model, "/2/") > 0);
    check_points(model);
    model_free(model);
    return fired;
}

static void calls_all_over_it_may_fail(void **state)
{
    static const int errnos[] = { EIO, ENOENT };
    unsigned told = 0;

    (void)state;
    (void)strike(UINT64_MAX, EIO, &told);
    uint64_t step = 1 + calls_passed / STRIKE_COUNT;
    for (size_t index = 0; index < array_count(errnos); index++) {
        told = 0;
        uint64_t nth = 1 + index * step / 2;
        for (; strike(nth, errnos[index], &told); nth += step)
            ;
        print_message("%llu calls, one in %llu struck, %u told\n", (unsigned long long)calls_passed,
            (unsigned long long)step, told);
        assert_true(told > 0 &&
                    (errnos[index] == ENOENT || told > STRIKE_COUNT / 4)); /* ENOENT is an answer */
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(calls_all_over_it_may_fail),
    };

    /* Where files cost nothing, if there is such a place. */
    if (access("/dev/shm", W_OK | X_OK) == 0)
        setenv("TMPDIR", "/dev/shm", 0);
    fault_skip_syncs();
    return cmocka_run_group_tests_name("replica/merge_calls", tests, NULL, NULL);
}
