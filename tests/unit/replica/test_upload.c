/*
 * upload: the spool into the replica, in order, across restarts, and never over another's
 */
#include "model.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/text.h"

static unsigned spool_count(const char *spool)
{
    auto_segment_list struct segment_list list = SEGMENT_LIST_INIT;
    struct error err;

    CHECK_OK(segment_dir_list(&list, spool, &err));
    return (unsigned)list.count;
}

static void the_spool_is_drained_in_order(void **state)
{
    struct error err;
    struct model *model = model_new(108, 512);
    auto_free char *spool = model_path(model, "spool");
    (void)state;

    CHECK_OK(segment_dir_prepare(spool, &err));
    model_snapshot(model);
    struct uploader_options options = {
        .spool_folder = spool,
        .durable = model_position(model, 1),
    };
    struct uploader *uploader = uploader_new(model->replica, &options);
    struct upload_report report;
    struct store_stats before;
    store_stats_read(model->store, &before);
    CHECK_OK(uploader_drain(uploader, &report, &err));
    struct store_stats after;
    store_stats_read(model->store, &after);
    assert_memory_equal(&before, &after, sizeof before);

    for (unsigned round = 0; round < 10; round++) {
        for (uint64_t count = model_random(model, 5) + 1; count-- > 0;) {
            for (uint64_t commits = model_random(model, 4) + 1; commits-- > 0;)
                model_commit(model);
            model_spool_segment(model, spool);
        }
        uint64_t segments = 0;
        uint64_t size = 0;
        CHECK_OK(uploader_backlog(uploader, &segments, &size, &err));
        CHECK_OK(uploader_drain(uploader, &report, &err));
        assert_int_equal(report.segment_count, segments);
        assert_int_equal(report.stored_size, size);
        assert_int_equal(spool_count(spool), 1);
        struct replica_position durable = uploader_durable(uploader);
        model_check_position(&durable, model, model->txid);
        struct replica_info info;
        CHECK_OK(replica_inspect(model->replica, &info, &err));
        model_check_position(&info.position, model, model->txid);
        CHECK_OK(uploader_backlog(uploader, &segments, &size, &err));
        assert_int_equal(segments, 0);
    }
    uploader_free(uploader);

    /* A new run with what the replica says continues. */
    model_commit(model);
    model_spool_segment(model, spool);
    options.durable = model_position(model, model->txid - 1);
    uploader = uploader_new(model->replica, &options);
    CHECK_OK(uploader_drain(uploader, &report, &err));
    assert_int_equal(report.segment_count, 1);
    assert_int_equal(report.removed_count, 1);
    uploader_free(uploader);
    for (uint64_t txid = 1; txid <= model->txid; txid++) {
        struct restore_target target = { .kind = RESTORE_TXID, .txid = txid };
        model_check_restore(model, &target, txid);
    }
    model_free(model);
}

static void a_spool_that_does_not_continue_is_refused(void **state)
{
    struct error err;
    struct model *model = model_new(109, 512);
    auto_free char *spool = model_path(model, "spool");
    struct upload_report report;
    (void)state;

    CHECK_OK(segment_dir_prepare(spool, &err));
    model_snapshot(model);
    model_commit(model);
    struct segment_name lost;
    assert_true(model_cut(model, &lost));
    model_commit(model);
    model_spool_segment(model, spool);
    struct uploader_options options = {
        .spool_folder = spool,
        .durable = model_position(model, 1),
    };
    struct uploader *uploader = uploader_new(model->replica, &options);
    CHECK_RC(uploader_drain(uploader, &report, &err), RC_MISMATCH); /* a gap */
    assert_int_equal(uploader_durable(uploader).txid, 1);
    uploader_free(uploader);
    options.durable = model_position(model, 2);
    options.durable.digest++;
    uploader = uploader_new(model->replica, &options);
    CHECK_RC(uploader_drain(uploader, &report, &err), RC_MISMATCH); /* another history */
    uploader_free(uploader);
    options.durable = model_position(model, 3);
    options.durable.digest++;
    uploader = uploader_new(model->replica, &options);
    CHECK_RC(uploader_drain(uploader, &report, &err), RC_MISMATCH); /* the same, just as long */
    uploader_free(uploader);
    options.durable = model_position(model, 2);
    options.durable.database_id.bytes[3]++;
    uploader = uploader_new(model->replica, &options);
    CHECK_RC(uploader_drain(uploader, &report, &err), RC_MISMATCH); /* another database */
    uploader_free(uploader);
    assert_int_equal(spool_count(spool), 1);
    size_t count = 0;
    char **paths = model_objects(model, "/0/", &count);
    assert_int_equal(count, 0);
    model_objects_free(paths, count);
    model_free(model);
}

