/* test_pending_file - whole or not at all, whatever fails on the way */
#include "base/pending_file.h"

#include "base/alloc.h"
#include "base/fs.h"
#include "harness/check.h"
#include "harness/fault.h"
#include "harness/scratch.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

static void a_committed_file_replaces_and_leaves_nothing_behind(void **state)
{
    (void)state;
    auto_scratch struct scratch scratch = scratch_new();
    auto_free char *path = scratch_path(&scratch, "target");
    auto_pending_file struct pending_file file = PENDING_FILE_INIT;
    struct stat status;
    struct error err;

    scratch_write(&scratch, "target", bytes_of_text("old"));
    CHECK_OK(pending_file_open(&file, path, 0640, &err));
    CHECK_OK(pending_file_write(&file, bytes_of_text("new "), &err));
    CHECK_OK(pending_file_write(&file, bytes_of(NULL, 0), &err));
    CHECK_OK(pending_file_write(&file, bytes_of_text("content"), &err));
    assert_int_equal(file.size, 11);
    assert_true(scratch_holds(&scratch, "target", bytes_of_text("old")));
    assert_int_equal(scratch_name_count(&scratch), 2);
    CHECK_OK(pending_file_commit(&file, PENDING_FILE_REPLACE, &err));
    assert_true(scratch_holds(&scratch, "target", bytes_of_text("new content")));
    assert_int_equal(scratch_name_count(&scratch), 1);
    CHECK_OK(fs_stat(&status, path, &err));
    assert_int_equal(status.st_mode & 0777, 0640);
    assert_int_equal(file.fd, -1);
    assert_null(file.temp);
}

static void leaving_without_a_commit_removes_it(void **state)
{
    (void)state;
    auto_scratch struct scratch scratch = scratch_new();
    auto_free char *path = scratch_path(&scratch, "target");
    struct error err;
    {
        auto_pending_file struct pending_file file = PENDING_FILE_INIT;
        CHECK_OK(pending_file_open(&file, path, 0600, &err));
        CHECK_OK(pending_file_write(&file, bytes_of_text("x"), &err));
        assert_int_equal(scratch_name_count(&scratch), 1);
        pending_file_abort(&file);
        pending_file_abort(&file);
        assert_int_equal(scratch_name_count(&scratch), 0);
        CHECK_OK(pending_file_open(&file, path, 0600, &err));
    }
    assert_int_equal(scratch_name_count(&scratch), 0);
}

static void a_new_file_never_replaces(void **state)
{
    (void)state;
    for (int without_renameat2 = 0; without_renameat2 < 2; without_renameat2++) {
        auto_scratch struct scratch scratch = scratch_new();
        auto_free char *path = scratch_path(&scratch, "target");
        auto_pending_file struct pending_file file = PENDING_FILE_INIT;
        struct error err;

        if (without_renameat2)
            fault_arm_call(FAULT_RENAME, 0, 2, EINVAL);
        CHECK_OK(pending_file_open(&file, path, 0600, &err));
        CHECK_OK(pending_file_write(&file, bytes_of_text("first"), &err));
        CHECK_OK(pending_file_commit(&file, PENDING_FILE_NEW, &err));
        CHECK_OK(pending_file_open(&file, path, 0600, &err));
        CHECK_OK(pending_file_write(&file, bytes_of_text("second"), &err));
        CHECK_RC(pending_file_commit(&file, PENDING_FILE_NEW, &err), RC_EXISTS);
        fault_disarm();
        assert_true(scratch_holds(&scratch, "target", bytes_of_text("first")));
        assert_int_equal(scratch_name_count(&scratch), 1);
        assert_int_equal(file.fd, -1);
    }
}

