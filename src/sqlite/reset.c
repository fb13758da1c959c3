/*
 * Bringing the log to the point where the next writer starts it anew.
 *
 * Most of the work is done without the write lock: PASSIVE checkpoints with hand-overs between
 * them, and fsyncs, so that the checkpoint under the lock has little to copy and little to sync.
 * What it cannot do without are two flushes of the disk, one after the other: of the log, before
 * the database file is written, and of that file, before the log may be restarted. The spool's own
 * two run beside them. So a hold lasts two flushes, and is not begun when two took too long just
 * before.
 * What waits for the disk under the lock does so in threads, and is left to itself when the budget
 * is used up.
 * None of these checkpoints can be the second one of SQLite's WAL-reset bug: while one runs, our
 * pin sits at a mark (the log cannot restart under it) or in slot 0 (it cannot copy anything).
 *
 * The write lock is SQLite's byte in the WAL-index, taken as such: no statement, so no read slot of
 * ours is left behind, and nothing to roll back.
 */
#include "sqlite/pin.h"

#include "base/background.h"
#include "base/clock.h"
#include "database_priv.h"

#include <assert.h>

enum {
    RESET_ROUND_COUNT = 8,
    RESET_PATIENT_ROUND_COUNT = 3, /* then twice as much may be left, and so on */
    RESET_BLOCKED_ROUND_COUNT = 3, /* rounds a foreign reader may hold up before we go */
    RESET_QUIET_ROUND_COUNT = 3,   /* two do the work when the application pauses */
    RESET_LOCK_ROUND_COUNT = 3,
    RESET_HOP_COUNT = 3,
    RESET_PAUSE_US = 300,
    RESET_FOREIGN_PAUSE_US = 5000, /* the application checkpoints, and waits for the disk */
    RESET_CAPTURE_PAUSE_NS = 1000000,
    RESET_LOCK_PAUSE_US = 50,

    /* Frames copied that are worth a flush of the database file, with and without a hold to come.
     */
    RESET_SYNC_FRAME_COUNT = 16,
    RESET_BACKFILL_SYNC_FRAME_COUNT = 1000,
    RESET_ALREADY_NS = 1, /* a deadline that has passed */

    /* Under the lock there may be this many times the remainder that was there before it. */
    RESET_GROWTH_FACTOR = 4,

    RESET_BUDGET_MS_DEFAULT = 20,
    RESET_REMAINDER_DEFAULT = 200,
};

struct reset {
    struct database *database;
    const struct pin_client *client;
    struct reset_limits limits;
    struct reset_report *report;
    bool is_ready;            /* little enough is left for the write lock */
    bool is_checkpointing;    /* the thread below has not been waited for */
    bool wants_sync;          /* of the database file, by that thread */
    uint32_t sync_frames;     /* so many copied frames are worth it */
    uint32_t unsynced_frames; /* copied into the database file since it was synced */
    int64_t checkpoint_ns;    /* what the last one took, syncs of ours aside */
    int64_t sync_ns;          /* what the last sync of ours took; 0: there was none */
    struct background checkpoint;
};

static uint32_t reset_frames_left(const struct reset *reset, const struct wal_index_header *header)
{
    uint32_t backfilled = database_backfilled(reset->database);

    /* Another log may have begun between the two reads. */
    return backfilled > header->frame_count ? 0 : header->frame_count - backfilled;
}

static bool reset_is_done(const struct reset *reset, const struct wal_index_header *header)
{
    return reset->database->pin_in_slot_zero &&
           database_backfilled(reset->database) == header->frame_count;
}

static rc reset_checkpoint_call(void *payload, struct error *err)
{
    struct reset *reset = payload;
    struct conn *conn = &reset->database->checkpointer;

    int64_t began_ns = clock_monotonic_ns();
    TRY(conn_checkpoint(conn, SQLITE_CHECKPOINT_PASSIVE, err));
    int64_t copied_ns = clock_monotonic_ns();
    reset->checkpoint_ns = copied_ns - began_ns;
    reset->sync_ns = 0;
    if (!reset->wants_sync)
        return RC_OK;
    TRY(conn_sync_file(conn, err));
    reset->sync_ns = clock_monotonic_ns() - copied_ns;
    return RC_OK;
}