/* Another page size or file: the old log ends, one transaction is a snapshot, a new log begins. */
static void a_history_that_begins_anew_follows_the_old_one(void **state)
{
    struct error err;
    struct model *model = model_new(111, 512);
    auto_free char *spool = model_path(model, "spool");
    struct upload_report report;
    (void)state;

    CHECK_OK(segment_dir_prepare(spool, &err));
    model_snapshot(model);
    model_commit(model);
    model_spool_segment(model, spool);
    uint64_t parent = model->txid;
    struct replica_claim_options claim = {
        .parent = model_position(model, parent),
        .own_snapshot = true,
        .page_size = model->page_size,
        .writer = "anew",
        .time_ms = model->now_ms,
    };
    CHECK_OK(replica_claim_timeline(model->replica, &claim, &model->timeline, &err));
    model_commit(model); /* whatever it is, it is not shipped as a log segment */
    struct segment_name dropped;
    assert_true(model_cut(model, &dropped));
    uint64_t begin = model->txid;
    model_commit(model);
    model_spool_segment(model, spool);

    struct uploader_options options = {
        .spool_folder = spool,
        .durable = model_position(model, 1),
    };
    struct uploader *uploader = uploader_new(model->replica, &options);
    CHECK_OK(uploader_drain(uploader, &report, &err));
    assert_int_equal(report.segment_count, 2);
    assert_int_equal(uploader_durable(uploader).txid, model->txid);
    uploader_free(uploader);
    struct restore_target newest = { .kind = RESTORE_NEWEST };
    model_check_restore(model, &newest, parent); /* its snapshot is not there yet */
    struct replica_info info;
    CHECK_OK(replica_inspect(model->replica, &info, &err));
    model_check_position(&info.position, model, parent);
    assert_true(info.needs_snapshot);

    /* Another run, which has only the newest segment and a new one, and what the replica says. */
    model_commit(model);
    model_spool_segment(model, spool);
    options.durable = info.position;
    uploader = uploader_new(model->replica, &options);
    CHECK_OK(uploader_drain(uploader, &report, &err));
    assert_int_equal(uploader_durable(uploader).txid, model->txid);
    uploader_free(uploader);
    model_commit(model);
    struct segment_name lost;
    assert_true(model_cut(model, &lost));
    model->txid++;
    model->versions[model->txid].digest = 1;
    model_commit(model);
    model_spool_segment(model, spool);
    uploader = uploader_new(model->replica, &options);
    CHECK_RC(uploader_drain(uploader, &report, &err), RC_MISMATCH);
    uploader_free(uploader);
    model->txid -= 3;

    uint64_t end = model->txid;
    struct model_version saved = model->versions[end];
    model->txid = begin;
    model->page_count = model->versions[begin].page_count;
    memcpy(
        model->pages, model->versions[begin].bytes, (size_t)model->page_count * model->page_size);
    model_digest_all(model);
    model_snapshot(model);
    model->txid = end;
    model->versions[end] = saved;
    for (uint64_t txid = 1; txid <= end; txid++) {
        struct restore_target target = { .kind = RESTORE_TXID, .txid = txid };
        model_check_restore(model, &target, txid);
    }
    model_check_restore(model, &newest, end);
    CHECK_OK(replica_inspect(model->replica, &info, &err));
    model_check_position(&info.position, model, end);
    assert_false(info.needs_snapshot);
    auto_history struct history history = HISTORY_INIT;
    CHECK_OK(history_read(&history, model->replica, &err));
    assert_int_equal(history.gap_count, 0);
    assert_int_equal(history.timelines[1].windows[0].first_txid, begin);
    assert_int_equal(history.timelines[1].windows[0].last_txid, end);
    model_free(model);
}

