/*
 * database - one SQLite database as we hold it open: connections, log, WAL-index
 *
 * Five connections (two that pin, one that locks, one that checkpoints, one whose file handle is
 * read through), all with autocheckpoint off, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE on, and never a
 * write by us. The database file and its -shm are read through SQLite's own file handles only:
 * POSIX locks belong to the process, and closing any other descriptor of them would drop SQLite's
 * locks. The -wal is safe and is opened by us. The same inode is opened once per process; a second
 * database_open() of it is RC_BUSY.
 *
 * What is committed is what the WAL-index header says (sqlite.org/walformat.html, section 2), read
 * through SQLite's own mapping (SQLITE_FCNTL_FILE_POINTER, xShmMap); never what the file holds.
 *
 * Thread rules: one thread at a time per database.
 */
#ifndef SEAWAL_SQLITE_DATABASE_H
#define SEAWAL_SQLITE_DATABASE_H

#include "base/bytes.h"
#include "base/error.h"

#include <stdbool.h>
#include <stdint.h>

struct database;

struct database_options {
    bool convert_to_wal; /* a database in another journal mode may be switched; else RC_MISMATCH
                            says how */
};

/*
 * RC_NOT_FOUND: no such file (never created by us). RC_CORRUPT: not a database. RC_MISMATCH: not in
 * WAL mode. RC_UNSUPPORTED: exclusive locking or encrypted. RC_DENIED: permissions, read-only. An
 * empty file (0 bytes) is RC_MISMATCH: nothing was ever committed into it. Each text says what to
 * do.
 */
must_use rc database_open(struct database **ret, const char *path,
    const struct database_options *options, struct error *err);
void database_close(struct database *database);

/* Valid as long as the database. */
const char *database_path(const struct database *database);
const char *database_log_path(const struct database *database);

/* What identifies the file itself, so that a replaced one is recognised. */
struct database_file_identity {
    uint64_t device;
    uint64_t inode;
};
void database_file_identity(const struct database *database, struct database_file_identity *ret);

/* Whether the names still lead to the files that are open (replaced, deleted: true). */
bool database_has_moved(struct database *database);

/*
 * The WAL-index header; both copies equal and checksum right. SQLite leaves page size and page
 * count at 0 while a log that was found empty stays empty: then they are filled in here from the
 * database file (its header, and its size), so neither is ever 0.
 */
struct wal_index_header {
    uint32_t change_counter;
    uint32_t page_size;
    uint32_t frame_count;       /* mxFrame: committed frames in the log */
    uint32_t page_count;        /* nPage: database size after the last commit */
    uint32_t frame_checksum[2]; /* aFrameCksum of frame mxFrame */
    uint32_t salt[2];           /* as in the log's header, converted to host order */
    bool big_endian_checksum;   /* word order of frame checksums */
};

/*
 * RC_BUSY: somebody is changing it or recovering it; look again. The number of tries inside is
 * bounded; an index that a dead writer left half changed is repaired by a read of SQLite's.
 */
must_use rc database_log_header(
    struct database *database, struct wal_index_header *ret, struct error *err);

/*
 * Frames that checkpoints have copied into the database file (nBackfill); 0 where the index claims
 * what cannot be (sqlite/poison.h), since every frame of the log counts then.
 */
uint32_t database_backfilled(struct database *database);

/* Whether somebody checkpoints just now. Takes the checkpoint lock for a moment to find out. */
must_use rc database_checkpoint_runs(struct database *database, bool *ret, struct error *err);

/*
 * The newest frame that holds page PGNO among frames 1..FRAME_BOUND, 0 when there is none.
 * FRAME_BOUND must be pinned and committed. Uses the WAL-index hash tables; no memory.
 */
must_use rc database_find_frame(struct database *database, uint32_t pgno, uint32_t frame_bound,
    uint32_t *ret_frame, struct error *err);

/* The page content of log frame FRAME into OUT (page_size bytes); not verified here. */
must_use rc database_read_frame(
    struct database *database, uint32_t frame, uint8_t *out, struct error *err);

/* The page from the database file into OUT; zeros beyond its end. */
must_use rc database_read_file_page(
    struct database *database, uint32_t pgno, uint8_t *out, struct error *err);