static rc reset_checkpoint_start(struct reset *reset, struct error *err)
{
    TRY(database_connect_checkpointer(reset->database, err));
    background_start(&reset->checkpoint, reset_checkpoint_call, reset);
    reset->is_checkpointing = true;
    return RC_OK;
}

/*
 * RC_BUSY is told by *RET_RAN: another checkpointer is at it, which serves as well.
 *
 * A connection that failed is not used again: SQLite opens the log for reading alone when it cannot
 * be opened for writing, if only that once, and then never checkpoints.
 */
static rc reset_checkpoint_finish(struct reset *reset, bool *ret_ran, struct error *err)
{
    rc code = background_finish(&reset->checkpoint, err);

    reset->is_checkpointing = false;
    if (reset->database->checkpointer.sync_failed)
        reset->database->sync_failed = true;
    reset->database->checkpointer.sync_failed = false;
    *ret_ran = code == RC_OK;
    if (code == RC_OK || code == RC_BUSY)
        return RC_OK;
    conn_close(&reset->database->checkpointer);
    return code;
}

/*
 * One checkpoint, while what is committed meanwhile is captured: neither needs what the other
 * changes, since it copies no further than the pin, and the pin is not beyond what is captured.
 *
 * The checkpoint under the lock will sync the whole database file; so what is copied before is
 * brought to disk before, but not for a few pages.
 */
static rc reset_checkpoint_beside_capture(struct reset *reset, bool *ret_ran, struct error *err)
{
    struct wal_index_header header;
    uint32_t backfilled = database_backfilled(reset->database);
    uint32_t mark = reset->database->pin_frame_mark;
    rc captured = RC_OK;

    reset->unsynced_frames += mark > backfilled ? mark - backfilled : 0;
    reset->wants_sync = reset->unsynced_frames >= reset->sync_frames;
    if (reset->wants_sync)
        reset->unsynced_frames = 0;
    TRY(reset_checkpoint_start(reset, err));
    do
        captured = pin_capture(reset->database, reset->client, &header, err);
    while (!background_wait(&reset->checkpoint, clock_monotonic_ns() + RESET_CAPTURE_PAUSE_NS) &&
           captured == RC_OK);
    if (captured == RC_OK)
        return reset_checkpoint_finish(reset, ret_ran, err);
    struct error other;
    rc ended = reset_checkpoint_finish(reset, ret_ran, &other);
    return ended == RC_OK || captured != RC_BUSY ? captured : ended;
}

/*
 * The same under the write lock. It ends with fsyncs, which nobody can bound: *RET_ENDED is false
 * when the budget was used up before. Without the lock it is as good as any other checkpoint;
 * reset_join() waits for it.
 */
static rc reset_checkpoint_in_time(
    struct reset *reset, bool *ret_ended, bool *ret_ran, struct error *err)
{
    *ret_ran = false;
    reset->wants_sync = false;
    TRY(reset_checkpoint_start(reset, err));
    *ret_ended = background_wait(&reset->checkpoint, reset->database->write_lock_until_ns);
    return *ret_ended ? reset_checkpoint_finish(reset, ret_ran, err) : RC_OK;
}

/* CODE is what came before, and comes back unless the checkpoint failed. */
static rc reset_join(struct reset *reset, rc code, struct error *err)
{
    struct error late;
    bool ran = false;

    if (!reset->is_checkpointing)
        return code;
    rc ended = reset_checkpoint_finish(reset, &ran, &late);
    if (code != RC_OK || ended == RC_OK)
        return code;
    *err = late;
    return ended;
}

/* What was captured goes to disk beside the checkpoint, not behind it. */
static rc reset_begin_to_settle(struct reset *reset, struct error *err)
{
    rc code = pin_settle(reset->client, RESET_ALREADY_NS, err);

    return code == RC_BUSY ? RC_OK : code;
}

