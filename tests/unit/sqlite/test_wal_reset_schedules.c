/*
 * SQLite's WAL-reset bug, counted through: every schedule of a writer, the application's
 * checkpointer and ours, with up to two switches before each runs to its end.
 *
 * Without our pins some of them lose commits, with a release that has the bug; with our pins none
 * does, and every commit is seen by the capture. SEAWAL_LONG counts through what else is sampled.
 */
#include "sqlite/pin.h"
#include "sqlite/poison.h"

#include "base/alloc.h"
#include "harness/check.h"
#include "harness/schedule.h"
#include "harness/scratch.h"
#include "harness/sql.h"

#include <limits.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { ACTOR_OURS = 2, OURS_FIRST_STRIDE = 4 };
enum { ROW_COUNT = 8, LOG_COMMIT_COUNT = 6, WRITER_COMMIT_COUNT = 2, LATER_COMMIT_COUNT = 9 };
enum { CUT_KEEP_SIZE = 32 };

/* Everything of one run. The application is connections of this process, without a busy timeout. */
struct world {
    struct scratch scratch;
    char *path;
    sqlite3 *writer;
    sqlite3 *checkpointer;
    int checkpoint_mode;
    long expected[ROW_COUNT + 1];
    unsigned commit_count;

    /* Ours; NULL without. */
    struct database *database;
    struct pin_client client;
    uint32_t salt[2]; /* what was captured */
    uint32_t frame_count;
    uint32_t checksum[2];
    bool is_counting; /* from the first commit on */
    unsigned captured_count;
    void (*ours)(struct world *world);
};

/* ---- the actors */

static void world_commit(struct world *world, unsigned id)
{
    char sql[64];

    snprintf(sql, sizeof sql, "UPDATE t SET c=c+1 WHERE id=%u", id);
    if (sqlite3_exec(world->writer, sql, NULL, NULL, NULL) != SQLITE_OK)
        return;
    world->expected[id]++;
    world->commit_count++;
}

static void actor_writer(void *payload)
{
    for (unsigned i = 0; i < WRITER_COMMIT_COUNT; i++)
        world_commit(payload, 1 + i);
}

static void actor_checkpointer(void *payload)
{
    struct world *world = payload;

    sqlite3_wal_checkpoint_v2(world->checkpointer, "main", world->checkpoint_mode, NULL, NULL);
}

static void actor_ours(void *payload)
{
    struct world *world = payload;

    world->ours(world);
}

/* ---- what we do */

/* Every frame up to the header as it is now, in the log that continues what was captured. */
static rc world_capture(void *payload, struct wal_index_header *ret, struct error *err)
{
    auto_log_scan struct log_scan scan = LOG_SCAN_INIT;
    struct world *world = payload;
    struct log_frame_header frame;
    struct bytes page;

    TRY(database_log_header(world->database, ret, err));
    bool is_same = ret->salt[0] == world->salt[0] && ret->salt[1] == world->salt[1];
    if (ret->frame_count == 0 || (is_same && world->frame_count == ret->frame_count))
        return RC_OK;
    if (is_same)
        TRY(log_scan_begin_at(
            &scan, world->database, world->salt, world->frame_count, world->checksum, err));
    else
        TRY(log_scan_begin(&scan, world->database, err));
    while (scan.frame < ret->frame_count) {
        TRY(log_scan_next(&scan, ret, &frame, &page, err));
        world->captured_count += frame.commit_page_count > 0;
    }
    memcpy(world->salt, ret->salt, sizeof world->salt);
    memcpy(world->checksum, ret->frame_checksum, sizeof world->checksum);
    world->frame_count = ret->frame_count;
    return RC_OK;
}

/* What gives up with RC_BUSY has changed nothing, which the end of the run shows. */
static void world_advance(struct world *world)
{
    struct error err = { 0 };
    rc code = pin_advance(world->database, &world->client, &err);

    if (code != RC_OK && code != RC_BUSY)
        fprintf(stderr, "%s\n", err.text), abort();
}

