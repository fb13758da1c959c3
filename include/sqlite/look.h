/*
 * look - what a database's files say to somebody who only looks
 *
 * SQLite is not asked and nothing is written, recovered or locked, so it works beside whoever has
 * the database open. Never for use in a process that has it open itself: the database file and -shm
 * are opened and closed here, which would drop that process's own POSIX locks.
 */
#ifndef SEAWAL_SQLITE_LOOK_H
#define SEAWAL_SQLITE_LOOK_H

#include "base/error.h"
#include "sqlite/poison.h"

#include <stdbool.h>

struct database_look {
    /* The release of SQLite that last wrote the header in the database file, as
     * sqlite3_libversion_number(); newer headers may be in the log. 0: not told. */
    int writer_version;
    bool is_poisoned; /* poison.h; never so when no process has the database open */
    struct index_poison poison;
};

/* RC_NOT_FOUND: no such file. RC_CORRUPT: not a plain SQLite database. Takes 50 ms if poisoned. */
must_use rc database_look(struct database_look *ret, const char *path, struct error *err);

#endif
