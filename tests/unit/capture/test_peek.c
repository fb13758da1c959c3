/*
 * Somebody who only looks sees how far capture is, and whether the log has more.
 *
 * The look is taken in a process of its own, as it must be: see peek.h.
 */
#include "capture/peek.h"

#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/alloc.h"
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

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(peek_follows_capture),
        cmocka_unit_test(peek_tells_what_a_daemon_that_is_down_has_missed),
        cmocka_unit_test(peek_refuses_a_damaged_state_folder),
    };

    return world_main(argc, argv, tests, array_count(tests), NULL);
}
