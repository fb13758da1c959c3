/* test_fs - calls that are whole, and say which code when they cannot be */
#include "base/fs.h"

#include "base/alloc.h"
#include "base/text.h"
#include "harness/check.h"
#include "harness/fault.h"
#include "harness/scratch.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

static int open_new(const struct scratch *scratch, const char *name)
{
    auto_free char *path = scratch_path(scratch, name);
    struct error err;
    int fd;

    CHECK_OK(fs_open(&fd, path, O_RDWR | O_CREAT | O_EXCL, 0600, &err));
    return fd;
}

static void opening_answers_by_code(void **state)
{
    (void)state;
    auto_scratch struct scratch scratch = scratch_new();
    auto_free char *path = scratch_path(&scratch, "a");
    auto_fd int fd = open_new(&scratch, "a");
    struct error err;
    int other = -1;

    assert_true((fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0);
    CHECK_RC(fs_open(&other, path, O_RDWR | O_CREAT | O_EXCL, 0600, &err), RC_EXISTS);
    CHECK_SAYS(err, path);
    auto_free char *missing = scratch_path(&scratch, "missing");
    CHECK_RC(fs_open(&other, missing, O_RDONLY, 0, &err), RC_NOT_FOUND);
    assert_int_equal(other, -1);
}

static void bytes_go_where_they_were_sent(void **state)
{
    (void)state;
    auto_scratch struct scratch scratch = scratch_new();
    auto_fd int fd = open_new(&scratch, "a");
    struct error err;
    uint64_t size;
    char out[8] = { 0 };

    CHECK_OK(fs_write(fd, bytes_of_text("abc"), &err));
    CHECK_OK(fs_write(fd, bytes_of_text("def"), &err));
    CHECK_OK(fs_write_at(fd, bytes_of_text("XY"), 2, &err));
    CHECK_OK(fs_write_at(fd, bytes_of(NULL, 0), 100, &err));
    CHECK_OK(fs_size(&size, fd, &err));
    assert_int_equal(size, 6);
    CHECK_OK(fs_read_exact(fd, out, 6, 0, &err));
    assert_string_equal(out, "abXYef");
    CHECK_OK(fs_truncate(fd, 3, &err));
    CHECK_OK(fs_size(&size, fd, &err));
    assert_int_equal(size, 3);
}

static void the_end_of_a_file_is_told_apart(void **state)
{
    (void)state;
    auto_scratch struct scratch scratch = scratch_new();
    auto_fd int fd = open_new(&scratch, "a");
    struct error err;
    size_t size = 77;
    char out[16];

    CHECK_OK(fs_write(fd, bytes_of_text("0123456789"), &err));
    CHECK_RC(fs_read_exact(fd, out, 4, 7, &err), RC_CORRUPT);
    CHECK_SAYS(err, "ends at 10");
    CHECK_OK(fs_read_some(fd, out, 4, 7, &size, &err));
    assert_int_equal(size, 3);
    CHECK_OK(fs_read_some(fd, out, 4, 10, &size, &err));
    assert_int_equal(size, 0);
    CHECK_OK(fs_read_some(fd, out, 4, INT64_MAX - 4, &size, &err));
    assert_int_equal(size, 0);
    CHECK_OK(fs_read_exact(fd, out, 0, 10, &err));
}

static void offsets_no_file_has_are_refused(void **state)
{
    (void)state;
    auto_scratch struct scratch scratch = scratch_new();
    auto_fd int fd = open_new(&scratch, "a");
    struct error err;
    char out[4];

    CHECK_RC(fs_read_exact(fd, out, 4, UINT64_MAX, &err), RC_CORRUPT);
    CHECK_RC(fs_read_exact(fd, out, 4, (uint64_t)INT64_MAX - 3, &err), RC_CORRUPT);
    CHECK_RC(fs_write_at(fd, bytes_of_text("abcd"), UINT64_MAX - 1, &err), RC_NO_SPACE);
    CHECK_RC(fs_truncate(fd, UINT64_MAX, &err), RC_NO_SPACE);
    assert_true(scratch_holds(&scratch, "a", bytes_of(NULL, 0)));
}

static void short_and_interrupted_calls_are_finished(void **state)
{
    (void)state;
    auto_scratch struct scratch scratch = scratch_new();
    auto_fd int fd = open_new(&scratch, "a");
    struct error err;
    char out[11] = { 0 };

    fault_arm_call(FAULT_WRITE, 1, 3, EINTR);
    fault_shorten(3);
    CHECK_OK(fs_write(fd, bytes_of_text("01234"), &err));
    CHECK_OK(fs_write_at(fd, bytes_of_text("56789"), 5, &err));
    assert_true(fault_fired());
    fault_arm_call(FAULT_READ, 1, 3, EINTR);
    fault_shorten(3);
    CHECK_OK(fs_read_exact(fd, out, 10, 0, &err));
    assert_true(fault_fired());
    assert_string_equal(out, "0123456789");
    fault_arm_call(FAULT_SYNC, 0, 2, EINTR);
    CHECK_OK(fs_sync(fd, "a", &err));
    assert_true(fault_fired());
    fault_disarm();
}

static void a_full_disk_is_said_as_such(void **state)
{
    (void)state;
    auto_scratch struct scratch scratch = scratch_new();
    auto_fd int fd = open_new(&scratch, "a");
    struct error err;

    fault_arm_call(FAULT_WRITE, 1, 1, ENOSPC);
    fault_shorten(2);
    CHECK_RC(fs_write_at(fd, bytes_of_text("abcd"), 0, &err), RC_NO_SPACE);
    assert_int_equal(err.sys_errno, ENOSPC);
    fault_arm_call(FAULT_SYNC, 0, 1, EIO);
    CHECK_RC(fs_sync(fd, "name", &err), RC_IO);
    CHECK_SAYS(err, "name");
    fault_disarm();
}

static void rename_replaces_and_rename_new_never_does(void **state)
{
    (void)state;
    auto_scratch struct scratch scratch = scratch_new();
    auto_free char *a = scratch_path(&scratch, "a");
    auto_free char *b = scratch_path(&scratch, "b");
    struct error err;

    scratch_write(&scratch, "a", bytes_of_text("A"));
    scratch_write(&scratch, "b", bytes_of_text("B"));
    CHECK_RC(fs_rename_new(a, b, &err), RC_EXISTS);
    assert_true(scratch_holds(&scratch, "a", bytes_of_text("A")));
    assert_true(scratch_holds(&scratch, "b", bytes_of_text("B")));
    CHECK_OK(fs_rename(a, b, &err));
    assert_true(scratch_holds(&scratch, "b", bytes_of_text("A")));
    CHECK_OK(fs_rename_new(b, a, &err));
    assert_true(scratch_holds(&scratch, "a", bytes_of_text("A")));
    CHECK_RC(fs_rename_new(b, a, &err), RC_NOT_FOUND);
    CHECK_RC(fs_rename(b, a, &err), RC_NOT_FOUND);
}

static void without_renameat2_a_link_does_the_same(void **state)
{
    (void)state;
    const int answers[] = { EINVAL, ENOSYS };

    for (size_t i = 0; i < array_count(answers); i++) {
        auto_scratch struct scratch scratch = scratch_new();
        auto_free char *a = scratch_path(&scratch, "a");
        auto_free char *b = scratch_path(&scratch, "b");
        struct error err;

        scratch_write(&scratch, "a", bytes_of_text("A"));
        scratch_write(&scratch, "b", bytes_of_text("B"));
        fault_arm_call(FAULT_RENAME, 0, 3, answers[i]);
        CHECK_RC(fs_rename_new(a, b, &err), RC_EXISTS);
        assert_true(scratch_holds(&scratch, "a", bytes_of_text("A")));
        assert_true(scratch_holds(&scratch, "b", bytes_of_text("B")));
        CHECK_OK(fs_remove(b, &err));
        CHECK_OK(fs_rename_new(a, b, &err));
        assert_false(fs_exists(a));
        assert_true(scratch_holds(&scratch, "b", bytes_of_text("A")));
        CHECK_RC(fs_rename_new(a, b, &err), RC_NOT_FOUND);
        fault_disarm();
    }
}

static void other_refusals_of_renameat2_are_final(void **state)
{
    (void)state;
    auto_scratch struct scratch scratch = scratch_new();
    auto_free char *a = scratch_path(&scratch, "a");
    auto_free char *b = scratch_path(&scratch, "b");
    struct error err;

    scratch_write(&scratch, "a", bytes_of_text("A"));
    uint64_t links_before = fault_call_count(FAULT_LINK);
    fault_arm_call(FAULT_RENAME, 0, 1, EXDEV);
    CHECK_RC(fs_rename_new(a, b, &err), RC_IO);
    assert_int_equal(err.sys_errno, EXDEV);
    assert_int_equal(fault_call_count(FAULT_LINK), links_before);
    fault_disarm();
    assert_true(scratch_holds(&scratch, "a", bytes_of_text("A")));
}

/* Only where the machine has two file systems to offer. */
static void renaming_across_file_systems_is_an_error_that_says_so(void **state)
{
    (void)state;
    auto_scratch struct scratch scratch = scratch_new();
    auto_free char *a = scratch_path(&scratch, "a");
    auto_free char *b = text_format("/dev/shm/seawal-test-%ld", (long)getpid());
    struct stat here;
    struct stat there;
    struct error err;

    if (stat(scratch.folder, &here) != 0 || stat("/dev/shm", &there) != 0 ||
        here.st_dev == there.st_dev || access("/dev/shm", W_OK) != 0) {
        print_message("SKIP: /dev/shm is not a second file system\n");
        skip();
    }
    scratch_write(&scratch, "a", bytes_of_text("A"));
    CHECK_RC(fs_rename(a, b, &err), RC_IO);
    assert_int_equal(err.sys_errno, EXDEV);
    CHECK_RC(fs_rename_new(a, b, &err), RC_IO);
    assert_int_equal(err.sys_errno, EXDEV);
    assert_false(fs_exists(b));
    assert_true(scratch_holds(&scratch, "a", bytes_of_text("A")));
}

static void what_is_gone_counts_as_removed(void **state)
{
    (void)state;
    auto_scratch struct scratch scratch = scratch_new();
    auto_free char *path = scratch_path(&scratch, "a");
    struct error err;

    scratch_write(&scratch, "a", bytes_of_text("A"));
    CHECK_OK(fs_remove(path, &err));
    CHECK_OK(fs_remove(path, &err));
    assert_false(fs_exists(path));
    scratch_write(&scratch, "a", bytes_of_text("A"));
    CHECK_RC(fs_remove(scratch.folder, &err), RC_EXISTS);
    assert_true(fs_exists(path));
}

static void folders_are_made_all_the_way(void **state)
{
    (void)state;
    auto_scratch struct scratch scratch = scratch_new();
    auto_free char *deep = scratch_path(&scratch, "x/y//z/");
    auto_free char *below_file = scratch_path(&scratch, "file/x");
    auto_free char *file = scratch_path(&scratch, "file");
    struct stat status;
    struct error err;

    CHECK_OK(fs_make_folders(deep, 0700, &err));
    CHECK_OK(fs_make_folders(deep, 0700, &err));
    CHECK_OK(fs_make_folders("/", 0700, &err));
    CHECK_OK(fs_stat(&status, deep, &err));
    assert_true(S_ISDIR(status.st_mode));
    assert_int_equal(status.st_mode & 0777, 0700);
    scratch_write(&scratch, "file", bytes_of_text("A"));
    CHECK_RC(fs_make_folders(file, 0700, &err), RC_EXISTS);
    CHECK_RC(fs_make_folders(below_file, 0700, &err), RC_EXISTS);
    assert_true(scratch_holds(&scratch, "file", bytes_of_text("A")));
}

static void stat_follows_links_and_says_what_is_missing(void **state)
{
    (void)state;
    auto_scratch struct scratch scratch = scratch_new();
    auto_free char *link = scratch_path(&scratch, "link");
    struct stat status = { .st_size = 77 };
    struct error err;

    assert_int_equal(symlink("target", link), 0);
    assert_false(fs_exists(link));
    CHECK_RC(fs_stat(&status, link, &err), RC_NOT_FOUND);
    assert_int_equal(status.st_size, 77);
    scratch_write(&scratch, "target", bytes_of_text("four"));
    CHECK_OK(fs_stat(&status, link, &err));
    assert_int_equal(status.st_size, 4);
}

static void whole_files_are_read_up_to_the_limit(void **state)
{
    (void)state;
    enum { CHUNK = 8192 };
    const size_t sizes[] = { 0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK };
    auto_scratch struct scratch scratch = scratch_new();
    auto_free char *path = scratch_path(&scratch, "a");
    struct error err;

    for (size_t i = 0; i < array_count(sizes); i++) {
        auto_free uint8_t *content = mem_new(sizes[i]);
        memset(content, (int)i + 1, sizes[i]);
        scratch_write(&scratch, "a", bytes_of(content, sizes[i]));

        auto_buf struct buf exact = BUF_INIT(sizes[i]);
        CHECK_OK(fs_read_file(&exact, path, &err));
        assert_true(bytes_equal(buf_bytes(&exact), bytes_of(content, sizes[i])));
        if (sizes[i] == 0)
            continue;
        auto_buf struct buf small = BUF_INIT(sizes[i] - 1);
        CHECK_RC(fs_read_file(&small, path, &err), RC_CORRUPT);
        CHECK_SAYS(err, path);
    }
    auto_buf struct buf out = BUF_INIT(1);
    CHECK_OK(fs_remove(path, &err));
    CHECK_RC(fs_read_file(&out, path, &err), RC_NOT_FOUND);
}

struct seen {
    unsigned files;
    unsigned folders;
    unsigned stop_after;
};

static rc see(void *payload, const char *name, bool is_folder, struct error *err)
{
    struct seen *seen = payload;

    assert_string_not_equal(name, ".");
    assert_string_not_equal(name, "..");
    assert_int_equal(is_folder, name[0] == 'd');
    if (is_folder)
        seen->folders++;
    else
        seen->files++;
    if (seen->files + seen->folders == seen->stop_after)
        FAIL(err, RC_CANCELLED, "enough");
    return RC_OK;
}

static void every_name_is_seen_once(void **state)
{
    (void)state;
    auto_scratch struct scratch scratch = scratch_new();
    auto_free char *folder = scratch_path(&scratch, "d");
    auto_free char *link = scratch_path(&scratch, "link");
    auto_free char *missing = scratch_path(&scratch, "missing");
    struct seen seen = { 0 };
    struct error err;

    CHECK_OK(fs_make_folders(folder, 0700, &err));
    assert_int_equal(symlink("d", link), 0);
    scratch_write(&scratch, ".hidden", bytes_of_text("x"));
    CHECK_OK(fs_each(scratch.folder, see, &seen, &err));
    assert_int_equal(seen.folders, 1);
    assert_int_equal(seen.files, 2);

    seen = (struct seen){ .stop_after = 2 };
    CHECK_RC(fs_each(scratch.folder, see, &seen, &err), RC_CANCELLED);
    assert_int_equal(seen.files + seen.folders, 2);
    CHECK_RC(fs_each(missing, see, &seen, &err), RC_NOT_FOUND);
}

static void parents_are_synced_by_name(void **state)
{
    (void)state;
    auto_scratch struct scratch scratch = scratch_new();
    auto_free char *path = scratch_path(&scratch, "a");
    auto_free char *lost = scratch_path(&scratch, "no/a");
    struct error err;

    uint64_t before = fault_call_count(FAULT_SYNC);
    CHECK_OK(fs_sync_parent(path, &err));
    assert_int_equal(fault_call_count(FAULT_SYNC), before + 1);
    CHECK_RC(fs_sync_parent(lost, &err), RC_NOT_FOUND);
    fault_arm_call(FAULT_SYNC, 0, 1, EIO);
    CHECK_RC(fs_sync_parent(path, &err), RC_IO);
    fault_arm_call(FAULT_SYNC, 0, 1, EINVAL);
    CHECK_OK(fs_sync_parent(path, &err));
    assert_true(fault_fired());
    fault_disarm();
}

static void there_is_room_for_files(void **state)
{
    (void)state;
    struct error err = { 0 };
    uint64_t room = 0;

    CHECK_OK(fs_file_room(&room, "/tmp", &err));
    assert_true(room > 0);
    CHECK_RC(fs_file_room(&room, "/nowhere/at/all", &err), RC_NOT_FOUND);
}

static void an_unnamed_file_leaves_no_name(void **state)
{
    (void)state;
    struct error err = { 0 };
    auto_scratch struct scratch scratch = scratch_new();
    uint8_t byte = 0;
    auto_fd int fd = -1;

    CHECK_OK(fs_open_unnamed(&fd, scratch.folder, &err));
    assert_int_equal(scratch_name_count(&scratch), 0);
    CHECK_OK(fs_write_at(fd, bytes_of_text("a"), 1000, &err));
    CHECK_OK(fs_read_exact(fd, &byte, 1, 1000, &err));
    assert_int_equal(byte, 'a');
    CHECK_RC(fs_open_unnamed(&fd, "/nowhere/at/all", &err), RC_NOT_FOUND);
}

static void space_is_less_than_the_whole(void **state)
{
    (void)state;
    auto_scratch struct scratch scratch = scratch_new();
    auto_free char *missing = scratch_path(&scratch, "missing");
    uint64_t left = 0;
    uint64_t total = 0;
    struct error err;

    CHECK_OK(fs_space(&left, &total, scratch.folder, &err));
    assert_true(total > 0 && left <= total);
    CHECK_RC(fs_space(&left, &total, missing, &err), RC_NOT_FOUND);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(opening_answers_by_code),
        cmocka_unit_test(bytes_go_where_they_were_sent),
        cmocka_unit_test(the_end_of_a_file_is_told_apart),
        cmocka_unit_test(offsets_no_file_has_are_refused),
        cmocka_unit_test(short_and_interrupted_calls_are_finished),
        cmocka_unit_test(a_full_disk_is_said_as_such),
        cmocka_unit_test(rename_replaces_and_rename_new_never_does),
        cmocka_unit_test(without_renameat2_a_link_does_the_same),
        cmocka_unit_test(other_refusals_of_renameat2_are_final),
        cmocka_unit_test(renaming_across_file_systems_is_an_error_that_says_so),
        cmocka_unit_test(what_is_gone_counts_as_removed),
        cmocka_unit_test(folders_are_made_all_the_way),
        cmocka_unit_test(stat_follows_links_and_says_what_is_missing),
        cmocka_unit_test(whole_files_are_read_up_to_the_limit),
        cmocka_unit_test(every_name_is_seen_once),
        cmocka_unit_test(parents_are_synced_by_name),
        cmocka_unit_test(there_is_room_for_files),
        cmocka_unit_test(an_unnamed_file_leaves_no_name),
        cmocka_unit_test(space_is_less_than_the_whole),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
