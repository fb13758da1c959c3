/*
 * window: what was written in a window of time becomes one merged segment, exactly as of its end,
 * while capture goes on, and the log beside it stays
 */
#include "replay.h"
#include "world.h"

#include "base/text.h"

#include <stdio.h>
#include <stdlib.h>

enum { WINDOW_MS = 1000, SLICES_MAX = 10000 };

struct rig {
    struct world world;
    char *folder; /* of windows */
    unsigned taken;
    unsigned lost;
    bool is_unwanted;
};

static struct rig rig_new(uint32_t page_size)
{
    struct rig rig = { .world = world_new(page_size) };

    rig.world.options.window_ms = WINDOW_MS;
    rig.world.options.checkpoint_page_count = 200;
    rig.folder = text_format("%s/.app.db-seawal/windows/1", rig.world.scratch.folder);
    world_mix_schema(rig.world.app);
    world_begin(&rig.world);
    /* Times never fall, and the first one is of the real clock. */
    int64_t now_ms = capture_position(rig.world.capture)->time_ms;
    rig.world.wall_ms = (now_ms / WINDOW_MS + 1) * WINDOW_MS;
    return rig;
}

static void rig_free(struct rig *rig)
{
    free(rig->folder);
    world_free(&rig->world);
}

static size_t rig_count(const struct rig *rig)
{
    auto_segment_list struct segment_list list = SEGMENT_LIST_INIT;
    struct error err = { 0 };

    CHECK_OK(segment_dir_list(&list, rig->folder, &err));
    return list.count;
}

/* What is there is all that the replay needs: each is one that a restore of its end can use. */
static void rig_take(struct rig *rig)
{
    auto_segment_list struct segment_list list = SEGMENT_LIST_INIT;
    struct error err = { 0 };

    CHECK_OK(segment_dir_list(&list, rig->folder, &err));
    for (size_t index = 0; index < list.count; index++) {
        const struct segment_name *name = &list.entries[index].name;
        if (name->max_txid > rig->world.replay.txid) {
            assert_int_equal(name->min_txid, rig->world.replay.txid + 1);
            replay_merged(&rig->world.replay, rig->folder, name);
            rig->taken++;
        }
        CHECK_OK(segment_dir_remove(rig->folder, name, &err));
    }
}

static struct capture_merge_report rig_slice(struct rig *rig)
{
    struct capture_merge_report report;
    struct error err = { 0 };

    CHECK_OK(capture_merge(rig->world.capture, 0, rig->world.monotonic_ms, &report, &err));
    return report;
}

static struct capture_window_report rig_window(struct rig *rig)
{
    struct capture_window_report report;
    struct error err = { 0 };

    CHECK_OK(
        capture_window(rig->world.capture, rig->world.wall_ms, !rig->is_unwanted, &report, &err));
    if (report.lost) {
        /* The next one begins here. */
        (void)world_replay(&rig->world);
        rig->lost++;
    }
    return report;
}

/* What the daemon does in a round. */
static void rig_round(struct rig *rig)
{
    (void)rig_window(rig);
    (void)world_sync(&rig->world);
    (void)world_maintain(&rig->world);
    if (rig_slice(rig).done)
        rig_take(rig);
}

static void rig_finish_merge(struct rig *rig)
{
    for (unsigned slice = 0; rig_slice(rig).in_progress; slice++)
        assert_true(slice < SLICES_MAX);
    rig_take(rig);
}

static void a_window_that_is_over_becomes_a_segment(void **unused)
{
    (void)unused;
    struct rig rig = rig_new(4096);
    struct world *world = &rig.world;

    int64_t end_ms = world->wall_ms + WINDOW_MS;
    assert_int_equal(rig_window(&rig).due_ms, 0);
    world_sql(world, "INSERT INTO t(k, v) VALUES('a', randomblob(3000))");
    rig_round(&rig);
    world_sql(world, "INSERT INTO t(k, v) VALUES('b', randomblob(3000))");
    rig_round(&rig);
    struct capture_window_report report = rig_window(&rig);
    assert_false(report.begun);
    assert_int_equal(report.due_ms, end_ms);
    assert_int_equal(rig_count(&rig), 0);

    world->wall_ms = end_ms - 1;
    assert_false(rig_window(&rig).begun);
    world->wall_ms = end_ms;
    assert_true(rig_window(&rig).begun);
    rig_finish_merge(&rig);
    assert_int_equal(rig.taken, 1);
    assert_int_equal(world->replay.txid, 3);
    world_check(world);

    /* Without a commit there is none, however long it takes. */
    world->wall_ms += 100 * WINDOW_MS;
    assert_int_equal(rig_window(&rig).due_ms, 0);
    rig_round(&rig);
    assert_int_equal(rig.taken, 1);
    assert_int_equal(rig.lost, 0);
    rig_free(&rig);
}

