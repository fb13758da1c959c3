/*
 * kill -9 of the process that captures and merges, and of the processes that write, at random
 * moments: map and position agree on every open, the history is contiguous, and at the end it is
 * the source.
 */
#include "world.h"

#include "base/alloc.h"
#include "base/text.h"
#include "segment/dir.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PROGRESS_MS_MAX = 120 * 1000 };

static unsigned rounds(void)
{
    const char *text = getenv("SEAWAL_KILL_ROUNDS");

    return text != NULL ? (unsigned)strtoul(text, NULL, 10) : 200;
}

/* A writer may be held up in the middle of a recovery; the daemon opens again as well. */
static rc start_capture(
    struct capture **ret, const struct capture_options *options, struct error *err)
{
    for (;;) {
        struct capture_start_report start;
        TRY(capture_open(ret, options, err));
        rc result = capture_start(*ret, 1, &start, err);
        if (result != RC_BUSY)
            return result;
        capture_close(*ret);
    }
}

/* The process that is killed: captures as fast as it can, in small segments. */
static int capture_verb(const char *path, uint64_t number, unsigned steps)
{
    struct capture_options options = {
        .path = path,
        .checkpoint_page_count = 300,
        .segment_size = 30000,
        .spool_size = 150000,
    };
    struct capture *capture = NULL;
    struct error err = { 0 };
    struct capture_sync_report sync;
    struct capture_maintain_report maintain;
    struct capture_merge_report merge;

    /* In every other round the store is away, as it were: what waits is merged. */
    bool is_merging = number / 1000 % 2 == 1;
    (void)steps;
    if (start_capture(&capture, &options, &err) != RC_OK) {
        fprintf(stderr, "%s\n", err.text);
        return 1;
    }
    for (int64_t now_ms = 0;; now_ms += 200) {
        rc result = capture_sync(capture, (int64_t)number + now_ms, &sync, &err);
        if (result == RC_OK)
            result = capture_maintain(capture, now_ms, (int64_t)number + now_ms, &maintain, &err);
        if (result == RC_OK && is_merging)
            result = capture_merge(capture, 0, now_ms, &merge, &err);
        if (result != RC_OK && result != RC_BUSY) {
            fprintf(stderr, "%s\n", err.text);
            return 2;
        }
    }
}

static void kill_now(pid_t pid)
{
    int status = 0;

    kill(pid, SIGKILL);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    if (!WIFSIGNALED(status))
        fail_msg("the process ended by itself with status %d", status);
}

static uint64_t newest_txid(const struct world *world)
{
    auto_free char *spool = text_format("%s/.app.db-seawal/spool", world->scratch.folder);
    auto_segment_list struct segment_list list = SEGMENT_LIST_INIT;
    struct error err = { 0 };

    /* Others add and remove meanwhile. */
    if (segment_dir_list(&list, spool, &err) != RC_OK || list.count == 0)
        return 0;
    return list.entries[list.count - 1].name.max_txid;
}

/* On a slow machine some rounds get somewhere as well. */
static void wait_for_progress(const struct world *world)
{
    uint64_t before = newest_txid(world);
    uint64_t now = before;

    for (unsigned tries = 0; tries < PROGRESS_MS_MAX && now <= before; tries++) {
        usleep(1000);
        now = newest_txid(world);
    }
    assert_true(now > before);
}

/* What an opener after the kill finds; the rest of what is there is replayed and checked. */
static void check_after_kill(struct world *world)
{
    world_open(world, CAPTURE_STATE_POSITION);
    uint64_t txid = capture_position(world->capture)->txid;
    uint64_t digest = capture_position(world->capture)->digest;
    world_close(world);
    (void)world_replay(world);
    assert_int_equal(world->replay.txid, txid);
    assert_int_equal(world->replay.digest, digest);
}

static void finish(struct world *world)
{
    struct error err = { 0 };
    struct capture_start_report report;

    world_open(world, CAPTURE_STATE_POSITION);
    CHECK_OK(capture_start(world->capture, 1, &report, &err));
    world_step(world);
    print_message("%llu transactions, %llu of them resyncs; %llu merged segments\n",
        (unsigned long long)world->replay.txid, (unsigned long long)world->replay.resync_count,
        (unsigned long long)world->replay.merged_count);
    world_close(world);
    world_sql(world, "PRAGMA wal_checkpoint(TRUNCATE)");
    world_close_app(world);
    world_check_file(world);
}

static void kill_9_of_capture_at_random_moments(void **unused)
{
    (void)unused;
    struct world world = world_new(4096);
    uint64_t random = 42;
    pid_t writer = 0;

    world_mix_schema(world.app);
    world_begin(&world);
    world_close(&world);
    for (unsigned round = 0; round < rounds(); round++) {
        if (round % 20 == 0)
            writer = world_spawn_writer(&world, round, 1000000);
        pid_t capture = world_spawn(&world, "capture", 1790000000000 + round * 1000, 0);
        if (round % 4 == 3)
            wait_for_progress(&world);
        usleep(5000 + (unsigned)(world_random(&random) % 60000));
        kill_now(capture);
        check_after_kill(&world);
        if (round % 20 == 19)
            kill_now(writer);
    }
    if (rounds() % 20 != 0)
        kill_now(writer);
    assert_true(world.replay.txid > rounds() / 4); /* some are killed before they get anywhere */
    finish(&world);
    world_free(&world);
}

/* The writers die instead, also between their frames and the index, and the next opener recovers.
 */
static void kill_9_of_writers_while_followed(void **unused)
{
    (void)unused;
    struct world world = world_new(4096);
    uint64_t random = 43;

    world.options.checkpoint_page_count = 300;
    world_mix_schema(world.app);
    world_begin(&world);
    for (unsigned round = 0; round < rounds(); round++) {
        pid_t writers[2];
        for (unsigned n = 0; n < 2; n++)
            writers[n] = world_spawn_writer(&world, round * 2 + n, 1000000);
        for (unsigned turn = 0; turn < 5; turn++) {
            struct error err = { 0 };
            struct capture_sync_report report;
            usleep(1000 + (unsigned)(world_random(&random) % 6000));
            rc result = capture_sync(world.capture, world.wall_ms++, &report, &err);
            if (result != RC_BUSY)
                CHECK_OK(result);
        }
        kill_now(writers[round % 2]);
        kill_now(writers[1 - round % 2]);
        /* An opener that runs the recovery, then we must go on. */
        world_sql(&world, "SELECT count(*) FROM t");
        (void)world_sync(&world);
        (void)world_maintain(&world);
        (void)world_replay(&world);
        if (round % 10 == 0)
            world_check(&world);
    }
    world_close(&world);
    finish(&world);
    world_free(&world);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(kill_9_of_capture_at_random_moments),
        cmocka_unit_test(kill_9_of_writers_while_followed),
    };

    return world_main(argc, argv, tests, array_count(tests), capture_verb);
}
