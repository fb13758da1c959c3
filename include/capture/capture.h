/*
 * capture - from a live database to level-0 segments in a local directory
 *
 * One object per database. It owns the pins, the digest map, the position and the spool directory
 * STATE_DIR/spool; it knows no store. The state folder is locked: one process per database.
 *
 *            capture_open
 *                 |
 *               IDLE ------ capture_begin / capture_adopt_* ------> IDLE with a position
 *                 |
 *            capture_start      takes the pin, then proves continuity or resynchronises by digest
 *                 |
 *             FOLLOWING <---- capture_sync / capture_maintain / capture_snapshot_*
 *                 |
 *               FAILED          a foreign sign or an error it cannot answer: close and open again
 *
 * Thread rules: one thread at a time per object; capture_snapshot_next() as well, but the caller
 * may let go of its lock between calls.
 */
#ifndef SEAWAL_CAPTURE_CAPTURE_H
#define SEAWAL_CAPTURE_CAPTURE_H

#include "base/cancel.h"
#include "base/error.h"
#include "base/histogram.h"
#include "segment/segment.h"

#include <stdbool.h>
#include <stdint.h>

struct capture;

/* While the whole database is read, every ten seconds or so. WHAT is for people. */
typedef void capture_progress_fn(
    void *payload, const char *what, uint64_t page_count_done, uint64_t page_count);

struct capture_options {
    struct cancel *cancel;         /* ends a read of the whole database; may be NULL; borrowed */
    capture_progress_fn *progress; /* may be NULL */
    void *progress_payload;
    const char *path;               /* the database */
    const char *machine_id_path;    /* NULL: /etc/machine-id; a file that is not there: unknown */
    const char *state_dir;          /* NULL: .NAME-seawal beside the database, mode 0700 */
    bool convert_to_wal;            /* see database_options */
    uint64_t segment_size;          /* cut segments at about this many stored bytes; 0: 8 MiB */
    uint32_t checkpoint_page_count; /* frames in the log from which a reset is tried; 0: 1,000 */
    uint64_t truncate_size;         /* log file size from which it is cut; 0: 64 MiB */
    int64_t write_lock_budget_ms;   /* 0: 20 */
    uint64_t spool_size;            /* level 0 that waits is merged beyond; 0: 10 x truncate_size */
    int64_t window_ms;              /* see capture_window(); 0: never */

    /* Each hold of SQLite's write lock by us is noted there, at once; outlives the object; NULL:
     * nowhere. */
    struct histogram *write_lock_holds;
};

/* Where a history stands. */
struct capture_position {
    struct database_id database_id;
    uint32_t timeline;
    uint64_t txid;
    uint64_t digest;
    uint32_t page_count;
    uint32_t page_size;
    int64_t time_ms;
};

/*
 * Opens the database (codes as database_open()), locks the state folder (RC_BUSY: another process)
 * and loads what is there. Nothing is pinned yet and nothing in the state folder is changed, but
 * what a crash left there is swept.
 */
must_use rc capture_open(
    struct capture **ret, const struct capture_options *options, struct error *err);

/* Lets go of pins and files; what was captured is safe in the spool. Waits for nobody. */
void capture_close(struct capture *capture);

enum capture_state_kind {
    CAPTURE_STATE_NONE,     /* no usable state: begin or adopt */
    CAPTURE_STATE_POSITION, /* a position and a digest map that agree: start */
    CAPTURE_STATE_DAMAGED,  /* a position, but the digest map does not agree with it: adopt */
    CAPTURE_STATE_REPLACED, /* a position of another file or page size, or one to depart from:
                               compare; start or begin */
};
enum capture_state_kind capture_state_kind(const struct capture *capture);

/*
 * What was found damaged in the state folder, with RC_CORRUPT, though nothing of it is needed: the
 * kind is then NONE or DAMAGED, and a replica stands in. Borrowed; code RC_OK: nothing.
 */
