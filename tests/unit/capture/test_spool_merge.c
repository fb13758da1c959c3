/*
 * spool_merge: what waits for a store is bounded, and still is every page; capture goes on while it
 * is merged
 */
#include "world.h"

#include "base/alloc.h"
#include "base/text.h"
#include "segment/dir.h"
#include "sqlite/database.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SLICES_MAX = 10000 };

struct spool_look {
    size_t merged_count;
    size_t level0_count;
    size_t covered_count;
    uint64_t merged_size;
    uint64_t level0_size; /* not covered */
};

static struct spool_look look(const struct world *world)
{
    auto_segment_list struct segment_list list = SEGMENT_LIST_INIT;
    struct spool_look seen = { 0 };
    struct error err = { 0 };
    auto_free char *spool = text_format("%s/.app.db-seawal/spool", world->scratch.folder);

    CHECK_OK(segment_dir_list_spool(&list, spool, &err));
    for (size_t index = 0; index < list.count; index++) {
        const struct segment_entry *entry = &list.entries[index];
        seen.merged_count += entry->is_merged;
        seen.level0_count += !entry->is_merged;
        seen.covered_count += entry->is_covered;
        seen.merged_size += entry->is_merged ? entry->size : 0;
        seen.level0_size += entry->is_merged || entry->is_covered ? 0 : entry->size;
    }
    return seen;
}

static struct capture_merge_report merge_slice(struct world *world)
{
    struct capture_merge_report report;
    struct error err = { 0 };

    CHECK_OK(capture_merge(world->capture, 0, world->monotonic_ms, &report, &err));
    return report;
}

/* Until nothing is in progress; the report of the slice that ended it. */
static struct capture_merge_report merge_all(struct world *world)
{
    struct capture_merge_report report = merge_slice(world);

    for (unsigned slice = 0; report.in_progress; slice++) {
        assert_true(slice < SLICES_MAX);
        report = merge_slice(world);
    }
    return report;
}

static struct world world_with_cap(uint64_t size)
{
    struct world world = world_new(4096);

    world.options.spool_size = size;
    world_mix_schema(world.app);
    world_begin(&world);
    return world;
}

static void write_transactions(struct world *world, unsigned count)
{
    for (unsigned n = 0; n < count; n++) {
        world_sql(world, "INSERT INTO t(k, v) VALUES(hex(randomblob(10)), randomblob(3000))");
        (void)world_sync(world);
    }
}

static void below_the_cap_nothing_is_merged(void **unused)
{
    (void)unused;
    struct world world = world_with_cap(1 << 20);

    write_transactions(&world, 20);
    struct capture_merge_report report = merge_all(&world);
    assert_false(report.done);
    assert_int_equal(look(&world).merged_count, 0);
    assert_int_equal(look(&world).level0_count, 20);
    world_free(&world);
}

static void beyond_the_cap_all_becomes_one_segment(void **unused)
{
    (void)unused;
    struct world world = world_with_cap(100000);

    write_transactions(&world, 100);
    struct capture_merge_report report = merge_all(&world);
    assert_true(report.done);
    assert_int_equal(report.min_txid, 2);
    assert_int_equal(report.max_txid, 101);
    assert_int_equal(report.lost_point_count, 99);
    assert_true(report.source_size > 300000);

    struct spool_look seen = look(&world);
    assert_int_equal(seen.merged_count, 1);
    assert_int_equal(seen.level0_count, 1); /* the position */
    assert_int_equal(seen.covered_count, 1);
    assert_int_equal(world_replay(&world), 100);
    world_check(&world);

    /* What follows goes on behind it, also after a restart. */
    write_transactions(&world, 3);
    world_close(&world);
    world_start(&world, CAPTURE_CONTINUED);
    write_transactions(&world, 3);
    assert_int_equal(world_replay(&world), 6);
    world_check(&world);

    /* The sweep at open took what was covered and no longer the position. */
    world_close(&world);
    world_start(&world, CAPTURE_CONTINUED);
    assert_int_equal(look(&world).covered_count, 0);
    world_free(&world);
}

static void nothing_is_merged_twice_for_nothing(void **unused)
{
    (void)unused;
    struct world world = world_with_cap(100000);
    uint64_t merged_size = 0;
    uint64_t source_size = 0;
    unsigned count = 0;

    for (unsigned round = 0; round < 30; round++) {
        write_transactions(&world, 20);
        struct capture_merge_report report = merge_all(&world);
        count += report.done;
        merged_size += report.stored_size;
        source_size += report.source_size;
    }
    assert_true(count >= 2);
    /* Each was paid for by new level 0 of half its size at least; the last one took all there is.
     */
    assert_true(merged_size <= 2 * source_size + look(&world).merged_size);
    assert_true(count < 15);
    world_free(&world);
}

