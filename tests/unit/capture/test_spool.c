/*
 * spool: what may wait on a disk that fills up, and when the log is let go for the application
 */
#include "world.h"

#include "base/alloc.h"
#include "base/text.h"
#include "harness/fault.h"
#include "segment/dir.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>

enum {
    FILES = 1000,
    WAIT_COUNT = 12,      /* segments of a 3,000-byte row each, 4 KiB or more on disk */
    SMALL_DISK = 1 << 20, /* the reserve is 50 KiB, what may always wait a quarter of it */
    LARGE_DISK = 1 << 30,
};

static void write_rows(struct world *world, unsigned count)
{
    for (unsigned n = 0; n < count; n++) {
        world_sql(world, "INSERT INTO first VALUES(randomblob(3000))");
        (void)world_sync(world);
    }
}

/* A database that is followed, with segments that wait; its state folder in RET_STATE, owned. */
static struct world world_waiting(uint64_t spool_size, char **ret_state)
{
    struct world world = world_new(4096);

    world.options.spool_size = spool_size;
    world_sql(&world, "PRAGMA wal_autocheckpoint=0");
    world_begin(&world);
    write_rows(&world, WAIT_COUNT);
    *ret_state = text_copy(capture_state_dir(world.capture));
    return world;
}

static void world_end(struct world *world)
{
    fault_room(0, 0, 0);
    world_free(world);
}

/* ---- what check and status ask, without a capture */

static void room_is_told_with_its_reserve(void **unused)
{
    (void)unused;
    struct capture_room room;
    struct error err = { 0 };

    fault_room(70, 1000, FILES);
    CHECK_OK(capture_room_of(&room, "/", &err));
    assert_int_equal(room.free_size, 70);
    assert_int_equal(room.total_size, 1000);
    assert_int_equal(room.reserve_size, 50);
    fault_room(0, 0, 0);
    fault_arm_call(FAULT_SPACE, 0, 1, EIO);
    CHECK_RC(capture_room_of(&room, "/", &err), RC_IO);
    fault_disarm();
}

static void a_capture_needs_room_for_what_waits(void **unused)
{
    (void)unused;
    char *state = NULL;
    struct world world = world_waiting(0, &state);
    uint64_t txid = capture_position(world.capture)->txid;
    struct error err = { 0 };
    static const struct {
        uint64_t free_size;
        uint64_t total_size;
        uint64_t files;
        bool is_stored;
        rc expected;
        const char *says;
    } rows[] = {
        { LARGE_DISK / 2, LARGE_DISK, FILES, false, RC_OK, "" },
        { LARGE_DISK / 2, LARGE_DISK, 0, false, RC_NO_SPACE, "no more files" },
        { SMALL_DISK / 100, SMALL_DISK, FILES, false, RC_NO_SPACE, "is full" },
        /* In the reserve: what waits is too much there, what is stored does not wait. */
        { SMALL_DISK / 50, SMALL_DISK, FILES, false, RC_NO_SPACE, "wait in" },
        { SMALL_DISK / 50, SMALL_DISK, FILES, true, RC_OK, "" },
        /* A large disk that is full to 96 % for good: a few segments are only on their way. */
        { LARGE_DISK / 25, LARGE_DISK, FILES, false, RC_OK, "" },
        /* Its transit is bounded by a number, not by its share. */
        { (uint64_t)20 << 20, (uint64_t)LARGE_DISK << 10, FILES, false, RC_OK, "" },
        { (uint64_t)10 << 20, (uint64_t)LARGE_DISK << 10, FILES, false, RC_NO_SPACE, "is full" },
    };

    for (size_t index = 0; index < array_count(rows); index++) {
        fault_room(rows[index].free_size, rows[index].total_size, rows[index].files);
        uint64_t stored = rows[index].is_stored ? txid : 0;
        CHECK_RC(capture_check_room(state, world.path, stored, &err), rows[index].expected);
        if (rows[index].expected != RC_OK)
            CHECK_SAYS(err, rows[index].says);
    }
    free(state);
    world_end(&world);
}

static void what_cannot_be_asked_is_told(void **unused)
{
    (void)unused;
    char *state = NULL;
    struct world world = world_waiting(0, &state);
    auto_free char *missing = text_format("%s-missing", state);
    struct error err = { 0 };

    CHECK_RC(capture_check_room(missing, world.path, 0, &err), RC_NOT_FOUND);
    fault_room(SMALL_DISK / 50, SMALL_DISK, FILES);
    for (uint64_t nth = 1;; nth++) {
        fault_arm_plan(
            &(struct fault_plan){ .calls = FAULT_CALLS_OURS, .nth = nth, .sys_errno = EIO });
        rc code = capture_check_room(state, world.path, 0, &err);
        bool fired = fault_fired();
        fault_disarm();
        assert_int_equal(code, fired ? RC_IO : RC_NO_SPACE);
        if (!fired)
            break;
    }
    free(state);
    world_end(&world);
}