static void keeping_uploaders_leave_the_spool(void **state)
{
    struct error err;
    struct model *model = model_new(110, 512);
    auto_free char *spool = model_path(model, "spool");
    struct upload_report report;
    (void)state;

    CHECK_OK(segment_dir_prepare(spool, &err));
    model_snapshot(model);
    for (unsigned i = 0; i < 3; i++) {
        model_commit(model);
        model_spool_segment(model, spool);
    }
    struct uploader_options options = {
        .spool_folder = spool,
        .durable = model_position(model, 1),
        .keep = true,
    };
    struct uploader *uploader = uploader_new(model->replica, &options);
    CHECK_OK(uploader_drain(uploader, &report, &err));
    assert_int_equal(report.segment_count, 3);
    assert_int_equal(report.removed_count, 0);
    assert_int_equal(spool_count(spool), 3);
    CHECK_OK(uploader_drain(uploader, &report, &err));
    assert_int_equal(report.segment_count, 0);
    uploader_free(uploader);
    model_free(model);
}

/* ---- merged segments */

/* A snapshot at 1; 2 and 3 are stored; 4 to 7 wait, one a segment, and are merged; 7 is the newest.
 */
struct merged_spool {
    struct model *model;
    char *spool;
    struct uploader *uploader;
};

static void merged_spool_run(struct merged_spool *merged, uint64_t durable_txid)
{
    struct uploader_options options = {
        .spool_folder = merged->spool,
        .durable = model_position(merged->model, durable_txid),
    };
    uploader_free(merged->uploader);
    merged->uploader = uploader_new(merged->model->replica, &options);
}

static void spool_remove_log(struct model *model, const char *spool, uint64_t txid)
{
    struct error err;
    struct segment_name name = {
        .min_txid = txid,
        .max_txid = txid,
        .time_ms = model->versions[txid].time_ms,
    };
    CHECK_OK(segment_dir_remove(spool, &name, &err));
}

static struct merged_spool merged_spool_new(uint64_t seed, uint64_t removed_until)
{
    struct error err;
    struct upload_report report;
    struct merged_spool merged = { .model = model_new(seed, 512) };
    struct model *model = merged.model;

    merged.spool = model_path(model, "spool");
    CHECK_OK(segment_dir_prepare(merged.spool, &err));
    model_snapshot(model);
    merged_spool_run(&merged, 1);
    for (unsigned i = 0; i < 6; i++) {
        if (i == 2)
            CHECK_OK(uploader_drain(merged.uploader, &report, &err));
        model_commit(model);
        model_spool_segment(model, merged.spool);
    }
    struct model_merge merge = { .level = 1, .first = 4, .last = 7 };
    model_spool_merged(model, &merge, merged.spool);
    for (uint64_t txid = 4; txid <= removed_until; txid++)
        spool_remove_log(model, merged.spool, txid);
    return merged;
}

static void merged_spool_free(struct merged_spool *merged)
{
    uploader_free(merged->uploader);
    free(merged->spool);
    model_free(merged->model);
}

static unsigned object_count(const struct model *model, const char *part)
{
    size_t count = 0;
    char **paths = model_objects(model, part, &count);
    model_objects_free(paths, count);
    return (unsigned)count;
}

static void a_merged_segment_is_stored_in_place_of_what_it_covers(void **state)
{
    (void)state;

    /* All that it covers is gone but the newest; a part of it; nothing. */
    for (uint64_t removed_until = 3; removed_until <= 6; removed_until++) {
        struct error err;
        struct upload_report report;
        struct merged_spool merged = merged_spool_new(112, removed_until);
        struct model *model = merged.model;
        uint64_t segments = 0;
        uint64_t size = 0;

        CHECK_OK(uploader_backlog(merged.uploader, &segments, &size, &err));
        assert_int_equal(segments, 1);
        CHECK_OK(uploader_drain(merged.uploader, &report, &err));
        assert_int_equal(report.segment_count, 1);
        assert_int_equal(report.stored_size, size);
        struct replica_position durable = uploader_durable(merged.uploader);
        model_check_position(&durable, model, 7);
        assert_int_equal(object_count(model, "/00000001/1/"), 1);
        assert_int_equal(object_count(model, "/00000001/0/"), 2);
        assert_int_equal(spool_count(merged.spool), 1);
        auto_free char *merged_folder = segment_dir_merged(merged.spool);
        assert_int_equal(spool_count(merged_folder), 0);

        model_commit(model);
        model_spool_segment(model, merged.spool);
        CHECK_OK(uploader_drain(merged.uploader, &report, &err));
        assert_int_equal(report.segment_count, 1);
        for (uint64_t txid = 1; txid <= 8; txid++) {
            struct restore_target target = { .kind = RESTORE_TXID, .txid = txid };
            if (txid >= 4 && txid <= 6)
                model_check_restore_fails(model, &target, RC_NOT_FOUND);
            else
                model_check_restore(model, &target, txid);
        }
        struct replica_info info;
        CHECK_OK(replica_inspect(model->replica, &info, &err));
        model_check_position(&info.position, model, 8);
        merged_spool_free(&merged);
    }
}

