/*
 * entry - what the daemon knows of one database, and the works that carry it
 *
 *              entry_open: capture_open, and what replica and state folder say to each other
 *    WAITING ------------------------------------------------------------> FOLLOWING
 *       ^    <------------------------------------------------------------     |
 *       |        a foreign sign that needs a new start, an error               |
 *       +--- retried with back-off                                             |
 *                                                                              v
 *    REFUSED     an operator must decide (unrelated database, another writer): no retry
 *
 * A full disk leaves FOLLOWING as it is, retried every second; only when holding the log would cost
 * the application its own disk it is let go (capture/spool_priv.h): WAITING with no_room, in which
 * the spool goes on being uploaded, so that there is room again.
 *
 * Works: open and upload run in the upload pool since they wait for the network, capture in the
 * capture pool, snapshot in the snapshot pool, merge and expire in the merge pool. capture_mu is
 * held while the capture object is used, never while the network is waited for. Order: replica_mu,
 * capture_mu, mu.
 */
#ifndef SEAWAL_DAEMON_ENTRY_PRIV_H
#define SEAWAL_DAEMON_ENTRY_PRIV_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/cancel.h"
#include "base/error.h"
#include "capture/capture.h"
#include "config/config.h"
#include "metrics_priv.h"
#include "replica/merge.h"
#include "replica/replica.h"
#include "replica/upload.h"
#include "scheduler_priv.h"
#include "store/store.h"
#include "trouble_priv.h"
#include "watch_priv.h"

/* What all entries share; set before the first work runs. */
struct entry_context {
    struct scheduler *scheduler;
    struct pool *capture_pool;
    struct pool *upload_pool;
    struct pool *snapshot_pool;
    struct pool *merge_pool;
    struct watch *watch;
    struct cancel *cancel;
    atomic_size_t refused_count;      /* entries that wait for an operator */
    struct metrics_registry registry; /* of every entry's metrics */
    bool once;
    bool new_timeline;
};

enum entry_state { ENTRY_WAITING, ENTRY_FOLLOWING, ENTRY_REFUSED };

/* Which history a merger merges. */
struct merger_sight {
    struct database_id database_id;
    uint32_t timeline;
};

/* When to look whether another writer has taken the history over (entry_fence.c). */
struct entry_fence {
    uint64_t stored_count; /* segments since the last look */
    int64_t due_ms;        /* monotonic: the next look, when something is stored by then */
    int64_t looked_ms;     /* wall clock, which goes on while a machine sleeps */
    struct replica_timeline successor; /* its claim; timeline 0: none was found */
};

struct entry {
    struct entry_context *context;
    const struct db_config *config;
    char *log_path;
    struct store *store;
    struct replica *replica;
    struct watch_target target;

    bool reset_pending; /* capture work only: a reset was tried and has not succeeded since */

    struct job open_job;
    struct job capture_job;
    struct job upload_job;
    struct job snapshot_job;
    struct job merge_job;
    struct job expire_job;
    struct trouble open_trouble;     /* open work only */
    struct trouble capture_trouble;  /* capture work only */
    unsigned busy_count;             /* capture work only: rounds in a row */
    struct trouble upload_trouble;   /* upload work only */
    struct trouble snapshot_trouble; /* snapshot work only */
    struct trouble merge_trouble;    /* merge work only */
    struct trouble expire_trouble;   /* expire work only */
    int64_t expire_wait_ms;          /* expire work only: until the next run without a change */
    bool expire_refused;             /* expire work only: told that nothing can be removed */
    struct merger *merger;           /* merge work only; NULL: nothing to merge yet */
    struct merger_sight merger_of;   /* merge work only: what MERGER was made for */
    int64_t look_ms; /* capture work only: something was written and no commit was seen: look again
                        after so long; 0: nothing is expected */
    int64_t poison_told_ms; /* capture work only; monotonic, 0: not told */
    int64_t reader_told_ms; /* likewise */

    struct metrics metrics; /* by any thread; see entry_metrics.c */

    pthread_mutex_t capture_mu;
    struct capture *capture; /* NULL unless FOLLOWING; guarded by capture_mu */
    uint64_t generation; /* counts opens, so that a snapshot sees a change; guarded by capture_mu */

    pthread_mutex_t replica_mu; /* held by the open and the upload work as a whole, nobody else */
    struct uploader *uploader;  /* guarded by replica_mu */
    uint64_t written_durable;   /* guarded by replica_mu: what the durable file says */
    bool unconditional_told;    /* guarded by replica_mu */
    struct entry_fence fence;   /* guarded by replica_mu */
    bool by_replica; /* guarded by replica_mu: the local state is not to be gone on from */
    bool is_adopted; /* guarded by replica_mu: the position comes from the replica, in this open */
    struct replica_position common; /* guarded by replica_mu: with by_replica, the last point that
                                       the local state has in common with it; txid 0: not known */
    uint64_t origin_txid; /* guarded by replica_mu: capture_origin_txid() at the last open */
    char *state_dir;      /* guarded by replica_mu */
    char *spool_dir;      /* guarded by replica_mu */

