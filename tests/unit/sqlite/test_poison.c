/* The poisoned index: what SQLite makes of it, and that it heals without losing a commit. */
#include "sqlite/poison.h"

#include "../../../src/sqlite/database_priv.h"
#include "base/alloc.h"
#include "base/text.h"
#include "harness/check.h"
#include "harness/poison.h"
#include "wal_fixture.h"

#include <stdlib.h>

enum {
    OLD_ROW_COUNT = 30,
    NEW_ROW_COUNT = 5,
    ROW_SIZE = 3000,
    CLAIMED_FRAMES = 45,
    LATER_ROW_COUNT = 60, /* the log then has more frames than are claimed */
};

/* A log that was copied, restarted, has some commits and a poisoned index. */
static void poisoned_fixture_open(struct wal_fixture *fixture)
{
    wal_fixture_open(fixture, 0);
    wal_fixture_insert(fixture, OLD_ROW_COUNT, ROW_SIZE);
    other_process_run(&fixture->app, ".checkpoint 1");
    wal_fixture_insert(fixture, NEW_ROW_COUNT, ROW_SIZE);
    poison_index(fixture->path, CLAIMED_FRAMES);
}

static long rows_of_a_newcomer(const struct wal_fixture *fixture)
{
    struct other_process other = other_process_start(fixture->path);
    long count = other_process_number(&other, "SELECT count(*) FROM t");

    other_process_stop(&other);
    return count;
}

/* All but the padding behind the last field, which may be anything. */
static void check_same_header(
    const struct wal_index_header *left, const struct wal_index_header *right)
{
    assert_memory_equal(left, right, offsetof(struct wal_index_header, big_endian_checksum));
    assert_int_equal(left->big_endian_checksum, right->big_endian_checksum);
}

static void without_us_commits_are_invisible_then_lost(void **state)
{
    struct wal_fixture fixture;

    (void)state;
    poisoned_fixture_open(&fixture);
    assert_int_equal(other_process_number(&fixture.app, "SELECT count(*) FROM t"),
        OLD_ROW_COUNT + NEW_ROW_COUNT);
    assert_int_equal(rows_of_a_newcomer(&fixture), OLD_ROW_COUNT);
    other_process_stop(&fixture.app); /* the last to close deletes the log */
    assert_int_equal(rows_of_a_newcomer(&fixture), OLD_ROW_COUNT);
    fixture.app.pid = 0;
    wal_fixture_close(&fixture);
}

static void check_all_is_there(struct wal_fixture *fixture, long row_count)
{
    struct index_poison found;

    assert_false(database_index_is_poisoned(fixture->database, &found));
    assert_int_equal(rows_of_a_newcomer(fixture), row_count);
    assert_int_equal(other_process_number(&fixture->app, "SELECT count(*) FROM t"), row_count);

    /* Now in the file, and without the log. */
    database_close(fixture->database);
    fixture->database = NULL;
    other_process_stop(&fixture->app);
    struct other_process other = other_process_start(fixture->path);
    other_process_run(&other, ".checkpoint 3");
    assert_int_equal(other_process_number(&other, "SELECT count(*) FROM t"), row_count);
    other_process_run(&other, "PRAGMA integrity_check");
    assert_string_equal(other.value, "ok");
    other_process_stop(&other);
}

static void it_is_found_and_healed_beside_the_application(void **state)
{
    struct wal_fixture fixture;
    struct index_poison found = { 0 };
    struct error err = { 0 };

    (void)state;
    poisoned_fixture_open(&fixture);
    wal_fixture_open_database(&fixture);
    CHECK_OK(pin_hold(fixture.database, &err));
    struct wal_index_header before = wal_fixture_header(&fixture);

    assert_true(database_index_is_poisoned(fixture.database, &found));
    assert_int_equal(found.claimed_frames, CLAIMED_FRAMES);
    assert_int_equal(found.log_frames, before.frame_count);
    assert_int_equal(database_backfilled(fixture.database), 0);
    CHECK_OK(database_heal_index(fixture.database, &err));
    struct wal_index_header after = wal_fixture_header(&fixture);
    assert_int_equal(after.change_counter, before.change_counter + 1);
    after.change_counter = before.change_counter;
    check_same_header(&after, &before);

    wal_fixture_insert(&fixture, NEW_ROW_COUNT, ROW_SIZE);
    check_all_is_there(&fixture, OLD_ROW_COUNT + 2 * NEW_ROW_COUNT);
    wal_fixture_close(&fixture);
}

