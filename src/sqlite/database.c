/* One SQLite database as we hold it open: opening with precise answers, reading pages, closing. */
#include "database_priv.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/fs.h"
#include "base/path.h"
#include "base/text.h"
#include "database_header_priv.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    /* Somebody's last close checkpoints under an exclusive lock; longer than this is a way of life.
     */
    OPEN_WAIT_MS = 2000,
    BUSY_PAUSE_US = 500,
};

static struct database_file_identity identity_of(const struct stat *status)
{
    return (struct database_file_identity){
        .device = (uint64_t)status->st_dev,
        .inode = (uint64_t)status->st_ino,
    };
}

static bool identity_same(
    const struct database_file_identity *left, const struct database_file_identity *right)
{
    return left->device == right->device && left->inode == right->inode;
}

/* SQLite asks here whether to go on waiting. Never while writers wait for us. */
static int database_on_busy(void *payload, int count)
{
    const struct database *database = payload;

    (void)count;
    if (database->holds_write_lock || clock_monotonic_ms() >= database->busy_until_ms)
        return 0;
    clock_pause_us(BUSY_PAUSE_US);
    return 1;
}

rc database_connect(struct database *database, struct conn *conn, struct error *err)
{
    if (conn->db != NULL)
        return RC_OK;
    TRY(conn_open(conn, database->path, err));
    sqlite3_busy_handler(conn->db, database_on_busy, database);
    return RC_OK;
}

rc database_begin_read(
    struct database *database, struct conn *conn, int64_t wait_ms, struct error *err)
{
    database->busy_until_ms = clock_monotonic_ms() + wait_ms;
    return conn_begin_read(conn, err);
}

/* A connection has no part in the index before its first read. */
static rc database_connect_to_index(struct database *database, struct conn *ret, struct error *err)
{
    if (ret->db != NULL)
        return RC_OK;

    auto_conn struct conn conn = CONN_INIT;
    TRY(database_connect(database, &conn, err));
    TRY(database_begin_read(database, &conn, DATABASE_BUSY_WAIT_MS, err));
    conn_end_read(&conn);
    *ret = conn;
    conn = CONN_INIT;
    return RC_OK;
}

rc database_connect_locker(struct database *database, struct error *err)
{
    return database_connect_to_index(database, &database->locker, err);
}

rc database_connect_checkpointer(struct database *database, struct error *err)
{
    return database_connect_to_index(database, &database->checkpointer, err);
}

/* The name must lead to a regular file that nobody of us has open. Nothing is opened here. */
static rc database_claim(struct database *database, const char *path, struct error *err)
{
    struct stat status;

    TRY_AS(err, fs_stat(&status, path, err), "database '%s'", path);
    if (!S_ISREG(status.st_mode))
        FAIL(err, RC_CORRUPT, "'%s' is not a file, so it is not a database", path);
    TRY(path_resolve(&database->path, path, err));
    database->log_path = text_format("%s-wal", database->path);
    database->index_path = text_format("%s-shm", database->path);
    database->identity = identity_of(&status);
    if (!inode_claim_take(&database->claim, status.st_dev, status.st_ino))
        FAIL(err, RC_BUSY,
            "database '%s' is open in this process already; is it configured twice, or under two "
            "names?",
            path);
    return RC_OK;
}

/* SQLite writes the log and its index beside the database, even for a reader. */
static rc database_check_access(const struct database *database, struct error *err)
{
    const char *const files[] = { database->path, database->log_path, database->index_path };
    bool needs_folder = false;

    for (size_t i = 0; i < array_count(files); i++) {
        if (access(files[i], R_OK | W_OK) == 0)
            continue;
        if (errno == ENOENT) {
            needs_folder = true;
            continue;
        }
        error_set(err, RC_DENIED, errno, __FILE__, __LINE__,
            "'%s' cannot be written; run as the user that owns the database", files[i]);
        return RC_DENIED;
    }

    auto_free char *folder = path_parent(database->path);
    if (needs_folder && access(folder, W_OK | X_OK) != 0) {
        error_set(err, RC_DENIED, errno, __FILE__, __LINE__,
            "folder '%s' cannot be written; SQLite keeps its log and the log's index there",
            folder);
        return RC_DENIED;
    }
    return RC_OK;
}