/* A part of it was stored by itself before: by the run that goes on, or by an earlier one. */
static void a_merged_segment_may_begin_before_what_is_durable(void **state)
{
    (void)state;

    for (unsigned round = 0; round < 3; round++) {
        struct error err;
        struct upload_report report;
        struct merged_spool merged = merged_spool_new(113, 3);
        struct model *model = merged.model;
        struct model_merge merge = { .level = 1, .first = 4, .last = 7 };
        auto_free char *merged_folder = segment_dir_merged(merged.spool);
        struct segment_name name;

        model_merge_name(model, &merge, &name);
        CHECK_OK(segment_dir_remove(merged_folder, &name, &err));
        for (uint64_t txid = 6; txid <= 7; txid++)
            spool_remove_log(model, merged.spool, txid);
        CHECK_OK(uploader_drain(merged.uploader, &report, &err));
        assert_int_equal(uploader_durable(merged.uploader).txid, 5);
        if (round == 2)
            model->versions[3].digest++; /* what it says to continue */
        model_spool_merged(model, &merge, merged.spool);
        if (round == 2)
            model->versions[3].digest--;
        if (round > 0)
            merged_spool_run(&merged, 5);
        if (round > 0)
            spool_remove_log(model, merged.spool, 5); /* which would join */
        rc code = uploader_drain(merged.uploader, &report, &err);
        assert_int_equal(code, round == 2 ? RC_MISMATCH : RC_OK);
        assert_int_equal(object_count(model, "/00000001/1/"), round != 2);
        struct restore_target newest = { .kind = RESTORE_NEWEST };
        model_check_restore(model, &newest, round == 2 ? 5 : 7);
        assert_int_equal(uploader_durable(merged.uploader).txid, round == 2 ? 5 : 7);
        merged_spool_free(&merged);
    }
}

static void a_merged_segment_that_does_not_continue_is_refused(void **state)
{
    struct error err;
    struct upload_report report;
    struct merged_spool merged = merged_spool_new(114, 6);
    struct model *model = merged.model;
    (void)state;

    spool_remove_log(model, merged.spool, 3);
    merged_spool_run(&merged, 2); /* a gap */
    CHECK_RC(uploader_drain(merged.uploader, &report, &err), RC_MISMATCH);
    model->versions[3].digest++;
    merged_spool_run(&merged, 3); /* another history */
    CHECK_RC(uploader_drain(merged.uploader, &report, &err), RC_MISMATCH);
    model->versions[3].digest--;
    model->id.bytes[0]++;
    merged_spool_run(&merged, 3); /* another database */
    CHECK_RC(uploader_drain(merged.uploader, &report, &err), RC_MISMATCH);
    model->id.bytes[0]--;
    assert_int_equal(object_count(model, "/00000001/1/"), 0);

    /* A log in the folder of merged segments. */
    auto_free char *merged_folder = segment_dir_merged(merged.spool);
    struct model_merge merge = { .level = 1, .first = 4, .last = 7 };
    struct segment_name name;
    model_merge_name(model, &merge, &name);
    CHECK_OK(segment_dir_remove(merged_folder, &name, &err));
    model->txid = 3;
    for (unsigned i = 0; i < 4; i++)
        model_commit(model);
    model_spool_segment(model, merged_folder);
    merged_spool_run(&merged, 3);
    CHECK_RC(uploader_drain(merged.uploader, &report, &err), RC_CORRUPT);
    assert_non_null(strstr(err.text, "disagree"));
    merged_spool_free(&merged);
}

