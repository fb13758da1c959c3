/*
 * upload: the spool into the replica, in order, across restarts, and never over another's
 */
#include "model.h"

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_spool_is_drained_in_order),
        cmocka_unit_test(a_spool_that_does_not_continue_is_refused),
        cmocka_unit_test(a_history_that_begins_anew_follows_the_old_one),
        cmocka_unit_test(keeping_uploaders_leave_the_spool),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
