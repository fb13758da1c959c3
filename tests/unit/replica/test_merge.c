/*
 * merge: windows of a real history become merged segments, and their ends restore from those alone
 */
#include "model.h"

#include "harness/fault.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fs.h"
#include "base/text.h"
#include "replica/merge.h"

enum { RUNS_MAX = 1000, SHORT_MS = 10 * 1000, LONG_MS = 60 * 1000 };

static const struct rules quick = {
    .rules = {
        { .every_ms = 0, .keep_ms = RULE_KEEP_FOREVER },
        { .every_ms = SHORT_MS, .keep_ms = RULE_KEEP_FOREVER },
        { .every_ms = LONG_MS, .keep_ms = RULE_KEEP_FOREVER },
    },
    .count = 3,
};

struct rig {
    struct model *model;
    char *windows;
    char *kept;
    struct merger *merger;
    struct merge_report total;
};

static void rig_open(struct rig *rig)
{
    struct merger_options options = {
        .database_id = rig->model->id,
        .timeline = rig->model->timeline,
        .windows_folder = rig->windows,
        .kept_folder = rig->kept,
        .kept_size_max = 1 << 20,
        .rules = &quick,
    };

    merger_free(rig->merger);
    rig->merger = merger_new(rig->model->replica, &options);
}

static struct rig rig_new(uint64_t default_seed)
{
    const char *text = getenv("SEAWAL_SEED");
    uint64_t seed = text != NULL ? strtoull(text, NULL, 10) : default_seed;
    struct rig rig = { .model = model_new(seed, 512) };

    print_message("seed %" PRIu64 "\n", seed);
    rig.windows = model_path(rig.model, "windows");
    rig.kept = model_path(rig.model, "kept");
    rig_open(&rig);
    return rig;
}

static void rig_free(struct rig *rig)
{
    merger_free(rig->merger);
    free(rig->windows);
    free(rig->kept);
    model_free(rig->model);
}

static int64_t rig_late_ms(const struct rig *rig)
{
    return rig->model->now_ms + 2 * LONG_MS;
}

/* Until there is nothing more to do at WALL_MS. */
static void rig_run(struct rig *rig, int64_t wall_ms)
{
    struct merge_report report = { .is_more = true };
    struct error err = { 0 };

    for (unsigned count = 0; report.is_more; count++) {
        assert_true(count < RUNS_MAX);
        CHECK_OK(merger_run(rig->merger, rig->model->txid, wall_ms, &report, &err));
        rig->total.stored_count += report.stored_count;
        rig->total.made_count += report.made_count;
        rig->total.given_up += report.given_up;
        rig->total.fetched_size += report.fetched_size;
        rig->total.source_size += report.source_size;
        if (report.given_up > 0)
            print_message("given up: %s\n", report.why.text);
    }
}

static bool rig_is_window_end(const struct rig *rig, uint64_t txid, int64_t every_ms)
{
    struct rule rule = { .every_ms = every_ms };
    const struct model_version *versions = rig->model->versions;

    return txid == rig->model->txid || rule_window(&rule, versions[txid].time_ms) !=
                                           rule_window(&rule, versions[txid + 1].time_ms);
}

static struct restore_target at_txid(uint64_t txid)
{
    return (struct restore_target){ .kind = RESTORE_TXID, .txid = txid };
}

/* From merged segments of LEVEL alone. A log segment over the end of a window moves it. */
static void rig_check_ends(struct rig *rig, int64_t every_ms)
{
    unsigned ends = 0;

    for (uint64_t txid = 2; txid <= rig->model->txid; txid++) {
        auto_restore_plan struct restore_plan plan = RESTORE_PLAN_INIT;
        struct restore_target target = at_txid(txid);
        if (restore_plan_make(&plan, rig->model->replica, &target, NULL) != RC_OK)
            continue;
        model_check_restore(rig->model, &target, txid);
        ends += rig_is_window_end(rig, txid, every_ms);
    }
    assert_true(ends > 0);
}

static void rig_remove_level(struct rig *rig, unsigned level)
{
    size_t count = 0;
    auto_free char *part = text_format("/%08x/%u/", rig->model->timeline, level);
    char **paths = model_objects(rig->model, part, &count);

    for (size_t index = 0; index < count; index++)
        assert_int_equal(unlink(paths[index]), 0);
    model_objects_free(paths, count);
}

static size_t rig_count_level(const struct rig *rig, unsigned level)
{
    size_t count = 0;
    auto_free char *part = text_format("/%08x/%u/", rig->model->timeline, level);

    model_objects_free(model_objects(rig->model, part, &count), count);
    return count;
}

/* Every transaction is a segment of its own, so that every window ends with its last one. */
static void rig_commit(struct rig *rig, unsigned count)
{
    for (unsigned index = 0; index < count; index++) {
        model_commit(rig->model);
        model_store_segment(rig->model);
    }
}