const struct error *capture_state_trouble(const struct capture *capture);

/*
 * Why the position must not be gone on from in its own timeline, for people; NULL: it may. So it is
 * when it was taken from a replica that did not show where this state stood, or when another
 * machine wrote it (the whole machine was copied). Holds until capture_start() or capture_begin().
 */
const char *capture_departure(const struct capture *capture);

/* The newest position on local disk; all zero for CAPTURE_STATE_NONE. */
const struct capture_position *capture_position(const struct capture *capture);

/*
 * The transaction with which the history or timeline began: a snapshot is its content, and no
 * segment leads to it. 0: not known, or it began with a segment.
 */
uint64_t capture_origin_txid(const struct capture *capture);

/* The page size of the open file, which may differ from the position's. */
uint32_t capture_file_page_size(const struct capture *capture);

/* Borrowed; where segments appear (segment/dir.h). */
const char *capture_spool_dir(const struct capture *capture);
const char *capture_state_dir(const struct capture *capture);

/*
 * A new history or timeline that begins with the database as it is: the digest map is computed by
 * reading the whole file under the pin. PARENT is the position it departs from (NULL or zero txid:
 * none; the first txid is then 1, else parent txid + 1). A snapshot must follow. State becomes
 * FOLLOWING. Segments in the spool are kept when PARENT is the local position, since they lead up
 * to it; otherwise they are removed: upload them first if they are worth it.
 */
must_use rc capture_begin(struct capture *capture, const struct capture_position *parent,
    const struct database_id *id, uint32_t timeline, struct error *err);

/*
 * Take over a position that a replica holds: page digests as of POSITION come from the replica's
 * indexes. Calling sequence: adopt_begin, adopt_page for every page, adopt_commit (RC_MISMATCH when
 * the digests do not add up to the position's). State is then CAPTURE_STATE_POSITION when the local
 * state was made from this very file, else CAPTURE_STATE_REPLACED, also after the next open, until
 * capture_start(): whether file and position belong together is the caller's to find out.
 *
 * Segments in the spool that continue POSITION on its timeline are applied by adopt_commit, so that
 * the local position comes out (the way back from DAMAGED without losing what was not uploaded
 * yet); segments that have nothing to do with it are removed.
 */
must_use rc capture_adopt_begin(
    struct capture *capture, const struct capture_position *position, struct error *err);
must_use rc capture_adopt_page(
    struct capture *capture, uint32_t pgno, uint64_t digest, struct error *err);
must_use rc capture_adopt_commit(struct capture *capture, struct error *err);

/* Before adopting: forget segments that must not be gone on with, though they continue POSITION. */
must_use rc capture_drop_spool(struct capture *capture, struct error *err);

/* How the open file differs from the position, by reading all of it; page sizes are equal. */
struct capture_difference {
    uint64_t page_count;  /* pages of the file now */
    uint64_t equal_count; /* of them, those with the digest that the position expects */
    bool same_file;       /* same inode and birth time (else device) as the state was made from */
    bool must_depart;     /* capture_departure() says why */
};
must_use rc capture_compare(
    struct capture *capture, struct capture_difference *ret, struct error *err);

/* How capture_start() came to FOLLOWING. */
enum capture_continuity {
    CAPTURE_CONTINUED, /* proved: the log still holds the position's place */
    CAPTURE_UNCHANGED, /* not proved, but no page differs: nothing was shipped */
    CAPTURE_RESYNCED,  /* the pages that differ became one transaction marked resync */
};
struct capture_start_report {
    enum capture_continuity continuity;
    uint64_t resync_page_count;
};

/*
 * Take the pin, then continue from the position. When TIMELINE is not the position's, the segments
 * that follow are of the new timeline (whose parent is the position).
 */
must_use rc capture_start(struct capture *capture, uint32_t timeline,
    struct capture_start_report *ret, struct error *err);

