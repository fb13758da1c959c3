/*
 * faults: every file system call refused once; what failed says so, leaves nothing, and heals
 */
#include "model.h"

#include "harness/fault.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fs.h"

static const int sys_errnos[] = { EIO, ENOSPC, ENOENT, EACCES };

static rc restore_newest(struct model *model, const char *output, struct error *err)
{
    struct restore_target newest = { .kind = RESTORE_NEWEST };
    auto_restore_plan struct restore_plan plan = RESTORE_PLAN_INIT;
    struct restore_options options = { .output = output, .check = RESTORE_CHECK_NONE };
    struct restore_report report;

    rc code = restore_plan_make(&plan, model->replica, &newest, err);
    if (code != RC_OK)
        return code;
    code = restore_run(model->replica, &plan, &options, &report, err);
    /* Not one of the answers: the backup is there. */
    assert_int_not_equal(code, RC_NOT_FOUND);
    return code;
}

static void a_restore_fails_whole_and_heals(void **state)
{
    (void)state;

    for (size_t i = 0; i < array_count(sys_errnos); i++) {
        struct model *model = model_new(201, 512);
        struct model_merge merge = { .level = 1, .first = 2, .last = 4 };
        model_snapshot(model);
        model_run(model, 4, false);
        model_store_merged(model, &merge);
        if (i % 2 == 0)
            model_remove_logs(model, merge.first, merge.last);
        auto_free char *output = model_path(model, "out/restored.db");
        unsigned failure_count = 0;
        for (uint64_t nth = 1; fault_arm(nth, sys_errnos[i]); nth++) {
            struct error err = { 0 };
            rc code = restore_newest(model, output, &err);
            fault_disarm();
            if (code == RC_OK) {
                /* A refused removal of what is gone anyway; the file is whole. */
                assert_int_equal(unlink(output), 0);
                continue;
            }
            failure_count++;
            assert_int_equal(err.code, code);
            assert_int_not_equal(err.text[0], '\0');
            assert_false(fs_exists(output));
            assert_true(model_output_count(model) <= 1); /* when a removal was what was refused */
            struct restore_target newest = { .kind = RESTORE_NEWEST };
            model_check_restore(model, &newest, model->txid);
        }
        assert_true(failure_count > 30);
        model_free(model);
    }
}

static void an_upload_fails_and_continues(void **state)
{
    (void)state;

    for (size_t i = 0; i < array_count(sys_errnos); i++) {
        struct error err = { 0 };
        struct model *model = model_new(202, 512);
        auto_free char *spool = model_path(model, "spool");
        CHECK_OK(segment_dir_prepare(spool, &err));
        model_snapshot(model);
        struct uploader_options options = {
            .spool_folder = spool,
            .durable = model_position(model, 1),
        };
        struct uploader *uploader = uploader_new(model->replica, &options);
        unsigned failure_count = 0;
        bool is_again = true;
        for (uint64_t nth = 1; is_again; nth++) {
            for (unsigned k = 0; k < 4; k++) {
                model_commit(model);
                model_spool_segment(model, spool);
                if (k == 1 && nth % 2 == 0)
                    model_merge_spool(model, spool);
            }
            struct upload_report report;
            is_again = fault_arm(nth, sys_errnos[i]);
            rc code = uploader_drain(uploader, &report, &err);
            fault_disarm();
            /* What is durable is stored, whatever failed. */
            struct restore_target durable = {
                .kind = RESTORE_TXID,
                .txid = uploader_durable(uploader).txid,
            };
            model_check_restore(model, &durable, durable.txid);
            if (code == RC_OK)
                continue;
            failure_count++;
            assert_int_not_equal(code, RC_MISMATCH);
            CHECK_OK(uploader_drain(uploader, &report, &err));
            assert_int_equal(uploader_durable(uploader).txid, model->txid);
        }
        assert_true(failure_count > 10);
        uploader_free(uploader);
        struct restore_target newest = { .kind = RESTORE_NEWEST };
        model_check_restore(model, &newest, model->txid);
        model_free(model);
    }
}

static rc each_ignored(void *payload, uint32_t pgno, uint64_t digest, struct error *err)
{
    (void)pgno;
    (void)digest;
    (void)err;
    ++*(unsigned *)payload;
    return RC_OK;
}

static void looking_fails_without_a_wrong_answer(void **state)
{
    struct model *model = model_new(203, 512);
    (void)state;

    model_snapshot(model);
    model_run(model, 8, false);
    struct model_merge merge = { .level = 1, .first = 3, .last = 7 };
    model_store_merged(model, &merge);
    model_remove_logs(model, 4, 6);
    for (size_t i = 0; i < array_count(sys_errnos); i++) {
        for (uint64_t nth = 1; fault_arm(nth, sys_errnos[i]); nth++) {
            struct error err;
            struct replica_info info;
            rc code = replica_inspect(model->replica, &info, &err);
            fault_disarm();
            assert_true(code != RC_OK || info.position.txid == model->txid);
            assert_int_not_equal(code, RC_NOT_FOUND);
        }
        for (uint64_t nth = 1; fault_arm(nth, sys_errnos[i]); nth++) {
            struct error err;
            struct replica_position position = model_position(model, model->txid);
            unsigned count = 0;
            rc code = replica_each_page_digest(
                model->replica, &position, model->folder, each_ignored, &count, &err);
            fault_disarm();
            assert_int_equal(code == RC_OK, count == model->page_count);
        }
    }
    model_free(model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_restore_fails_whole_and_heals),
        cmocka_unit_test(an_upload_fails_and_continues),
        cmocka_unit_test(looking_fails_without_a_wrong_answer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