/* A process that read stale pages must not go on with them. */
static void cached_stale_pages_are_dropped(void **state)
{
    struct wal_fixture fixture;
    struct error err = { 0 };

    (void)state;
    poisoned_fixture_open(&fixture);
    struct other_process stale = other_process_start(fixture.path);
    assert_int_equal(other_process_number(&stale, "SELECT count(*) FROM t"), OLD_ROW_COUNT);
    wal_fixture_open_database(&fixture);
    CHECK_OK(database_heal_index(fixture.database, &err));
    assert_int_equal(
        other_process_number(&stale, "SELECT count(*) FROM t"), OLD_ROW_COUNT + NEW_ROW_COUNT);
    other_process_stop(&stale);
    check_all_is_there(&fixture, OLD_ROW_COUNT + NEW_ROW_COUNT);
    wal_fixture_close(&fixture);
}

static void it_is_remembered_when_the_log_outgrows_it(void **state)
{
    struct wal_fixture fixture;
    struct index_poison found = { 0 };
    struct error err = { 0 };

    (void)state;
    poisoned_fixture_open(&fixture);
    wal_fixture_open_database(&fixture);
    CHECK_OK(pin_hold(fixture.database, &err));
    other_process_run(&fixture.app, "BEGIN IMMEDIATE");
    assert_true(database_index_is_poisoned(fixture.database, &found));
    CHECK_RC(database_heal_index(fixture.database, &err), RC_BUSY);

    char *sql = text_format("WITH n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<%d) "
                            "INSERT INTO t(v) SELECT randomblob(%d) FROM n",
        LATER_ROW_COUNT, ROW_SIZE);
    other_process_run(&fixture.app, sql);
    free(sql);
    other_process_run(&fixture.app, "COMMIT");
    assert_true(wal_fixture_header(&fixture).frame_count > CLAIMED_FRAMES);
    other_process_run(&fixture.app, ".checkpoint 0");

    assert_true(database_index_is_poisoned(fixture.database, &found));
    assert_int_equal(database_backfilled(fixture.database), 0);
    CHECK_OK(database_heal_index(fixture.database, &err));
    check_all_is_there(&fixture, OLD_ROW_COUNT + NEW_ROW_COUNT + LATER_ROW_COUNT);
    wal_fixture_close(&fixture);
}

static void sqlite_s_own_recovery_heals_it_too(void **state)
{
    struct wal_fixture fixture;
    struct index_poison found;

    (void)state;
    poisoned_fixture_open(&fixture);
    other_process_kill(&fixture.app); /* does not delete the log */
    wal_fixture_open_database(&fixture);
    assert_false(database_index_is_poisoned(fixture.database, &found));
    fixture.app = other_process_start(fixture.path);
    check_all_is_there(&fixture, OLD_ROW_COUNT + NEW_ROW_COUNT);
    wal_fixture_close(&fixture);
}

static void a_healthy_index_is_left_alone(void **state)
{
    struct wal_fixture fixture;
    struct index_poison found;
    struct error err = { 0 };

    (void)state;
    wal_fixture_open(&fixture, 0);
    wal_fixture_open_database(&fixture);
    for (unsigned i = 0; i < 3; i++) {
        wal_fixture_insert(&fixture, NEW_ROW_COUNT, ROW_SIZE);
        struct wal_index_header before = wal_fixture_header(&fixture);
        assert_false(database_index_is_poisoned(fixture.database, &found));
        CHECK_OK(database_heal_index(fixture.database, &err));
        struct wal_index_header after = wal_fixture_header(&fixture);
        check_same_header(&after, &before);
        other_process_run(&fixture.app, ".checkpoint 0");
        assert_int_equal(database_backfilled(fixture.database), before.frame_count);
    }
    wal_fixture_close(&fixture);
}

/* ---- what happens between the two looks */

static void (*in_pause)(struct wal_fixture *fixture);
static struct wal_fixture *in_pause_fixture;

void __real_clock_pause_us(unsigned microseconds);
void __wrap_clock_pause_us(unsigned microseconds);

