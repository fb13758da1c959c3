/*
 * What a start finds: continuity where it is proved, a resync of exactly the pages that differ
 * where it is not, and a refusal to mix files.
 */
#include "world.h"

#include "base/alloc.h"
#include "base/cancel.h"
#include "base/text.h"
#include "codec/digest.h"
#include "replay.h"
#include "segment/dir.h"
#include "sqlite/wal_format.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* A database with some content, followed for a while, then the daemon goes down. */
static struct world world_followed(void)
{
    struct world world = world_new(4096);
    uint64_t random = 11;

    world_mix_schema(world.app);
    world_begin(&world);
    for (unsigned n = 0; n < 30; n++)
        world_mix_step(world.app, &random);
    world_sql(&world, "INSERT INTO t(k, v) SELECT 'x', randomblob(900) FROM"
                      " (WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c LIMIT 300)"
                      " SELECT x FROM c)");
    world_step(&world);
    world_close(&world);
    return world;
}

static void copy_file(const char *from, const char *to)
{
    char command[9000];

    snprintf(command, sizeof command, "cp '%s' '%s'", from, to);
    assert_int_equal(system(command), 0);
}

/* How many pages of the source, as SQLite reads it, differ from the replay. */
static uint64_t differing_pages(struct world *world)
{
    uint32_t page_size = world->replay.page_size;
    auto_free uint8_t *page = mem_new(page_size);
    uint32_t page_count = 0;
    uint64_t count = 0;
    uint8_t *image = world_image(world, &page_count);

    for (uint32_t pgno = 1; pgno <= page_count; pgno++) {
        replay_read_page(&world->replay, pgno, page);
        count += pgno > world->replay.page_count ||
                 memcmp(page, image + (size_t)(pgno - 1) * page_size, page_size) != 0;
    }
    sqlite3_free(image);
    return count;
}

/* Start, and expect one resync transaction of exactly the pages that differ. */
static void expect_minimal_resync(struct world *world, enum capture_state_kind kind)
{
    uint64_t differing = differing_pages(world);
    uint64_t txid = world->replay.txid;

    assert_true(differing > 0);
    world_open(world, kind);
    world_start(world, CAPTURE_RESYNCED);
    assert_int_equal(world_replay(world), 1);
    assert_int_equal(world->replay.txid, txid + 1);
    assert_int_equal(world->replay.last_flags, TRANSACTION_RESYNC);
    assert_int_equal(world->replay.last_frame_count, differing);
    world_check(world);
    world_sql(world, "INSERT INTO first VALUES(99)");
    world_step(world);
    world_close(world);
    world_open(world, CAPTURE_STATE_POSITION);
    world_start(world, CAPTURE_CONTINUED);
    world_step(world);
}

static void nothing_happened_and_it_continues(void **unused)
{
    (void)unused;
    struct world world = world_followed();

    for (unsigned n = 0; n < 3; n++) {
        world_start(&world, CAPTURE_CONTINUED);
        assert_int_equal(world_sync(&world).segment_count, 0);
        world_check(&world);
        world_close(&world);
    }
    world_free(&world);
}

static void commits_while_it_was_down_are_captured_one_by_one(void **unused)
{
    (void)unused;
    struct world world = world_followed();
    uint64_t txid = world.replay.txid;

    world_sql(&world, "PRAGMA wal_autocheckpoint=0");
    for (unsigned n = 0; n < 20; n++)
        world_sql(&world, "INSERT INTO first VALUES(randomblob(5000))");
    world_start(&world, CAPTURE_CONTINUED);
    assert_int_equal(world_replay(&world), 20);
    assert_int_equal(world.replay.txid, txid + 20);
    assert_int_equal(world.replay.resync_count, 0);
    world_check(&world);

    /* Also when a checkpoint has moved them into the file: the bases are gone, the frames are not.
     */
    world_close(&world);
    for (unsigned n = 0; n < 20; n++)
        world_sql(&world, "UPDATE first SET x = randomblob(5000) WHERE rowid % 3 = 1");
    world_sql(&world, "PRAGMA wal_checkpoint(PASSIVE)");
    world_start(&world, CAPTURE_CONTINUED);
    assert_int_equal(world_replay(&world), 20);
    assert_int_equal(world.replay.resync_count, 0);
    world_check(&world);
    world_sql(&world, "DELETE FROM first");
    world_step(&world);
    assert_int_equal(world.replay.resync_count, 0);
    world_free(&world);
}

