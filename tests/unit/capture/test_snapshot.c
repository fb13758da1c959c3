/*
 * A snapshot that is read while the database is written, page by page and without a pin of its own,
 * becomes exact together with the segments of its time.
 */
#include "world.h"

#include "base/alloc.h"
#include "base/text.h"
#include "codec/digest.h"
#include "replay.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static void fill(struct world *world)
{
    world_mix_schema(world->app);
    world_sql(world, "INSERT INTO t(k, v) SELECT hex(randomblob(8)), randomblob(700) FROM"
                     " (WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c LIMIT 8000)"
                     " SELECT x FROM c)");
}

/* Read a whole snapshot; BETWEEN runs after each chunk. RET is the position that completes it. */
static void read_snapshot(struct world *world, struct replay *ret,
    void (*between)(struct world *world, void *payload), void *payload)
{
    struct error err = { 0 };
    struct capture_snapshot snapshot;
    struct capture_position first;
    struct snapshot_chunk chunk = SNAPSHOT_CHUNK_INIT;
    auto_free char *path = scratch_path(&world->scratch, "snapshot.db");
    uint32_t last_pgno = 0;

    capture_snapshot_begin(world->capture, &snapshot, &first);
    replay_begin(ret, path, &first);
    ret->as_of = mem_new_array(AS_OF_CAPACITY, sizeof *ret->as_of);
    for (;;) {
        CHECK_OK(capture_snapshot_next(world->capture, &snapshot, &chunk, &err));
        if (chunk.page_count == 0)
            break;
        assert_true(chunk.page_count <= SNAPSHOT_CHUNK_PAGE_COUNT);
        assert_int_equal(chunk.txid, capture_position(world->capture)->txid);
        for (size_t index = 0; index < chunk.page_count; index++) {
            const uint8_t *page = chunk.pages + index * first.page_size;
            assert_true(chunk.pgnos[index] > last_pgno);
            last_pgno = chunk.pgnos[index];
            assert_int_equal(
                chunk.digests[index], page_digest(last_pgno, bytes_of(page, first.page_size)));
            replay_set_page(ret, last_pgno, page);
            ret->as_of[last_pgno - 1] = chunk.txid;
        }
        between(world, payload);
    }
    ret->exact_txid = capture_position(world->capture)->txid;
    ret->page_count = capture_position(world->capture)->page_count > ret->page_count
                          ? capture_position(world->capture)->page_count
                          : ret->page_count;
    snapshot_chunk_release(&chunk);
}

/* The snapshot and the segments from its first transaction on give what the other replay has. */
static void check_snapshot(struct world *world, struct replay *snapshot)
{
    struct replay whole = world->replay;

    world->replay = *snapshot;
    (void)world_replay(world);
    assert_true(world->replay.txid >= world->replay.exact_txid);
    world_check(world);
    assert_int_equal(world->replay.digest, whole.digest);
    replay_release(&world->replay);
    world->replay = whole;
}

static void write_and_maintain(struct world *world, void *payload)
{
    uint64_t *random = payload;

    for (unsigned n = 0; n < 5; n++)
        world_mix_step(world->app, random);
    (void)world_sync(world);
    (void)world_maintain(world);
}

static void steps_between_chunks_do_not_disturb_it(void **unused)
{
    (void)unused;
    for (uint64_t seed = 1; seed <= 5; seed++) {
        struct world world = world_new(1024);
        struct replay snapshot;
        uint64_t random = seed;

        world.options.checkpoint_page_count = 100;
        fill(&world);
        world_begin(&world);
        read_snapshot(&world, &snapshot, write_and_maintain, &random);
        (void)world_sync(&world);
        (void)world_replay(&world);
        world_check(&world);
        check_snapshot(&world, &snapshot);
        world_free(&world);
    }
}

static void sync_now_and_then(struct world *world, void *payload)
{
    unsigned *turn = payload;

    if (++*turn % 5 == 0)
        (void)world_sync(world);
    if (*turn % 15 == 0)
        (void)world_maintain(world);
    usleep(300);
}

static void other_processes_write_while_it_is_read(void **unused)
{
    (void)unused;
    for (unsigned round = 0; round < 5; round++) {
        struct world world = world_new(4096);
        struct replay snapshot;
        unsigned turn = 0;
        pid_t writers[3];

        world.options.checkpoint_page_count = 200;
        fill(&world);
        world_begin(&world);
        for (unsigned n = 0; n < 3; n++)
            writers[n] = world_spawn_writer(&world, round * 10 + n, 150);
        read_snapshot(&world, &snapshot, sync_now_and_then, &turn);
        for (unsigned n = 0; n < 3; n++)
            world_wait(writers[n]);
        (void)world_sync(&world);
        (void)world_replay(&world);
        world_check(&world);
        check_snapshot(&world, &snapshot);
        assert_int_equal(world.replay.resync_count, 0);
        world_free(&world);
    }
}

