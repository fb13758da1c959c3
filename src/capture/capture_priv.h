/*
 * capture_priv - the object behind capture.h, shared by the files of this layer
 */
#ifndef SEAWAL_CAPTURE_CAPTURE_PRIV_H
#define SEAWAL_CAPTURE_CAPTURE_PRIV_H

#include "base/background.h"
#include "capture/capture.h"
#include "checkpoint_policy_priv.h"
#include "segment/page_set.h"
#include "spool_priv.h"
#include "sqlite/database.h"
#include "sqlite/pin.h"
#include "sqlite/wal_format.h"
#include "state_priv.h"

enum { SEGMENT_TRANSACTION_COUNT_MAX = 65536 };

/*
 *   IDLE ----- begin, start -----> FOLLOWING ---- a replaced file, a broken map ----> FAILED
 *
 * IDLE        nothing is pinned; the state folder says where we are, if it does
 * FOLLOWING   the pin is held; position, place and digest map agree with the newest segment
 * FAILED      nothing is trusted but what is on disk
 */
enum capture_state { CAPTURE_IDLE, CAPTURE_FOLLOWING, CAPTURE_FAILED, CAPTURE_STATE_COUNT };

/* The database file and the state of SQLite's index at one moment; see walk.c. */
struct file_stamp {
    bool is_known;
    int64_t mtime_ns;
    uint64_t size;
    uint32_t salt[2];
    uint32_t backfilled;
};

/* What was captured since the last window was closed; see window.c. */
struct capture_window {
    int64_t every_ms; /* 0: no windows */
    bool is_open;
    struct capture_position before; /* its transactions follow this one */
    int64_t first_time_ms;          /* of the first of them; 0: nothing was written */
    struct page_set pages;
};

struct capture {
    enum capture_state state;
    struct database *database;
    struct state folder; /* folder.now is the position in every state */
    struct file_mark file_mark;
    uint32_t file_page_size;
    bool adopting;
    struct capture_position adopted_over; /* where the local state stood before */
    uint64_t machine;

    uint64_t segment_size;
    int64_t write_lock_budget_ms;
    struct histogram *write_lock_holds; /* borrowed; may be NULL */
    struct checkpoint_limits limits;
    struct checkpoint_history history;

    /* The log's header when it was last captured to its end; valid while FOLLOWING. */
    struct wal_index_header captured;
    struct spool spool;
    struct capture_window window;

    /*
     * Captured and not durable yet; only while the pin moves (settle.c). SETTLED is CAPTURED as it
     * was when all of it was durable.
     */
    struct spool_writer *writer;
    struct background *settling; /* the thread that makes it durable, or NULL */
    struct wal_index_header settled;
    bool may_defer;
    bool file_may_be_ahead; /* of the captured place: what was not settled is copied again */

    struct log_place pinned; /* where the pin was when it last moved; not beyond its real place */

    struct capture_poison poison; /* not told yet, or not healed yet */
    bool is_alone; /* no checkpoint from before the pin is in flight, so nothing can be struck */

    struct cancel *cancel;         /* looked at while the whole database is read; may be NULL */
    capture_progress_fn *progress; /* may be NULL */
    void *progress_payload;
    struct file_stamp stamp; /* when the file was last known to be what SQLite made it */

    int64_t wall_ms;                   /* of the call in progress */
    struct capture_sync_report report; /* what was done since the last sync that told it */

    /*
     * A page's image before a frame was not what the digest map says, or the log does not continue
     * what was captured: only a resync answers that, and until it succeeded nothing is copied.
     */
    bool in_doubt;
    bool file_is_suspect; /* something that is not SQLite may have written it: to be compared */
    bool resync_barred;   /* the write lock may be held: nothing of the database's size now */
    bool doubt_expected;  /* catching up after a downtime: the file may be ahead of the log */

    /* Two pages: the image that is looked at, and the base of a difference. */
    uint8_t *page;
    uint8_t *base;
};

static inline struct capture_position *capture_now(struct capture *capture)
{
    return &capture->folder.now.position;
}

static inline struct log_place *capture_place(struct capture *capture)
{
    return &capture->folder.now.place;
}

void capture_move(struct capture *capture, enum capture_state next);

/* ---- settle.c */

/* Where the next frame to capture is; beyond the position while something is not settled. */
struct log_place *capture_head_place(struct capture *capture);
uint64_t capture_head_txid(struct capture *capture);

/*
 * All that was captured becomes durable, or nothing that was not. RC_BUSY: not by UNTIL_NS
 * (monotonic); it goes on, and the next call waits for it.
 */