/* As a_history_that_begins_anew_follows_the_old_one(), with a part of the new log merged. */
static void a_new_beginning_may_be_merged(void **state)
{
    struct error err;
    struct model *model = model_new(115, 512);
    auto_free char *spool = model_path(model, "spool");
    struct upload_report report;
    (void)state;

    CHECK_OK(segment_dir_prepare(spool, &err));
    model_snapshot(model);
    struct replica_claim_options claim = {
        .parent = model_position(model, 1),
        .own_snapshot = true,
        .page_size = model->page_size,
        .writer = "anew",
        .time_ms = model->now_ms,
    };
    CHECK_OK(replica_claim_timeline(model->replica, &claim, &model->timeline, &err));
    model_commit(model); /* whatever it is, it is not shipped as a log segment */
    struct segment_name dropped;
    assert_true(model_cut(model, &dropped));
    for (unsigned i = 0; i < 4; i++) {
        model_commit(model);
        if (i == 3)
            model_spool_segment(model, spool);
        else
            assert_true(model_cut(model, &dropped));
    }
    struct model_merge merge = { .level = 1, .first = 3, .last = 6 };
    model_spool_merged(model, &merge, spool);
    struct uploader_options options = {
        .spool_folder = spool,
        .durable = model_position(model, 1),
    };
    for (unsigned run = 0; run < 3; run++) {
        struct uploader *uploader = uploader_new(model->replica, &options);
        CHECK_OK(uploader_drain(uploader, &report, &err));
        if (run > 0)
            assert_int_equal(uploader_durable(uploader).txid, model->txid);
        uploader_free(uploader);
        model_commit(model);
        model_spool_segment(model, spool);
    }
    assert_int_equal(object_count(model, "/00000002/1/"), 1);
    model_free(model);
}

/* ---- while capture merges */

struct draining {
    struct uploader *uploader;
    atomic_bool stopping;
    struct error failure; /* code RC_OK: none */
};

static void *drain_thread(void *payload)
{
    struct draining *draining = payload;

    while (!draining->stopping && draining->failure.code == RC_OK) {
        struct upload_report report;
        rc code = uploader_drain(draining->uploader, &report, &draining->failure);
        if (code == RC_OK)
            draining->failure.code = RC_OK;
    }
    return NULL;
}

static void the_spool_is_merged_while_it_is_drained(void **state)
{
    struct error err;
    struct upload_report report;
    struct model *model = model_new(116, 512);
    auto_free char *spool = model_path(model, "spool");
    pthread_t thread;
    (void)state;

    CHECK_OK(segment_dir_prepare(spool, &err));
    model_snapshot(model);
    struct uploader_options options = {
        .spool_folder = spool,
        .durable = model_position(model, 1),
    };
    struct draining draining = { .uploader = uploader_new(model->replica, &options) };
    assert_int_equal(pthread_create(&thread, NULL, drain_thread, &draining), 0);
    for (unsigned round = 0; round < 150; round++) {
        model_commit(model);
        model_spool_segment(model, spool);
        if (model_random(model, 4) == 0)
            model_merge_spool(model, spool);
    }
    draining.stopping = true;
    assert_int_equal(pthread_join(thread, NULL), 0);
    if (draining.failure.code != RC_OK)
        fail_msg("%s", draining.failure.text);
    CHECK_OK(uploader_drain(draining.uploader, &report, &err));
    struct replica_position durable = uploader_durable(draining.uploader);
    model_check_position(&durable, model, model->txid);
    uploader_free(draining.uploader);

    auto_history struct history history = HISTORY_INIT;
    CHECK_OK(history_read(&history, model->replica, &err));
    assert_int_equal(history.gap_count, 0);
    const struct history_timeline *timeline = &history.timelines[0];
    assert_int_equal(timeline->windows[timeline->window_count - 1].last_txid, model->txid);
    for (size_t i = 0; i < timeline->window_count; i++) {
        struct restore_target target = {
            .kind = RESTORE_TXID,
            .txid = timeline->windows[i].last_txid,
        };
        model_check_restore(model, &target, target.txid);
    }
    model_free(model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_spool_is_drained_in_order),
        cmocka_unit_test(a_spool_that_does_not_continue_is_refused),
        cmocka_unit_test(a_history_that_begins_anew_follows_the_old_one),
        cmocka_unit_test(keeping_uploaders_leave_the_spool),
        cmocka_unit_test(a_merged_segment_is_stored_in_place_of_what_it_covers),
        cmocka_unit_test(a_merged_segment_may_begin_before_what_is_durable),
        cmocka_unit_test(a_merged_segment_that_does_not_continue_is_refused),
        cmocka_unit_test(a_new_beginning_may_be_merged),
        cmocka_unit_test(the_spool_is_merged_while_it_is_drained),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
