/*
 * The pin moves and the log is reset while writers go on, and nothing is lost by it.
 */
#include "world.h"

#include "base/alloc.h"
#include "base/clock.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { RESET_FRAMES = 200 };

static uint64_t log_size(struct world *world)
{
    char path[4096];
    struct stat status;

    snprintf(path, sizeof path, "%s-wal", world->path);
    return stat(path, &status) == 0 ? (uint64_t)status.st_size : 0;
}

static void write_frames(struct world *world, unsigned count)
{
    for (unsigned n = 0; n < count; n++)
        world_sql(world, "INSERT INTO first VALUES(randomblob(3000))");
}

static void a_long_log_is_reset_and_written_from_its_beginning(void **unused)
{
    (void)unused;
    struct world world = world_new(4096);

    world.options.checkpoint_page_count = RESET_FRAMES;
    world_begin(&world);
    world_sql(&world, "PRAGMA wal_autocheckpoint=0");
    for (unsigned turn = 0; turn < 5; turn++) {
        write_frames(&world, RESET_FRAMES);
        struct capture_maintain_report report = world_maintain(&world);
        assert_true(report.reset_tried);
        assert_true(report.reset_done);
        assert_false(report.reader_in_the_way);
        assert_true(report.write_lock_hold_ns < 20000000);
        write_frames(&world, 3);
        struct capture_sync_report sync = world_sync(&world);
        assert_int_equal(sync.log_frame_count < 3 * 4, true);
        assert_false(sync.resynced);
        (void)world_replay(&world);
        world_check(&world);
    }
    assert_true(log_size(&world) < RESET_FRAMES * 5 * 4120);
    assert_int_equal(world.replay.resync_count, 0);
    world_free(&world);
}

static void a_large_log_file_is_cut(void **unused)
{
    (void)unused;
    struct world world = world_new(4096);

    world.options.checkpoint_page_count = RESET_FRAMES;
    world.options.truncate_size = 1 << 20;
    world_begin(&world);
    world_sql(&world, "PRAGMA wal_autocheckpoint=0");
    world.monotonic_ms += 100000;
    write_frames(&world, 400);
    assert_true(log_size(&world) > 1 << 20);
    struct capture_maintain_report report = world_maintain(&world);
    assert_true(report.reset_done);
    assert_false(report.truncated); /* it is all there until the log begins again */
    write_frames(&world, 10);
    report = world_maintain(&world);
    assert_true(report.truncated);
    assert_true(report.log_file_size <= (1 << 20) / 4);
    assert_true(log_size(&world) <= (1 << 20) / 4);
    world_step(&world);
    write_frames(&world, 10);
    world_step(&world);
    assert_int_equal(world.replay.resync_count, 0);
    world_free(&world);
}

static void a_reader_in_the_way_only_delays_the_reset(void **unused)
{
    (void)unused;
    struct world world = world_new(4096);
    sqlite3 *reader = NULL;

    world.options.checkpoint_page_count = RESET_FRAMES;
    world_begin(&world);
    world_sql(&world, "PRAGMA wal_autocheckpoint=0");
    assert_int_equal(sqlite3_open(world.path, &reader), SQLITE_OK);
    write_frames(&world, 5);
    assert_int_equal(
        sqlite3_exec(reader, "BEGIN; SELECT * FROM first", NULL, NULL, NULL), SQLITE_OK);
    write_frames(&world, RESET_FRAMES);
    int64_t begin_ns = clock_monotonic_ns();
    struct capture_maintain_report report = world_maintain(&world);
    assert_true(clock_monotonic_ns() - begin_ns < 120000000000);
    assert_true(report.reset_tried);
    assert_false(report.reset_done);
    assert_true(report.reader_in_the_way);
    world_step(&world);

    assert_int_equal(sqlite3_exec(reader, "COMMIT", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(reader);
    world.monotonic_ms += 6000;
    report = world_maintain(&world);
    assert_true(report.reset_done);
    write_frames(&world, 1);
    world_step(&world);
    assert_int_equal(world.replay.resync_count, 0);
    world_free(&world);
}

static void the_pin_gives_way_to_the_applications_own_checkpoints(void **unused)
{
    (void)unused;
    struct world world = world_new(4096);

    world.options.checkpoint_page_count = 1000000;
    world_begin(&world);
    world_sql(&world, "PRAGMA wal_autocheckpoint=0");
    write_frames(&world, 50);
    struct capture_maintain_report report = world_maintain(&world);
    assert_true(report.advanced);
    assert_false(report.reset_tried);
    int log = -1;
    int copied = -1;
    assert_int_equal(
        sqlite3_wal_checkpoint_v2(world.app, "main", SQLITE_CHECKPOINT_PASSIVE, &log, &copied),
        SQLITE_OK);
    assert_int_equal(log, copied);
    world_step(&world);

    /* Foreign TRUNCATE is refused or harmless, never a loss. */
    (void)sqlite3_wal_checkpoint_v2(world.app, "main", SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
    write_frames(&world, 50);
    world_step(&world);
    assert_int_equal(world.replay.resync_count, 0);
    world_free(&world);
}

static void writers_in_other_processes_lose_nothing(void **unused)
{
    (void)unused;
    struct world world = world_new(4096);
    pid_t writers[4];
    unsigned resets = 0;
    unsigned more = 0;
    uint64_t held = 0; /* rounds that took the write lock at least once */
    struct histogram holds = { 0 };

    world.options.checkpoint_page_count = RESET_FRAMES;
    world.options.write_lock_holds = &holds;
    world_mix_schema(world.app);
    world_begin(&world);
    for (unsigned n = 0; n < 4; n++)
        writers[n] = world_spawn_writer(&world, n + 1, 400);
    for (unsigned left = 4; left > 0;) {
        (void)world_sync(&world);
        struct capture_maintain_report report = world_maintain(&world);
        resets += report.reset_done;
        held += report.write_lock_hold_ns > 0;
        assert_true(holds.max_ns >= (uint64_t)report.write_lock_hold_ns);
        int status = 0;
        pid_t ended = waitpid(-1, &status, WNOHANG);
        if (ended > 0) {
            assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
            left--;
        }
        /* A machine that lets us run too rarely beside them has more of them. */
        if (left == 0 && resets == 0 && more < 50) {
            (void)world_spawn_writer(&world, 5 + more++, 400);
            left = 1;
        }
        if (left % 2 == 0)
            (void)world_replay(&world);
        usleep(1000);
    }
    (void)writers;
    world_step(&world);
    assert_int_equal(world.replay.resync_count, 0);
    assert_true(world.replay.txid > 400);
    assert_true(resets > 0);
    assert_true(holds.count >= held);
    print_message("%u resets, write lock held %llu times, %.2f ms at the longest\n", resets,
        (unsigned long long)holds.count, (double)holds.max_ns / 1e6);

    world_close(&world);
    world_sql(&world, "PRAGMA wal_checkpoint(TRUNCATE)");
    world_close_app(&world);
    world_check_file(&world);
    world_free(&world);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_long_log_is_reset_and_written_from_its_beginning),
        cmocka_unit_test(a_large_log_file_is_cut),
        cmocka_unit_test(a_reader_in_the_way_only_delays_the_reset),
        cmocka_unit_test(the_pin_gives_way_to_the_applications_own_checkpoints),
        cmocka_unit_test(writers_in_other_processes_lose_nothing),
    };

    return world_main(argc, argv, tests, array_count(tests), NULL);
}