/* Since the last sync that succeeded, so with what capture_maintain() captured in between. */
struct capture_sync_report {
    uint64_t transaction_count;
    uint64_t frame_count;
    uint64_t segment_count;   /* new files in the spool, fsynced */
    uint64_t stored_size;     /* their bytes */
    uint32_t log_frame_count; /* committed frames in the log now */
    bool resynced;            /* a foreign sign was answered by a resync */
    uint64_t resync_page_count;
};

/*
 * Make segments of everything that is committed now. O(1) and without any write when nothing is
 * new. RC_BUSY: SQLite's index is being changed or recovered by somebody; call again a little
 * later. RC_NO_SPACE and RC_IO leave everything as it was: call again when there is room. A foreign
 * sign that a resync by digest can answer (a recovery after a writer died, a restarted log that is
 * not ours) is answered inside. RC_MISMATCH: the file was replaced, its page size or journal mode
 * changed: state FAILED, close and open again.
 */
must_use rc capture_sync(
    struct capture *capture, int64_t wall_ms, struct capture_sync_report *ret, struct error *err);

/*
 * SQLite's WAL-reset bug had struck before we held the log, or a writer was killed in the instant
 * in which it restarted it: its index claims copied frames that cannot be (sqlite/poison.h). It is
 * healed as soon as it is seen, at open or later; until then the pin does not move and nothing is
 * checkpointed. Commits are captured all the same, from the log, which has them all.
 */
enum capture_poison_state {
    CAPTURE_POISON_NONE,
    CAPTURE_POISON_HEALED, /* told once */
    CAPTURE_POISON_BUSY,   /* found; a transaction or a checkpoint is in the way of healing it */
};
struct capture_poison {
    enum capture_poison_state state;
    uint32_t claimed_frames; /* that the index says were copied */
    uint32_t log_frames;     /* of the log when it was found: the commits that were in danger */
};

struct capture_maintain_report {
    struct capture_poison poison;
    bool may_be_struck; /* a checkpoint from before the pin goes on: maintain again soon */
    bool advanced;      /* the pin moved */
    bool reset_tried;
    bool reset_done;
    bool reader_in_the_way;
    int64_t reader_pid; /* of the one that was; 0: unknown */
    bool truncated;
    bool pin_in_slot_zero; /* the next commit restarts the log: sync at once then, since checkpoints
                              that wait for readers wait for us until the pin has moved */
    int64_t write_lock_hold_ns;
    uint64_t log_file_size;
};

/*
 * Move the pin and drive checkpoints when it is worth it (checkpoint_policy.h decides). Captures
 * what is committed first. MONOTONIC_MS paces retries. Nothing happens when nothing changed.
 */
must_use rc capture_maintain(struct capture *capture, int64_t monotonic_ms, int64_t wall_ms,
    struct capture_maintain_report *ret, struct error *err);

/*
 * Keep what waits for the store under its cap (capture/spool_priv.h has the policy and the bound):
 * when more waits, its segments become one merged segment, in slices, one a call. To be called
 * after every sync; costs nothing while little waits. STORED_TXID: the store has everything up to
 * there. Capture goes on between two calls; in_progress asks for the next one soon. An error is
 * about the merge alone, which was given up and is tried again after a minute; capture is as it
 * was.
 */
struct capture_merge_report {
    bool in_progress;
    int64_t due_ms; /* monotonic: to be called again then, though nothing is written; 0: no need */
    bool is_window; /* it was begun by capture_window() */
    bool window_lost; /* such a one was given up */
    bool done;        /* the fields below are about it */
    uint64_t min_txid;
    uint64_t max_txid;
    uint64_t
        lost_point_count; /* transactions that could have been restored to, and no longer can */
    uint64_t source_size; /* bytes on disk of the level-0 segments that it stands for */
    uint64_t stored_size; /* its own */
};
must_use rc capture_merge(struct capture *capture, uint64_t stored_txid, int64_t monotonic_ms,
    struct capture_merge_report *ret, struct error *err);

