/*
 * Any file system call of ours may fail: it is told, nothing is lost or made up, and the next call
 * goes on. Only when the outcome of a commit is unknown the database must be opened again.
 */
#include "world.h"

#include "base/alloc.h"
#include "harness/fault.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* The same amount of work each time, so that the loop over the nth call comes to its end. */
static void change(struct world *world)
{
    world_sql(world, "INSERT INTO first VALUES(randomblob(20000));"
                     "DELETE FROM first WHERE rowid < (SELECT max(rowid) - 2 FROM first)");
}

/* After a failure: go on, or open again where only the disk knows what holds. */
static void heal(struct world *world, rc failed)
{
    struct error err = { 0 };
    struct capture_sync_report report;
    struct capture_start_report start;

    if (capture_sync(world->capture, world->wall_ms, &report, &err) != RC_OK) {
        assert_int_not_equal(failed, RC_OK);
        world_close(world);
        world_open(world, CAPTURE_STATE_POSITION);
        CHECK_OK(capture_start(world->capture, 1, &start, &err));
    }
    world_step(world);
}

static void one_failure_while_following_is_told_and_healed(void **unused)
{
    (void)unused;
    static const int errnos[] = { EIO, ENOSPC };

    for (size_t index = 0; index < array_count(errnos); index++) {
        struct world world = world_new(1024);
        unsigned told = 0;
        world.options.checkpoint_page_count = 20;
        world.options.segment_size = 20000;
        world_begin(&world);
        for (uint64_t nth = 1;; nth++) {
            struct error err = { 0 };
            struct capture_sync_report report;
            struct capture_maintain_report maintain;
            change(&world);
            (void)fault_arm(nth, errnos[index]);
            rc result = capture_sync(world.capture, world.wall_ms++, &report, &err);
            if (result == RC_OK)
                result = capture_maintain(
                    world.capture, world.monotonic_ms += 1000, world.wall_ms++, &maintain, &err);
            bool fired = fault_fired();
            fault_disarm();
            assert_true(result == RC_OK || fired);
            assert_true(result == RC_OK || err.text[0] != '\0');
            told += result != RC_OK;
            heal(&world, result);
            if (!fired)
                break;
        }
        assert_true(told > 10);
        assert_int_equal(world.replay.resync_count, 0);
        world_free(&world);
    }
}

static void a_failure_while_opening_is_told_and_healed(void **unused)
{
    (void)unused;
    struct world world = world_new(1024);
    unsigned told = 0;

    /* Nothing is pinned between the turns, and the application may not restart the log then. */
    world_sql(&world, "PRAGMA wal_autocheckpoint=0");
    world_begin(&world);
    world_close(&world);
    for (uint64_t nth = 1;; nth++) {
        struct error err = { 0 };
        struct capture_start_report start;
        change(&world);
        (void)fault_arm(nth, EIO);
        rc result = capture_open(&world.capture, &world.options, &err);
        if (result == RC_OK && capture_state_kind(world.capture) == CAPTURE_STATE_POSITION)
            result = capture_start(world.capture, 1, &start, &err);
        bool fired = fault_fired();
        fault_disarm();
        assert_true(result == RC_OK || err.text[0] != '\0');
        told += result != RC_OK;
        world_close(&world);

        world_open(&world, CAPTURE_STATE_POSITION);
        CHECK_OK(capture_start(world.capture, 1, &start, &err));
        world_step(&world);
        world_close(&world);
        if (!fired)
            break;
    }
    assert_true(told > 10);
    assert_int_equal(world.replay.resync_count, 0);
    world_free(&world);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_failure_while_following_is_told_and_healed),
        cmocka_unit_test(a_failure_while_opening_is_told_and_healed),
    };

    return world_main(argc, argv, tests, array_count(tests), NULL);
}