static void the_end_of_each_window_restores_without_the_log(void **state)
{
    (void)state;
    struct rig rig = rig_new(20261121);

    model_snapshot(rig.model);
    rig_commit(&rig, 20);
    model_snapshot(rig.model); /* windows go on over it */
    rig_commit(&rig, 160);
    rig_run(&rig, rig_late_ms(&rig));
    assert_int_equal(rig.total.given_up, 0);
    assert_true(rig.total.made_count > 10);
    assert_int_equal(rig.total.stored_count, rig.total.made_count);
    size_t short_count = rig_count_level(&rig, 1);
    size_t long_count = rig_count_level(&rig, 2);
    print_message("%zu short windows, %zu long ones\n", short_count, long_count);

    /* All is there still. */
    uint64_t usable = rig.model->snapshot_usable;
    for (uint64_t txid = usable; txid <= rig.model->txid; txid += 7) {
        struct restore_target target = at_txid(txid);
        model_check_restore(rig.model, &target, txid);
    }

    rig_remove_level(&rig, 0);
    for (uint64_t txid = usable + 1; txid <= rig.model->txid; txid++) {
        struct restore_target target = at_txid(txid);
        if (rig_is_window_end(&rig, txid, SHORT_MS))
            model_check_restore(rig.model, &target, txid);
        else
            model_check_restore_fails(rig.model, &target, RC_NOT_FOUND);
    }
    rig_remove_level(&rig, 1);
    for (uint64_t txid = usable + 1; txid <= rig.model->txid; txid++) {
        struct restore_target target = at_txid(txid);
        if (rig_is_window_end(&rig, txid, LONG_MS))
            model_check_restore(rig.model, &target, txid);
        else
            model_check_restore_fails(rig.model, &target, RC_NOT_FOUND);
    }
    rig_free(&rig);
}

/* Another process goes on where one ended; nothing that is stored is made again. */
static void no_work_is_done_twice(void **state)
{
    (void)state;
    struct rig rig = rig_new(2);
    struct store_stats before;
    struct store_stats after;

    model_snapshot(rig.model);
    for (unsigned round = 0; round < 5; round++) {
        rig_commit(&rig, 40);
        rig_open(&rig);
        rig_run(&rig, rig.model->now_ms);
        uint64_t made = rig.total.made_count;
        rig_open(&rig);
        rig.total = (struct merge_report){ 0 };
        rig_run(&rig, rig.model->now_ms);
        assert_int_equal(rig.total.made_count, 0);
        assert_int_equal(rig.total.stored_count, 0);
        assert_true(made > 0);
    }
    rig_run(&rig, rig_late_ms(&rig));

    /* Once it is known what is there, nothing is asked. */
    store_stats_read(rig.model->store, &before);
    rig_run(&rig, rig_late_ms(&rig));
    store_stats_read(rig.model->store, &after);
    assert_int_equal(after.list_count, before.list_count);
    assert_int_equal(after.get_count, before.get_count);
    assert_int_equal(after.put_count, before.put_count);
    rig_check_ends(&rig, LONG_MS);
    rig_free(&rig);
}

/* What capture made waits: it is stored, and a longer window is made from the kept files. */
static void what_capture_made_costs_no_request_but_its_put(void **state)
{
    (void)state;
    struct rig rig = rig_new(3);
    struct error err = { 0 };
    struct merge_report report;
    struct store_stats before;
    struct store_stats after;
    uint64_t first = 2;

    CHECK_OK(segment_dir_prepare(rig.windows, &err));
    model_snapshot(rig.model);
    CHECK_OK(merger_run(rig.merger, rig.model->txid, rig.model->now_ms, &report, &err));
    store_stats_read(rig.model->store, &before);
    unsigned windows = 0;
    unsigned commits = 0;
    for (; commits < 200; commits++) {
        rig_commit(&rig, 1);
        struct model_merge merge = { .level = 1, .first = first, .last = rig.model->txid - 1 };
        struct rule rule = { .every_ms = SHORT_MS };
        const struct model_version *versions = rig.model->versions;
        if (merge.last < first || rule_window(&rule, versions[merge.last].time_ms) ==
                                      rule_window(&rule, rig.model->now_ms))
            continue;
        model_spool_merged(rig.model, &merge, rig.windows);
        first = rig.model->txid;
        windows++;
        /* Not before the log is stored up to there. */
        CHECK_OK(merger_run(rig.merger, merge.last - 1, rig.model->now_ms, &report, &err));
        assert_int_equal(report.stored_count, 0);
        rig_run(&rig, rig.model->now_ms);
    }
    store_stats_read(rig.model->store, &after);
    uint64_t puts = after.put_count - before.put_count;
    print_message("%u windows, %" PRIu64 " puts\n", windows, puts);
    assert_int_equal(rig.total.stored_count, puts - commits);
    assert_true(rig.total.made_count > 2); /* long ones */
    assert_int_equal(rig.total.made_count, rig.total.stored_count - windows);
    assert_int_equal(rig.total.fetched_size, 0);
    assert_int_equal(after.get_count, before.get_count);
    assert_int_equal(after.list_count, before.list_count);
    rig_run(&rig, rig_late_ms(&rig));
    rig_remove_level(&rig, 0);
    rig_check_ends(&rig, SHORT_MS);
    rig_free(&rig);
}

