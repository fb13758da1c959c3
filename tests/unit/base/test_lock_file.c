/* test_lock_file - one holder at a time, and a dead one holds nothing */
#include "base/lock_file.h"

#include "base/alloc.h"
#include "base/fs.h"
#include "base/text.h"
#include "harness/check.h"
#include "harness/scratch.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

static void a_second_holder_is_told_who_the_first_is(void **state)
{
    (void)state;
    auto_scratch struct scratch scratch = scratch_new();
    auto_free char *path = scratch_path(&scratch, "lock");
    auto_free char *pid = text_format("process %ld", (long)getpid());
    struct error err;
    int first = -1;
    int second = -1;

    CHECK_OK(lock_file_open(&first, path, &err));
    CHECK_RC(lock_file_open(&second, path, &err), RC_BUSY);
    assert_int_equal(second, -1);
    CHECK_SAYS(err, pid);
    CHECK_SAYS(err, path);
    lock_file_close(first);
    CHECK_OK(lock_file_open(&second, path, &err));
    lock_file_close(second);
    lock_file_close(-1);
}

/* A child that takes the lock, says so through a pipe, and waits to be killed. */
static pid_t start_holder(const char *path)
{
    int ready[2];
    assert_int_equal(pipe(ready), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        int fd;
        if (lock_file_open(&fd, path, NULL) == RC_OK && write(ready[1], "x", 1) == 1)
            pause();
        _exit(1);
    }

    char signal_byte;
    close(ready[1]);
    assert_int_equal(read(ready[0], &signal_byte, 1), 1);
    close(ready[0]);
    return child;
}

static void a_killed_holder_leaves_no_lock(void **state)
{
    (void)state;
    auto_scratch struct scratch scratch = scratch_new();
    auto_free char *path = scratch_path(&scratch, "lock");
    pid_t child = start_holder(path);
    auto_free char *pid = text_format("process %ld", (long)child);
    struct error err;
    int fd = -1;

    rc result = lock_file_open(&fd, path, &err);
    kill(child, SIGKILL);
    assert_int_equal(waitpid(child, NULL, 0), child);
    assert_int_equal(result, RC_BUSY);
    CHECK_SAYS(err, pid);
    CHECK_OK(lock_file_open(&fd, path, &err));
    lock_file_close(fd);
}

static void rubbish_in_the_file_is_not_believed(void **state)
{
    (void)state;
    auto_scratch struct scratch scratch = scratch_new();
    auto_free char *path = scratch_path(&scratch, "lock");
    auto_free char *pid = text_format("%ld\n", (long)getpid());
    struct error err;
    int first = -1;
    int second = -1;

    scratch_write(&scratch, "lock", bytes_of_text("99999999999999999999999999999999999 rubbish"));
    CHECK_OK(lock_file_open(&first, path, &err));
    assert_true(scratch_holds(&scratch, "lock", bytes_of_text(pid)));
    scratch_write(&scratch, "lock", bytes_of_text("evil\x1b[2J"));
    CHECK_RC(lock_file_open(&second, path, &err), RC_BUSY);
    CHECK_SAYS(err, "(unknown)");
    lock_file_close(first);
}

static void a_removed_lock_is_made_anew(void **state)
{
    (void)state;
    auto_scratch struct scratch scratch = scratch_new();
    auto_free char *path = scratch_path(&scratch, "lock");
    struct error err;
    int first = -1;
    int second = -1;

    CHECK_OK(lock_file_open(&first, path, &err));
    CHECK_OK(fs_remove(path, &err));
    CHECK_OK(lock_file_open(&second, path, &err));
    assert_true(fs_exists(path));
    lock_file_close(first);
    lock_file_close(second);
}

static void what_cannot_be_a_lock_is_refused(void **state)
{
    (void)state;
    auto_scratch struct scratch scratch = scratch_new();
    auto_free char *missing = scratch_path(&scratch, "no/lock");
    auto_free char *link = scratch_path(&scratch, "link");
    struct error err;
    int fd = -1;

    CHECK_RC(lock_file_open(&fd, missing, &err), RC_NOT_FOUND);
    CHECK_RC(lock_file_open(&fd, scratch.folder, &err), RC_IO);
    scratch_write(&scratch, "victim", bytes_of_text("precious"));
    assert_int_equal(symlink("victim", link), 0);
    CHECK_RC(lock_file_open(&fd, link, &err), RC_IO);
    assert_true(scratch_holds(&scratch, "victim", bytes_of_text("precious")));
    assert_int_equal(fd, -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_second_holder_is_told_who_the_first_is),
        cmocka_unit_test(a_killed_holder_leaves_no_lock),
        cmocka_unit_test(rubbish_in_the_file_is_not_believed),
        cmocka_unit_test(a_removed_lock_is_made_anew),
        cmocka_unit_test(what_cannot_be_a_lock_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
