/*
 * pin - the read transaction that keeps SQLite from overwriting what we have not captured
 *
 * SQLite's rules (wal.c): a reader sits in slot 1..4 with a mark, or in slot 0 when everything was
 * backfilled at its start; a checkpoint copies at most up to the smallest mark, and nothing while
 * somebody is in slot 0; a writer restarts the log only when everything is backfilled and nobody is
 * in slots 1..4. DESIGN: the log is never unpinned; pins never stand beyond what is captured.
 *
 * A hand-over is the only way a pin moves: the new connection begins its read; the client captures
 * everything up to the header as it is now, and settles it (makes it durable) if the new pin may be
 * in slot 0; if the old pin may be in slot 0, the checkpoint lock is taken for a moment, which
 * proves that no checkpointer with a header from before the restart is in flight; only then the old
 * one ends.
 *
 * Nobody is ever waited for while the write lock is held; it is given back after a budget.
 */
#ifndef SEAWAL_SQLITE_PIN_H
#define SEAWAL_SQLITE_PIN_H

#include "base/error.h"
#include "base/histogram.h"
#include "sqlite/database.h"

#include <stdbool.h>
#include <stdint.h>

/*
 * Who captures.
 *
 * capture() takes everything up to the WAL-index header as it is now, and tells that header in RET:
 * afterwards neither the frames' earlier images are needed, nor the frames but for want of
 * durability. RC_BUSY: the header is being changed, call again.
 *
 * settle() makes all that was captured safe (in a store or fsynced in the spool): the log may be
 * let go. It waits until UNTIL_NS (monotonic; 0: however long) and is RC_BUSY then, while the work
 * goes on; the next call waits for its end. NULL: what was captured is safe at once.
 *
 * Any other failure stops the hand-over and the old pin stays.
 */
struct pin_client {
    rc (*capture)(void *payload, struct wal_index_header *ret, struct error *err);
    rc (*settle)(void *payload, int64_t until_ns, struct error *err);
    void *payload;
};

/* The first pin. After it the database's log cannot lose frames. */
must_use rc pin_hold(struct database *database, struct error *err);
void pin_drop(struct database *database);

/*
 * Prove that no checkpointer is in flight whose look at the index is older than this call. One that
 * looked before the first pin stood can still be struck by the WAL-reset bug (poison.h); once this
 * has been RC_OK with the pin held, none can. RC_BUSY: one is at work; it is waited for briefly.
 */
must_use rc pin_outlast_checkpointers(struct database *database, struct error *err);

/* Where the pin stands. */
struct pin_state {
    bool held;
    bool in_slot_zero;   /* certainly: the next writer may restart the log */
    uint32_t frame_mark; /* frames of the log the pin protects up to, as last seen */
};
void pin_state_read(const struct database *database, struct pin_state *ret);

/* Move the pin to the newest state. */
must_use rc pin_advance(
    struct database *database, const struct pin_client *client, struct error *err);

/*
 * One PASSIVE checkpoint up to the pin. The application's own, at its next commit, then finds
 * nothing to copy and nothing to sync.
 */
must_use rc pin_backfill(
    struct database *database, const struct pin_client *client, struct error *err);

struct reset_limits {
    bool is_quiet; /* never take the write lock: only a pause of the application lets it succeed */
    int64_t write_lock_budget_ms; /* how long the write lock may be held; 20 by default */
    int64_t write_lock_wait_ms;   /* how long it is tried for; never with a queue behind it */
    uint32_t remainder_frames;    /* frames left that are worth taking the write lock for */
    struct histogram *holds;      /* every hold of the write lock is noted there; may be NULL */
};

struct reset_report {
    bool done; /* the pin is in slot 0 and everything is backfilled: the next writer restarts */
    bool reader_in_the_way;     /* a foreign reader holds an older mark; try later */
    uint32_t log_frames;        /* frames in the log when it began */
    uint32_t backfilled_frames; /* when it ended */
    int64_t write_lock_hold_ns; /* 0: not taken */
};

/*
 * Bring the log to the point where the next writer restarts it: PASSIVE checkpoints with hand-overs
 * between them until few frames are left, files synced beforehand; then the write lock, tried
 * briefly; capture the rest, hand over, PASSIVE, hand over into slot 0, release. RC_OK with done
 * false when it had to give up; nothing is lost by that.
 */
must_use rc pin_reset(struct database *database, const struct pin_client *client,
    const struct reset_limits *limits, struct reset_report *ret, struct error *err);

/*
 * The process that has been reading from before the pin for longest, as far as the kernel tells; 0:
 * unknown.
 */
int64_t database_reader_pid(struct database *database);

struct cut_report {
    uint64_t file_size;         /* in the end */
    int64_t write_lock_hold_ns; /* the longest */
};

/*
 * Shorten the log file to KEEP_SIZE, or to where its committed frames end: piece by piece, with the
 * write lock held for each. RET is filled also when it fails. RC_BUSY: a writer is at work for
 * longer than we try; what was cut so far stays cut.
 */
must_use rc log_cut(struct database *database, const struct reset_limits *limits,
    uint64_t keep_size, struct cut_report *ret, struct error *err);

#endif
