/* Every answer of SQLite has the code that its caller decides by; no answer is lost. */
#include "base/alloc.h"
#include "conn_priv.h"
#include "harness/check.h"
#include "harness/scratch.h"

#include <unistd.h>

static void answers_have_codes(void **state)
{
    static const struct {
        int result;
        rc code;
    } rows[] = {
        { SQLITE_OK, RC_OK },
        { SQLITE_DONE, RC_OK },
        { SQLITE_ROW, RC_OK },
        { SQLITE_BUSY, RC_BUSY },
        { SQLITE_BUSY_RECOVERY, RC_BUSY },
        { SQLITE_BUSY_SNAPSHOT, RC_BUSY },
        { SQLITE_LOCKED, RC_BUSY },
        { SQLITE_PROTOCOL, RC_BUSY },
        { SQLITE_CORRUPT, RC_CORRUPT },
        { SQLITE_CORRUPT_INDEX, RC_CORRUPT },
        { SQLITE_NOTADB, RC_CORRUPT },
        { SQLITE_PERM, RC_DENIED },
        { SQLITE_READONLY, RC_DENIED },
        { SQLITE_READONLY_DBMOVED, RC_DENIED },
        { SQLITE_AUTH, RC_DENIED },
        { SQLITE_CANTOPEN, RC_DENIED },
        { SQLITE_FULL, RC_NO_SPACE },
        { SQLITE_IOERR_READ, RC_IO },
        { SQLITE_NOMEM, RC_IO },
        { SQLITE_ERROR, RC_IO },
    };

    (void)state;
    for (size_t index = 0; index < array_count(rows); index++) {
        struct error err = { 0 };
        assert_int_equal(rc_from_sqlite(rows[index].result), rows[index].code);
        if (rows[index].code == RC_OK)
            continue;
        CHECK_RC(conn_error(&err, NULL, rows[index].result, "try"), rows[index].code);
        CHECK_SAYS(err, "try: ");
        assert_int_equal(err.sys_errno, 0); /* no connection knows of one */
    }
}

/* The connection's own words where they are about this answer, else those of the library. */
static void words_are_those_of_the_connection(void **state)
{
    struct error err = { 0 };
    sqlite3 *db = NULL;

    (void)state;
    assert_int_equal(sqlite3_open(":memory:", &db), SQLITE_OK);
    sqlite3_extended_result_codes(db, 1);
    int result = sqlite3_exec(db, "SELECT nothing_of_this_name", NULL, NULL, NULL);
    CHECK_RC(conn_error(&err, db, result, "query"), RC_IO);
    CHECK_SAYS(err, "nothing_of_this_name");
    CHECK_RC(conn_error(&err, db, SQLITE_FULL, "query"), RC_NO_SPACE);
    CHECK_SAYS(err, sqlite3_errstr(SQLITE_FULL));
    sqlite3_close(db);
}

/* What the system said comes along; a file that is not there, or is none, cannot be opened. */
static void what_cannot_be_opened_says_why(void **state)
{
    auto_scratch struct scratch scratch = scratch_new();
    auto_free char *missing = scratch_path(&scratch, "missing.db");
    struct conn conn = CONN_INIT;
    struct error err = { 0 };

    (void)state;
    CHECK_RC(conn_open(&conn, missing, &err), RC_DENIED);
    CHECK_SAYS(err, "open: ");
    assert_null(conn.db);
    CHECK_RC(conn_open(&conn, scratch.folder, &err), RC_DENIED);
    assert_null(conn.db);
    assert_int_equal(scratch_name_count(&scratch), 0);
}

/* In a file that is no database a read says so, and leaves no transaction open. */
static void a_read_that_fails_leaves_no_transaction(void **state)
{
    auto_scratch struct scratch scratch = scratch_new();
    auto_free char *path = scratch_path(&scratch, "none.db");
    uint8_t noise[4096];
    auto_conn struct conn conn = CONN_INIT;
    struct error err = { 0 };

    (void)state;
    memset(noise, 'x', sizeof noise);
    scratch_write(&scratch, "none.db", bytes_of(noise, sizeof noise));
    CHECK_OK(conn_open(&conn, path, &err));
    CHECK_RC(conn_begin_read(&conn, &err), RC_CORRUPT);
    assert_int_equal(sqlite3_get_autocommit(conn.db), 1);
    conn_end_read(&conn); /* harmless */
}

/* A transaction within a transaction is refused by SQLite, and the first one stays as it was. */
static void a_second_begin_is_refused(void **state)
{
    auto_scratch struct scratch scratch = scratch_new();
    auto_free char *path = scratch_path(&scratch, "app.db");
    auto_conn struct conn conn = CONN_INIT;
    struct error err = { 0 };

    (void)state;
    scratch_write(&scratch, "app.db", bytes_of(NULL, 0));
    CHECK_OK(conn_open(&conn, path, &err));
    CHECK_OK(conn_begin_read(&conn, &err));
    CHECK_RC(conn_begin_read(&conn, &err), RC_IO);
    CHECK_SAYS(err, "within a transaction");
    assert_int_equal(sqlite3_get_autocommit(conn.db), 0);
    conn_end_read(&conn);
    assert_int_equal(sqlite3_get_autocommit(conn.db), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_have_codes),
        cmocka_unit_test(words_are_those_of_the_connection),
        cmocka_unit_test(what_cannot_be_opened_says_why),
        cmocka_unit_test(a_read_that_fails_leaves_no_transaction),
        cmocka_unit_test(a_second_begin_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