static void the_last_connection_closed_and_nothing_changed(void **unused)
{
    (void)unused;
    struct world world = world_followed();

    world_close_app(&world);
    world_sql_elsewhere(&world, "SELECT count(*) FROM sqlite_schema");
    world_open(&world, CAPTURE_STATE_POSITION);
    world_start(&world, CAPTURE_UNCHANGED);
    assert_int_equal(world_replay(&world), 0);
    world_check(&world);
    world_sql(&world, "INSERT INTO first VALUES(7)");
    world_step(&world);
    assert_int_equal(world.replay.resync_count, 0);
    world_free(&world);
}

static void whatever_happened_while_it_was_down_is_found_by_digest(void **unused)
{
    (void)unused;
    static const char *const happenings[] = {
        "INSERT INTO first VALUES(randomblob(20000))",
        "PRAGMA wal_checkpoint(TRUNCATE); INSERT INTO first VALUES(1)",
        ("UPDATE t SET v = zeroblob(10) WHERE id % 20 = 0; PRAGMA wal_checkpoint(RESTART);"
         "INSERT INTO first VALUES(2)"),
        "DELETE FROM t; VACUUM",
        "DROP TABLE t; CREATE TABLE t(id INTEGER PRIMARY KEY, k TEXT, v BLOB);",
        "PRAGMA journal_mode=DELETE; INSERT INTO first VALUES(3); PRAGMA journal_mode=WAL",
    };
    for (size_t index = 0; index < array_count(happenings); index++) {
        struct world world = world_followed();
        world_close_app(&world);
        world_sql_elsewhere(&world, happenings[index]);
        expect_minimal_resync(&world, CAPTURE_STATE_POSITION);
        assert_int_equal(world.replay.resync_count, 1);
        world_free(&world);
    }
}

static void a_read_of_the_whole_database_can_be_cancelled(void **unused)
{
    (void)unused;
    struct world world = world_followed();
    struct capture_start_report report;
    struct error err = { 0 };
    struct cancel *cancel = cancel_new();

    world_close_app(&world);
    world_sql_elsewhere(&world, "INSERT INTO first VALUES(randomblob(20000))");
    world.options.cancel = cancel;
    cancel_now(cancel);
    world_open(&world, CAPTURE_STATE_POSITION);
    CHECK_RC(capture_start(world.capture, 1, &report, &err), RC_CANCELLED);
    world_close(&world);
    world.options.cancel = NULL;
    cancel_free(cancel);
    expect_minimal_resync(&world, CAPTURE_STATE_POSITION);
    world_free(&world);
}

/* In WAL mode a checkpoint alone writes the file; a byte that something else wrote is found. */
static void a_file_that_something_else_wrote_is_compared(void **unused)
{
    (void)unused;
    struct world world = world_followed();
    char command[9000];

    world_start(&world, CAPTURE_CONTINUED);
    for (unsigned n = 0; n < 5; n++) {
        world_sql(&world, "INSERT INTO first VALUES(randomblob(9000));"
                          "PRAGMA wal_checkpoint(PASSIVE)");
        assert_false(world_sync(&world).resynced);
        (void)world_maintain(&world);
    }
    assert_false(world_sync(&world).resynced);
    snprintf(command, sizeof command,
        "sleep 0.1; printf xyz | dd of='%s' bs=1 seek=82000 conv=notrunc 2>/dev/null", world.path);
    assert_int_equal(system(command), 0);
    struct capture_sync_report report = world_sync(&world);
    assert_true(report.resynced);
    assert_int_equal(report.resync_page_count, 1);
    assert_false(world_sync(&world).resynced);
    world_free(&world);
}

/* The page of frame FRAME, copied into the database file as a checkpoint does. */
static void copy_frame(const struct world *world, uint32_t frame)
{
    uint64_t offset = wal_frame_offset(world->replay.page_size, frame);
    auto_free char *log = text_format("%s-wal", world->path);
    uint8_t number[4];

    FILE *file = fopen(log, "rb");
    assert_non_null(file);
    assert_int_equal(fseek(file, (long)offset, SEEK_SET), 0);
    assert_int_equal(fread(number, 1, sizeof number, file), sizeof number);
    fclose(file);
    auto_free char *command =
        text_format("sleep 0.1; tail -c +%llu '%s' | head -c %u |"
                    " dd of='%s' bs=%u seek=%u conv=notrunc iflag=fullblock 2>/dev/null",
            (unsigned long long)offset + WAL_FRAME_HEADER_SIZE + 1, log, world->replay.page_size,
            world->path, world->replay.page_size, get_be32(number) - 1);
    assert_int_equal(system(command), 0);
}