static void the_name_may_be_known_late(void **state)
{
    (void)state;
    auto_scratch struct scratch scratch = scratch_new();
    auto_free char *early = scratch_path(&scratch, "early");
    auto_free char *late = scratch_path(&scratch, "late");
    auto_pending_file struct pending_file file = PENDING_FILE_INIT;
    struct error err;

    CHECK_OK(pending_file_open(&file, early, 0600, &err));
    CHECK_OK(pending_file_write(&file, bytes_of_text("x"), &err));
    CHECK_OK(pending_file_commit_as(&file, late, PENDING_FILE_NEW, &err));
    assert_false(fs_exists(early));
    assert_true(scratch_holds(&scratch, "late", bytes_of_text("x")));
}

static void commit_elsewhere(void *payload)
{
    rc result = pending_file_commit_as(payload, "/other/folder", PENDING_FILE_NEW, NULL);
    (void)result;
}

static void the_folder_may_not_change(void **state)
{
    (void)state;
    auto_scratch struct scratch scratch = scratch_new();
    auto_free char *path = scratch_path(&scratch, "target");
    auto_pending_file struct pending_file file = PENDING_FILE_INIT;
    struct error err;

    CHECK_OK(pending_file_open(&file, path, 0600, &err));
    assert_true(check_aborts(commit_elsewhere, &file));
}

static void a_failed_write_is_remembered(void **state)
{
    (void)state;
    auto_scratch struct scratch scratch = scratch_new();
    auto_free char *path = scratch_path(&scratch, "target");
    auto_pending_file struct pending_file file = PENDING_FILE_INIT;
    struct error err;

    scratch_write(&scratch, "target", bytes_of_text("old"));
    CHECK_OK(pending_file_open(&file, path, 0600, &err));
    fault_arm_call(FAULT_WRITE, 0, 1, ENOSPC);
    CHECK_RC(pending_file_write(&file, bytes_of_text("x"), &err), RC_NO_SPACE);
    CHECK_SAYS(err, path);
    fault_disarm();
    CHECK_RC(pending_file_write(&file, bytes_of_text("y"), &err), RC_NO_SPACE);
    assert_int_equal(file.size, 0);
    CHECK_RC(pending_file_commit(&file, PENDING_FILE_REPLACE, &err), RC_NO_SPACE);
    assert_true(scratch_holds(&scratch, "target", bytes_of_text("old")));
    assert_int_equal(scratch_name_count(&scratch), 1);
}

static rc replace(const char *path, struct error *err)
{
    auto_pending_file struct pending_file file = PENDING_FILE_INIT;

    TRY(pending_file_open(&file, path, 0600, err));
    TRY(pending_file_write(&file, bytes_of_text("new"), err));
    return pending_file_commit(&file, PENDING_FILE_REPLACE, err);
}

static void one_failure_anywhere_leaves_old_or_new(void **state)
{
    (void)state;
    auto_scratch struct scratch scratch = scratch_new();
    auto_free char *path = scratch_path(&scratch, "target");
    uint64_t nth = 1;

    for (;; nth++) {
        struct error err;
        scratch_write(&scratch, "target", bytes_of_text("old"));
        fault_arm(nth, EIO);
        rc result = replace(path, &err);
        bool fired = fault_fired();
        fault_disarm();

        assert_int_equal(result, fired ? RC_IO : RC_OK);
        bool is_new = scratch_holds(&scratch, "target", bytes_of_text("new"));
        assert_true(is_new || scratch_holds(&scratch, "target", bytes_of_text("old")));
        assert_true(is_new || result != RC_OK);
        assert_int_equal(scratch_name_count(&scratch), 1);
        if (!fired)
            break;
    }
    /* open, write, sync, rename, open of the folder, sync of the folder */
    assert_int_equal(nth, 7);
}

static void content_is_synced_before_the_name_and_the_folder_after(void **state)
{
    (void)state;
    auto_scratch struct scratch scratch = scratch_new();
    auto_free char *path = scratch_path(&scratch, "target");
    struct error err;

    scratch_write(&scratch, "target", bytes_of_text("old"));
    fault_arm_call(FAULT_SYNC, 0, 1, EIO);
    CHECK_RC(replace(path, &err), RC_IO);
    assert_true(scratch_holds(&scratch, "target", bytes_of_text("old")));
    fault_arm_call(FAULT_SYNC, 1, 1, EIO);
    CHECK_RC(replace(path, &err), RC_IO);
    assert_true(scratch_holds(&scratch, "target", bytes_of_text("new")));
    fault_disarm();
}