/* A page that the disk lost is told, not shipped. */
static void a_damaged_page_is_not_shipped(void **unused)
{
    (void)unused;
    struct world world = world_new(4096);
    struct error err = { 0 };
    struct capture_snapshot snapshot;
    struct capture_position first;
    struct snapshot_chunk chunk = SNAPSHOT_CHUNK_INIT;
    uint8_t byte = 0;

    fill(&world);
    world_begin(&world);
    world_close(&world);
    world_sql(&world, "PRAGMA wal_checkpoint(TRUNCATE)");
    world_close_app(&world);
    int fd = open(world.path, O_RDWR | O_CLOEXEC);
    assert_int_equal(pread(fd, &byte, 1, 99 * 4096 + 17), 1);

    world_open(&world, CAPTURE_STATE_POSITION);
    world_start(&world, CAPTURE_UNCHANGED);
    byte ^= 1;
    assert_int_equal(pwrite(fd, &byte, 1, 99 * 4096 + 17), 1);
    capture_snapshot_begin(world.capture, &snapshot, &first);
    CHECK_OK(capture_snapshot_next(world.capture, &snapshot, &chunk, &err));
    CHECK_RC(capture_snapshot_next(world.capture, &snapshot, &chunk, &err), RC_CORRUPT);
    assert_non_null(strstr(err.text, "page 100 "));
    snapshot_chunk_release(&chunk);
    world_close(&world);
    close(fd);
    world_free(&world);
}

/* SQLite may lose what a free page held; that is no damage, and the replica follows. */
static void a_lost_free_page_is_compared_again(void **unused)
{
    (void)unused;
    struct world world = world_new(4096);
    struct error err = { 0 };
    struct capture_snapshot snapshot;
    struct capture_position first;
    struct snapshot_chunk chunk = SNAPSHOT_CHUNK_INIT;

    fill(&world);
    world_sql(&world, "DELETE FROM t WHERE id < 4000");
    world_begin(&world);
    world_close(&world);
    world_sql(&world, "PRAGMA wal_checkpoint(TRUNCATE)");
    world_close_app(&world);

    /* The first leaf of the first trunk. */
    uint8_t number[4];
    int fd = open(world.path, O_RDWR | O_CLOEXEC);
    assert_int_equal(pread(fd, number, 4, 32), 4);
    uint32_t trunk = get_be32(number);
    assert_true(trunk > 0);
    assert_int_equal(pread(fd, number, 4, (off_t)(trunk - 1) * 4096 + 8), 4);
    uint32_t leaf = get_be32(number);

    world_open(&world, CAPTURE_STATE_POSITION);
    world_start(&world, CAPTURE_UNCHANGED);
    assert_int_equal(pwrite(fd, "lost", 4, (off_t)(leaf - 1) * 4096 + 50), 4);
    capture_snapshot_begin(world.capture, &snapshot, &first);
    rc result = RC_OK;
    while (result == RC_OK)
        result = capture_snapshot_next(world.capture, &snapshot, &chunk, &err);
    CHECK_RC(result, RC_BUSY);
    assert_int_equal(snapshot.next_pgno <= leaf, true);
    CHECK_RC(capture_snapshot_next(world.capture, &snapshot, &chunk, &err), RC_BUSY);

    struct capture_sync_report report = world_sync(&world);
    assert_true(report.resynced);
    assert_int_equal(report.resync_page_count, 1);
    do {
        CHECK_OK(capture_snapshot_next(world.capture, &snapshot, &chunk, &err));
    } while (chunk.page_count > 0);
    snapshot_chunk_release(&chunk);
    (void)world_replay(&world);
    world_check(&world);
    world_close(&world);
    close(fd);
    world_free(&world);
}

static void a_capture_that_has_stopped_gives_no_snapshot(void **unused)
{
    (void)unused;
    struct world world = world_new(4096);
    struct snapshot_chunk chunk = SNAPSHOT_CHUNK_INIT;
    struct capture_snapshot snapshot;
    struct capture_position first;
    struct capture_sync_report report;
    struct error err;

    world_begin(&world);
    auto_free char *aside = text_format("%s-aside", world.path);
    assert_int_equal(rename(world.path, aside), 0);
    world_sql(&world, "INSERT INTO first VALUES(1)");
    CHECK_RC(capture_sync(world.capture, 1790000000000, &report, &err), RC_MISMATCH);
    capture_snapshot_begin(world.capture, &snapshot, &first);
    CHECK_RC(capture_snapshot_next(world.capture, &snapshot, &chunk, &err), RC_MISMATCH);
    snapshot_chunk_release(&chunk);
    capture_close(TAKE(world.capture));
    assert_int_equal(rename(aside, world.path), 0);
    world_free(&world);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(steps_between_chunks_do_not_disturb_it),
        cmocka_unit_test(other_processes_write_while_it_is_read),
        cmocka_unit_test(a_damaged_page_is_not_shipped),
        cmocka_unit_test(a_lost_free_page_is_compared_again),
        cmocka_unit_test(a_capture_that_has_stopped_gives_no_snapshot),
    };

    return world_main(argc, argv, tests, array_count(tests), NULL);
}
