/*
 * conn - one connection to a database, set up so that it costs little and never checkpoints by
 * itself
 *
 * conn_open(), any of the rest, conn_close(). A connection never reads the schema: everything it
 * runs is transaction control, PRAGMA user_version (one page) and checkpoints, so its memory does
 * not depend on the database. conn_close() on CONN_INIT or twice does nothing.
 */
#ifndef SEAWAL_SQLITE_CONN_PRIV_H
#define SEAWAL_SQLITE_CONN_PRIV_H

#include "base/error.h"

#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>

struct conn {
    sqlite3 *db;
    sqlite3_file *file; /* the database file's handle; lives as long as db */
    sqlite3_stmt *begin;
    sqlite3_stmt *read;
    sqlite3_stmt *end;
    bool sync_failed; /* an fsync that this connection asked for */
};
#define CONN_INIT ((struct conn){ 0 })
#define auto_conn __attribute__((cleanup(conn_close)))

/*
 * Locks of the WAL-index, by their place among SQLite's eight (wal.c). A lock taken with
 * conn_lock_index() is one that the connection's own statements know nothing of.
 */
enum wal_index_lock {
    WAL_INDEX_LOCK_WRITE = 0,
    WAL_INDEX_LOCK_CHECKPOINT = 1,
};

/* The code callers decide by, for RESULT of the sqlite3 C interface. */
rc rc_from_sqlite(int result);

/* Fill ERR from RESULT and the connection's own words (DB may be NULL), and return the code. */
rc conn_error(struct error *err, sqlite3 *db, int result, const char *what);

/* Opens the file; reads nothing of it. PATH is absolute. */
must_use rc conn_open(struct conn *ret, const char *path, struct error *err);
void conn_close(struct conn *conn);

/*
 * A read transaction that has its snapshot. What happens while SQLite waits is the busy handler's
 * business. After a failure no transaction is open.
 */
must_use rc conn_begin_read(struct conn *conn, struct error *err);
void conn_end_read(struct conn *conn);

/* RC_BUSY: another checkpointer, or (FULL, RESTART, TRUNCATE) somebody in the way. */
must_use rc conn_checkpoint(struct conn *conn, int mode, struct error *err);

/* Try, never wait: RC_BUSY when anybody holds it, in this process or another. */
must_use rc conn_lock_index(struct conn *conn, enum wal_index_lock lock, struct error *err);
void conn_unlock_index(struct conn *conn, enum wal_index_lock lock);

/* SIZE bytes at OFFSET of the database file; zeros beyond its end. */
must_use rc conn_read_file(
    struct conn *conn, void *out, int size, uint64_t offset, struct error *err);
must_use rc conn_file_size(struct conn *conn, uint64_t *ret, struct error *err);
must_use rc conn_sync_file(struct conn *conn, struct error *err);

#endif