/* The one thing that is ever changed in the user's database, and only when it was asked for. */
static rc database_convert(struct database *database, struct error *err)
{
    sqlite3 *db = database->reader.db;
    sqlite3_stmt *statement = NULL;
    int result = sqlite3_prepare_v2(db, "PRAGMA journal_mode=wal", -1, &statement, NULL);
    bool is_wal = false;

    database->busy_until_ms = clock_monotonic_ms() + OPEN_WAIT_MS;
    if (result == SQLITE_OK)
        result = sqlite3_step(statement);
    if (result == SQLITE_ROW)
        is_wal = text_equal((const char *)sqlite3_column_text(statement, 0), "wal");
    sqlite3_finalize(statement);

    if (result != SQLITE_ROW)
        return conn_error(err, db, result, "switch to WAL mode");
    if (!is_wal)
        FAIL(err, RC_UNSUPPORTED, "the database cannot be switched to WAL mode");
    return RC_OK;
}

static rc database_judge_file(
    struct database *database, const struct database_options *options, struct error *err)
{
    uint8_t sample[DATABASE_HEADER_SAMPLE_SIZE];
    uint64_t file_size = 0;

    TRY(conn_file_size(&database->reader, &file_size, err));
    TRY(conn_read_file(&database->reader, sample, sizeof sample, 0, err));
    database->page_size = database_header_page_size(bytes_of(sample, sizeof sample));

    switch (database_header_judge(bytes_of(sample, sizeof sample), file_size)) {
    case DATABASE_FILE_EMPTY:
        FAIL(err, RC_MISMATCH,
            "the file is empty; nothing was ever committed into it: let the application create "
            "its database first");
    case DATABASE_FILE_FOREIGN:
        FAIL(err, RC_CORRUPT, "the file is not an SQLite database");
    case DATABASE_FILE_ENCRYPTED:
        FAIL(err, RC_UNSUPPORTED,
            "the file looks encrypted (or its first page is damaged); encrypted databases are "
            "not supported");
    case DATABASE_FILE_FUTURE:
        FAIL(err, RC_UNSUPPORTED, "the file has a format version that is newer than SQLite %s",
            sqlite3_libversion());
    case DATABASE_FILE_ROLLBACK:
        if (!options->convert_to_wal)
            FAIL(err, RC_MISMATCH,
                "the database is not in WAL mode; run 'PRAGMA journal_mode=wal' once, or allow "
                "the conversion");
        return database_convert(database, err);
    case DATABASE_FILE_WAL:
        return RC_OK;
    }
    assert(false);
    return RC_CORRUPT;
}

/* SQLite's own first look: recovers the log if it has to, and maps its index. */
static rc database_first_read(struct database *database, struct error *err)
{
    struct conn *conn = &database->reader;
    rc code = database_begin_read(database, conn, OPEN_WAIT_MS, err);

    if (code == RC_BUSY)
        FAIL(err, RC_UNSUPPORTED,
            "another process keeps the database locked; it must use locking_mode=NORMAL");
    TRY(code);
    conn_end_read(conn);
    return RC_OK;
}

static rc database_open_log(struct database *database, struct error *err)
{
    const volatile uint8_t *region = NULL;
    struct stat status;

    TRY(wal_index_region(database, 0, &region, err));
    if (region == NULL)
        FAIL(err, RC_MISMATCH, "the database left WAL mode while it was being opened");

    /* For writing only because it is cut (log_cut.c). */
    TRY(fs_open(&database->log_fd, database->log_path, O_RDWR, 0, err));
    TRY(fs_open(&database->index_fd, database->index_path, O_RDONLY, 0, err));
    TRY(fs_stat(&status, database->log_path, err));
    database->log_identity = identity_of(&status);
    TRY(fs_stat(&status, database->index_path, err));
    database->index_identity = identity_of(&status);
    return RC_OK;
}

/* All zero when there is no such file. */
static struct database_file_identity identity_of_name(const char *path)
{
    struct stat status;

    return stat(path, &status) == 0 ? identity_of(&status) : (struct database_file_identity){ 0 };
}

static bool was_replaced(
    const struct database_file_identity *before, const struct database_file_identity *after)
{
    return before->inode != 0 && !identity_same(before, after);
}

/*
 * SQLite opens the log and its index by their names and does not tell which files it got. Where a
 * name led to the same file before and after, it was that one. If somebody removed the index in
 * between, we would look into one that no application ever changes again.
 */
static rc database_open_files(
    struct database *database, const struct database_options *options, struct error *err)
{
    struct database_file_identity log_before = identity_of_name(database->log_path);
    struct database_file_identity index_before = identity_of_name(database->index_path);

