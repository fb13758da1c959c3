/*
 * Following a live database: every transaction, whatever its shape, comes out of the spool page for
 * page as SQLite reads it.
 */
#include "world.h"

#include "base/alloc.h"
#include "base/text.h"
#include "codec/digest.h"
#include "segment/dir.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static void each_step_of_the_mix_is_replayed_at_every_page_size(void **unused)
{
    (void)unused;
    for (uint32_t page_size = 512; page_size <= 65536; page_size *= 2) {
        struct world world = world_new(page_size);
        uint64_t random = page_size;

        world_mix_schema(world.app);
        world_begin(&world);
        for (unsigned n = 0; n < 60; n++) {
            world_mix_step(world.app, &random);
            world_step(&world);
            if (n % 7 == 0)
                (void)world_maintain(&world);
        }
        assert_true(world.replay.txid > 30);
        assert_int_equal(world.replay.resync_count, 0);
        world_free(&world);
    }
}

static void nothing_new_makes_nothing(void **unused)
{
    (void)unused;
    struct world world = world_new(4096);

    world_begin(&world);
    for (unsigned n = 0; n < 3; n++) {
        struct capture_sync_report report = world_sync(&world);
        assert_int_equal(report.segment_count, 0);
        assert_int_equal(report.transaction_count, 0);
        assert_false(report.resynced);
    }
    world_sql(&world, "INSERT INTO first VALUES(2)");
    struct capture_sync_report report = world_sync(&world);
    assert_int_equal(report.segment_count, 1);
    assert_int_equal(report.transaction_count, 1);
    assert_int_equal(report.frame_count, 1);
    assert_true(report.stored_size > 0);
    world_sql(&world, "BEGIN; INSERT INTO first VALUES(3); ROLLBACK");
    report = world_sync(&world);
    assert_int_equal(report.segment_count, 0);
    assert_int_equal(world_replay(&world), 1);
    world_check(&world);
    world_free(&world);
}

static void each_commit_is_a_transaction_of_its_own(void **unused)
{
    (void)unused;
    struct world world = world_new(4096);

    world_begin(&world);
    for (unsigned n = 0; n < 500; n++)
        world_sql(&world, "INSERT INTO first VALUES(randomblob(100))");
    struct capture_sync_report report = world_sync(&world);
    assert_int_equal(report.transaction_count, 500);
    assert_int_equal(report.segment_count, 1);
    assert_int_equal(world_replay(&world), 500);
    world_check(&world);
    world_free(&world);
}

static void segments_are_cut_between_transactions(void **unused)
{
    (void)unused;
    struct world world = world_new(4096);

    world.options.segment_size = 100000;
    world_begin(&world);
    for (unsigned n = 0; n < 100; n++)
        world_sql(&world, "INSERT INTO first VALUES(randomblob(10000))");
    struct capture_sync_report report = world_sync(&world);
    assert_true(report.segment_count >= 5);
    assert_true(report.segment_count <= 12);
    assert_int_equal(world_replay(&world), 100);
    world_check(&world);

    /* One transaction is one segment, whatever its size. */
    world_sql(&world,
        "BEGIN; INSERT INTO first SELECT randomblob(10000) FROM"
        " (WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c LIMIT 300) SELECT x FROM c);"
        "COMMIT");
    report = world_sync(&world);
    assert_int_equal(report.segment_count, 1);
    assert_true(report.stored_size > 3000000);
    assert_int_equal(world_replay(&world), 1);
    world_check(&world);
    world_free(&world);
}

/* Pages that are allocated and freed in one transaction are never written to the log. */
static void growth_with_gaps_ships_every_page(void **unused)
{
    (void)unused;
    struct world world = world_new(1024);

    world_begin(&world);
    world_sql(&world,
        "BEGIN; CREATE TABLE gone(x); INSERT INTO gone SELECT randomblob(5000) FROM"
        " (WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c LIMIT 100) SELECT x FROM c);"
        "DROP TABLE gone; CREATE TABLE kept(x); INSERT INTO kept VALUES(randomblob(3000)); COMMIT");
    int64_t page_count = world_number(&world, "PRAGMA page_count");
    struct capture_sync_report report = world_sync(&world);
    assert_true(page_count > 400);
    assert_true(report.frame_count + 2 >= (uint64_t)page_count);
    assert_int_equal(world_replay(&world), 1);
    world_check(&world);
    world_free(&world);
}