/* Nothing is left: without a writer in between, the next hand-over alone arrives in slot 0. */
static rc reset_try_without_lock(struct reset *reset, struct error *err)
{
    struct wal_index_header header;

    TRY(pin_advance(reset->database, reset->client, err));
    TRY(pin_capture(reset->database, reset->client, &header, err));
    reset->report->done = reset_is_done(reset, &header);
    return RC_OK;
}

/* Whether the write lock is worth taking now. */
static bool reset_is_ready(const struct reset *reset, uint32_t left, uint32_t remainder)
{
    /* One that copies little is a flush of the log; under the lock the database's comes to that. */
    int64_t sync_ns = reset->sync_ns > 0 ? reset->sync_ns : reset->checkpoint_ns;
    bool is_fast = reset->checkpoint_ns + sync_ns <= reset->limits.write_lock_budget_ms * 1000000;

    return left <= remainder && is_fast && !reset->limits.is_quiet;
}

/* One hand-over and one checkpoint behind it. */
static rc reset_backfill_round(
    struct reset *reset, uint32_t remainder, unsigned *blocked_count, struct error *err)
{
    struct database *database = reset->database;
    struct wal_index_header header;
    bool ran = false;

    TRY(pin_advance(database, reset->client, err));
    if (reset->limits.is_quiet)
        TRY(reset_begin_to_settle(reset, err));
    TRY(reset_checkpoint_beside_capture(reset, &ran, err));
    TRY(pin_capture(database, reset->client, &header, err));

    uint32_t left = reset_frames_left(reset, &header);
    if (left == 0) {
        reset->is_ready = true;
        return reset_try_without_lock(reset, err);
    }
    bool is_blocked = database_backfilled(database) < database->pin_frame_mark;
    *blocked_count += ran && is_blocked;
    if (is_blocked)
        clock_pause_us(ran ? RESET_PAUSE_US : RESET_FOREIGN_PAUSE_US);
    reset->is_ready = !is_blocked && reset_is_ready(reset, left, remainder);
    return RC_OK;
}

static rc reset_backfill(struct reset *reset, struct error *err)
{
    unsigned blocked_count = 0;
    unsigned round_count = reset->limits.is_quiet ? RESET_QUIET_ROUND_COUNT : RESET_ROUND_COUNT;

    reset->is_ready = false;
    for (unsigned i = 0; i < round_count && !reset->is_ready; i++) {
        /* An application at full speed leaves more behind than one would like: take it as it is. */
        uint32_t remainder = reset->limits.remainder_frames << (i / RESET_PATIENT_ROUND_COUNT);
        TRY(reset_backfill_round(reset, remainder, &blocked_count, err));
        reset->report->reader_in_the_way = blocked_count >= RESET_BLOCKED_ROUND_COUNT;
        if (reset->report->reader_in_the_way)
            return RC_OK;
    }
    return RC_OK;
}

/* Nobody can commit. Capture the rest, set the mark at the end, copy the rest, go to slot 0. */
static rc reset_under_lock(struct reset *reset, struct error *err)
{
    struct database *database = reset->database;
    struct wal_index_header header;
    bool ended = false;
    bool ran = false;
    int64_t latest_start_ns =
        database->write_lock_until_ns - reset->limits.write_lock_budget_ms * 1000000 / 2;

    /* A header that a dead writer left half changed can only be repaired with the lock that we
     * hold. */
    TRY(wal_index_header_try(database, &header, err));
    if (reset_frames_left(reset, &header) > RESET_GROWTH_FACTOR * reset->limits.remainder_frames)
        return RC_OK;

    for (unsigned hops = 0; clock_monotonic_ns() < database->write_lock_until_ns;) {
        TRY(pin_capture(database, reset->client, &header, err));
        if (reset_is_done(reset, &header)) {
            reset->report->done = true;
            return RC_OK;
        }
        bool is_backfilled = database_backfilled(database) == header.frame_count;
        bool is_mark_at_end =
            !database->pin_maybe_in_slot_zero && database->pin_frame_mark == header.frame_count;
        if (is_backfilled || !is_mark_at_end) {
            if (hops++ == RESET_HOP_COUNT)
                return RC_OK;
            TRY(pin_advance(database, reset->client, err));
            continue;
        }

        /* What would probably not end in time is not begun. */
        if (clock_monotonic_ns() >= latest_start_ns)
            return RC_OK;
        TRY(reset_begin_to_settle(reset, err));
        TRY(reset_checkpoint_in_time(reset, &ended, &ran, err));
        if (!ended)
            return RC_OK;
        if (ran && database_backfilled(database) < header.frame_count) {
            reset->report->reader_in_the_way = true;
            return RC_OK;
        }
        if (!ran)
            clock_pause_us(RESET_LOCK_PAUSE_US);
    }
    return RC_OK;
}

