/* One connection to a database: every call of libsqlite3 that the layer makes, but for integrity.c.
 */
#include "conn_priv.h"

#include <assert.h>
#include <pthread.h>
#include <string.h>

/*
 * Process-wide and before the first connection: no lookaside, no bulk allocation for page caches,
 * no memory statistics. Thousands of connections that each read one page are what we have.
 * SQLITE_MISUSE (somebody initialised the library before us) only costs memory, so the answers are
 * not looked at.
 */
static void conn_configure_library(void)
{
    (void)sqlite3_config(SQLITE_CONFIG_LOOKASIDE, 0, 0);
    (void)sqlite3_config(SQLITE_CONFIG_PAGECACHE, NULL, 0, 0);
    (void)sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
}

/*
 * A reader or a checkpointer of SQLite's that finds the index half changed takes the write lock to
 * see whether its writer has died (walIndexReadHdr()). Mostly it is about to be through: then the
 * application's next transaction meets our lock and is refused. So the lock is refused to us
 * instead, a number of times; SQLite looks at the index again before each (its pauses add up to
 * some milliseconds). A writer that is dead is found after that.
 *
 * The file's methods are replaced by a copy in which only the locking is ours.
 */
enum { CONN_PATIENCE = 16 };

static const sqlite3_io_methods *plain_methods;
static sqlite3_io_methods patient_methods;
static _Thread_local unsigned patience; /* how often it is still refused */

static int conn_shm_lock(sqlite3_file *file, int offset, int count, int flags)
{
    bool takes_write_lock = (flags & SQLITE_SHM_LOCK) != 0 && (flags & SQLITE_SHM_EXCLUSIVE) != 0 &&
                            offset == WAL_INDEX_LOCK_WRITE;

    if (takes_write_lock && patience > 0) {
        patience--;
        return SQLITE_BUSY;
    }
    return plain_methods->xShmLock(file, offset, count, flags);
}

static void conn_be_patient(struct conn *conn)
{
    static pthread_mutex_t mu = PTHREAD_MUTEX_INITIALIZER;

    pthread_mutex_lock(&mu);
    if (plain_methods == NULL) {
        plain_methods = conn->file->pMethods;
        patient_methods = *plain_methods;
        patient_methods.xShmLock = conn_shm_lock;
    }
    if (conn->file->pMethods == plain_methods)
        conn->file->pMethods = &patient_methods;
    pthread_mutex_unlock(&mu);
}

rc rc_from_sqlite(int result)
{
    switch (result & 0xff) {
    case SQLITE_OK:
    case SQLITE_DONE:
    case SQLITE_ROW:
        return RC_OK;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
    case SQLITE_PROTOCOL: /* the locks of the log were fought over for ten seconds */
        return RC_BUSY;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return RC_CORRUPT;
    case SQLITE_PERM:
    case SQLITE_READONLY:
    case SQLITE_AUTH:
    case SQLITE_CANTOPEN:
        return RC_DENIED;
    case SQLITE_FULL:
        return RC_NO_SPACE;
    default:
        return RC_IO;
    }
}

rc conn_error(struct error *err, sqlite3 *db, int result, const char *what)
{
    rc code = rc_from_sqlite(result);
    int sys_errno = db != NULL ? sqlite3_system_errno(db) : 0;
    bool is_system = (result & 0xff) == SQLITE_IOERR || (result & 0xff) == SQLITE_CANTOPEN;

    assert(code != RC_OK);
    if (!is_system)
        sys_errno = 0;
    if (is_system && rc_from_errno(sys_errno) == RC_NO_SPACE)
        code = RC_NO_SPACE;

    const char *text = sqlite3_errstr(result);
    if (db != NULL && sqlite3_extended_errcode(db) == result)
        text = sqlite3_errmsg(db);
    return error_set(
        err, code, sys_errno, __FILE__, __LINE__, "%s: %s (sqlite code %d)", what, text, result);
}

static rc conn_prepare(struct conn *conn, sqlite3_stmt **ret, const char *sql, struct error *err)
{
    int result = sqlite3_prepare_v3(conn->db, sql, -1, SQLITE_PREPARE_PERSISTENT, ret, NULL);

    if (result != SQLITE_OK)
        return conn_error(err, conn->db, result, sql);
    return RC_OK;
}