static void world_reset(struct world *world)
{
    struct reset_limits limits = { .write_lock_wait_ms = 5 };
    struct reset_report report;
    struct error err = { 0 };

    if (pin_reset(world->database, &world->client, &limits, &report, &err) != RC_OK)
        fprintf(stderr, "%s\n", err.text), abort();
}

static void world_cut(struct world *world)
{
    struct reset_limits limits = { .write_lock_wait_ms = 5 };
    struct error err = { 0 };
    struct cut_report cut;
    rc code = log_cut(world->database, &limits, CUT_KEEP_SIZE, &cut, &err);

    if (code != RC_OK && code != RC_BUSY)
        fprintf(stderr, "%s\n", err.text), abort();
}

/* The first pin, with what capture does behind it (src/capture/heal.c). */
static void world_hold(struct world *world)
{
    struct error err = { 0 };
    rc code = pin_hold(world->database, &err);

    if (code == RC_OK)
        do
            code = pin_outlast_checkpointers(world->database, &err);
        while (code == RC_BUSY);
    if (code == RC_OK)
        do
            code = database_heal_index(world->database, &err);
        while (code == RC_BUSY);
    if (code != RC_OK)
        fprintf(stderr, "%s\n", err.text), abort();
}

/* ---- where a run begins */

static sqlite3 *world_connect(const struct world *world)
{
    sqlite3 *db = NULL;

    assert_int_equal(sqlite3_open(world->path, &db), SQLITE_OK);
    sql_run(db, "PRAGMA wal_autocheckpoint=0");
    sql_run(db, "PRAGMA synchronous=off");
    return db;
}

static void world_open(struct world *world, int checkpoint_mode)
{
    *world = (struct world){ .scratch = scratch_new(), .checkpoint_mode = checkpoint_mode };
    world->path = scratch_path(&world->scratch, "app.db");
    world->writer = world_connect(world);
    sql_run(world->writer, "PRAGMA page_size=512");
    sql_run(world->writer, "PRAGMA journal_mode=wal");
    sql_run(world->writer, "CREATE TABLE t(id INTEGER PRIMARY KEY, c INT, p BLOB)");
    sql_run(world->writer, "WITH n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<8) "
                           "INSERT INTO t SELECT i, 0, zeroblob(300) FROM n");
    sql_run(world->writer, "PRAGMA wal_checkpoint(TRUNCATE)");
    world->checkpointer = world_connect(world);
    sql_run(world->checkpointer, "SELECT count(*) FROM t");
}

static void world_fill_log(struct world *world)
{
    for (unsigned i = 0; i < LOG_COMMIT_COUNT; i++)
        world_commit(world, 1 + i % ROW_COUNT);
}

/* Everything is in the file, and the checkpointer's copy of the index is older than that. */
static void begin_copied(struct world *world)
{
    world_fill_log(world);
    sql_run(world->writer, "PRAGMA wal_checkpoint(PASSIVE)");
}

static void world_open_database(struct world *world)
{
    struct database_options options = { 0 };
    struct error err = { 0 };

    CHECK_OK(database_open(&world->database, world->path, &options, &err));
    world->client = (struct pin_client){ .capture = world_capture, .payload = world };
}

/* All is copied, and we have come but do not hold a pin yet. */
static void begin_unpinned(struct world *world)
{
    begin_copied(world);
    world_open_database(world);
}

static void world_pin(struct world *world)
{
    struct error err = { 0 };

    world_open_database(world);
    CHECK_OK(pin_hold(world->database, &err));
    world->is_counting = true;
    CHECK_OK(pin_advance(world->database, &world->client, &err));
    world_commit(world, 1);
    CHECK_OK(pin_advance(world->database, &world->client, &err));
}

/* Our pin at a mark, frames behind it. */
static void begin_pinned(struct world *world)
{
    world_pin(world);
    world_fill_log(world);
}

/* Our pin at the end of a log that is copied whole. */
static void begin_pinned_copied(struct world *world)
{
    begin_pinned(world);
    world_advance(world);
    sql_run(world->writer, "PRAGMA wal_checkpoint(PASSIVE)");
}