/* The image of PGNO as of frame FRAME_BOUND: from the log if it is there, else from the file. */
must_use rc database_read_page(struct database *database, uint32_t pgno, uint32_t frame_bound,
    uint8_t *out, struct error *err);

/*
 * Committed frames in order, each verified against the chain of checksums.
 *
 *   struct log_scan scan; log_scan_begin() at a known place (or at the start of the log),
 *   log_scan_next() up to a bound that came from database_log_header()
 *
 * Reads in chunks of 256 KiB at most. A frame whose salt or checksum does not continue the chain is
 * RC_MISMATCH: the log was restarted or recovered under us, a foreign sign.
 */
struct log_frame_header {
    uint32_t pgno;
    uint32_t commit_page_count; /* not 0: last frame of a transaction, database size after it */
};
struct log_scan {
    struct database *database;
    uint32_t frame; /* frames passed */
    uint32_t checksum[2];
    uint32_t salt[2];
    uint32_t checkpoint_sequence;
    uint32_t page_size;
    bool big_endian_checksum;
    uint32_t unfinished_count; /* committed frames that SQLite left without a checksum, so far */
    bool is_chain_open;        /* the frame before had no checksum to continue from */
    uint8_t *buffer;           /* owned */
    size_t buffer_size;
    uint32_t buffer_first;
    uint32_t buffer_count;
};
#define LOG_SCAN_INIT ((struct log_scan){ 0 })
#define auto_log_scan __attribute__((cleanup(log_scan_release)))
void log_scan_release(struct log_scan *scan);

/*
 * From frame 1: reads and checks the log's header. RC_NOT_FOUND: no frame is committed in the log
 * as it is now (its header on disk may be an old one, and its salts may change until the first
 * commit).
 */
must_use rc log_scan_begin(struct log_scan *scan, struct database *database, struct error *err);

/*
 * Continue behind FRAME_COUNT frames whose running checksum is CHECKSUM. Proved: salts and the
 * checksum of that frame in the log; RC_MISMATCH when the log is another one, or shorter.
 */
must_use rc log_scan_begin_at(struct log_scan *scan, struct database *database,
    const uint32_t salt[2], uint32_t frame_count, const uint32_t checksum[2], struct error *err);

/*
 * The next frame up to and including BOUND; *RET_PAGE is borrowed until the next call. RC_NOT_FOUND
 * when BOUND is reached. HEADER is the one BOUND came from (SQLite can leave frames of one
 * transaction without final checksums while it rewrites them; what the header covers is final).
 */
must_use rc log_scan_next(struct log_scan *scan, const struct wal_index_header *header,
    struct log_frame_header *ret, struct bytes *ret_page, struct error *err);

/*
 * What SQLite says about a whole file that nobody writes; FULL runs PRAGMA integrity_check, else
 * quick_check. RC_CORRUPT: it is damaged. RC_UNSUPPORTED: SQLite cannot say, because the schema
 * needs a collation or a module that only the application has. RC_BUSY: the file is open in this
 * process.
 */
must_use rc database_check_integrity(const char *path, bool full, struct error *err);

/*
 * The release of SQLite that wrote page 1 last, as of the newest commit; 0: not told. A writer that
 * changes neither the schema nor the file's size leaves page 1 alone. The log must be pinned.
 */
must_use rc database_writer_version(struct database *database, int *ret, struct error *err);

/*
 * Whether a release has the WAL-reset bug: 3.7.0 to 3.51.2, but for the back-ports of the fix,
 * 3.50.7 and 3.44.6 (sqlite.org/wal.html#walresetbug). Numbers are as those of
 * sqlite3_libversion_number().
 */
bool sqlite_has_wal_reset_bug(int version_number);
#define SQLITE_WAL_RESET_BUG_FIXED "3.51.3 or later (3.50.7 and 3.44.6 have the fix as well)"

/* "3.40.1" for 3040001. */
enum { SQLITE_VERSION_TEXT_SIZE = 24 };
void sqlite_version_format(char out[SQLITE_VERSION_TEXT_SIZE], int version_number);

/* The linked library. */
int sqlite_library_number(void);
const char *sqlite_library_version(void);

#endif