rc conn_open(struct conn *ret, const char *path, struct error *err)
{
    static pthread_once_t configured = PTHREAD_ONCE_INIT;

    assert(path[0] == '/'); /* a relative name may be taken for a file: address */
    (void)pthread_once(&configured, conn_configure_library);

    auto_conn struct conn conn = CONN_INIT;
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX;
    int result = sqlite3_open_v2(path, &conn.db, flags, NULL);
    if (result != SQLITE_OK)
        return conn_error(err, conn.db, result, "open");
    /* SQLite makes do with that when to open it for writing failed, if only this once. */
    if (sqlite3_db_readonly(conn.db, "main") != 0)
        FAIL(err, RC_DENIED, "open: the file can only be read");

    sqlite3_extended_result_codes(conn.db, 1);
    sqlite3_wal_autocheckpoint(conn.db, 0);
    result = sqlite3_db_config(conn.db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    if (result != SQLITE_OK)
        return conn_error(err, conn.db, result, "turn off checkpoints on close");
    sqlite3_db_config(conn.db, SQLITE_DBCONFIG_LOOKASIDE, NULL, 0, 0);

    result = sqlite3_file_control(conn.db, "main", SQLITE_FCNTL_FILE_POINTER, &conn.file);
    if (result != SQLITE_OK)
        return conn_error(err, conn.db, result, "ask for the file handle");
    if (conn.file == NULL || conn.file->pMethods == NULL) /* unreachable: all have file handles */
        FAIL(err, RC_UNSUPPORTED, "this SQLite library does not show its file handle");
    if (conn.file->pMethods->iVersion < 2 || /* unreachable: all of the kind have it */
        conn.file->pMethods->xShmMap == NULL)
        FAIL(err, RC_UNSUPPORTED, "this SQLite library has no shared memory");
    conn_be_patient(&conn);

    /* user_version is the one read that needs no schema. */
    TRY(conn_prepare(&conn, &conn.begin, "BEGIN", err));
    TRY(conn_prepare(&conn, &conn.read, "PRAGMA user_version", err));
    TRY(conn_prepare(&conn, &conn.end, "COMMIT", err));

    *ret = conn;
    conn = CONN_INIT;
    return RC_OK;
}

void conn_close(struct conn *conn)
{
    sqlite3_finalize(conn->begin);
    sqlite3_finalize(conn->read);
    sqlite3_finalize(conn->end);
    /* Rolls back an open read. With every statement gone it cannot be refused. */
    int result = sqlite3_close(conn->db);
    assert(result == SQLITE_OK);
    *conn = CONN_INIT;
}

static int conn_step(sqlite3_stmt *statement)
{
    int result = sqlite3_step(statement);

    while (result == SQLITE_ROW)
        result = sqlite3_step(statement);
    sqlite3_reset(statement);
    return result;
}

rc conn_begin_read(struct conn *conn, struct error *err)
{
    int result = conn_step(conn->begin);

    if (result != SQLITE_DONE)
        return conn_error(err, conn->db, result, "begin a read transaction");
    patience = CONN_PATIENCE;
    result = conn_step(conn->read);
    patience = 0;
    if (result != SQLITE_DONE) {
        rc code = conn_error(err, conn->db, result, "begin a read transaction");
        conn_end_read(conn);
        return code;
    }
    return RC_OK;
}

void conn_end_read(struct conn *conn)
{
    /* Some errors end the transaction by themselves. */
    if (sqlite3_get_autocommit(conn->db) != 0)
        return;

    /*
     * The end of a transaction that only read writes nothing and cannot be refused. The statement
     * may still say SQLITE_CORRUPT, when the file was overwritten under the transaction.
     */
    (void)conn_step(conn->end);
    assert(sqlite3_get_autocommit(conn->db) != 0);
}

rc conn_checkpoint(struct conn *conn, int mode, struct error *err)
{
    /*
     * The counts that it returns describe the log as its own stale header saw it, not as it is
     * (SQLite's releases 3.51.3 and later); the callers look at the WAL-index.
     */
    patience = CONN_PATIENCE;
    int result = sqlite3_wal_checkpoint_v2(conn->db, "main", mode, NULL, NULL);
    patience = 0;

    conn->sync_failed = conn->sync_failed || result == SQLITE_IOERR_FSYNC;
    if (result != SQLITE_OK)
        return conn_error(err, conn->db, result, "checkpoint");
    return RC_OK;
}

rc conn_lock_index(struct conn *conn, enum wal_index_lock lock, struct error *err)
{
    int flags = SQLITE_SHM_LOCK | SQLITE_SHM_EXCLUSIVE;
    int result = conn->file->pMethods->xShmLock(conn->file, (int)lock, 1, flags);

    if (result != SQLITE_OK)
        return conn_error(err, NULL, result, "lock the log's index");
    return RC_OK;
}

void conn_unlock_index(struct conn *conn, enum wal_index_lock lock)
{
    int flags = SQLITE_SHM_UNLOCK | SQLITE_SHM_EXCLUSIVE;
    int result = conn->file->pMethods->xShmLock(conn->file, (int)lock, 1, flags);

    assert(result == SQLITE_OK);
}

rc conn_read_file(struct conn *conn, void *out, int size, uint64_t offset, struct error *err)
{
    int result = conn->file->pMethods->xRead(conn->file, out, size, (sqlite3_int64)offset);

    /* A short read has filled the rest with zeros, as SQLite promises. */
    if (result != SQLITE_OK && result != SQLITE_IOERR_SHORT_READ)
        return conn_error(err, NULL, result, "read the database file");
    return RC_OK;
}

rc conn_file_size(struct conn *conn, uint64_t *ret, struct error *err)
{
    sqlite3_int64 size = 0;
    int result = conn->file->pMethods->xFileSize(conn->file, &size);

    if (result != SQLITE_OK)
        return conn_error(err, NULL, result, "size of the database file");
    *ret = (uint64_t)size;
    return RC_OK;
}

rc conn_sync_file(struct conn *conn, struct error *err)
{
    int result = conn->file->pMethods->xSync(conn->file, SQLITE_SYNC_NORMAL);

    conn->sync_failed = conn->sync_failed || result != SQLITE_OK;
    if (result != SQLITE_OK)
        return conn_error(err, NULL, result, "sync the database file");
    return RC_OK;
}