/* Files that are kept are a convenience: gone, cut or of another history, the store stands in. */
static void kept_files_may_be_damaged(void **state)
{
    (void)state;
    struct rig rig = rig_new(4);
    auto_free char *folder = text_format("%s/1", rig.kept);
    struct error err = { 0 };

    model_snapshot(rig.model);
    for (unsigned round = 0; round < 12; round++) {
        auto_segment_list struct segment_list list = SEGMENT_LIST_INIT;
        rig_commit(&rig, 12);
        rig_open(&rig); /* lists what is there */
        rig_run(&rig, rig.model->now_ms);
        if (fs_exists(folder))
            CHECK_OK(segment_dir_list(&list, folder, &err));
        for (size_t index = 0; index < list.count; index++) {
            char name[SEGMENT_NAME_SIZE];
            segment_name_format(name, &list.entries[index].name);
            auto_free char *path = text_format("%s/%s", folder, name);
            uint64_t size = list.entries[index].size;
            if (model_random(rig.model, 3) == 0)
                assert_int_equal(unlink(path), 0);
            else if (model_random(rig.model, 2) == 0)
                assert_int_equal(truncate(path, (off_t)model_random(rig.model, size)), 0);
        }
    }
    rig_run(&rig, rig_late_ms(&rig));
    assert_int_equal(rig.total.given_up, 0);
    assert_true(rig.total.fetched_size > 0);
    rig_remove_level(&rig, 0);
    rig_remove_level(&rig, 1);
    rig_check_ends(&rig, LONG_MS);
    rig_free(&rig);
}

/* In a child, the images of its first pages are the parent's. */
static void a_child_timeline_is_merged_on_its_parent(void **state)
{
    (void)state;
    struct rig rig = rig_new(5);

    model_snapshot(rig.model);
    rig_commit(&rig, 60);
    model_branch(rig.model, 45);
    rig_open(&rig);
    rig_commit(&rig, 100);
    rig_run(&rig, rig_late_ms(&rig));
    assert_int_equal(rig.total.given_up, 0);
    rig_remove_level(&rig, 0);
    rig_check_ends(&rig, SHORT_MS);
    rig_free(&rig);
}

/*
 * Whatever call is refused, the next merger finds what was done and goes on: no window is missing
 * in the end, and none is there that cannot be restored.
 */
static void a_refused_call_is_made_up_for(void **state)
{
    static const int sys_errnos[] = { EIO, ENOENT };
    (void)state;

    for (size_t index = 0; index < array_count(sys_errnos); index++) {
        struct rig rig = rig_new(6 + index);
        unsigned failures = 0;
        unsigned fired = 0;
        model_snapshot(rig.model);
        for (unsigned round = 0; round < 40; round++) {
            struct error err = { 0 };
            struct merge_report report = { .is_more = true };
            struct fault_plan plan = {
                .calls = FAULT_CALLS_PLAIN,
                .nth = 1 + model_random(rig.model, 120),
                .sys_errno = sys_errnos[index],
            };
            rig_commit(&rig, 12);
            rig_open(&rig);
            fault_arm_plan(&plan);
            rc run = RC_OK;
            while (run == RC_OK && report.is_more) {
                run = merger_run(rig.merger, rig.model->txid, rig.model->now_ms, &report, &err);
                failures += run != RC_OK || report.given_up > 0;
            }
            fault_disarm();
            fired += fault_fired();
            assert_true(run == RC_OK || err.text[0] != '\0');
            rig_open(&rig);
            rig_run(&rig, rig.model->now_ms);
        }
        fault_disarm();
        print_message("%u refused, %u failures, %" PRIu64 " transactions\n", fired, failures,
            rig.model->txid);
        assert_true(fired > 10);
        assert_true(failures > 5);
        rig_run(&rig, rig_late_ms(&rig));
        assert_int_equal(rig.total.given_up, 0);
        rig_remove_level(&rig, 0);
        for (uint64_t txid = rig.model->snapshot_usable + 1; txid <= rig.model->txid; txid++) {
            struct restore_target target = at_txid(txid);
            if (rig_is_window_end(&rig, txid, SHORT_MS))
                model_check_restore(rig.model, &target, txid);
        }
        rig_free(&rig);
    }
}

int main(void)
{
    fault_skip_syncs();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_end_of_each_window_restores_without_the_log),
        cmocka_unit_test(no_work_is_done_twice),
        cmocka_unit_test(what_capture_made_costs_no_request_but_its_put),
        cmocka_unit_test(kept_files_may_be_damaged),
        cmocka_unit_test(a_child_timeline_is_merged_on_its_parent),
        cmocka_unit_test(a_refused_call_is_made_up_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
