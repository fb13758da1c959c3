/*
 * What SQLite itself says about a whole file that nobody uses, such as a restored one. Opened as
 * immutable: no locks are taken, and no -wal or -shm appears beside it.
 */
#include "base/alloc.h"
#include "base/buf.h"
#include "base/fs.h"
#include "base/path.h"
#include "conn_priv.h"
#include "inode_claim_priv.h"
#include "sqlite/database.h"

#include <assert.h>
#include <string.h>

enum { ADDRESS_SIZE_MAX = 3 * 4096 + 64 };

/* PATH as an address that SQLite takes apart again: '%', '?' and '#' would mean something else. */
static char *integrity_address(const char *path)
{
    auto_buf struct buf address = BUF_INIT(ADDRESS_SIZE_MAX);

    buf_put_text(&address, "file:");
    for (const char *p = path; *p != '\0'; p++) {
        if (strchr("%?#", *p) != NULL)
            buf_put_format(&address, "%%%02X", (unsigned)(unsigned char)*p);
        else
            buf_put_u8(&address, (uint8_t)*p);
    }
    buf_put_text(&address, "?immutable=1");
    return buf_take_text(&address);
}

static rc integrity_open(sqlite3 **ret, const char *path, struct error *err)
{
    auto_free char *resolved = NULL;
    struct stat status;

    TRY(fs_stat(&status, path, err));
    if (inode_is_claimed(status.st_dev, status.st_ino))
        FAIL(err, RC_BUSY, "it is being replicated; its locks would be lost");
    TRY(path_resolve(&resolved, path, err));

    auto_free char *address = integrity_address(resolved);
    int flags = SQLITE_OPEN_READONLY | SQLITE_OPEN_URI | SQLITE_OPEN_NOMUTEX;
    int result = sqlite3_open_v2(address, ret, flags, NULL);
    if (result != SQLITE_OK)
        return conn_error(err, *ret, result, "open");
    sqlite3_extended_result_codes(*ret, 1);
    return RC_OK;
}

/*
 * Not damage: an index with a collation, or a table with a module, that only the application has.
 * The check cannot be made then.
 */
static rc integrity_error(sqlite3 *db, int result, struct error *err)
{
    if ((result & 0xff) == SQLITE_ERROR)
        FAIL(err, RC_UNSUPPORTED, "integrity check: %s", sqlite3_errmsg(db));
    return conn_error(err, db, result, "integrity check");
}

/* The first row is "ok", or the first of what is wrong. */
static rc integrity_step(sqlite3 *db, sqlite3_stmt *statement, struct error *err)
{
    int result = sqlite3_step(statement);

    if (result != SQLITE_ROW)
        return integrity_error(db, result == SQLITE_DONE ? SQLITE_CORRUPT : result, err);

    const char *text = (const char *)sqlite3_column_text(statement, 0);
    if (text == NULL || strcmp(text, "ok") != 0)
        FAIL(err, RC_CORRUPT, "integrity check: %s", text == NULL ? "no answer" : text);
    return RC_OK;
}

static rc integrity_run(sqlite3 *db, bool full, struct error *err)
{
    const char *sql = full ? "PRAGMA integrity_check(10)" : "PRAGMA quick_check(10)";
    sqlite3_stmt *statement = NULL;
    int result = sqlite3_prepare_v2(db, sql, -1, &statement, NULL);

    if (result != SQLITE_OK)
        return integrity_error(db, result, err);

    rc code = integrity_step(db, statement, err);
    sqlite3_finalize(statement);
    return code;
}

rc database_check_integrity(const char *path, bool full, struct error *err)
{
    sqlite3 *db = NULL;
    rc code = integrity_open(&db, path, err);

    if (code == RC_OK)
        code = integrity_run(db, full, err);
    sqlite3_close(db);
    return code == RC_OK ? RC_OK : error_wrap(err, code, "'%s'", path);
}
