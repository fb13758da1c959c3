/*
 * SQLite's WAL-reset bug, step by step in one thread: a checkpointer that read the index before the
 * log was restarted marks frames of the new log as copied that it never copied
 * (sqlite.org/wal.html#walresetbug).
 *
 * The window is between the checkpointer's read of the index and its test of what is left to do.
 * SQLite calls xUnfetch there when its copy of the index was stale, so a hook on it is a place
 * inside the window.
 */
#include "sqlite/pin.h"

#include "../../../src/sqlite/database_priv.h"
#include "base/alloc.h"
#include "harness/check.h"
#include "harness/scratch.h"
#include "harness/sql.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>

enum { ROW_COUNT = 64, LOG_COMMIT_COUNT = 30, LATER_COMMIT_COUNT = 50 };

/* An application with two connections, and what its rows must hold. */
struct world {
    struct scratch scratch;
    char *path;
    sqlite3 *checkpointer; /* hooked */
    sqlite3 *writer;
    long expected[ROW_COUNT + 1];
    struct database *database; /* ours, when there is one */
    unsigned window_count;     /* times something was done in the window */
    unsigned skip_count;       /* windows to let pass before */
    void (*in_window)(struct world *world);
};

static struct world *hooked_world;
static int (*unhooked_unfetch)(sqlite3_file *file, sqlite3_int64 offset, void *memory);
static sqlite3_io_methods hooked_methods;

static int world_unfetch(sqlite3_file *file, sqlite3_int64 offset, void *memory)
{
    int result = unhooked_unfetch == NULL ? SQLITE_OK : unhooked_unfetch(file, offset, memory);
    void (*act)(struct world *) = hooked_world->in_window;

    if (act != NULL && hooked_world->skip_count > 0) {
        hooked_world->skip_count--;
    } else if (act != NULL) {
        hooked_world->in_window = NULL;
        hooked_world->window_count++;
        act(hooked_world);
    }
    return result;
}

static void world_update(struct world *world, int id)
{
    char sql[64];

    snprintf(sql, sizeof sql, "UPDATE t SET c=c+1 WHERE id=%d", id);
    sql_run(world->writer, sql);
    world->expected[id]++;
}

static void world_commit_one(struct world *world)
{
    world_update(world, 1);
}

static sqlite3 *world_connect(const struct world *world)
{
    sqlite3 *db = NULL;

    assert_int_equal(sqlite3_open(world->path, &db), SQLITE_OK);
    sql_run(db, "PRAGMA wal_autocheckpoint=0");
    return db;
}

static void world_hook(struct world *world, sqlite3 *db)
{
    sqlite3_file *file = NULL;

    sqlite3_file_control(db, "main", SQLITE_FCNTL_FILE_POINTER, &file);
    hooked_methods = *file->pMethods;
    unhooked_unfetch = hooked_methods.xUnfetch;
    hooked_methods.xUnfetch = world_unfetch;
    file->pMethods = &hooked_methods;
    hooked_world = world;
}

static void world_open(struct world *world)
{
    *world = (struct world){ .scratch = scratch_new() };
    world->path = scratch_path(&world->scratch, "app.db");
    world->writer = world_connect(world);
    sql_run(world->writer, "PRAGMA journal_mode=wal");
    sql_run(world->writer, "CREATE TABLE t(id INTEGER PRIMARY KEY, c INT, p BLOB)");
    sql_run(world->writer, "WITH n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<64) "
                           "INSERT INTO t SELECT i, 0, randomblob(3500) FROM n");
    sql_run(world->writer, "PRAGMA wal_checkpoint(TRUNCATE)");
    world->checkpointer = world_connect(world);
    sql_run(world->checkpointer, "SELECT count(*) FROM t");
    world_hook(world, world->checkpointer);
}

static void world_fill_log(struct world *world)
{
    for (int i = 0; i < LOG_COMMIT_COUNT; i++)
        world_update(world, 1 + i % ROW_COUNT);
}