void __wrap_clock_pause_us(unsigned microseconds)
{
    void (*act)(struct wal_fixture *) = in_pause;

    in_pause = NULL;
    if (act != NULL)
        act(in_pause_fixture);
    else
        __real_clock_pause_us(microseconds);
}

static void restart_is_through(struct wal_fixture *fixture)
{
    poison_index(fixture->path, 0);
}

static void another_count(struct wal_fixture *fixture)
{
    poison_index(fixture->path, CLAIMED_FRAMES + 1);
}

static void another_log(struct wal_fixture *fixture)
{
    poison_index(fixture->path, 0);
    other_process_run(&fixture->app, ".checkpoint 1");
    wal_fixture_insert(fixture, 1, ROW_SIZE);
    poison_index(fixture->path, CLAIMED_FRAMES);
}

static void what_changes_meanwhile_is_not_poison_yet(void **state)
{
    void (*const acts[])(struct wal_fixture *) = { restart_is_through, another_count, another_log };

    (void)state;
    for (size_t i = 0; i < array_count(acts); i++) {
        struct wal_fixture fixture;
        struct index_poison found;

        poisoned_fixture_open(&fixture);
        wal_fixture_open_database(&fixture);
        in_pause_fixture = &fixture;
        in_pause = acts[i];
        assert_false(database_index_is_poisoned(fixture.database, &found));
        assert_null(in_pause);
        wal_fixture_close(&fixture);
    }
}

/* It was remembered; the log that it was in is gone. */
static void another_log_is_not_taken_for_it(void **state)
{
    struct wal_fixture fixture;
    struct index_poison found;
    struct error err = { 0 };

    (void)state;
    poisoned_fixture_open(&fixture);
    wal_fixture_open_database(&fixture);
    assert_true(database_index_is_poisoned(fixture.database, &found));
    another_log(&fixture);
    poison_index(fixture.path, 0);
    wal_fixture_insert(&fixture, LATER_ROW_COUNT, ROW_SIZE);
    other_process_run(&fixture.app, ".checkpoint 0");
    uint32_t frame_count = wal_fixture_header(&fixture).frame_count;
    assert_true(frame_count >= CLAIMED_FRAMES);
    assert_int_equal(database_backfilled(fixture.database), frame_count);
    assert_false(database_index_is_poisoned(fixture.database, &found));
    CHECK_OK(database_heal_index(fixture.database, &err));
    wal_fixture_close(&fixture);
}

static void a_checkpoint_in_progress_is_not_waited_for(void **state)
{
    struct wal_fixture fixture;
    struct index_poison found;
    struct error err = { 0 };

    (void)state;
    poisoned_fixture_open(&fixture);
    wal_fixture_open_database(&fixture);
    CHECK_OK(database_connect_checkpointer(fixture.database, &err));
    struct conn *conn = &fixture.database->checkpointer;
    CHECK_OK(conn_lock_index(conn, WAL_INDEX_LOCK_CHECKPOINT, &err));
    CHECK_RC(database_heal_index(fixture.database, &err), RC_BUSY);
    assert_true(database_index_is_poisoned(fixture.database, &found));
    other_process_run(&fixture.app, ".busy 0");
    wal_fixture_insert(&fixture, 1, ROW_SIZE); /* no lock is left */
    conn_unlock_index(conn, WAL_INDEX_LOCK_CHECKPOINT);
    CHECK_OK(database_heal_index(fixture.database, &err));
    check_all_is_there(&fixture, OLD_ROW_COUNT + NEW_ROW_COUNT + 1);
    wal_fixture_close(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_us_commits_are_invisible_then_lost),
        cmocka_unit_test(it_is_found_and_healed_beside_the_application),
        cmocka_unit_test(cached_stale_pages_are_dropped),
        cmocka_unit_test(it_is_remembered_when_the_log_outgrows_it),
        cmocka_unit_test(sqlite_s_own_recovery_heals_it_too),
        cmocka_unit_test(a_healthy_index_is_left_alone),
        cmocka_unit_test(what_changes_meanwhile_is_not_poison_yet),
        cmocka_unit_test(another_log_is_not_taken_for_it),
        cmocka_unit_test(a_checkpoint_in_progress_is_not_waited_for),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
