/* file_store - what is particular about folders: temporary files, strangers, permissions */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fs.h"
#include "harness/check.h"
#include "harness/scratch.h"
#include "store/scheme.h"

static struct store *open_in(const struct scratch *scratch)
{
    struct error err;
    struct store *store = NULL;
    CHECK_OK(store_open(&store, scratch->folder, NULL, &err));
    return store;
}

static rc count_key(void *payload, const struct store_object *object, struct error *err)
{
    (void)object;
    (void)err;
    ++*(size_t *)payload;
    return RC_OK;
}

static size_t key_count(struct store *store)
{
    struct error err;
    size_t count = 0;
    CHECK_OK(store_list(store, "", NULL, count_key, &count, &err));
    return count;
}

static void make_old(const struct scratch *scratch, const char *name)
{
    auto_free char *path = scratch_path(scratch, name);
    const struct timespec times[2] = { { .tv_sec = 1000000000 }, { .tv_sec = 1000000000 } };
    assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
}

static bool is_there(const struct scratch *scratch, const char *name)
{
    auto_free char *path = scratch_path(scratch, name);
    return fs_exists(path);
}

static void make_folder(const struct scratch *scratch, const char *name)
{
    auto_free char *path = scratch_path(scratch, name);
    assert_int_equal(mkdir(path, 0755), 0);
}

static void only_dead_temporary_files_are_swept(void **state)
{
    (void)state;
    struct error err;
    auto_scratch struct scratch scratch = scratch_new();
    make_folder(&scratch, "sub");
    static const char *const names[] = { ".dead.tmp-abcdef", "sub/.dead.tmp-123456",
        ".young.tmp-abcdef", ".held.tmp-abcdef", "object", ".hidden" };
    for (size_t index = 0; index < array_count(names); index++)
        scratch_write(&scratch, names[index], bytes_of_text("x"));
    for (size_t index = 0; index < array_count(names); index++)
        if (strstr(names[index], "young") == NULL)
            make_old(&scratch, names[index]);
    auto_free char *held = scratch_path(&scratch, ".held.tmp-abcdef");
    auto_fd int fd = open(held, O_RDONLY | O_CLOEXEC);
    assert_int_equal(flock(fd, LOCK_SH), 0);

    struct store *store = open_in(&scratch);
    assert_int_equal(key_count(store), 2);
    assert_true(is_there(&scratch, ".dead.tmp-abcdef")); /* reading sweeps nothing */
    CHECK_OK(store_put(store, "new", bytes_of_text("x"), STORE_PUT_NEW, &err));
    assert_false(is_there(&scratch, ".dead.tmp-abcdef"));
    assert_false(is_there(&scratch, "sub/.dead.tmp-123456"));
    assert_true(is_there(&scratch, ".young.tmp-abcdef"));
    assert_true(is_there(&scratch, ".held.tmp-abcdef"));
    assert_true(is_there(&scratch, "object"));
    assert_true(is_there(&scratch, ".hidden"));
    assert_int_equal(key_count(store), 3);
    store_free(store);
}

static void keys_that_look_temporary_are_refused(void **state)
{
    (void)state;
    struct error err;
    auto_scratch struct scratch scratch = scratch_new();
    struct store *store = open_in(&scratch);
    CHECK_RC(
        store_put(store, "a/.x.tmp-abcdef", bytes_of_text("x"), STORE_PUT_NEW, &err), RC_USAGE);
    CHECK_RC(
        store_put(store, ".x.tmp-abcdef/a", bytes_of_text("x"), STORE_PUT_NEW, &err), RC_USAGE);
    CHECK_OK(store_put(store, "x.tmp-abcdef", bytes_of_text("x"), STORE_PUT_NEW, &err));
    store_free(store);
}

static void strangers_are_listed_and_folders_are_no_objects(void **state)
{
    (void)state;
    struct error err;
    auto_scratch struct scratch scratch = scratch_new();
    auto_buf struct buf got = BUF_INIT(10);
    scratch_write(&scratch, "README", bytes_of_text("x"));
    make_folder(&scratch, "empty");
    auto_free char *pipe_path = scratch_path(&scratch, "pipe");
    assert_int_equal(mkfifo(pipe_path, 0600), 0);
    struct store *store = open_in(&scratch);
    assert_int_equal(key_count(store), 1);
    CHECK_RC(store_get(store, "empty", 0, 0, &got, &err), RC_NOT_FOUND);
    CHECK_RC(store_get(store, "README/below", 0, 0, &got, &err), RC_NOT_FOUND);
    store_free(store);
}

static void a_root_that_is_no_folder_is_never_empty(void **state)
{
    (void)state;
    struct error err;
    size_t count = 0;
    auto_scratch struct scratch scratch = scratch_new();
    scratch_write(&scratch, "file", bytes_of_text("x"));
    auto_free char *path = scratch_path(&scratch, "file");
    struct store *store = NULL;
    CHECK_OK(store_open(&store, path, NULL, &err));
    CHECK_RC(store_list(store, "", NULL, count_key, &count, &err), RC_USAGE);
    store_free(store);
}

enum { NOBODY = 65534 };

static void an_unreadable_folder_is_never_empty(void **state)
{
    (void)state;
    struct error err;
    size_t count = 0;
    auto_scratch struct scratch scratch = scratch_new();
    make_folder(&scratch, "closed");
    auto_free char *path = scratch_path(&scratch, "closed");
    assert_int_equal(chmod(scratch.folder, 0755), 0);
    assert_int_equal(chmod(path, 0), 0);
    struct store *store = open_in(&scratch);
    /* To root every folder is readable: become somebody else while it is listed. */
    uid_t user = geteuid();
    if (user == 0)
        assert_int_equal(seteuid(NOBODY), 0);
    CHECK_RC(store_list(store, "", NULL, count_key, &count, &err), RC_DENIED);
    assert_int_equal(seteuid(user), 0);
    assert_int_equal(chmod(path, 0700), 0);
    store_free(store);
}

static void others_may_not_read(void **state)
{
    (void)state;
    struct error err;
    struct stat status;
    auto_scratch struct scratch scratch = scratch_new();
    auto_free char *folder = scratch_path(&scratch, "a");
    auto_free char *file = scratch_path(&scratch, "a/b");
    struct store *store = open_in(&scratch);
    CHECK_OK(store_put(store, "a/b", bytes_of_text("x"), STORE_PUT_NEW, &err));
    CHECK_OK(fs_stat(&status, folder, &err));
    assert_int_equal(status.st_mode & 0027, 0);
    CHECK_OK(fs_stat(&status, file, &err));
    assert_int_equal(status.st_mode & 0137, 0);
    store_free(store);
}

int main(void)
{
    const struct CMUnitTest claims[] = {
        cmocka_unit_test(only_dead_temporary_files_are_swept),
        cmocka_unit_test(keys_that_look_temporary_are_refused),
        cmocka_unit_test(strangers_are_listed_and_folders_are_no_objects),
        cmocka_unit_test(a_root_that_is_no_folder_is_never_empty),
        cmocka_unit_test(an_unreadable_folder_is_never_empty),
        cmocka_unit_test(others_may_not_read),
    };
    return cmocka_run_group_tests_name("file_store", claims, NULL, NULL);
}