static void a_shrink_followed_by_growth_brings_no_old_page_back(void **unused)
{
    (void)unused;
    struct world world = world_new(1024);

    for (unsigned turn = 0; turn < 4; turn++) {
        if (turn == 0)
            world_begin(&world);
        world_sql(&world,
            "CREATE TABLE big(x); INSERT INTO big SELECT randomblob(900) FROM"
            " (WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c LIMIT 400) SELECT x FROM"
            " c)");
        if (turn % 2 == 0)
            world_step(&world);
        world_sql(&world, "DROP TABLE big; VACUUM");
        if (turn == 1)
            world_step(&world);
        if (turn == 2)
            (void)world_maintain(&world);
        world_sql(&world,
            "BEGIN; CREATE TABLE gone(x); INSERT INTO gone SELECT randomblob(900) FROM"
            " (WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c LIMIT 300) SELECT x FROM"
            " c); DROP TABLE gone; INSERT INTO first VALUES(randomblob(2000)); COMMIT");
        world_step(&world);
    }
    assert_int_equal(world.replay.resync_count, 0);
    world_free(&world);
}

static void auto_vacuum_in_both_forms_is_followed(void **unused)
{
    (void)unused;
    for (unsigned incremental = 0; incremental < 2; incremental++) {
        struct world world = world_new(1024);
        world_sql(
            &world, incremental ? "PRAGMA auto_vacuum=2; VACUUM" : "PRAGMA auto_vacuum=1; VACUUM");
        world_mix_schema(world.app);
        world_begin(&world);
        uint64_t random = 5 + incremental;
        for (unsigned n = 0; n < 60; n++) {
            world_mix_step(world.app, &random);
            if (n % 10 == 9)
                world_sql(&world, "DELETE FROM t WHERE id % 3; PRAGMA incremental_vacuum(20)");
            world_step(&world);
        }
        assert_int_equal(world.replay.resync_count, 0);
        world_free(&world);
    }
}

/* With a tiny cache a transaction writes pages several times, also some that it then cuts off. */
static void spilled_and_rolled_back_pages_leave_no_trace(void **unused)
{
    (void)unused;
    struct world world = world_new(512);

    world_sql(&world, "PRAGMA cache_size=5; PRAGMA cache_spill=5; CREATE TABLE s(x)");
    world_begin(&world);
    for (unsigned n = 0; n < 10; n++) {
        world_sql(&world,
            "BEGIN; INSERT INTO s SELECT randomblob(300) FROM"
            " (WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c LIMIT 200) SELECT x FROM"
            " c); SAVEPOINT a; UPDATE s SET x = randomblob(310); ROLLBACK TO a;"
            "UPDATE s SET x = zeroblob(290) WHERE rowid % 5 = 0; RELEASE a; COMMIT");
        world_step(&world);
        world_sql(&world,
            "BEGIN; INSERT INTO s SELECT randomblob(300) FROM"
            " (WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c LIMIT 500) SELECT x FROM"
            " c); ROLLBACK");
        world_step(&world);
        world_sql(&world, "DELETE FROM s WHERE rowid % 2; VACUUM");
        world_step(&world);
    }
    assert_int_equal(world.replay.resync_count, 0);
    assert_int_equal(world.replay.txid, 1 + 10 * 3);
    world_free(&world);
}

/* Make the closed database PAGE_COUNT pages long without writing them. */
static void stretch(const char *path, uint32_t page_size, uint32_t page_count)
{
    uint8_t header[100];
    auto_fd int fd = open(path, O_RDWR | O_CLOEXEC);

    assert_int_equal(pread(fd, header, sizeof header, 0), sizeof header);
    put_be32(header + 28, page_count);
    memcpy(header + 92, header + 24, 4);
    assert_int_equal(pwrite(fd, header, sizeof header, 0), sizeof header);
    assert_int_equal(ftruncate(fd, (off_t)page_size * page_count), 0);
}

static void the_lock_page_is_never_shipped(void **unused)
{
    (void)unused;
    static const uint32_t page_sizes[] = { 4096, 65536 };

    for (size_t index = 0; index < array_count(page_sizes); index++) {
        uint32_t page_size = page_sizes[index];
        struct world world = world_new(page_size);
        uint32_t lock_page = lock_page_of(page_size);
        char sql[200];

        world_close_app(&world);
        stretch(world.path, page_size, lock_page - 5);
        world_begin_large(&world);
        snprintf(sql, sizeof sql, "CREATE TABLE b(x); INSERT INTO b VALUES(randomblob(%u))",
            page_size * 20);
        world_sql(&world, sql);
        assert_true(world_number(&world, "PRAGMA page_count") > lock_page + 10);
        (void)world_sync(&world);
        assert_int_equal(world_replay(&world), 2);
        assert_true(world.replay.page_count > lock_page + 10);
        world_close(&world);
        world_sql(&world, "PRAGMA wal_checkpoint(TRUNCATE)");
        world_close_app(&world);
        world_check_file(&world);
        world_open(&world, CAPTURE_STATE_POSITION);
        world_start(&world, CAPTURE_UNCHANGED);
        /* And down again across it. */
        world_sql(&world, "DELETE FROM b; INSERT INTO b VALUES(randomblob(100))");
        (void)world_sync(&world);
        (void)world_replay(&world);
        world_sql(&world, "VACUUM");
        world_step(&world);
        assert_true(world.replay.page_count < 100);
        world_free(&world);
    }
}