/* However much is written into a database whose size does not change. */
static void the_spool_is_bounded(void **unused)
{
    (void)unused;
    enum { CAP = 300000, LARGEST = 200000 };
    struct world world = world_with_cap(CAP);
    uint64_t written = 0;
    uint64_t largest = 0;

    world_sql(&world, "INSERT INTO t(k, v) SELECT 'x', randomblob(3000) FROM"
                      " (WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c LIMIT 300)"
                      " SELECT x FROM c)");
    (void)world_sync(&world);
    for (unsigned round = 0; round < 150; round++) {
        world_sql(&world,
            "UPDATE t SET v = randomblob(3000) WHERE id IN (SELECT abs(random()) % 300 FROM t LIMIT 8)");
        written += world_sync(&world).stored_size;
        (void)world_maintain(&world);
        (void)merge_all(&world);

        struct spool_look seen = look(&world);
        uint64_t size = seen.merged_size + seen.level0_size;
        uint64_t database = (uint64_t)capture_position(world.capture)->page_count * 4096;
        /* Blocks of 4 KiB are counted; here file sizes are compared. */
        assert_true(size <= database + database / 2 + CAP + LARGEST);
        largest = size > largest ? size : largest;
    }
    assert_true(written > 2 * largest);
    (void)world_replay(&world);
    world_check(&world);
    world_free(&world);
}

/* Pages that change, go and come while it is merged are as of where it began. */
static void capture_goes_on_while_it_is_merged(void **unused)
{
    (void)unused;
    const char *seed_text = getenv("SEAWAL_SEED");
    uint64_t seed = seed_text != NULL ? strtoull(seed_text, NULL, 10) : 20261121;
    uint64_t random = seed;
    unsigned merges = 0;
    unsigned between = 0;

    print_message("seed %llu\n", (unsigned long long)seed);
    struct world world = world_new(1024);
    world.options.spool_size = 500000;
    world.options.checkpoint_page_count = 200;
    world_mix_schema(world.app);
    world_begin(&world);
    world_sql(&world, "INSERT INTO t(k, v) SELECT 'x', randomblob(3000) FROM"
                      " (WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c LIMIT 2000)"
                      " SELECT x FROM c)");
    for (unsigned step = 0; step < 300; step++) {
        for (unsigned n = (unsigned)(world_random(&random) % 4); n > 0; n--)
            world_mix_step(world.app, &random);
        (void)world_sync(&world);
        (void)world_maintain(&world);
        struct capture_merge_report report = merge_slice(&world);
        merges += report.done;
        between += report.in_progress;
        if (step % 10 == 0 || report.done) {
            (void)world_replay(&world);
            world_check(&world);
        }
    }
    (void)merge_all(&world);
    (void)world_replay(&world);
    world_check(&world);
    print_message("%u merges, %u rounds of capture inside them\n", merges, between);
    assert_true(merges >= 2);
    assert_true(between >= 2 * merges);
    world_free(&world);
}

/* Nobody writes any more when it ends: whoever goes by due_ms alone merges what came meanwhile. */
static void what_came_during_a_merge_is_merged_too(void **unused)
{
    (void)unused;
    struct world world = world_with_cap(100000);
    struct capture_merge_report report = merge_slice(&world);

    assert_int_equal(report.due_ms, 0);
    write_transactions(&world, 100);
    assert_true(merge_slice(&world).in_progress);
    write_transactions(&world, 200);
    do {
        report = merge_slice(&world);
    } while (report.due_ms == world.monotonic_ms);
    assert_int_equal(report.due_ms, 0);
    struct spool_look seen = look(&world);
    assert_true(seen.level0_size <= seen.merged_size / 2 || seen.level0_size <= 100000);
    world_free(&world);
}

/* The process ends in the middle of it: nothing of it is left, and nothing is missing. */
static void a_merge_that_was_left_is_gone(void **unused)
{
    (void)unused;
    struct world world = world_with_cap(100000);

    write_transactions(&world, 100);
    assert_true(merge_slice(&world).in_progress);
    assert_true(merge_slice(&world).in_progress);
    assert_int_equal(look(&world).level0_count, 100);
    world_close(&world);
    world_start(&world, CAPTURE_CONTINUED);
    assert_int_equal(look(&world).level0_count, 100);
    assert_int_equal(look(&world).merged_count, 0);
    assert_int_equal(world_replay(&world), 100);
    assert_true(merge_all(&world).done);
    world_check(&world);
    world_free(&world);
}

