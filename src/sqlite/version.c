/* Which releases of SQLite have the WAL-reset bug (sqlite.org/wal.html#walresetbug). */
#include "sqlite/database.h"

#include <sqlite3.h>

#include <stddef.h>

bool sqlite_has_wal_reset_bug(int version_number)
{
    /* 3.52.0 was withdrawn; 3.44.6 and 3.50.7 are back-ports. Both ends belong to the range. */
    static const struct {
        int first;
        int last;
    } ranges[] = {
        { 3007000, 3044005 },
        { 3045000, 3050006 },
        { 3051000, 3051002 },
        { 3052000, 3052000 },
    };

    for (size_t i = 0; i < sizeof ranges / sizeof ranges[0]; i++) {
        if (version_number >= ranges[i].first && version_number <= ranges[i].last)
            return true;
    }
    return false;
}

int sqlite_library_number(void)
{
    return sqlite3_libversion_number();
}

const char *sqlite_library_version(void)
{
    return sqlite3_libversion();
}