/*
 * To be called before every sync. What was captured since the last window was closed becomes a
 * merged segment of its own when its window of window_ms, by the wall clock, is over: the images of
 * its pages as of its last transaction are read from the database, since no other one is captured
 * yet; capture_merge() does so in slices. It appears in windows/1/ of the state folder, beside the
 * level-0 segments that it stands for, which stay what they are. Not WANTED, another merge in
 * progress, a failure, a sync whose time was in another window than that of the call before it: the
 * window is lost, and only the replica can merge it.
 *
 * Memory: a bit a page that was written since the last window.
 */
struct capture_window_report {
    bool begun;     /* its merge is in progress */
    bool lost;      /* there was one and nothing comes of it; error says why where it failed */
    int64_t due_ms; /* wall clock: when the window that is open will be over; 0: it is empty */
};
must_use rc capture_window(struct capture *capture, int64_t wall_ms, bool is_wanted,
    struct capture_window_report *ret, struct error *err);

/*
 * After RC_NO_SPACE: gives the log up where holding it takes from the application what it needs
 * itself (capture/spool_priv.h), and says whether it did: state FAILED then, close. The log is left
 * so that the next commit can begin it again. Once there is room, a resync brings what changed.
 */
bool capture_let_go(struct capture *capture);

/*
 * The file system of a folder or file, in bytes. The reserve, CAPTURE_RESERVE_PERCENT of it, is not
 * for what waits for the store.
 */
enum { CAPTURE_RESERVE_PERCENT = 5 };
struct capture_room {
    uint64_t free_size;
    uint64_t total_size;
    uint64_t reserve_size;
};
must_use rc capture_room_of(struct capture_room *ret, const char *path, struct error *err);

/*
 * Whether there is room for a capture of DATABASE_PATH with STATE_DIR, without opening anything:
 * RC_NO_SPACE says where there is none, RC_NOT_FOUND that there is no such state folder.
 */
must_use rc capture_check_room(
    const char *state_dir, const char *database_path, uint64_t stored_txid, struct error *err);

/*
 * A snapshot, page by page, as of the positions at the moments of reading.
 *
 *   capture_snapshot_begin(), capture_snapshot_next() until page_count is 0;
 *   capture_position() is then the position that completes it (all up to it is in the spool)
 *
 * Between calls the caller may sync and maintain: no pin is held for the snapshot. Pages that are
 * appended meanwhile are part of it. A page whose bytes do not have the digest that the map expects
 * is RC_CORRUPT: the database file is damaged. RC_BUSY: sync, then call again. RC_MISMATCH: capture
 * has stopped, maybe before the snapshot began.
 */
enum { SNAPSHOT_CHUNK_PAGE_COUNT = 64 };
struct snapshot_chunk {
    uint64_t txid; /* the pages are as of this transaction */
    size_t page_count;
    uint32_t pgnos[SNAPSHOT_CHUNK_PAGE_COUNT];
    uint64_t digests[SNAPSHOT_CHUNK_PAGE_COUNT];
    uint8_t *pages;  /* page_count * page_size bytes; owned by the chunk, reused by the next call */
    size_t capacity; /* of pages, in bytes */
};
#define SNAPSHOT_CHUNK_INIT ((struct snapshot_chunk){ 0 })
void snapshot_chunk_release(struct snapshot_chunk *chunk);

struct capture_snapshot {
    uint32_t next_pgno;
    uint32_t first_page_count; /* pages of the database when it began */
};
void capture_snapshot_begin(
    struct capture *capture, struct capture_snapshot *ret, struct capture_position *ret_first);
must_use rc capture_snapshot_next(struct capture *capture, struct capture_snapshot *snapshot,
    struct snapshot_chunk *ret, struct error *err);

#endif