/* Our pin in slot 0: the next commit restarts the log. */
static void begin_reset(struct world *world)
{
    struct pin_state pin;

    begin_pinned(world);
    world_reset(world);
    pin_state_read(world->database, &pin);
    assert_true(pin.in_slot_zero);
}

/* The same, and the log has been restarted. */
static void begin_restarted(struct world *world)
{
    begin_reset(world);
    world_commit(world, 3);
}

/* ---- what a run comes to */

/* How many rows do not hold what was confirmed, after the log has grown beyond where it was. */
static unsigned world_lost_count(struct world *world)
{
    sqlite3_stmt *statement = NULL;
    unsigned lost_count = 0;

    for (unsigned i = 0; i < LATER_COMMIT_COUNT; i++)
        world_commit(world, 1 + (i + 4) % ROW_COUNT);
    if (world->database != NULL)
        pin_drop(world->database);
    sqlite3_wal_checkpoint_v2(world->writer, "main", SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);

    sqlite3 *fresh = world_connect(world);
    assert_int_equal(
        sqlite3_prepare_v2(fresh, "SELECT id, c FROM t", -1, &statement, NULL), SQLITE_OK);
    while (sqlite3_step(statement) == SQLITE_ROW)
        lost_count +=
            sqlite3_column_int64(statement, 1) != world->expected[sqlite3_column_int(statement, 0)];
    sqlite3_finalize(statement);
    sqlite3_close(fresh);
    return lost_count;
}

static void world_close(struct world *world)
{
    database_close(world->database);
    sqlite3_close(world->checkpointer);
    sqlite3_close(world->writer);
    free(world->path);
    scratch_release(&world->scratch);
}

/* With pins: NULL, or what is wrong with the index or our capture. */
static const char *world_fault(struct world *world)
{
    struct index_poison found;
    struct error err = { 0 };

    if (database_index_is_poisoned(world->database, &found))
        return "the index is poisoned";
    CHECK_OK(pin_advance(world->database, &world->client, &err));
    if (world->is_counting && world->captured_count != world->commit_count)
        return "commits are not captured";
    for (unsigned i = 0; i < LATER_COMMIT_COUNT; i++)
        world_commit(world, 1 + i % ROW_COUNT);
    CHECK_OK(pin_advance(world->database, &world->client, &err));
    return !world->is_counting || world->captured_count == world->commit_count
               ? NULL
               : "later commits are not captured";
}

/* ---- counting through */

struct scene {
    const char *name;
    void (*begin)(struct world *world);
    void (*ours)(struct world *world); /* NULL: we only stand there, or are not there at all */
    int checkpoint_mode;
    unsigned stride; /* of the sample: one schedule of about so many; 0: only with SEAWAL_LONG */
    bool late;       /* our checkpoints in threads begin when their budget is over */
};

struct tally {
    const struct scene *scene;
    unsigned run_count;
    unsigned lost_count;
    uint64_t random;
};

static unsigned tally_random(struct tally *tally, unsigned bound)
{
    tally->random ^= tally->random << 13;
    tally->random ^= tally->random >> 7;
    tally->random ^= tally->random << 17;
    return (unsigned)(tally->random % bound);
}

static void tally_fail(const struct scene *scene, const struct schedule *schedule, const char *what)
{
    static const char *const names[] = { "checkpointer", "writer", "ours" };

    print_message("%s: %s when\n", scene->name, what);
    for (size_t i = 0; i < schedule->part_count; i++)
        print_message(
            "  %s runs %u steps\n", names[schedule->parts[i].actor], schedule->parts[i].steps);
    fail_msg("then %s, %s, %s", names[schedule->tail[0]], names[schedule->tail[1]],
        names[schedule->tail[2]]);
}