/* The store came back: what it has drops out, and a merge of too little is given up. */
static void what_is_stored_meanwhile_drops_out(void **unused)
{
    (void)unused;
    struct world world = world_with_cap(100000);
    auto_segment_list struct segment_list list = SEGMENT_LIST_INIT;
    struct error err = { 0 };

    write_transactions(&world, 100);
    (void)world_replay(&world);
    assert_true(merge_slice(&world).in_progress);
    const char *spool = capture_spool_dir(world.capture);
    CHECK_OK(segment_dir_list(&list, spool, &err));
    for (size_t index = 0; index < 60; index++)
        CHECK_OK(segment_dir_remove(spool, &list.entries[index].name, &err));
    struct capture_merge_report report = merge_all(&world);
    assert_true(report.done);
    assert_int_equal(report.min_txid, 62);
    assert_int_equal(report.max_txid, 101);
    assert_int_equal(look(&world).merged_count, 1);
    assert_int_equal(look(&world).level0_count, 1);
    world_check(&world);

    write_transactions(&world, 100);
    (void)world_replay(&world);
    assert_true(merge_slice(&world).in_progress);
    CHECK_OK(segment_dir_list(&list, spool, &err));
    for (size_t index = 0; index + 5 < list.count; index++)
        CHECK_OK(segment_dir_remove(spool, &list.entries[index].name, &err));
    report = merge_all(&world);
    assert_false(report.done);
    assert_true(report.due_ms > world.monotonic_ms);
    assert_int_equal(look(&world).level0_count, 5);
    world_free(&world);
}

/*
 * Segments that were stored lie beside the merged one (their removal is on its way, or a power cut
 * undid it): what the merged one covers is not missing.
 */
static void beside_a_merged_segment_nothing_is_missing(void **unused)
{
    (void)unused;
    struct world world = world_with_cap(100000);
    auto_segment_list struct segment_list list = SEGMENT_LIST_INIT;
    struct error err = { 0 };
    char name[SEGMENT_NAME_SIZE];

    write_transactions(&world, 100);
    (void)world_replay(&world);
    auto_free char *spool = text_format("%s/.app.db-seawal/spool", world.scratch.folder);
    CHECK_OK(segment_dir_list(&list, spool, &err));
    segment_name_format(name, &list.entries[0].name);
    auto_free char *stored = text_format("%s/%s", spool, name);
    auto_free char *aside = text_format("%s/aside", world.scratch.folder);
    assert_int_equal(rename(stored, aside), 0);
    struct capture_merge_report report = merge_all(&world);
    assert_true(report.done);
    assert_int_equal(report.min_txid, 3);
    assert_int_equal(rename(aside, stored), 0);

    world_close(&world);
    world_open(&world, CAPTURE_STATE_POSITION);
    assert_int_equal(capture_state_trouble(world.capture)->code, RC_OK);
    world_close(&world);
    world_start(&world, CAPTURE_CONTINUED);
    write_transactions(&world, 3);
    assert_int_equal(world_replay(&world), 3);
    world_check(&world);

    /* A hole is one all the same. */
    world_close(&world);
    CHECK_OK(segment_dir_list_spool(&list, spool, &err));
    for (size_t index = 0; index < list.count; index++) {
        auto_free char *merged = segment_dir_merged(spool);
        if (list.entries[index].is_merged)
            CHECK_OK(segment_dir_remove(merged, &list.entries[index].name, &err));
    }
    world_open(&world, CAPTURE_STATE_NONE);
    assert_int_equal(capture_state_trouble(world.capture)->code, RC_CORRUPT);
    world_free(&world);
}

/* The digests were lost: those of the replica, then those of the merged segment and what follows.
 */
static void adopt_and_continue(struct world *world, const struct capture_position *replica,
    const uint64_t *digests, uint64_t txid)
{
    struct error err = { 0 };
    auto_free char *map = text_format("%s/.app.db-seawal/digests", world->scratch.folder);

    world_close(world);
    assert_int_equal(remove(map), 0);
    world_open(world, CAPTURE_STATE_DAMAGED);
    CHECK_OK(capture_adopt_begin(world->capture, replica, &err));
    for (uint32_t pgno = 1; pgno <= replica->page_count; pgno++)
        CHECK_OK(capture_adopt_page(world->capture, pgno, digests[pgno - 1], &err));
    CHECK_OK(capture_adopt_commit(world->capture, &err));
    assert_int_equal(capture_position(world->capture)->txid, txid);
    world_start(world, CAPTURE_CONTINUED);
}

