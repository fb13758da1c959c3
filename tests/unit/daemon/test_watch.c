/* watch: one wake-up for each arming, none for other files, one for a file that appears */
#include "watch_priv.h"

#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

struct heard {
    int written_count;
    int changed_count;
};

static void hear(void *payload, enum watch_event event)
{
    struct heard *heard = payload;

    if (event == WATCH_LOG_WRITTEN)
        heard->written_count++;
    else
        heard->changed_count++;
}

static void append(const char *path)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND, 0600);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, "x", 1), 1);
    close(fd);
}

static void dispatch(struct watch *watch)
{
    struct pollfd polled = { .fd = watch_fd(watch), .events = POLLIN };

    while (poll(&polled, 1, 50) == 1)
        watch_dispatch(watch);
}

static void test_watch_wakes_once_for_each_arming(void **state)
{
    (void)state;
    char folder[] = "/tmp/seawal-watch-XXXXXX";
    char database[64];
    char log[64];
    char other[64];
    struct heard heard = { 0 };

    assert_non_null(mkdtemp(folder));
    snprintf(database, sizeof database, "%s/app.db", folder);
    snprintf(log, sizeof log, "%s/app.db-wal", folder);
    snprintf(other, sizeof other, "%s/other.db", folder);
    struct watch *watch = watch_new();
    struct watch_target target = {
        .database_path = database,
        .log_path = log,
        .notify = hear,
        .payload = &heard,
    };
    watch_add(watch, &target);
    assert_false(watch_log_arm(watch, &target));
    assert_true(watch_folder_arm(watch, &target));

    append(other);
    dispatch(watch);
    assert_int_equal(heard.changed_count, 0);
    append(database);
    append(log);
    dispatch(watch);
    assert_int_equal(heard.changed_count, 2);
    assert_int_equal(heard.written_count, 0);

    assert_true(watch_log_arm(watch, &target));
    for (int turn = 0; turn < 100; turn++)
        append(log);
    dispatch(watch);
    assert_int_equal(heard.written_count, 1);
    assert_true(watch_log_arm(watch, &target));
    append(log);
    dispatch(watch);
    assert_int_equal(heard.written_count, 2);

    unlink(database);
    dispatch(watch);
    assert_int_equal(heard.changed_count, 3);
    watch_free(watch);
    unlink(other);
    unlink(log);
    rmdir(folder);
}

static void test_watch_needs_a_folder(void **state)
{
    (void)state;
    struct heard heard = { 0 };
    struct watch *watch = watch_new();
    struct watch_target target = {
        .database_path = "/nonexistent-seawal/app.db",
        .log_path = "/nonexistent-seawal/app.db-wal",
        .notify = hear,
        .payload = &heard,
    };

    watch_add(watch, &target);
    assert_false(watch_folder_arm(watch, &target));
    assert_false(watch_log_arm(watch, &target));
    watch_free(watch);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_watch_wakes_once_for_each_arming),
        cmocka_unit_test(test_watch_needs_a_folder),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