static void times_never_fall(void **unused)
{
    (void)unused;
    struct world world = world_new(4096);

    world_begin(&world);
    world.wall_ms = 2000000000000;
    world_sql(&world, "INSERT INTO first VALUES(1)");
    world_step(&world);
    assert_int_equal(world.replay.time_ms, 2000000000010);
    world.wall_ms = 1000;
    world_sql(&world, "INSERT INTO first VALUES(2)");
    world_step(&world);
    assert_int_equal(world.replay.time_ms, 2000000000010);
    world.wall_ms = 2000000000100;
    world_sql(&world, "INSERT INTO first VALUES(2)");
    world_step(&world);
    assert_int_equal(world.replay.time_ms, 2000000000110);
    world_free(&world);
}

/* A difference costs a fraction of the page; its size is the proof that bases are found. */
static void small_changes_of_known_pages_are_small(void **unused)
{
    (void)unused;
    struct world world = world_new(4096);

    world_sql(&world,
        "CREATE TABLE r(id INTEGER PRIMARY KEY, v BLOB); INSERT INTO r SELECT x, randomblob(400) FROM"
        " (WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c LIMIT 20000) SELECT x FROM"
        " c)");
    world_begin(&world);
    for (unsigned n = 0; n < 500; n++) {
        char sql[100];
        snprintf(sql, sizeof sql, "UPDATE r SET v = randomblob(400) WHERE id = %u", n * 39 + 1);
        world_sql(&world, sql);
    }
    struct capture_sync_report report = world_sync(&world);
    assert_int_equal(report.transaction_count, 500);
    assert_true(report.frame_count >= 500);
    assert_true(report.stored_size < 500 * 520);
    (void)world_replay(&world);
    world_check(&world);
    world_free(&world);
}

/* Sanitizers keep freed memory, so that a limit means nothing under them. */
#if defined(__SANITIZE_ADDRESS__)
enum { MEMORY_IS_MEASURED = 0 };
#else
enum { MEMORY_IS_MEASURED = 1 };
#endif

static void memory_does_not_follow_the_transaction(void **unused)
{
    (void)unused;
    struct world world = world_new(4096);
    struct rusage before;
    struct rusage after;

    world_begin(&world);
    world_close_app(&world);
    world_sql_elsewhere(&world,
        "PRAGMA cache_size=100; CREATE TABLE big(x); INSERT INTO big SELECT randomblob(4000) FROM"
        " (WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c LIMIT 40000) SELECT x FROM"
        " c)");
    assert_int_equal(getrusage(RUSAGE_SELF, &before), 0);
    struct capture_sync_report report = world_sync(&world);
    assert_int_equal(getrusage(RUSAGE_SELF, &after), 0);
    assert_int_equal(report.transaction_count, 2);
    assert_true(report.stored_size > 150000000);
    if (MEMORY_IS_MEASURED)
        assert_true(after.ru_maxrss - before.ru_maxrss < 8 * 1024);
    assert_int_equal(world_replay(&world), 2);
    world_check(&world);
    world_free(&world);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_step_of_the_mix_is_replayed_at_every_page_size),
        cmocka_unit_test(nothing_new_makes_nothing),
        cmocka_unit_test(each_commit_is_a_transaction_of_its_own),
        cmocka_unit_test(segments_are_cut_between_transactions),
        cmocka_unit_test(growth_with_gaps_ships_every_page),
        cmocka_unit_test(a_shrink_followed_by_growth_brings_no_old_page_back),
        cmocka_unit_test(auto_vacuum_in_both_forms_is_followed),
        cmocka_unit_test(spilled_and_rolled_back_pages_leave_no_trace),
        cmocka_unit_test(the_lock_page_is_never_shipped),
        cmocka_unit_test(times_never_fall),
        cmocka_unit_test(small_changes_of_known_pages_are_small),
        cmocka_unit_test(memory_does_not_follow_the_transaction),
    };

    return world_main(argc, argv, tests, array_count(tests), NULL);
}
