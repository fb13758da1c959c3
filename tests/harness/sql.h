/* sql - what a test's own connection must be able to do */
#ifndef SEAWAL_TESTS_HARNESS_SQL_H
#define SEAWAL_TESTS_HARNESS_SQL_H

#include "harness/check.h"

#include <sqlite3.h>

/* Run SQL on DB; the test fails with SQLite's words when it is refused. */
static inline void sql_run(sqlite3 *db, const char *sql)
{
    char *message = NULL;

    if (sqlite3_exec(db, sql, NULL, NULL, &message) != SQLITE_OK)
        fail_msg("%s: %s", sql, message);
}

#endif