static rc reset_finish(struct reset *reset, struct error *err)
{
    TRY(write_lock_take(reset->database, &reset->limits, err));
    rc code = reset_under_lock(reset, err);

    int64_t hold_ns = write_lock_release(reset->database, &reset->limits);
    if (hold_ns > reset->report->write_lock_hold_ns)
        reset->report->write_lock_hold_ns = hold_ns;
    return reset_join(reset, code, err);
}

static rc reset_run(struct reset *reset, struct error *err)
{
    TRY(database_connect_locker(reset->database, err));
    TRY(database_connect_checkpointer(reset->database, err));
    for (unsigned i = 0; i < RESET_LOCK_ROUND_COUNT && !reset->report->done; i++) {
        TRY(reset_backfill(reset, err));
        if (reset->report->done || !reset->is_ready || reset->limits.is_quiet)
            return RC_OK;
        TRY(reset_finish(reset, err));
        if (reset->report->reader_in_the_way)
            return RC_OK;
    }
    return RC_OK;
}

static rc reset_whole(struct database *database, const struct pin_client *client,
    const struct reset_limits *limits, struct reset_report *ret, struct error *err)
{
    struct wal_index_header header;
    struct reset_report report = { 0 };
    struct reset reset = {
        .database = database, .client = client, .limits = *limits, .report = &report
    };

    assert(database->pin_holder != PIN_NONE);
    if (reset.limits.write_lock_budget_ms == 0)
        reset.limits.write_lock_budget_ms = RESET_BUDGET_MS_DEFAULT;
    if (reset.limits.remainder_frames == 0)
        reset.limits.remainder_frames = RESET_REMAINDER_DEFAULT;
    reset.sync_frames = limits->is_quiet ? RESET_BACKFILL_SYNC_FRAME_COUNT : RESET_SYNC_FRAME_COUNT;

    TRY(pin_capture(database, client, &header, err));
    report.log_frames = header.frame_count;
    report.done = reset_is_done(&reset, &header);

    /* RC_BUSY is what there is to give up for: try later, nothing was lost. */
    rc code = report.done ? RC_OK : reset_run(&reset, err);
    if (code != RC_OK && code != RC_BUSY)
        return code;
    report.backfilled_frames = database_backfilled(database);
    *ret = report;
    return RC_OK;
}

rc pin_reset(struct database *database, const struct pin_client *client,
    const struct reset_limits *limits, struct reset_report *ret, struct error *err)
{
    TRY(recopy_after(database, RC_OK, err));
    return recopy_after(database, reset_whole(database, client, limits, ret, err), err);
}

rc pin_backfill(struct database *database, const struct pin_client *client, struct error *err)
{
    struct reset reset = {
        .database = database, .client = client, .sync_frames = RESET_BACKFILL_SYNC_FRAME_COUNT
    };
    bool ran = false;

    assert(database->pin_holder != PIN_NONE);
    TRY(recopy_after(database, RC_OK, err));
    return recopy_after(database, reset_checkpoint_beside_capture(&reset, &ran, err), err);
}
