/*
 * Somebody who only looks sees how far capture is, and whether the log has more.
 *
 * The look is taken in a process of its own, as it must be: see peek.h.
 */
#include "capture/peek.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "base/fs.h"
#include "base/text.h"
#include "world.h"

struct seen {
    rc code;
    enum capture_peek_log log;
    uint64_t txid;
    uint64_t digest;
    uint64_t spool_count;
};

static struct seen look(const struct world *world)
{
    auto_free char *state_dir = text_format("%s/.app.db-seawal", world->scratch.folder);
    struct seen seen = { 0 };
    int channel[2];

    assert_int_equal(pipe(channel), 0);
    pid_t child = fork();
    if (child == 0) {
        auto_capture_peek struct capture_peek peek = CAPTURE_PEEK_INIT;

        seen.code = capture_peek(&peek, state_dir, world->path, NULL);
        seen.log = peek.log;
        seen.txid = peek.position.txid;
        seen.digest = peek.position.digest;
        seen.spool_count = peek.spool.count;
        check_leave(write(channel[1], &seen, sizeof seen) == (ssize_t)sizeof seen ? 0 : 1);
    }
    close(channel[1]);
    assert_int_equal(read(channel[0], &seen, sizeof seen), sizeof seen);
    close(channel[0]);
    assert_int_equal(waitpid(child, NULL, 0), child);
    return seen;
}

static void peek_follows_capture(void **state)
{
    struct world world = world_new(4096);

    (void)state;
    assert_string_equal(strrchr(world.path, '/'), "/app.db");
    assert_int_equal(look(&world).code, RC_NOT_FOUND);

    world_sql(&world, "CREATE TABLE t(a); INSERT INTO t VALUES(1)");
    world_open(&world, CAPTURE_STATE_NONE);
    world_begin(&world);
    struct seen seen = look(&world);
    assert_int_equal(seen.code, RC_OK);
    assert_int_equal(seen.txid, 1);
    assert_int_equal(seen.log, CAPTURE_PEEK_CAPTURED);

    world_sql(&world, "INSERT INTO t VALUES(2)");
    assert_int_equal(look(&world).log, CAPTURE_PEEK_AHEAD);
    world_sync(&world);
    seen = look(&world);
    assert_int_equal(seen.txid, 2);
    assert_int_equal(seen.digest, capture_position(world.capture)->digest);
    assert_int_equal(seen.spool_count, 1);
    assert_int_equal(seen.log, CAPTURE_PEEK_CAPTURED);
    world_free(&world);
}

static void peek_tells_what_a_daemon_that_is_down_has_missed(void **state)
{
    struct world world = world_new(4096);

    (void)state;
    world_sql(&world, "CREATE TABLE t(a); INSERT INTO t VALUES(1)");
    world_open(&world, CAPTURE_STATE_NONE);
    world_begin(&world);
    world_sql(&world, "INSERT INTO t VALUES(2)");
    world_sync(&world);
    world_close(&world);
    assert_int_equal(look(&world).log, CAPTURE_PEEK_CAPTURED);
    world_sql(&world, "INSERT INTO t VALUES(3)");
    struct seen seen = look(&world);
    assert_int_equal(seen.log, CAPTURE_PEEK_AHEAD);
    assert_int_equal(seen.txid, 2);

    /* The last one to close takes log and index away: nothing is left to be told by. */
    world_close_app(&world);
    assert_int_equal(look(&world).log, CAPTURE_PEEK_UNKNOWN);
    world_free(&world);
}

static void peek_refuses_a_damaged_state_folder(void **state)
{
    struct world world = world_new(4096);

    (void)state;
    world_sql(&world, "CREATE TABLE t(a)");
    world_open(&world, CAPTURE_STATE_NONE);
    world_begin(&world);
    world_close(&world);
    scratch_write(&world.scratch, ".app.db-seawal/position", bytes_of("seawpos1?", 9));
    assert_int_equal(look(&world).code, RC_CORRUPT);
    world_free(&world);
}

/* A closed database whose every commit was captured, and the bytes of its log. */
static struct world closed_world(struct buf *log)
{
    struct world world = world_new(4096);
    auto_free char *log_path = text_format("%s-wal", world.path);
    struct error err = { 0 };

    world_sql(&world, "CREATE TABLE t(a); INSERT INTO t VALUES(1)");
    world_open(&world, CAPTURE_STATE_NONE);
    world_begin(&world);
    world_sql(&world, "INSERT INTO t VALUES(2)");
    world_sync(&world);
    world_close(&world);
    CHECK_OK(fs_read_file(log, log_path, &err));
    world_close_app(&world);
    return world;
}

/* Nobody has the database open: the log alone tells, as far as it is one. */
static void peek_judges_a_log_that_was_left(void **state)
{
    auto_buf struct buf log = BUF_INIT(1 << 20);
    struct world world = closed_world(&log);
    static const uint8_t frame[24 + 4096];

    (void)state;
    scratch_write(&world.scratch, "app.db-wal", buf_bytes(&log));
    assert_int_equal(look(&world).log, CAPTURE_PEEK_CAPTURED);
    for (size_t salt = 16; salt < 24; salt += 4) {
        log.data[salt] ^= 1;
        scratch_write(&world.scratch, "app.db-wal", buf_bytes(&log));
        assert_int_equal(look(&world).log, CAPTURE_PEEK_AHEAD);
        log.data[salt] ^= 1;
    }
    scratch_write(&world.scratch, "app.db-wal", bytes_of(log.data, 31));
    assert_int_equal(look(&world).log, CAPTURE_PEEK_UNKNOWN);
    buf_put(&log, bytes_of(frame, sizeof frame));
    scratch_write(&world.scratch, "app.db-wal", buf_bytes(&log));
    assert_int_equal(look(&world).log, CAPTURE_PEEK_AHEAD);

    auto_free char *log_path = text_format("%s-wal", world.path);
    assert_int_equal(unlink(log_path), 0);
    assert_int_equal(mkdir(log_path, 0700), 0);
    assert_int_equal(look(&world).log, CAPTURE_PEEK_UNKNOWN);
    assert_int_equal(rmdir(log_path), 0);
    world_free(&world);
}

