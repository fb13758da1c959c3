/* What SQLite says about a whole file, without leaving anything beside it. */
#include "base/alloc.h"
#include "base/fs.h"
#include "harness/check.h"
#include "harness/scratch.h"
#include "sqlite/database.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <string.h>
#include <unistd.h>

/* With characters that mean something in SQLite's addresses. */
static const char name[] = "a%20b?c#d.db";

static void make_database(const struct scratch *scratch, const char *sql)
{
    auto_free char *path = scratch_path(scratch, name);
    sqlite3 *db = NULL;

    assert_int_equal(
        sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

static const char wal_database[] =
    "PRAGMA journal_mode=wal; CREATE TABLE t(a, b); "
    "CREATE INDEX i ON t(a); "
    "WITH n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<2000)"
    " INSERT INTO t SELECT i, randomblob(50) FROM n";

static void a_whole_file_is_found_whole_and_nothing_is_left(void **state)
{
    auto_scratch struct scratch scratch = scratch_new();
    auto_free char *path = scratch_path(&scratch, name);
    struct error err = { 0 };

    (void)state;
    make_database(&scratch, wal_database);
    assert_int_equal(scratch_name_count(&scratch), 1);
    CHECK_OK(database_check_integrity(path, true, &err));
    CHECK_OK(database_check_integrity(path, false, &err));
    assert_int_equal(scratch_name_count(&scratch), 1);
}

static void damage(const char *path, uint64_t offset)
{
    static const uint8_t zeros[4096];
    struct error err = { 0 };
    int fd = -1;

    CHECK_OK(fs_open(&fd, path, O_RDWR, 0, &err));
    CHECK_OK(fs_write_at(fd, bytes_of(zeros, sizeof zeros), offset, &err));
    close(fd);
}

static void a_zeroed_page_is_found(void **state)
{
    auto_scratch struct scratch scratch = scratch_new();
    auto_free char *path = scratch_path(&scratch, name);
    struct error err = { 0 };

    (void)state;
    make_database(&scratch, wal_database);
    damage(path, 4 * 4096);
    CHECK_RC(database_check_integrity(path, true, &err), RC_CORRUPT);
    CHECK_RC(database_check_integrity(path, false, &err), RC_CORRUPT);
}

static void a_file_that_is_none_is_said_so(void **state)
{
    auto_scratch struct scratch scratch = scratch_new();
    auto_free char *path = scratch_path(&scratch, name);
    struct error err = { 0 };

    (void)state;
    CHECK_RC(database_check_integrity(path, true, &err), RC_NOT_FOUND);
    scratch_write(
        &scratch, name, bytes_of_text("certainly not a database, whatever its name says"));
    CHECK_RC(database_check_integrity(path, true, &err), RC_CORRUPT);
}

static int compare_bytes(
    void *payload, int left_size, const void *left, int right_size, const void *right)
{
    (void)payload;
    int size = left_size < right_size ? left_size : right_size;
    int order = memcmp(left, right, (size_t)size);
    return order != 0 ? order : left_size - right_size;
}

static void a_collation_that_only_the_application_has_is_not_damage(void **state)
{
    auto_scratch struct scratch scratch = scratch_new();
    auto_free char *path = scratch_path(&scratch, name);
    struct error err = { 0 };
    sqlite3 *db = NULL;

    (void)state;
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    sqlite3_create_collation(db, "ours", SQLITE_UTF8, NULL, compare_bytes);
    assert_int_equal(sqlite3_exec(db,
                         "CREATE TABLE t(a COLLATE ours); CREATE INDEX i ON t(a); "
                         "INSERT INTO t VALUES('x'), ('y')",
                         NULL, NULL, NULL),
        SQLITE_OK);
    sqlite3_close(db);
    CHECK_RC(database_check_integrity(path, true, &err), RC_UNSUPPORTED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_whole_file_is_found_whole_and_nothing_is_left),
        cmocka_unit_test(a_zeroed_page_is_found),
        cmocka_unit_test(a_file_that_is_none_is_said_so),
        cmocka_unit_test(a_collation_that_only_the_application_has_is_not_damage),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
