/* A log that SQLite's WAL-reset bug has struck: nothing of it is lost by us, and it is healed. */
#include "harness/poison.h"
#include "world.h"

#include "base/text.h"

#include <stdlib.h>
#include <string.h>

enum { OLD_COMMIT_COUNT = 40, NEW_COMMIT_COUNT = 6, CLAIMED_FRAMES = 70, LATER_ROW_COUNT = 100 };

static void world_commits(struct world *world, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        char *sql = text_format(
            "UPDATE t SET k=k+1, v=randomblob(3000) WHERE id=%u", 1 + i % OLD_COMMIT_COUNT);
        world_sql(world, sql);
        free(sql);
    }
}

/* Followed for a while; then, with the daemon down, the log is copied, restarted and struck. */
static struct world world_struck(void)
{
    struct world world = world_new(4096);

    world.options.checkpoint_page_count = 4;
    world_sql(&world, "CREATE TABLE t(id INTEGER PRIMARY KEY, k INT, v)");
    world_sql(&world, "WITH n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<40) "
                      "INSERT INTO t SELECT i, 0, randomblob(3000) FROM n");
    world_begin(&world);
    world_commits(&world, OLD_COMMIT_COUNT);
    world_step(&world);
    world_close(&world);
    world_sql(&world, "PRAGMA wal_checkpoint(RESTART)");
    world_commits(&world, NEW_COMMIT_COUNT);
    poison_index(world.path, CLAIMED_FRAMES);
    return world;
}

static void check_all_is_well(struct world *world, int64_t commit_count)
{
    world_step(world);
    assert_int_equal(world_maintain(world).poison.state, CAPTURE_POISON_NONE);
    world_sql_elsewhere(world, "UPDATE t SET k=k+1 WHERE id=1");
    world_step(world);
    assert_int_equal(world_number(world, "SELECT sum(k) FROM t"), commit_count + 1);
    world_close(world);
    world_close_app(world);
    world_sql_elsewhere(world, "PRAGMA wal_checkpoint(TRUNCATE)");
    world_check_file(world);
    world_free(world);
}

static void a_start_heals_it_before_it_reads_a_page(void **unused)
{
    (void)unused;
    struct world world = world_struck();

    world_start(&world, CAPTURE_RESYNCED);
    world_step(&world);

    struct capture_maintain_report report = world_maintain(&world);
    assert_int_equal(report.poison.state, CAPTURE_POISON_HEALED);
    assert_int_equal(report.poison.claimed_frames, CLAIMED_FRAMES);
    assert_true(report.poison.log_frames >= NEW_COMMIT_COUNT);
    check_all_is_well(&world, OLD_COMMIT_COUNT + NEW_COMMIT_COUNT);
}

/* Commits are captured although the index says that they are in the file. */
static void while_it_cannot_be_healed_the_log_is_what_counts(void **unused)
{
    (void)unused;
    struct world world = world_struck();

    world_sql(&world, "BEGIN IMMEDIATE");
    world_start(&world, CAPTURE_RESYNCED);
    for (unsigned i = 0; i < 3; i++) {
        struct capture_maintain_report report = world_maintain(&world);
        assert_int_equal(report.poison.state, CAPTURE_POISON_BUSY);
        assert_false(report.advanced || report.reset_tried || report.truncated);
    }
    char *sql = text_format("WITH n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<%d) "
                            "INSERT INTO t(k, v) SELECT 0, randomblob(3000) FROM n",
        LATER_ROW_COUNT);
    world_sql(&world, sql);
    free(sql);
    world_sql(&world, "COMMIT"); /* more frames than are claimed */
    assert_int_equal(world_sync(&world).transaction_count, 1);
    (void)world_replay(&world);
    assert_int_equal(world_maintain(&world).poison.state, CAPTURE_POISON_HEALED);
    check_all_is_well(&world, OLD_COMMIT_COUNT + NEW_COMMIT_COUNT);
}

static void it_is_healed_while_following(void **unused)
{
    (void)unused;
    struct world world = world_struck();

    world_start(&world, CAPTURE_RESYNCED);
    world_step(&world);
    assert_int_equal(world_maintain(&world).poison.state, CAPTURE_POISON_HEALED);
    world_commits(&world, NEW_COMMIT_COUNT);
    world_step(&world);
    poison_index(world.path, CLAIMED_FRAMES);
    world_commits(&world, 1);
    struct capture_maintain_report report = world_maintain(&world);
    assert_int_equal(report.poison.state, CAPTURE_POISON_HEALED);
    check_all_is_well(&world, OLD_COMMIT_COUNT + 2 * NEW_COMMIT_COUNT + 1);
}

/* The application's checkpointer, as far as others see it. */
static void world_checkpointing(struct world *world, bool begins)
{
    enum { CHECKPOINT_LOCK = 1 };
    int flags = SQLITE_SHM_EXCLUSIVE | (begins ? SQLITE_SHM_LOCK : SQLITE_SHM_UNLOCK);
    sqlite3_file *file = NULL;

    sqlite3_file_control(world->app, "main", SQLITE_FCNTL_FILE_POINTER, &file);
    assert_int_equal(file->pMethods->xShmLock(file, CHECKPOINT_LOCK, 1, flags), SQLITE_OK);
}

static void a_checkpoint_from_before_the_pin_is_watched_to_its_end(void **unused)
{
    (void)unused;
    struct world world = world_new(4096);

    world_sql(&world, "CREATE TABLE t(id INTEGER PRIMARY KEY, k INT, v)");
    world_sql(&world, "INSERT INTO t VALUES(1, 0, 'x')");
    world_begin(&world);
    world_close(&world);

    world_checkpointing(&world, true);
    world_start(&world, CAPTURE_CONTINUED);
    for (unsigned i = 0; i < 2; i++) {
        struct capture_maintain_report report = world_maintain(&world);
        assert_true(report.may_be_struck);
        assert_int_equal(report.poison.state, CAPTURE_POISON_NONE);
    }
    poison_index(world.path, CLAIMED_FRAMES); /* the last thing that it does */
    world_checkpointing(&world, false);

    struct capture_maintain_report report = world_maintain(&world);
    assert_false(report.may_be_struck);
    assert_int_equal(report.poison.state, CAPTURE_POISON_HEALED);
    assert_false(world_maintain(&world).may_be_struck);
    check_all_is_well(&world, 0);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_start_heals_it_before_it_reads_a_page),
        cmocka_unit_test(while_it_cannot_be_healed_the_log_is_what_counts),
        cmocka_unit_test(it_is_healed_while_following),
        cmocka_unit_test(a_checkpoint_from_before_the_pin_is_watched_to_its_end),
    };

    return world_main(argc, argv, tests, sizeof tests / sizeof tests[0], NULL);
}