/* Killed before it could say how far it came: the file moved, and no page is another one. */
static void a_checkpoint_that_was_killed_is_no_foreign_hand(void **unused)
{
    (void)unused;
    struct world world = world_followed();

    world_start(&world, CAPTURE_CONTINUED);
    world_sql(&world, "INSERT INTO first VALUES(randomblob(9000))");
    copy_frame(&world, world_sync(&world).log_frame_count);
    world_sql(&world, "INSERT INTO first VALUES(randomblob(9000))");
    world_sql(&world, "INSERT INTO first VALUES(randomblob(90))");
    struct capture_sync_report report = world_sync(&world);
    assert_false(report.resynced);
    assert_int_equal(report.transaction_count, 2);
    world_step(&world);
    world_free(&world);
}

static void a_replaced_file_is_recognised_and_can_be_continued(void **unused)
{
    (void)unused;
    struct world world = world_followed();
    auto_free char *copy = scratch_path(&world.scratch, "copy.db");
    struct error err = { 0 };
    struct capture_difference difference;
    struct capture_start_report report;

    world_close_app(&world);
    world_sql_elsewhere(&world, "PRAGMA wal_checkpoint(TRUNCATE)");
    copy_file(world.path, copy);
    assert_int_equal(rename(copy, world.path), 0);
    world_sql_elsewhere(&world, "INSERT INTO first VALUES(5)");
    uint64_t differing = differing_pages(&world);
    world_open(&world, CAPTURE_STATE_REPLACED);
    CHECK_OK(capture_compare(world.capture, &difference, &err));
    assert_int_equal(difference.page_count, world.replay.page_count);
    assert_int_equal(difference.equal_count, world.replay.page_count - differing);
    assert_false(difference.same_file);

    CHECK_OK(capture_start(world.capture, 2, &report, &err));
    assert_int_equal(report.continuity, CAPTURE_RESYNCED);
    assert_int_equal(report.resync_page_count, differing);
    assert_int_equal(capture_position(world.capture)->timeline, 2);
    (void)world_replay(&world);
    world_check(&world);
    world_close(&world);
    world_open(&world, CAPTURE_STATE_POSITION);
    assert_int_equal(capture_position(world.capture)->timeline, 2);
    world_start(&world, CAPTURE_UNCHANGED); /* the log was empty: that proves nothing */
    world_free(&world);
}

static void a_file_replaced_while_followed_stops_capture(void **unused)
{
    (void)unused;
    struct world world = world_followed();
    auto_free char *copy = scratch_path(&world.scratch, "copy.db");
    struct error err = { 0 };
    struct capture_sync_report report;

    world_start(&world, CAPTURE_CONTINUED);
    copy_file(world.path, copy);
    assert_int_equal(rename(copy, world.path), 0);
    CHECK_RC(capture_sync(world.capture, 1, &report, &err), RC_MISMATCH);
    CHECK_RC(capture_sync(world.capture, 1, &report, &err), RC_MISMATCH);
    world_close(&world);
    world_close_app(&world);
    world_free(&world);
}

static void another_page_size_is_another_file(void **unused)
{
    (void)unused;
    struct world world = world_followed();
    struct error err = { 0 };
    struct capture_position parent;

    world_sql(&world, "PRAGMA journal_mode=DELETE; PRAGMA page_size=1024; VACUUM;"
                      "PRAGMA journal_mode=WAL; INSERT INTO first VALUES(1)");
    world_open(&world, CAPTURE_STATE_REPLACED);
    assert_int_equal(capture_file_page_size(world.capture), 1024);
    parent = *capture_position(world.capture);
    assert_int_equal(parent.page_size, 4096);

    /* A new timeline from there; what was not uploaded of the old one stays in the spool. */
    CHECK_OK(capture_begin(world.capture, &parent, &parent.database_id, 2, &err));
    assert_int_equal(capture_position(world.capture)->txid, parent.txid + 1);
    assert_int_equal(capture_position(world.capture)->timeline, 2);
    world_sql(&world, "INSERT INTO first VALUES(2)");
    assert_int_equal(world_sync(&world).transaction_count, 1);
    world_close(&world);

    auto_segment_list struct segment_list list = SEGMENT_LIST_INIT;
    world_open(&world, CAPTURE_STATE_POSITION);
    assert_int_equal(capture_position(world.capture)->txid, parent.txid + 2);
    CHECK_OK(segment_dir_list(&list, capture_spool_dir(world.capture), &err));
    assert_true(list.count >= 2);
    assert_int_equal(list.entries[list.count - 2].name.max_txid, parent.txid);
    assert_int_equal(list.entries[list.count - 1].name.min_txid, parent.txid + 2);
    world_start(&world, CAPTURE_CONTINUED);
    world_free(&world);
}