/* Rows whose confirmed updates are gone, after more commits and a checkpoint of everything. */
static unsigned world_lost_count(struct world *world)
{
    sqlite3_stmt *statement = NULL;
    unsigned lost_count = 0;

    for (int i = 0; i < LATER_COMMIT_COUNT; i++)
        world_update(world, 1 + (i + 7) % ROW_COUNT);
    if (world->database != NULL)
        pin_drop(world->database);
    sqlite3_wal_checkpoint_v2(world->writer, "main", SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);

    sqlite3 *fresh = world_connect(world);
    sqlite3_prepare_v2(fresh, "SELECT id, c FROM t", -1, &statement, NULL);
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

/* All is copied; a checkpointer reads the index; the next commit restarts the log; it goes on. */
static void world_strike(struct world *world)
{
    world_open(world);
    world_fill_log(world);
    sqlite3_wal_checkpoint_v2(world->writer, "main", SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
    world->in_window = world_commit_one;
    sqlite3_wal_checkpoint_v2(world->checkpointer, "main", SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
    assert_int_equal(world->window_count, 1);
}

static void without_pins_the_bug_strikes_this_schedule(void **state)
{
    struct world world;

    (void)state;
    world_strike(&world);
    unsigned lost_count = world_lost_count(&world);
    print_message("sqlite %s lost %u rows\n", sqlite3_libversion(), lost_count);
    assert_int_equal(lost_count > 0, sqlite_has_wal_reset_bug(sqlite3_libversion_number()));
    world_close(&world);
}

static rc capture_header(void *payload, struct wal_index_header *ret, struct error *err)
{
    struct world *world = payload;

    return database_log_header(world->database, ret, err);
}

static struct pin_client world_client(struct world *world)
{
    return (struct pin_client){ .capture = capture_header, .payload = world };
}

static void world_pin(struct world *world)
{
    struct database_options options = { 0 };
    struct error err = { 0 };

    CHECK_OK(database_open(&world->database, world->path, &options, &err));
    CHECK_OK(pin_hold(world->database, &err));
}

static void what_it_struck_is_found_and_healed(void **state)
{
    struct world world;
    struct index_poison found;
    struct error err = { 0 };

    (void)state;
    world_strike(&world);
    world_pin(&world);
    assert_int_equal(database_index_is_poisoned(world.database, &found),
        sqlite_has_wal_reset_bug(sqlite3_libversion_number()));
    CHECK_OK(database_heal_index(world.database, &err));
    assert_false(database_index_is_poisoned(world.database, &found));
    assert_int_equal(world_lost_count(&world), 0);
    world_close(&world);
}

static void world_reset(struct world *world)
{
    struct pin_client client = world_client(world);
    struct reset_limits limits = { .write_lock_budget_ms = 1000, .write_lock_wait_ms = 100 };
    struct reset_report report;
    struct error err = { 0 };

    CHECK_OK(pin_reset(world->database, &client, &limits, &report, &err));
    assert_true(report.done);
}

static void check_nothing_lost(struct world *world)
{
    struct index_poison found;

    assert_false(database_index_is_poisoned(world->database, &found)); /* else it has struck */
    assert_int_equal(world_lost_count(world), 0);
}

/* The application's own checkpointer, of any mode, in the window when our pin lets the log restart.
 */
static void after_our_reset_a_stale_checkpointer_does_no_harm(void **state)
{
    (void)state;
    for (int mode = SQLITE_CHECKPOINT_PASSIVE; mode <= SQLITE_CHECKPOINT_TRUNCATE; mode++) {
        struct world world;
        struct pin_client client;
        struct error err = { 0 };

        world_open(&world);
        world_pin(&world);
        client = world_client(&world);
        world_fill_log(&world);
        world_reset(&world);
        bool is_writer_blocked = mode != SQLITE_CHECKPOINT_PASSIVE;
        world.in_window = is_writer_blocked ? NULL : world_commit_one;
        sqlite3_wal_checkpoint_v2(world.checkpointer, "main", mode, NULL, NULL);
        assert_int_equal(world.window_count, !is_writer_blocked);
        CHECK_OK(pin_advance(world.database, &client, &err));
        check_nothing_lost(&world);
        world_close(&world);
    }
}

static void restart_and_try_to_advance(struct world *world)
{
    struct pin_client client = world_client(world);
    struct pin_state pin;
    struct error err = { 0 };

    world_update(world, 1);
    /* The stale checkpointer waits in this very call; until it is through, slot 0 is not left. */
    CHECK_RC(pin_advance(world->database, &client, &err), RC_BUSY);
    pin_state_read(world->database, &pin);
    assert_true(pin.in_slot_zero);
}

static void a_hand_over_inside_the_window_keeps_slot_zero(void **state)
{
    struct world world;
    struct pin_client client;
    struct error err = { 0 };

    (void)state;
    world_open(&world);
    world_pin(&world);
    client = world_client(&world);
    world_fill_log(&world);
    world_reset(&world);
    world.in_window = restart_and_try_to_advance;
    sqlite3_wal_checkpoint_v2(world.checkpointer, "main", SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
    assert_int_equal(world.window_count, 1);
    assert_int_equal(database_backfilled(world.database), 0);
    CHECK_OK(pin_advance(world.database, &client, &err));
    check_nothing_lost(&world);
    world_close(&world);
}

static void reset_in_window(struct world *world)
{
    struct pin_client client = world_client(world);
    struct reset_limits limits = { .write_lock_budget_ms = 5, .write_lock_wait_ms = 5 };
    struct reset_report report;
    struct error err = { 0 };

    CHECK_OK(pin_reset(world->database, &client, &limits, &report, &err));
    world_update(world, 2);
}

/* Our whole reset, and a commit behind it, inside another checkpointer's window. */
static void our_reset_inside_the_window_does_no_harm(void **state)
{
    struct world world;

    (void)state;
    world_open(&world);
    world_pin(&world);
    world_fill_log(&world);
    world.in_window = reset_in_window;
    sqlite3_wal_checkpoint_v2(world.checkpointer, "main", SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
    assert_int_equal(world.window_count, 1);
    check_nothing_lost(&world);
    world_close(&world);
}

/* Our own checkpoints have windows too; a commit in each of them in turn. */
static void a_commit_in_our_own_windows_does_no_harm(void **state)
{
    unsigned hit_count = 0;

    (void)state;
    for (unsigned nth = 0; nth < 4; nth++) {
        struct world world;
        struct pin_client client;
        struct reset_limits limits = { .write_lock_budget_ms = 1000 };
        struct reset_report report;
        struct error err = { 0 };

        world_open(&world);
        world_pin(&world);
        client = world_client(&world);
        CHECK_OK(database_connect_checkpointer(world.database, &err));
        world_hook(&world, world.database->checkpointer.db);
        world.skip_count = nth;
        world.in_window = world_commit_one;
        for (unsigned round = 0; round < 3; round++) {
            world_fill_log(&world);
            CHECK_OK(pin_reset(world.database, &client, &limits, &report, &err));
        }
        hit_count += world.window_count;
        check_nothing_lost(&world);
        world_close(&world);
    }
    assert_true(hit_count >= 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_pins_the_bug_strikes_this_schedule),
        cmocka_unit_test(what_it_struck_is_found_and_healed),
        cmocka_unit_test(after_our_reset_a_stale_checkpointer_does_no_harm),
        cmocka_unit_test(a_hand_over_inside_the_window_keeps_slot_zero),
        cmocka_unit_test(our_reset_inside_the_window_does_no_harm),
        cmocka_unit_test(a_commit_in_our_own_windows_does_no_harm),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