    TRY(database_check_access(database, err));
    TRY(database_connect(database, &database->reader, err));
    TRY(database_judge_file(database, options, err));
    TRY(database_first_read(database, err));
    TRY(database_open_log(database, err));
    if (database_has_moved(database) || was_replaced(&log_before, &database->log_identity) ||
        was_replaced(&index_before, &database->index_identity))
        FAIL(err, RC_BUSY, "the file was replaced while it was being opened");
    return RC_OK;
}

rc database_open(struct database **ret, const char *path, const struct database_options *options,
    struct error *err)
{
    assert(ret != NULL);

    struct database *database = mem_new(sizeof *database);
    database->log_fd = -1;
    database->index_fd = -1;
    database->pin_holder = PIN_NONE;

    rc code = database_claim(database, path, err);
    if (code == RC_OK) {
        code = database_open_files(database, options, err);
        if (code != RC_OK)
            code = error_wrap(err, code, "database '%s'", path);
    }
    if (code != RC_OK) {
        database_close(database);
        return code;
    }

    *ret = database;
    return RC_OK;
}

void database_close(struct database *database)
{
    if (database == NULL)
        return;

    assert(!database->holds_write_lock);
    for (size_t i = 0; i < PIN_CONNECTION_COUNT; i++)
        conn_close(&database->pins[i]);
    conn_close(&database->locker);
    conn_close(&database->checkpointer);
    conn_close(&database->reader);
    auto_fd_release(&database->log_fd);
    auto_fd_release(&database->index_fd);
    inode_claim_drop(&database->claim);
    free(database->regions);
    free(database->path);
    free(database->log_path);
    free(database->index_path);
    free(database);
}

const char *database_path(const struct database *database)
{
    return database->path;
}

const char *database_log_path(const struct database *database)
{
    return database->log_path;
}

void database_file_identity(const struct database *database, struct database_file_identity *ret)
{
    *ret = database->identity;
}

static bool database_name_leads_to(const char *path, const struct database_file_identity *expected)
{
    struct database_file_identity found = identity_of_name(path);

    return identity_same(&found, expected);
}

bool database_has_moved(struct database *database)
{
    return !database_name_leads_to(database->path, &database->identity) ||
           !database_name_leads_to(database->log_path, &database->log_identity) ||
           !database_name_leads_to(database->index_path, &database->index_identity);
}

rc database_read_log_header(struct database *database, struct wal_header *ret, struct error *err)
{
    uint8_t raw[WAL_HEADER_SIZE];
    size_t size = 0;

    TRY(fs_read_some(database->log_fd, raw, sizeof raw, 0, &size, err));
    if (size == 0)
        FAIL(err, RC_NOT_FOUND, "the log is empty");
    return wal_header_decode(ret, bytes_of(raw, size), err);
}

rc database_read_frame(struct database *database, uint32_t frame, uint8_t *out, struct error *err)
{
    assert(frame > 0);

    uint64_t offset = wal_frame_offset(database->page_size, frame) + WAL_FRAME_HEADER_SIZE;
    return fs_read_exact(database->log_fd, out, database->page_size, offset, err);
}

rc database_read_file_page(
    struct database *database, uint32_t pgno, uint8_t *out, struct error *err)
{
    assert(pgno > 0);

    uint64_t offset = (uint64_t)(pgno - 1) * database->page_size;
    return conn_read_file(&database->reader, out, (int)database->page_size, offset, err);
}

rc database_read_page(
    struct database *database, uint32_t pgno, uint32_t frame_bound, uint8_t *out, struct error *err)
{
    uint32_t frame = 0;

    if (frame_bound > 0)
        TRY(database_find_frame(database, pgno, frame_bound, &frame, err));
    if (frame > 0)
        return database_read_frame(database, frame, out, err);
    return database_read_file_page(database, pgno, out, err);
}

rc database_checkpoint_runs(struct database *database, bool *ret, struct error *err)
{
    TRY(database_connect_locker(database, err));
    rc locked = conn_lock_index(&database->locker, WAL_INDEX_LOCK_CHECKPOINT, err);
    if (locked == RC_OK)
        conn_unlock_index(&database->locker, WAL_INDEX_LOCK_CHECKPOINT);
    if (locked != RC_OK && locked != RC_BUSY)
        return locked;
    *ret = locked == RC_BUSY;
    return RC_OK;
}