static void tally_run(struct tally *tally, const struct schedule *schedule, size_t actor_count,
    bool ret_cut_short[SCHEDULE_PART_COUNT_MAX])
{
    const struct scene *scene = tally->scene;
    struct world world;
    struct schedule_actor actors[] = {
        { actor_checkpointer, &world },
        { actor_writer, &world },
        { actor_ours, &world },
    };

    world_open(&world, scene->checkpoint_mode);
    scene->begin(&world);
    world.ours = scene->ours;
    schedule_set_background(scene->late);
    schedule_run(schedule, actors, actor_count, ret_cut_short);
    schedule_set_background(false);
    const char *fault = world.database == NULL ? NULL : world_fault(&world);
    if (fault != NULL)
        tally_fail(scene, schedule, fault);
    unsigned lost_count = world_lost_count(&world);
    if (lost_count > 0 && world.database != NULL)
        tally_fail(scene, schedule, "commits are lost");
    tally->lost_count += lost_count > 0;
    tally->run_count++;
    world_close(&world);
}

/* How far on to the next number of steps that is tried. */
static unsigned tally_next(struct tally *tally, unsigned stride)
{
    return stride == 1 ? 1 : 1 + tally_random(tally, 2 * stride - 1);
}

/* We take more steps than the others, so where we are stopped first is sampled as well. */
static unsigned tally_first_stride(const struct tally *tally, size_t actor)
{
    return actor == ACTOR_OURS && tally->scene->stride > 1 ? OURS_FIRST_STRIDE : 1;
}

/* FIRST runs some steps, SECOND some, then the third (if any), then these two in either order. */
static void tally_pair(struct tally *tally, size_t actor_count, size_t first, size_t second)
{
    bool cut_short[SCHEDULE_PART_COUNT_MAX] = { true };
    size_t third = 3 - first - second;

    for (unsigned first_steps = 0; cut_short[0];
         first_steps += tally_next(tally, tally_first_stride(tally, first))) {
        cut_short[1] = true;
        for (unsigned second_steps = 0; cut_short[1];
             second_steps += tally_next(tally, tally->scene->stride)) {
            for (unsigned order = 0; order < 2; order++) {
                struct schedule schedule = {
                    .parts = { { first, first_steps }, { second, second_steps } },
                    .part_count = 2,
                    .tail = { first, second, third },
                };
                if (actor_count == 3) {
                    schedule.tail[0] = third;
                    schedule.tail[1] = order == 0 ? first : second;
                    schedule.tail[2] = order == 0 ? second : first;
                } else if (order == 1) {
                    continue; /* what is left of two is a matter of who is stopped */
                }
                tally_run(tally, &schedule, actor_count, cut_short);
            }
        }
    }
}

/*
 * SPLIT is stopped twice: SECOND runs as a whole at the first place, THIRD at the second. Only
 * where we are stopped there are so many that they are sampled.
 */
static void tally_split(struct tally *tally, size_t split, size_t second, size_t third)
{
    unsigned stride = split == ACTOR_OURS ? tally->scene->stride : 1;
    bool cut_short[SCHEDULE_PART_COUNT_MAX] = { true };

    for (unsigned before = 0; cut_short[0];
         before += tally_next(tally, tally_first_stride(tally, split))) {
        cut_short[2] = true;
        for (unsigned between = 0; cut_short[0] && cut_short[2];
             between += tally_next(tally, stride)) {
            struct schedule schedule = {
                .parts = { { split, before }, { second, UINT_MAX }, { split, between },
                    { third, UINT_MAX } },
                .part_count = 4,
                .tail = { split, second, third },
            };
            tally_run(tally, &schedule, 3, cut_short);
        }
    }
}

static struct tally tally_scene(const struct scene *scene)
{
    const char *seed = getenv("SEAWAL_SEED");
    struct scene whole = *scene;
    struct tally tally = { .scene = &whole };
    size_t actor_count = scene->ours == NULL ? 2 : 3;