static void opening_fails_without_a_trace(void **state)
{
    (void)state;
    auto_scratch struct scratch scratch = scratch_new();
    auto_free char *path = scratch_path(&scratch, "no/target");
    auto_pending_file struct pending_file file = PENDING_FILE_INIT;
    struct error err;

    CHECK_RC(pending_file_open(&file, path, 0600, &err), RC_NOT_FOUND);
    assert_int_equal(file.fd, -1);
    assert_null(file.target);
    /* Names that are taken are tried again, but not for ever. */
    auto_free char *other = scratch_path(&scratch, "target");
    fault_arm_call(FAULT_OPEN, 0, 3, EEXIST);
    CHECK_OK(pending_file_open(&file, other, 0600, &err));
    pending_file_abort(&file);
    fault_arm_call(FAULT_OPEN, 0, 1000, EEXIST);
    CHECK_RC(pending_file_open(&file, other, 0600, &err), RC_EXISTS);
    fault_disarm();
    assert_int_equal(scratch_name_count(&scratch), 0);
}

static void the_longest_name_still_has_a_temporary_one(void **state)
{
    (void)state;
    auto_scratch struct scratch scratch = scratch_new();
    char name[256];
    struct error err;

    memset(name, 'n', 255);
    name[255] = '\0';
    auto_free char *path = scratch_path(&scratch, name);
    CHECK_OK(replace(path, &err));
    assert_true(scratch_holds(&scratch, name, bytes_of_text("new")));
}

static void the_sweep_takes_our_leftovers_only(void **state)
{
    (void)state;
    const char *const kept[] = { "target", "x.tmp-abcdef", ".tmp-abcdef", ".x.tmp-abcde",
        ".x.tmp-abcdefg", ".x.tmp-ABCDEF", ".x.tmp-abc1ef", ".x.temp-abcdef", ".x.tmp_abcdef" };
    auto_scratch struct scratch scratch = scratch_new();
    auto_free char *path = scratch_path(&scratch, "target");
    auto_free char *folder = scratch_path(&scratch, ".d.tmp-abcdef");
    struct pending_file lost = PENDING_FILE_INIT;
    struct error err;

    for (size_t i = 0; i < array_count(kept); i++)
        scratch_write(&scratch, kept[i], bytes_of_text("x"));
    CHECK_OK(fs_make_folders(folder, 0700, &err));
    CHECK_OK(pending_file_open(&lost, path, 0600, &err));
    scratch_write(&scratch, ".target.tmp-abc234", bytes_of_text("x"));
    assert_int_equal(scratch_name_count(&scratch), array_count(kept) + 3);
    CHECK_OK(pending_file_sweep(scratch.folder, &err));
    assert_int_equal(scratch_name_count(&scratch), array_count(kept) + 1);
    assert_false(fs_exists(lost.temp));
    pending_file_abort(&lost);
    CHECK_RC(pending_file_sweep(path, &err), RC_IO);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_committed_file_replaces_and_leaves_nothing_behind),
        cmocka_unit_test(leaving_without_a_commit_removes_it),
        cmocka_unit_test(a_new_file_never_replaces),
        cmocka_unit_test(the_name_may_be_known_late),
        cmocka_unit_test(the_folder_may_not_change),
        cmocka_unit_test(a_failed_write_is_remembered),
        cmocka_unit_test(one_failure_anywhere_leaves_old_or_new),
        cmocka_unit_test(content_is_synced_before_the_name_and_the_folder_after),
        cmocka_unit_test(opening_fails_without_a_trace),
        cmocka_unit_test(the_longest_name_still_has_a_temporary_one),
        cmocka_unit_test(the_sweep_takes_our_leftovers_only),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