static void lost_digests_are_those_of_the_merged_segment(void **unused)
{
    (void)unused;
    struct world world = world_with_cap(100000);

    write_transactions(&world, 40);
    (void)world_replay(&world);
    struct capture_position replica = *capture_position(world.capture);
    auto_free uint64_t *digests = mem_new_array(replica.page_count, sizeof *digests);
    memcpy(digests, world.replay.digests, replica.page_count * sizeof *digests);

    /* The replica ends in the middle of it, and the newest level-0 segment, which is covered, knows
     * the place in the log. */
    write_transactions(&world, 60);
    assert_true(merge_all(&world).done);
    adopt_and_continue(&world, &replica, digests, 101);
    write_transactions(&world, 3);
    adopt_and_continue(&world, &replica, digests, 104);
    (void)world_replay(&world);
    world_check(&world);
    world_free(&world);
}

/* ---- the log's index is being changed */

rc __real_database_log_header(
    struct database *database, struct wal_index_header *ret, struct error *err);
rc __wrap_database_log_header(
    struct database *database, struct wal_index_header *ret, struct error *err);

static unsigned header_reads;
static unsigned header_busy_from; /* the first read that cannot be; 0: all can */

/* As while a writer stands between the two copies of the header, for longer than is waited. */
rc __wrap_database_log_header(
    struct database *database, struct wal_index_header *ret, struct error *err)
{
    header_reads++;
    if (header_busy_from != 0 && header_reads >= header_busy_from)
        FAIL(err, RC_BUSY, "the log's index is being changed");
    return __real_database_log_header(database, ret, err);
}

static void overwrite_much(struct world *world)
{
    world_sql(world, "UPDATE t SET v = randomblob(3000) WHERE rowid <= 40");
    (void)world_sync(world);
}

/* RC_BUSY is no reason to give a merge up: what changes meanwhile is kept a little later. */
static bool sync_with_busy_header(struct world *world, unsigned read)
{
    struct capture_sync_report report;
    struct error err = { 0 };

    world_sql(world, "UPDATE t SET v = randomblob(3000) WHERE rowid % 7 = 0");
    header_reads = 0;
    header_busy_from = read;
    rc synced = capture_sync(world->capture, world->wall_ms, &report, &err);
    header_busy_from = 0;
    assert_true(synced == RC_OK || synced == RC_BUSY);
    (void)world_sync(world);
    return synced == RC_BUSY;
}

static void a_busy_index_does_not_end_a_merge(void **unused)
{
    (void)unused;
    struct world world = world_with_cap(100000);
    unsigned read = 1;
    bool was_busy = true;

    write_transactions(&world, 40);
    for (; was_busy; read++) {
        world.monotonic_ms += 1000; /* less than what a merge that was given up is put off */
        for (unsigned n = 0; !merge_slice(&world).in_progress; n++) {
            assert_true(n < 100);
            overwrite_much(&world);
        }
        (void)world_replay(&world);
        was_busy = sync_with_busy_header(&world, read);
        assert_true(merge_all(&world).done);
        (void)world_replay(&world);
        world_check(&world);
    }
    print_message("busy at %u reads of the header\n", read - 2);
    assert_in_range(read, 10, 10000);
    world_free(&world);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(below_the_cap_nothing_is_merged),
        cmocka_unit_test(beyond_the_cap_all_becomes_one_segment),
        cmocka_unit_test(nothing_is_merged_twice_for_nothing),
        cmocka_unit_test(the_spool_is_bounded),
        cmocka_unit_test(capture_goes_on_while_it_is_merged),
        cmocka_unit_test(what_came_during_a_merge_is_merged_too),
        cmocka_unit_test(a_merge_that_was_left_is_gone),
        cmocka_unit_test(what_is_stored_meanwhile_drops_out),
        cmocka_unit_test(a_busy_index_does_not_end_a_merge),
        cmocka_unit_test(beside_a_merged_segment_nothing_is_missing),
        cmocka_unit_test(lost_digests_are_those_of_the_merged_segment),
    };

    return world_main(argc, argv, tests, array_count(tests), NULL);
}