/* ---- while it is captured */

static void nothing_is_added_in_the_reserve_until_some_is_stored(void **unused)
{
    (void)unused;
    char *state = NULL;
    struct world world = world_waiting(0, &state);
    struct capture_sync_report report;
    auto_segment_list struct segment_list list = SEGMENT_LIST_INIT;
    struct error err = { 0 };

    fault_room(SMALL_DISK / 50, SMALL_DISK, FILES);
    world_sql(&world, "INSERT INTO first VALUES('waits')");
    CHECK_RC(capture_sync(world.capture, world.wall_ms, &report, &err), RC_NO_SPACE);
    CHECK_SAYS(err, "last 5 %");
    CHECK_RC(capture_sync(world.capture, world.wall_ms, &report, &err), RC_NO_SPACE);

    /* The store took all but the position: what was committed meanwhile is there. */
    (void)world_replay(&world);
    const char *spool = capture_spool_dir(world.capture);
    CHECK_OK(segment_dir_list(&list, spool, &err));
    assert_int_equal(list.count, WAIT_COUNT);
    for (size_t index = 0; index + 1 < list.count; index++)
        CHECK_OK(segment_dir_remove(spool, &list.entries[index].name, &err));
    world_step(&world);

    /* And is only on its way while it is little, without looking again. */
    world_sql(&world, "INSERT INTO first VALUES('on its way')");
    world_step(&world);
    assert_int_equal(world.replay.resync_count, 0);
    free(state);
    world_end(&world);
}

/* A long transaction does not fill the disk in one segment: where room ends the segment ends. */
static void a_segment_ends_where_the_reserve_begins(void **unused)
{
    (void)unused;
    char *state = NULL;
    struct world world = world_waiting(0, &state);
    struct capture_sync_report report;

    for (unsigned n = 0; n < 3; n++)
        world_sql(&world, "INSERT INTO first VALUES(randomblob(600000))");
    fault_room((uint64_t)LARGE_DISK / 25, LARGE_DISK, FILES);
    report = world_sync(&world);
    assert_int_equal(report.transaction_count, 3);
    assert_int_equal(report.segment_count, 3);
    (void)world_replay(&world);
    world_check(&world);
    free(state);
    world_end(&world);
}

/* ---- the log is let go */

static uint64_t log_file_size(const struct world *world)
{
    auto_free char *path = text_format("%s-wal", world->path);
    struct stat status;

    assert_int_equal(stat(path, &status), 0);
    return (uint64_t)status.st_size;
}

/* Nothing can be added, and the application goes on. */
static void fill_up(struct world *world, uint64_t free_size, unsigned count)
{
    struct capture_sync_report report;
    struct error err = { 0 };

    fault_room(free_size, SMALL_DISK, FILES);
    for (unsigned n = 0; n < count; n++) {
        world_sql(world, "INSERT INTO first VALUES(randomblob(3000))");
        CHECK_RC(capture_sync(world->capture, world->wall_ms, &report, &err), RC_NO_SPACE);
    }
}

/* There is room again, and nothing is missing. */
static void recover(struct world *world, enum capture_continuity continuity)
{
    struct capture_start_report start;
    struct error err = { 0 };

    fault_room(0, 0, 0);
    world_close(world);
    world_open(world, CAPTURE_STATE_POSITION);
    CHECK_OK(capture_start(world->capture, 1, &start, &err));
    assert_int_equal(start.continuity, continuity);
    world_step(world);
    assert_int_equal(world->replay.resync_count, continuity == CAPTURE_RESYNCED);
}

static void a_log_beyond_the_cap_is_let_go(void **unused)
{
    (void)unused;
    char *state = NULL;
    struct world world = world_waiting(300000, &state);

    fill_up(&world, SMALL_DISK / 30, 5);
    assert_false(capture_let_go(world.capture)); /* there is no need yet */
    fill_up(&world, SMALL_DISK / 30, 80);
    assert_true(log_file_size(&world) > 300000);
    assert_true(capture_let_go(world.capture));
    assert_false(capture_let_go(world.capture)); /* it is gone */

    /* The application begins the log again. */
    uint64_t before = log_file_size(&world);
    world_sql(&world, "INSERT INTO first VALUES('first of the next log')");
    world_sql(&world, "PRAGMA wal_autocheckpoint=1000; INSERT INTO first VALUES('second')");
    assert_int_equal(log_file_size(&world), before);
    recover(&world, CAPTURE_RESYNCED);
    free(state);
    world_end(&world);
}