static void flip_byte(const char *path, off_t offset)
{
    uint8_t byte = 0;
    auto_fd int fd = open(path, O_RDWR | O_CLOEXEC);

    assert_int_equal(pread(fd, &byte, 1, offset), 1);
    byte ^= 0x40;
    assert_int_equal(pwrite(fd, &byte, 1, offset), 1);
}

static void adopt(struct world *world, const struct capture_position *position)
{
    struct error err = { 0 };

    CHECK_OK(capture_adopt_begin(world->capture, position, &err));
    for (uint32_t pgno = 1; pgno <= position->page_count; pgno++) {
        if (pgno != lock_page_of(position->page_size))
            CHECK_OK(
                capture_adopt_page(world->capture, pgno, world->replay.digests[pgno - 1], &err));
    }
}

static void a_damaged_map_is_noticed_and_rebuilt_without_losing_the_spool(void **unused)
{
    (void)unused;
    struct world world = world_followed();
    struct error err = { 0 };
    auto_free char *map = text_format("%s/.app.db-seawal/digests", world.scratch.folder);
    struct capture_position replica = { 0 };

    /* What the replica knows is older than what is in the spool. */
    world_open(&world, CAPTURE_STATE_POSITION);
    replica = *capture_position(world.capture);
    world_start(&world, CAPTURE_CONTINUED);
    world_sql(&world, "INSERT INTO first VALUES(randomblob(9000))");
    (void)world_sync(&world);
    world_sql(&world, "DELETE FROM t WHERE id % 2; VACUUM");
    (void)world_sync(&world);
    struct capture_position newest = *capture_position(world.capture);
    world_close(&world);

    flip_byte(map, 4096 + 8 * 3);
    world_open(&world, CAPTURE_STATE_DAMAGED);
    assert_int_equal(capture_position(world.capture)->txid, newest.txid);
    adopt(&world, &replica);
    CHECK_OK(capture_adopt_commit(world.capture, &err));
    assert_int_equal(capture_state_kind(world.capture), CAPTURE_STATE_POSITION);
    assert_int_equal(capture_position(world.capture)->txid, newest.txid);
    assert_int_equal(capture_position(world.capture)->digest, newest.digest);
    world_start(&world, CAPTURE_CONTINUED);
    world_step(&world);
    assert_int_equal(world.replay.resync_count, 0);
    world_free(&world);
}

static void a_lost_state_is_adopted_from_the_replica(void **unused)
{
    (void)unused;
    struct world world = world_followed();
    struct error err = { 0 };
    struct capture_difference difference;
    char command[9000];

    world_open(&world, CAPTURE_STATE_POSITION);
    struct capture_position replica = *capture_position(world.capture);
    world_close(&world);
    snprintf(command, sizeof command, "rm -r '%s/.app.db-seawal'", world.scratch.folder);
    assert_int_equal(system(command), 0);

    world_open(&world, CAPTURE_STATE_NONE);
    assert_int_equal(capture_position(world.capture)->txid, 0);
    struct capture_position wrong = replica;
    wrong.digest++;
    adopt(&world, &wrong);
    CHECK_RC(capture_adopt_commit(world.capture, &err), RC_MISMATCH);
    adopt(&world, &replica);
    CHECK_OK(capture_adopt_commit(world.capture, &err));
    assert_int_equal(capture_state_kind(world.capture), CAPTURE_STATE_REPLACED);
    CHECK_OK(capture_compare(world.capture, &difference, &err));
    assert_int_equal(difference.equal_count, difference.page_count);
    assert_false(difference.same_file);
    world_start(&world, CAPTURE_UNCHANGED);
    assert_int_equal(capture_state_kind(world.capture), CAPTURE_STATE_POSITION);
    world_check(&world);
    world_close(&world);

    /* And with a change in between. */
    world_sql(&world, "INSERT INTO first VALUES(randomblob(30000))");
    assert_int_equal(system(command), 0);
    world_open(&world, CAPTURE_STATE_NONE);
    adopt(&world, &replica);
    CHECK_OK(capture_adopt_commit(world.capture, &err));
    world_close(&world);
    /* Nobody said yet that the file belongs to the position. */
    expect_minimal_resync(&world, CAPTURE_STATE_REPLACED);
    world_free(&world);
}