enum { SETTLE_HOWEVER_LONG = 0 };
must_use rc settle_run(struct capture *capture, int64_t until_ns, struct error *err);

/* The same after the pin was to be moved with RESULT; the worse of the two comes back. */
must_use rc settle_after(struct capture *capture, rc result, struct error *err);

/* Back to what is durable. */
void settle_abandon(struct capture *capture);

/* ---- capture.c */

/*
 * Everything up to the header as it is now, in fsynced segments, or where it may be deferred in a
 * segment that settle_run() makes durable; RET is that header.
 */
must_use rc capture_follow(
    struct capture *capture, struct wal_index_header *ret, struct error *err);

/* The same as a client of pin.h. */
struct pin_client capture_pin_client(struct capture *capture);

/* Take note of where the pin stands after it moved. */
void capture_note_pin(struct capture *capture);

/* The header, asked for again a bounded number of times while somebody changes it. */
must_use rc capture_read_header(
    struct capture *capture, struct wal_index_header *ret, struct error *err);

/* ---- heal.c */

/* Look whether the log's index is poisoned, and heal it; capture->poison says what was found. */
must_use rc capture_heal(struct capture *capture, struct error *err);

/* ---- image.c */

/* What HEADER says is the place at its end. */
struct log_place log_place_of(const struct wal_index_header *header);
bool log_place_same_log(const struct log_place *place, const struct wal_index_header *header);

/* A reader's view of the database: the log up to PLACE over the file. */
struct image_view {
    struct log_place place;
    uint32_t backfilled; /* frames that were in the file when the view was opened */
};

/* The view of HEADER, which is the present one. The pin must protect it as long as it is used. */
must_use rc image_view_open(struct capture *capture, struct image_view *ret,
    struct wal_index_header *header, struct error *err);

/* The page as SQLite would read it there. */
must_use rc image_read(struct capture *capture, const struct image_view *view, uint32_t pgno,
    uint8_t *out, struct error *err);

/*
 * The page as of PLACE that has the digest which the map knows for it. RC_MISMATCH: neither the log
 * nor the file has that image.
 */
must_use rc image_read_known(struct capture *capture, const struct log_place *place, uint32_t pgno,
    uint8_t *out, struct error *err);

/* ---- snapshot.c */

/*
 * The page as of the captured place into OUT. RC_CORRUPT: the database holds another one. RC_BUSY:
 * so it does, but nothing reads it; capture is in doubt now, and a sync answers that.
 */
must_use rc capture_read_page(
    struct capture *capture, uint32_t pgno, uint8_t *out, struct error *err);

/* ---- window.c */

/* The transaction in progress wrote PGNO. */
void window_note_page(struct capture *capture, uint32_t pgno);

/* ---- walk.c */

typedef rc image_each_fn(void *payload, uint32_t pgno, struct bytes page, struct error *err);

struct image_walk {
    const char *what; /* for people */
    const struct image_view *view;
    const struct wal_index_header *header; /* of the view */
    image_each_fn *each;
    void *payload;
};

/*
 * Every page of the view but the lock page, ascending. RC_CANCELLED. RC_BUSY: the file was written
 * by something that is not SQLite meanwhile, or holds nothing: what EACH was given is no state of
 * the database.
 */
must_use rc image_walk(struct capture *capture, const struct image_walk *walk, struct error *err);

/* After our own checkpoints: the file is what they made it. */
void file_stamp_note(struct capture *capture);

/* The file is suspect from now on when something else than a checkpoint moved it since then. */
must_use rc file_stamp_check(struct capture *capture, struct error *err);

/* ---- freelist.c */

/* Whether PGNO is a free page without content at the captured place. */
must_use rc freelist_has(struct capture *capture, uint32_t pgno, bool *ret, struct error *err);

/* ---- log_copy.c */

/*
 * Segments of the frames behind the captured place up to HEADER; the last one stays unfinished
 * where it may be deferred. RC_MISMATCH: the log does not continue there. Whole segments that were
 * finished before a failure stay, and the position with them.
 */
must_use rc log_copy_run(
    struct capture *capture, const struct wal_index_header *header, struct error *err);

/* ---- resync.c */

/*
 * One resync transaction of the pages that differ from the map; none when none differs. RET is the
 * header as of which it was.
 */
must_use rc resync_run(struct capture *capture, struct wal_index_header *ret, struct error *err);

/* A suspect file, read as of the captured place: what was captured, or capture is in doubt. */
must_use rc resync_judge(struct capture *capture, struct error *err);

#endif