static void commits_go_on_while_a_window_is_merged(void **unused)
{
    (void)unused;
    const char *seed_text = getenv("SEAWAL_SEED");
    uint64_t seed = seed_text != NULL ? strtoull(seed_text, NULL, 10) : 20261121;
    uint64_t random = seed;
    struct rig rig = rig_new(1024);
    struct world *world = &rig.world;

    print_message("seed %llu\n", (unsigned long long)seed);
    world_sql(world, "INSERT INTO t(k, v) SELECT 'x', randomblob(3000) FROM"
                     " (WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c LIMIT 2000)"
                     " SELECT x FROM c)");
    for (unsigned step = 0; step < 400; step++) {
        for (unsigned n = (unsigned)(world_random(&random) % 4); n > 0; n--)
            world_mix_step(world->app, &random);
        if (world_random(&random) % 20 == 0)
            world_sql(world, "UPDATE t SET v = randomblob(3000) WHERE id % 3 = 0");
        world->wall_ms += (int64_t)(world_random(&random) % 300);
        rig_round(&rig);
    }
    rig_finish_merge(&rig);
    unsigned lost = rig.lost;
    world->wall_ms += WINDOW_MS;
    if (rig_window(&rig).begun)
        rig_finish_merge(&rig);
    print_message("%u windows, %u lost\n", rig.taken, lost);
    assert_true(rig.taken >= 20);
    world_check(world);
    rig_free(&rig);
}

static void one_that_is_not_wanted_is_lost_and_the_next_is_whole(void **unused)
{
    (void)unused;
    struct rig rig = rig_new(4096);
    struct world *world = &rig.world;

    world_sql(world, "INSERT INTO t(k, v) VALUES('a', randomblob(3000))");
    rig_round(&rig);
    world->wall_ms += WINDOW_MS;
    rig.is_unwanted = true;
    assert_true(rig_window(&rig).lost);
    rig.is_unwanted = false;
    world_sql(world, "DELETE FROM t");
    world_sql(world, "VACUUM");
    rig_round(&rig);
    world->wall_ms += WINDOW_MS;
    assert_true(rig_window(&rig).begun);
    rig_finish_merge(&rig);
    assert_int_equal(rig.taken, 1);
    world_check(world);
    rig_free(&rig);
}

/* What the process noted goes with it; the next window begins where it went on. */
static void a_window_does_not_outlive_the_process(void **unused)
{
    (void)unused;
    struct rig rig = rig_new(4096);
    struct world *world = &rig.world;

    world_sql(world, "INSERT INTO t(k, v) VALUES('a', randomblob(3000))");
    rig_round(&rig);
    world->wall_ms += WINDOW_MS;
    assert_true(rig_window(&rig).begun);
    world_close(world); /* in the middle of it */
    assert_int_equal(rig_count(&rig), 0);
    world_start(world, CAPTURE_CONTINUED);
    (void)world_replay(world);
    assert_int_equal(rig_window(&rig).due_ms, 0);
    world_sql(world, "INSERT INTO t(k, v) VALUES('b', randomblob(3000))");
    rig_round(&rig);
    world->wall_ms += WINDOW_MS;
    assert_true(rig_window(&rig).begun);
    rig_finish_merge(&rig);
    assert_int_equal(rig.taken, 1);
    assert_int_equal(world->replay.txid, 3);
    world_check(world);
    rig_free(&rig);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_window_that_is_over_becomes_a_segment),
        cmocka_unit_test(commits_go_on_while_a_window_is_merged),
        cmocka_unit_test(one_that_is_not_wanted_is_lost_and_the_next_is_whole),
        cmocka_unit_test(a_window_does_not_outlive_the_process),
    };
    return world_main(argc, argv, tests, sizeof tests / sizeof tests[0], NULL);
}