static void a_log_that_takes_the_last_room_is_let_go(void **unused)
{
    (void)unused;
    char *state = NULL;
    struct world world = world_waiting(0, &state);

    fill_up(&world, SMALL_DISK / 30, 3);
    assert_false(capture_let_go(world.capture));
    fill_up(&world, SMALL_DISK / 45, 1);
    fault_arm_call(FAULT_SPACE, 0, 1, EIO);
    assert_false(capture_let_go(world.capture)); /* nobody knows */
    fault_disarm();
    assert_true(capture_let_go(world.capture));
    world_sql(&world, "INSERT INTO first VALUES('first of the next log')");
    recover(&world, CAPTURE_RESYNCED);
    free(state);
    world_end(&world);
}

/* A reader holds the log: it cannot be emptied, and is let go all the same. */
static void a_log_that_cannot_be_emptied_is_let_go(void **unused)
{
    (void)unused;
    char *state = NULL;
    struct world world = world_waiting(0, &state);
    sqlite3 *reader = NULL;

    assert_int_equal(sqlite3_open(world.path, &reader), SQLITE_OK);
    assert_int_equal(
        sqlite3_exec(reader, "BEGIN; SELECT * FROM first", NULL, NULL, NULL), SQLITE_OK);
    fill_up(&world, SMALL_DISK / 45, 3);
    assert_true(capture_let_go(world.capture));
    assert_int_equal(sqlite3_close(reader), SQLITE_OK);
    world_sql(&world, "PRAGMA wal_checkpoint(TRUNCATE); INSERT INTO first VALUES('next')");
    recover(&world, CAPTURE_CONTINUED); /* it was not begun again meanwhile */
    free(state);
    world_end(&world);
}

/* ---- merging where there is little room */

/* Until the merge is done or given up. */
static rc merge(struct world *world, struct capture_merge_report *report, struct error *err)
{
    do
        TRY(capture_merge(world->capture, 0, world->monotonic_ms, report, err));
    while (report->in_progress);
    return RC_OK;
}

static void without_room_nothing_is_merged(void **unused)
{
    (void)unused;
    char *state = NULL;
    struct world world = world_waiting(10000, &state);
    struct capture_merge_report report;
    struct error err = { 0 };

    write_rows(&world, 40);
    (void)world_replay(&world);
    fault_room(LARGE_DISK / 20 + 1000, LARGE_DISK, FILES);
    CHECK_RC(merge(&world, &report, &err), RC_NO_SPACE);
    CHECK_SAYS(err, "no room to merge");
    world.monotonic_ms += 1000;
    CHECK_OK(merge(&world, &report, &err)); /* not tried again at once */
    assert_false(report.done);

    /* And one that has begun is given up when room ends, with nothing of it left. */
    world.monotonic_ms += 120000;
    fault_room(0, 0, 0);
    for (unsigned slice = 0; slice < 2; slice++) { /* the segments are collected */
        CHECK_OK(capture_merge(world.capture, 0, world.monotonic_ms, &report, &err));
        assert_true(report.in_progress);
    }
    fault_room(LARGE_DISK / 20, LARGE_DISK, FILES);
    CHECK_RC(merge(&world, &report, &err), RC_NO_SPACE);
    CHECK_SAYS(err, "no room to go on merging");

    world.monotonic_ms += 120000;
    fault_room(0, 0, 0);
    CHECK_OK(merge(&world, &report, &err));
    assert_true(report.done);
    world_step(&world);
    free(state);
    world_end(&world);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(room_is_told_with_its_reserve),
        cmocka_unit_test(a_capture_needs_room_for_what_waits),
        cmocka_unit_test(what_cannot_be_asked_is_told),
        cmocka_unit_test(nothing_is_added_in_the_reserve_until_some_is_stored),
        cmocka_unit_test(a_segment_ends_where_the_reserve_begins),
        cmocka_unit_test(a_log_beyond_the_cap_is_let_go),
        cmocka_unit_test(a_log_that_takes_the_last_room_is_let_go),
        cmocka_unit_test(a_log_that_cannot_be_emptied_is_let_go),
        cmocka_unit_test(without_room_nothing_is_merged),
    };

    return world_main(argc, argv, tests, array_count(tests), NULL);
}