    pthread_mutex_t mu;
    enum entry_state state; /* guarded by mu */
    bool draining;          /* guarded by mu: TERM or once: make all durable soon */
    bool attached;          /* guarded by mu: the replica was looked at since the last open */
    bool uploading;         /* guarded by mu */
    bool log_written;       /* guarded by mu: since the last capture */
    bool no_room; /* guarded by mu: WAITING until there is; what is in the spool is uploaded */
    int64_t room_look_ms; /* guarded by mu; monotonic: no capture before, for want of room */
    bool expire_changed;  /* guarded by mu: something was stored since the last run */
    bool merge_told;      /* guarded by mu: since the spool was last stored as a whole */
    bool in_slot_zero;    /* guarded by mu: the pin stops every checkpoint until it moves */
    bool snapshot_wanted; /* guarded by mu */
    uint64_t sync_begun;  /* guarded by mu: rounds of capture, by number */
    uint64_t sync_done;   /* guarded by mu: the newest that took in all that it found */
    uint64_t drain_sync;  /* guarded by mu: the first one that began after draining did */
    uint32_t timeline;    /* guarded by mu: new segments are made in it */
    struct capture_position captured; /* guarded by mu */
    struct replica_position durable;  /* guarded by mu: log in the store up to here */
    uint64_t snapshot_done_count;     /* guarded by mu: stored by this process */
    uint64_t restorable_from; /* guarded by mu: a stored snapshot is usable from here; 0: none */
    uint64_t snapshot_size;   /* guarded by mu: of the newest one, stored bytes */
    int64_t snapshot_time_ms; /* guarded by mu: wall clock when it began */
    uint64_t log_size;        /* guarded by mu: stored bytes of log behind it */
    uint64_t merged_before;   /* guarded by mu: what was read of it at the last open, as log_size */
    uint64_t merged_size; /* guarded by mu: of what was merged since then, or since the snapshot */
    bool merge_wanted;    /* guarded by mu: when what waits is stored; since the last open */
    bool merged_reset;    /* guarded by mu: a snapshot was stored, which counts anew */
    uint64_t window_before_txid;   /* guarded by mu: the window in progress begins behind it */
    unsigned window_waiting_count; /* guarded by mu: made and not stored */
    bool window_lost;              /* guarded by mu: since the merge work last looked */
    int64_t last_sync_ms;          /* guarded by mu; monotonic */

    /* Guarded by mu; monotonic; 0: none. The oldest write that no capture has looked at, and the
     * oldest transaction that was captured and is not durable. */
    int64_t uncaptured_since_ms;
    int64_t unstored_since_ms;
    struct error refusal; /* guarded by mu: why REFUSED, or the last failure */
};

must_use rc entry_new(struct entry **ret, struct entry_context *context,
    const struct db_config *config, struct error *err);
void entry_free(struct entry *entry);

/* Begin: the open work is due. */
void entry_start(struct entry *entry);

/* From now on everything captured is to become durable soon; one more sync is made. */
void entry_drain(struct entry *entry);

/* How a drain stands. */
enum entry_settlement {
    ENTRY_UNSETTLED, /* in progress */
    ENTRY_SETTLED,   /* everything committed when the drain began is durable and restorable */
    ENTRY_LOST,      /* it failed in a way that waiting does not mend; RET_ERR says how */
};
enum entry_settlement entry_settlement(struct entry *entry, struct error *ret_err);

/* The transaction up to which the replica restores everything; 0: nothing yet. */
uint64_t entry_durable_txid(struct entry *entry);
uint64_t entry_durable_txid_locked(const struct entry *entry); /* with mu held */

/* ---- shared by the entry_*.c files */

void entry_open_run(void *payload);
void entry_capture_run(void *payload);
void entry_upload_run(void *payload);
void entry_snapshot_run(void *payload);
void entry_merge_run(void *payload);
void entry_expire_run(void *payload);

/* Give the capture object up; the open work is due in DELAY_MS. */
void entry_reopen(struct entry *entry, int64_t delay_ms);

/* No retry: an operator must decide. */
void entry_refuse(struct entry *entry, const struct error *err);

/*
 * With replica_mu held, by the upload work: the first look at the replica after an open, which must
 * come before anything is stored. RC_CANCELLED: the local state cannot be gone on from; it is
 * opened again by the replica. RC_MISMATCH: another writer, or another database's replica.
 */
must_use rc entry_attach(struct entry *entry, struct error *err);

/* With replica_mu held, by the upload work, for ERR of the uploader: likewise RC_CANCELLED. */
must_use rc entry_spool_damaged(struct entry *entry, struct error *err);

/*
 * Another writer (entry_fence.c); with replica_mu held. noted: the replica was just looked at, and
 * SUCCESSOR found (NULL: none). before: a segment is about to be stored (PAYLOAD is the entry).
 * after: what was captured is stored; RC_MISMATCH: another writer has taken the history over.
 */