static void one_process_at_a_time(void **unused)
{
    (void)unused;
    struct world world = world_followed();
    auto_free char *lock = text_format("%s/.app.db-seawal/lock", world.scratch.folder);
    char command[9000];

    world_start(&world, CAPTURE_CONTINUED);
    snprintf(command, sizeof command, "flock -n '%s' true", lock);
    assert_int_not_equal(system(command), 0);
    world_close(&world);
    assert_int_equal(system(command), 0);
    world_free(&world);
}

/* The machine was copied with all that is on it: one of the two goes on in the timeline. */
static void another_machine_departs(void **unused)
{
    (void)unused;
    static const char ids[][33] = { "0123456789abcdef0123456789abcdef",
        "0123456789abcdef0123456789abcdee" };
    struct world world = world_new(4096);
    struct capture_difference difference;
    struct capture_start_report report;
    struct error err = { 0 };
    auto_free char *path = scratch_path(&world.scratch, "machine-id");

    /* One that has no identity, then gets one, keeps what it had. */
    world.options.machine_id_path = path;
    world_mix_schema(world.app);
    world_begin(&world);
    world_sql(&world, "INSERT INTO t(k, v) VALUES('x', randomblob(9000))");
    world_step(&world);
    world_close(&world);
    for (unsigned i = 0; i < 2; i++) {
        scratch_write(&world.scratch, "machine-id", bytes_of(ids[0], 32));
        world_start(&world, CAPTURE_CONTINUED);
        assert_null(capture_departure(world.capture));
        world_close(&world);
        scratch_write(&world.scratch, "machine-id", bytes_of("uninitialized\n", 14));
        world_start(&world, CAPTURE_CONTINUED);
        world_close(&world);
    }

    scratch_write(&world.scratch, "machine-id", bytes_of(ids[1], 32));
    for (unsigned i = 0; i < 2; i++) {
        world_open(&world, CAPTURE_STATE_REPLACED);
        assert_non_null(capture_departure(world.capture));
        CHECK_OK(capture_compare(world.capture, &difference, &err));
        assert_true(difference.must_depart);
        assert_true(difference.same_file);
        assert_int_equal(difference.equal_count, difference.page_count);
        if (i == 0)
            world_close(&world);
    }
    CHECK_OK(capture_start(world.capture, 2, &report, &err));
    assert_int_equal(report.continuity, CAPTURE_UNCHANGED);
    world_close(&world);
    world_start(&world, CAPTURE_CONTINUED);
    assert_int_equal(capture_position(world.capture)->timeline, 2);
    world_free(&world);
}

static void only_what_was_there_can_be_missing(void **unused)
{
    (void)unused;
    struct world first = world_new(4096);
    world_open(&first, CAPTURE_STATE_NONE);
    assert_int_equal(capture_state_trouble(first.capture)->code, RC_OK);
    world_free(&first);

    struct world world = world_followed();
    char command[9000];
    snprintf(command, sizeof command, "cd '%s/.app.db-seawal' && rm -f position spool/*.seg",
        world.scratch.folder);
    assert_int_equal(system(command), 0);
    world_open(&world, CAPTURE_STATE_NONE);
    assert_int_equal(capture_state_trouble(world.capture)->code, RC_NOT_FOUND);
    world_free(&world);
}

