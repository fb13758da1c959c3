/* What the files say to somebody who only looks, against what SQLite says. */
#include "sqlite/look.h"

#include "base/alloc.h"
#include "harness/check.h"
#include "harness/poison.h"
#include "wal_fixture.h"

#include <sqlite3.h>
#include <stdlib.h>

enum { ROW_COUNT = 20, ROW_SIZE = 3000, CLAIMED_FRAMES = 77 };

static struct database_look look(const char *path)
{
    struct database_look look;
    struct error err = { 0 };

    CHECK_OK(database_look(&look, path, &err));
    return look;
}

static void the_writer_of_the_header_is_told(void **state)
{
    struct wal_fixture fixture;
    struct error err = { 0 };
    int version = 0;

    (void)state;
    wal_fixture_open(&fixture, 1024);
    wal_fixture_insert(&fixture, ROW_COUNT, ROW_SIZE);
    other_process_run(&fixture.app, ".checkpoint 0");
    assert_int_equal(look(fixture.path).writer_version, sqlite3_libversion_number());

    wal_fixture_open_database(&fixture);
    CHECK_OK(pin_hold(fixture.database, &err));
    CHECK_OK(database_writer_version(fixture.database, &version, &err));
    assert_int_equal(version, sqlite3_libversion_number());
    wal_fixture_close(&fixture);
}

static void only_databases_are_looked_at(void **state)
{
    struct scratch scratch = scratch_new();
    char *path = scratch_path(&scratch, "app.db");
    static const uint8_t content[3000] = "SQLite format 2";
    struct database_look ignored;
    struct error err = { 0 };

    (void)state;
    CHECK_RC(database_look(&ignored, path, &err), RC_NOT_FOUND);
    for (size_t size = 0; size <= sizeof content; size += sizeof content / 3) {
        scratch_write(&scratch, "app.db", bytes_of(content, size));
        CHECK_RC(database_look(&ignored, path, &err), RC_CORRUPT);
    }
    free(path);
    scratch_release(&scratch);
}

/* An index that is cut off, or not there, says nothing; a rollback journal has none. */
static void other_files_are_not_poisoned(void **state)
{
    static const char *const modes[] = { "PRAGMA journal_mode=delete", "PRAGMA journal_mode=wal" };
    static const uint8_t index[99] = { 0 };

    (void)state;
    for (size_t i = 0; i < array_count(modes); i++) {
        struct wal_fixture fixture;

        wal_fixture_open(&fixture, 0);
        other_process_run(&fixture.app, modes[i]);
        wal_fixture_insert(&fixture, 1, 1);
        other_process_stop(&fixture.app);
        assert_false(look(fixture.path).is_poisoned);
        scratch_write(&fixture.scratch, "app.db-shm", bytes_of(index, sizeof index));
        assert_false(look(fixture.path).is_poisoned);
        wal_fixture_close(&fixture);
    }
}

static void poison_is_seen_while_somebody_has_it_open(void **state)
{
    struct wal_fixture fixture;

    (void)state;
    wal_fixture_open(&fixture, 0);
    wal_fixture_insert(&fixture, ROW_COUNT, ROW_SIZE);
    assert_false(look(fixture.path).is_poisoned);
    other_process_run(&fixture.app, ".checkpoint 1");
    assert_false(look(fixture.path).is_poisoned);
    wal_fixture_insert(&fixture, 1, ROW_SIZE);
    poison_index(fixture.path, CLAIMED_FRAMES);

    struct database_look found = look(fixture.path);
    assert_true(found.is_poisoned);
    assert_int_equal(found.poison.claimed_frames, CLAIMED_FRAMES);
    assert_true(found.poison.log_frames > 0);
    assert_true(found.poison.log_frames < ROW_COUNT);

    /* What a killed process leaves is made anew by the next to open it. */
    other_process_kill(&fixture.app);
    assert_false(look(fixture.path).is_poisoned);
    wal_fixture_close(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_writer_of_the_header_is_told),
        cmocka_unit_test(only_databases_are_looked_at),
        cmocka_unit_test(other_files_are_not_poisoned),
        cmocka_unit_test(poison_is_seen_while_somebody_has_it_open),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