void entry_fence_noted(struct entry *entry, const struct replica_timeline *successor);
must_use rc entry_fence_before(void *payload, struct error *err);
must_use rc entry_fence_after(struct entry *entry, struct error *err);

/* RC_MISMATCH: BY was claimed behind our timeline by another writer. */
must_use rc entry_taken_over(
    struct entry *entry, const struct replica_timeline *by, struct error *err);

/*
 * Our own claims, in the state folder; with replica_mu held. note: before WRITER claims; forget:
 * the local position is in the timeline. claimed_before: whether BY was claimed by a run of this
 * state folder that ended in between.
 */
must_use rc entry_claim_note(struct entry *entry, const char *writer, struct error *err);
void entry_claim_forget(struct entry *entry);
must_use rc entry_claimed_before(
    struct entry *entry, const struct replica_timeline *by, bool *ret, struct error *err);

/*
 * With replica_mu held, by the open work: store what leads up to the position of CAPTURE, so that a
 * timeline can be claimed behind it: no stored timeline departs from what is not stored. RC_BUSY:
 * open again; the local state cannot be gone on from. DEPARTS: nor is it to be; what can be stored
 * is.
 */
must_use rc entry_store_spool(
    struct entry *entry, const struct capture *capture, bool departs, struct error *err);

/*
 * Points to depart from, as the replica has them (entry_depart.c); RET all zero: none. With
 * replica_mu held. restored_point: what a restore noted on the file; forget: it has a history now.
 * note_common: entry->common becomes the first of POSITIONS that the replica has as well.
 */
must_use rc entry_restored_point(struct entry *entry, const struct capture *capture,
    struct replica_position *ret, struct error *err);
void entry_restored_forget(struct entry *entry);
must_use rc entry_note_common(
    struct entry *entry, const struct replica_position *positions, size_t count, struct error *err);

/*
 * An empty replica becomes one of the database FROM: its page size, and its id and timeline where
 * they are not 0, are used.
 */
must_use rc entry_create(struct entry *entry, const struct replica_position *from,
    struct database_id *ret, struct error *err);

/*
 * A new timeline behind PARENT. CONTINUES: its log goes on from there; else it begins with a
 * snapshot and pages of PAGE_SIZE bytes.
 */
must_use rc entry_claim(struct entry *entry, const struct replica_position *parent,
    uint32_t page_size, bool continues, uint32_t *ret, struct error *err);

/* With mu held: the last failure (code RC_OK: none), unless what was refused is still to be told.
 */
void entry_note_failure_locked(struct entry *entry, const struct error *err);

void entry_note_position(struct entry *entry, const struct capture_position *position);
void entry_want_snapshot(struct entry *entry);

/* Something was stored, or may have grown old while nobody looked (entry_expire.c). */
void entry_want_expire(struct entry *entry);

/*
 * The spool's policy (entry_spool.c). Merge, with capture_mu held: what waits for the store is kept
 * under its cap; tell what came of it afterwards. No room: a capture failed with ERR for want of
 * it.
 */
enum { ENTRY_ROOM_RETRY_MS = 1000 };
struct entry_merge {
    struct capture_merge_report report;
    struct error err; /* of the merge alone */
};
void entry_spool_merge(struct entry *entry, struct capture *capture, struct entry_merge *ret);
void entry_spool_tell(struct entry *entry, const struct entry_merge *merge);
void entry_spool_no_room(struct entry *entry, const struct error *err, bool let_go);

/*
 * Windows of time (entry_merge.c). Close, with capture_mu held, before a round captures anything:
 * what was captured in a window that is over begins to be merged; tell what came of it afterwards.
 * Merged: a slice ended one. Time: WALL_MS, or now, where that is in the same window.
 */
struct entry_window {
    struct capture_window_report report;
    struct error err;
    int64_t next_ms; /* look again after so long; 0: never */
};
void entry_window_close(
    struct entry *entry, struct capture *capture, int64_t wall_ms, struct entry_window *ret);
int64_t entry_window_time_ms(const struct entry *entry, int64_t wall_ms);
void entry_window_tell(struct entry *entry, const struct entry_window *window);
void entry_window_merged(struct entry *entry, const struct entry_merge *merge);

/* With mu held: whether a new snapshot is due by what was merged, or by time. */
bool entry_snapshot_is_due_locked(const struct entry *entry);

/* Name a reader that keeps the log from beginning again; after entry_measure_round(). */
void entry_tell_reader(struct entry *entry, const struct capture_maintain_report *maintain);

/* Numbers (entry_metrics.c). note_unstored, with mu held: captured or durable have changed. */
void entry_note_unstored_locked(struct entry *entry);
void entry_measure_round(struct entry *entry, const struct capture_sync_report *sync,
    const struct capture_maintain_report *maintain, int64_t elapsed_ns);
void entry_measure_resync(struct entry *entry, uint64_t page_count);
void entry_measure_upload(struct entry *entry, const struct upload_report *report);
void entry_measure_now(void *payload);

struct replica_position replica_position_of(const struct capture_position *position);
struct capture_position capture_position_of(const struct replica_position *position);

#endif