static void a_gap_in_the_spool_leaves_no_position(void **unused)
{
    (void)unused;
    struct world world = world_followed();
    struct error err = { 0 };
    auto_segment_list struct segment_list list = SEGMENT_LIST_INIT;
    auto_free char *spool = text_format("%s/.app.db-seawal/spool", world.scratch.folder);

    world_start(&world, CAPTURE_CONTINUED);
    for (unsigned n = 0; n < 3; n++) {
        world_sql(&world, "INSERT INTO first VALUES(1)");
        (void)world_sync(&world);
    }
    world_close(&world);
    CHECK_OK(segment_dir_list(&list, spool, &err));
    assert_true(list.count >= 3);
    CHECK_OK(segment_dir_remove(spool, &list.entries[list.count - 2].name, &err));
    world_open(&world, CAPTURE_STATE_NONE);
    assert_int_equal(capture_state_trouble(world.capture)->code, RC_CORRUPT);
    assert_non_null(strstr(capture_state_trouble(world.capture)->text, "are missing"));
    world_free(&world);
}

/*
 * Another process, so that no lock of ours is lost: make the index look half written, and the
 * newest frame of the log torn, as after a crash. The next reader recovers and finds a commit less.
 */
static int tear_verb(const char *path, uint64_t number, unsigned steps)
{
    static const uint8_t zeros[96];
    auto_free char *log_path = text_format("%s-wal", path);
    auto_free char *index_path = text_format("%s-shm", path);
    auto_fd int log = open(log_path, O_RDWR | O_CLOEXEC);
    auto_fd int index = open(index_path, O_RDWR | O_CLOEXEC);
    struct stat status;

    (void)number;
    (void)steps;
    if (log < 0 || index < 0 || fstat(log, &status) != 0)
        return 1;
    if (pwrite(log, "torn", 4, status.st_size - 100) != 4)
        return 2;
    return pwrite(index, zeros, sizeof zeros, 0) == (ssize_t)sizeof zeros ? 0 : 3;
}

static void a_recovery_that_lost_commits_is_resynchronised(void **unused)
{
    (void)unused;
    struct world world = world_followed();

    world_start(&world, CAPTURE_CONTINUED);
    world_sql(&world, "PRAGMA wal_autocheckpoint=0");
    world_step(&world);
    for (unsigned n = 0; n < 5; n++)
        world_sql(&world, "INSERT INTO first VALUES(randomblob(100))");
    (void)world_sync(&world);
    (void)world_replay(&world);
    int64_t count = world_number(&world, "SELECT count(*) FROM first");

    world_wait(world_spawn(&world, "tear", 0, 0));
    struct capture_sync_report report = world_sync(&world);
    assert_true(report.resynced);
    assert_int_equal(report.resync_page_count, 1);
    assert_int_equal(world_number(&world, "SELECT count(*) FROM first"), count - 1);
    (void)world_replay(&world);
    assert_int_equal(world.replay.last_flags, TRANSACTION_RESYNC);
    world_check(&world);

    /* And on it goes, over the frames that were lost. */
    for (unsigned n = 0; n < 5; n++) {
        world_sql(&world, "INSERT INTO first VALUES(randomblob(100))");
        world_step(&world);
        (void)world_maintain(&world);
    }
    assert_int_equal(world.replay.resync_count, 1);
    world_free(&world);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_happened_and_it_continues),
        cmocka_unit_test(commits_while_it_was_down_are_captured_one_by_one),
        cmocka_unit_test(the_last_connection_closed_and_nothing_changed),
        cmocka_unit_test(whatever_happened_while_it_was_down_is_found_by_digest),
        cmocka_unit_test(a_read_of_the_whole_database_can_be_cancelled),
        cmocka_unit_test(a_file_that_something_else_wrote_is_compared),
        cmocka_unit_test(a_checkpoint_that_was_killed_is_no_foreign_hand),
        cmocka_unit_test(a_replaced_file_is_recognised_and_can_be_continued),
        cmocka_unit_test(a_file_replaced_while_followed_stops_capture),
        cmocka_unit_test(another_page_size_is_another_file),
        cmocka_unit_test(a_damaged_map_is_noticed_and_rebuilt_without_losing_the_spool),
        cmocka_unit_test(a_lost_state_is_adopted_from_the_replica),
        cmocka_unit_test(one_process_at_a_time),
        cmocka_unit_test(another_machine_departs),
        cmocka_unit_test(only_what_was_there_can_be_missing),
        cmocka_unit_test(a_gap_in_the_spool_leaves_no_position),
        cmocka_unit_test(a_recovery_that_lost_commits_is_resynchronised),
    };

    return world_main(argc, argv, tests, array_count(tests), tear_verb);
}