    tally.random = 88172645463325252ull + (seed == NULL ? 0 : strtoull(seed, NULL, 10));
    if (getenv("SEAWAL_LONG") != NULL)
        whole.stride = 1;
    for (size_t first = 0; first < actor_count; first++)
        for (size_t second = 0; second < actor_count; second++)
            if (first != second)
                tally_pair(&tally, actor_count, first, second);
    for (size_t split = 0; actor_count == 3 && split < 3; split++) {
        tally_split(&tally, split, (split + 1) % 3, (split + 2) % 3);
        tally_split(&tally, split, (split + 2) % 3, (split + 1) % 3);
    }
    print_message("%-32s %6u schedules, commits lost in %u\n", scene->name, tally.run_count,
        tally.lost_count);
    tally.scene = NULL;
    return tally;
}

static void without_pins_some_schedules_lose_commits(void **state)
{
    static const struct scene scene = { "nobody pins, PASSIVE", begin_copied, NULL,
        SQLITE_CHECKPOINT_PASSIVE, 1, false };

    (void)state;
    struct tally tally = tally_scene(&scene);
    assert_true(tally.run_count > 100);
    assert_int_equal(tally.lost_count > 0, sqlite_has_wal_reset_bug(sqlite3_libversion_number()));
}

static void behind_pins_no_schedule_loses_one(void **state)
{
    static const struct scene scenes[] = {
        { "pinned", begin_pinned, NULL, SQLITE_CHECKPOINT_PASSIVE, 1, false },
        { "pinned, all copied", begin_pinned_copied, NULL, SQLITE_CHECKPOINT_PASSIVE, 1, false },
        { "pin in slot 0", begin_reset, NULL, SQLITE_CHECKPOINT_PASSIVE, 1, false },
        { "pin in slot 0, RESTART", begin_reset, NULL, SQLITE_CHECKPOINT_RESTART, 1, false },
        { "pin in slot 0, TRUNCATE", begin_reset, NULL, SQLITE_CHECKPOINT_TRUNCATE, 1, false },
    };

    (void)state;
    for (size_t i = 0; i < array_count(scenes); i++)
        tally_scene(&scenes[i]);
}

static void whatever_we_do_meanwhile(void **state)
{
    static const struct scene scenes[] = {
        { "first pin", begin_unpinned, world_hold, SQLITE_CHECKPOINT_PASSIVE, 8, false },
        { "hand-over", begin_pinned, world_advance, SQLITE_CHECKPOINT_PASSIVE, 12, false },
        { "hand-over, all copied", begin_pinned_copied, world_advance, SQLITE_CHECKPOINT_PASSIVE,
            12, false },
        { "hand-over from slot 0", begin_reset, world_advance, SQLITE_CHECKPOINT_PASSIVE, 4,
            false },
        { "hand-over from slot 0, RESTART", begin_reset, world_advance, SQLITE_CHECKPOINT_RESTART,
            0, false },
        { "hand-over from slot 0, TRUNCATE", begin_reset, world_advance, SQLITE_CHECKPOINT_TRUNCATE,
            0, false },
        { "hand-over, restarted", begin_restarted, world_advance, SQLITE_CHECKPOINT_PASSIVE, 12,
            false },
        { "reset", begin_pinned, world_reset, SQLITE_CHECKPOINT_PASSIVE, 16, false },
        { "reset, late", begin_pinned, world_reset, SQLITE_CHECKPOINT_PASSIVE, 16, true },
        { "reset, TRUNCATE", begin_pinned, world_reset, SQLITE_CHECKPOINT_TRUNCATE, 0, false },
        { "cut", begin_reset, world_cut, SQLITE_CHECKPOINT_PASSIVE, 12, false },
        { "cut, TRUNCATE", begin_reset, world_cut, SQLITE_CHECKPOINT_TRUNCATE, 0, false },
    };

    (void)state;
    for (size_t i = 0; i < array_count(scenes); i++)
        if (scenes[i].stride > 0 || getenv("SEAWAL_LONG") != NULL)
            tally_scene(&scenes[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_pins_some_schedules_lose_commits),
        cmocka_unit_test(behind_pins_no_schedule_loses_one),
        cmocka_unit_test(whatever_we_do_meanwhile),
    };

    /* Nothing outlives a run, and thousands are made. */
    if (access("/dev/shm", W_OK) == 0)
        setenv("TMPDIR", "/dev/shm", 0);
    schedule_install();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