/* The index's header as SQLite lays it out, of a log with LOG's salts and COUNT frames. */
static void put_index(const struct world *world, const struct buf *log, uint32_t count, bool whole)
{
    uint8_t copies[2 * 48] = { 0 };

    memcpy(copies + 16, &count, sizeof count);
    memcpy(copies + 32, log->data + 16, 8);
    memcpy(copies + 48, copies, 48);
    copies[sizeof copies - 1] ^= !whole;
    scratch_write(&world->scratch, "app.db-shm", bytes_of(copies, sizeof copies));
}

/* Somebody has it open: the index tells, unless it is being changed for as long as we look. */
static void peek_judges_the_index_that_somebody_uses(void **state)
{
    auto_buf struct buf log = BUF_INIT(1 << 20);
    struct world world = closed_world(&log);
    uint32_t count = (uint32_t)((log.size - 32) / (24 + 4096));

    (void)state;
    put_index(&world, &log, count, true);
    assert_int_equal(look(&world).log, CAPTURE_PEEK_CAPTURED);
    put_index(&world, &log, 0, true);
    assert_int_equal(look(&world).log, CAPTURE_PEEK_CAPTURED);
    put_index(&world, &log, count + 1, true);
    assert_int_equal(look(&world).log, CAPTURE_PEEK_AHEAD);
    put_index(&world, &log, count, false);
    assert_int_equal(look(&world).log, CAPTURE_PEEK_UNKNOWN);
    log.data[20] ^= 1;
    put_index(&world, &log, count, true);
    assert_int_equal(look(&world).log, CAPTURE_PEEK_AHEAD);
    scratch_write(&world.scratch, "app.db-shm", bytes_of(log.data, 95));
    assert_int_equal(look(&world).log, CAPTURE_PEEK_UNKNOWN);

    auto_free char *index_path = text_format("%s-shm", world.path);
    assert_int_equal(unlink(index_path), 0);
    assert_int_equal(symlink("app.db-shm", index_path), 0); /* leads nowhere, for ever */
    assert_int_equal(look(&world).log, CAPTURE_PEEK_UNKNOWN);
    assert_int_equal(unlink(index_path), 0);
    world_free(&world);
}

/* What does not belong among the segments, and a newest segment that is none. */
static void peek_refuses_a_damaged_spool(void **state)
{
    auto_buf struct buf log = BUF_INIT(1 << 20);
    struct world world = closed_world(&log);

    (void)state;
    scratch_write(&world.scratch, ".app.db-seawal/spool/notes", bytes_of("?", 1));
    assert_int_equal(look(&world).code, RC_CORRUPT);
    auto_free char *notes = text_format("%s/.app.db-seawal/spool/notes", world.scratch.folder);
    assert_int_equal(unlink(notes), 0);
    assert_int_equal(look(&world).code, RC_OK);
    scratch_write(&world.scratch,
        ".app.db-seawal/spool/0000000000000003-0000000000000003-1790000000000.seg",
        bytes_of("not a segment", 13));
    assert_int_equal(look(&world).code, RC_CORRUPT);
    world_free(&world);
}

/* A segment under the name of another range: the name is not believed. */
static void peek_refuses_a_renamed_segment(void **state)
{
    static const char *const names[] = { "0000000000000002-0000000000000003-1790000000000.seg",
        "0000000000000001-0000000000000003-1790000000000.seg" };

    (void)state;
    for (size_t index = 0; index < array_count(names); index++) {
        auto_buf struct buf log = BUF_INIT(1 << 20);
        struct world world = closed_world(&log);
        auto_free char *spool = text_format("%s/.app.db-seawal/spool", world.scratch.folder);
        auto_segment_list struct segment_list list = SEGMENT_LIST_INIT;
        char name[SEGMENT_NAME_SIZE];
        struct error err = { 0 };

        CHECK_OK(segment_dir_list(&list, spool, &err));
        assert_int_equal(list.count, 1);
        segment_name_format(name, &list.entries[0].name);
        auto_free char *from = text_format("%s/%s", spool, name);
        auto_free char *to = text_format("%s/%s", spool, names[index]);
        assert_int_equal(rename(from, to), 0);
        assert_int_equal(look(&world).code, RC_CORRUPT);
        world_free(&world);
    }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(peek_follows_capture),
        cmocka_unit_test(peek_tells_what_a_daemon_that_is_down_has_missed),
        cmocka_unit_test(peek_refuses_a_damaged_state_folder),
        cmocka_unit_test(peek_judges_a_log_that_was_left),
        cmocka_unit_test(peek_judges_the_index_that_somebody_uses),
        cmocka_unit_test(peek_refuses_a_damaged_spool),
        cmocka_unit_test(peek_refuses_a_renamed_segment),
    };

    return world_main(argc, argv, tests, array_count(tests), NULL);
}
