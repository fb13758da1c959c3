/* What the files of this layer share of struct database. */
#ifndef SEAWAL_SQLITE_DATABASE_PRIV_H
#define SEAWAL_SQLITE_DATABASE_PRIV_H

#include "conn_priv.h"
#include "inode_claim_priv.h"
#include "sqlite/database.h"
#include "sqlite/pin.h"
#include "sqlite/poison.h"
#include "sqlite/wal_format.h"

enum {
    PIN_CONNECTION_COUNT = 2,
    PIN_NONE = -1,

    /* How long one of our own statements waits for SQLite's locks while no lock of ours is held. */
    DATABASE_BUSY_WAIT_MS = 1000,
};

struct database {
    char *path; /* absolute, no symbolic links: the name SQLite puts -wal and -shm beside */
    char *log_path;
    char *index_path;

    struct inode_claim claim;
    struct database_file_identity identity;
    struct database_file_identity log_identity;
    struct database_file_identity index_identity;

    /*
     * Opened when first needed: an idle database that is pinned has the reader and one pin. The
     * reader's file handle is the one that files and index are looked at through; the checkpointer
     * may work in another thread meanwhile.
     */
    struct conn reader;
    struct conn checkpointer;
    struct conn locker; /* its statements never run while it holds a lock */
    struct conn pins[PIN_CONNECTION_COUNT];

    int log_fd;
    int index_fd; /* only to ask for locks; closed when no connection is left that could have one */
    uint32_t page_size; /* cannot change in WAL mode, and our locks keep the mode */

    /* The WAL-index in regions of 32 KiB, as SQLite mapped them; NULL where not asked for yet. */
    const volatile uint8_t **regions;
    size_t region_count;

    /* The last poison that was confirmed, and the log it was in; claimed_frames 0: none. */
    struct index_poison poison;
    uint32_t poison_salt[2];

    bool sync_failed; /* of the database file, and recopy.c has not made up for it */

    int64_t busy_until_ms; /* our own statements give up then */
    bool holds_write_lock; /* no statement of ours may wait, and none can recover the index */
    int64_t write_lock_taken_ns;
    int64_t write_lock_until_ns;

    int pin_holder; /* PIN_NONE, or which of pins holds the read transaction */
    bool pin_maybe_in_slot_zero;
    bool pin_in_slot_zero;
    uint32_t pin_frame_mark;
};

/* Open CONN for DATABASE if it is not open yet. */
must_use rc database_connect(struct database *database, struct conn *conn, struct error *err);

/* Begin a read transaction, waiting at most WAIT_MS for SQLite's locks. */
must_use rc database_begin_read(
    struct database *database, struct conn *conn, int64_t wait_ms, struct error *err);

/* The connection that takes locks, ready to take them. */
must_use rc database_connect_locker(struct database *database, struct error *err);

/* The connection that checkpoints, ready to do so. */
must_use rc database_connect_checkpointer(struct database *database, struct error *err);

/*
 * Whether another process is in a transaction, reading or writing; false also where the kernel does
 * not tell.
 */
bool database_has_foreign_reader(const struct database *database);

/*
 * RC_BUSY: somebody had it for longer than we try. A transaction that has begun to read and goes on
 * to write is refused without a wait while we hold the lock, whatever its busy timeout; so for a
 * moment one is waited for in which no other process has a transaction open.
 */
must_use rc write_lock_take(
    struct database *database, const struct reset_limits *limits, struct error *err);

/* How long it was held. */
int64_t write_lock_release(struct database *database, const struct reset_limits *limits);

/*
 * What must follow a checkpoint that answered CODE, and precede the next step of the pin. RC_BUSY:
 * an fsync failed, now or before, and what follows from that could not be done yet; call it again.
 * RC_IO, or CODE: it is done.
 */
must_use rc recopy_after(struct database *database, rc code, struct error *err);

/* The pin is about to go: what recopy_after() could not do is tried for a second. */
void recopy_before_end(struct database *database);

/* pin_client.capture, called again while the header is being changed; gives up after a while. */
must_use rc pin_capture(struct database *database, const struct pin_client *client,
    struct wal_index_header *ret, struct error *err);

/* pin_client.settle, where there is one. */
must_use rc pin_settle(const struct pin_client *client, int64_t until_ns, struct error *err);

/* Region INDEX of the WAL-index; *RET is NULL when it does not exist (yet). */
must_use rc wal_index_region(
    struct database *database, size_t index, const volatile uint8_t **ret, struct error *err);

/* The page number that the WAL-index has for FRAME; 0 when it has none. */
must_use rc wal_index_pgno_of(
    struct database *database, uint32_t frame, uint32_t *ret, struct error *err);

/* The frame that readers in SLOT (0..4) look up to; whether anybody is there, the locks say. */
uint32_t wal_index_read_mark(const struct database *database, unsigned slot);

/* mxFrame, nBackfill and salts as they stand at this moment, whole or not, and believed or not. */
struct wal_index_words {
    uint32_t claimed_frames; /* nBackfill */
    uint32_t log_frames;     /* mxFrame; read after nBackfill, so that neither can fall behind */
    uint32_t salt[2];
};
enum { WAL_INDEX_WORDS_SIZE = 100 }; /* of the file, for those who do not map it */
struct wal_index_words wal_index_words_decode(const uint8_t raw[WAL_INDEX_WORDS_SIZE]);
struct wal_index_words wal_index_words_read(const struct database *database);

/*
 * Say that no frame was copied, and announce that as a commit announces itself, so that every
 * connection drops its cached pages. The caller holds the write and the checkpoint lock. RC_BUSY:
 * the header is not whole.
 */
must_use rc wal_index_disclaim(struct database *database, struct error *err);

/* The header without healing and without waiting; RC_BUSY when it is not consistent right now. */
must_use rc wal_index_header_try(
    struct database *database, struct wal_index_header *ret, struct error *err);

/* The log's own header from the log file, checked. RC_NOT_FOUND: the log is empty. */
must_use rc database_read_log_header(
    struct database *database, struct wal_header *ret, struct error *err);

#endif
