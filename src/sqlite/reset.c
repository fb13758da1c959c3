/*
 * Bringing the log to the point where the next writer starts it anew, and cutting its file.
 *
 * Most of the work is done without the write lock: PASSIVE checkpoints with hand-overs between
 * them, and fsyncs, so that the checkpoint under the lock has little to copy and little to sync.
 * None of these checkpoints can be the second one of SQLite's WAL-reset bug: while one runs, our
 * pin sits at a mark (the log cannot restart under it) or in slot 0 (it cannot copy anything).
 *
 * The write lock is SQLite's byte in the WAL-index, taken as such: no statement, so no read slot of
 * ours is left behind, and nothing to roll back.
 */
#include "sqlite/pin.h"

#include "base/clock.h"
#include "database_priv.h"

#include <assert.h>

enum {
    RESET_ROUND_COUNT = 8,
    RESET_PATIENT_ROUND_COUNT = 3, /* then twice as much may be left, and so on */
    RESET_BLOCKED_ROUND_COUNT = 3, /* rounds a foreign reader may hold up before we go */
    RESET_LOCK_ROUND_COUNT = 3,
    RESET_HOP_COUNT = 3,
    RESET_PAUSE_US = 300,
    RESET_LOCK_PAUSE_US = 50,

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
    bool is_ready; /* little enough is left for the write lock */
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

/* RC_BUSY: another checkpointer is at it, which serves as well. Never waits. */
static rc reset_checkpoint(struct reset *reset, bool *ret_ran, struct error *err)
{
    struct database *database = reset->database;

    database->busy_until_ms = 0;
    rc code = conn_checkpoint(&database->checkpointer, SQLITE_CHECKPOINT_PASSIVE, err);
    *ret_ran = code == RC_OK;
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

/* One hand-over and one checkpoint behind it. */
static rc reset_backfill_round(
    struct reset *reset, uint32_t remainder, unsigned *blocked_count, struct error *err)
{
    struct database *database = reset->database;
    struct wal_index_header header;
    bool ran = false;

    TRY(pin_advance(database, reset->client, err));
    TRY(reset_checkpoint(reset, &ran, err));
    TRY(pin_capture(database, reset->client, &header, err));

    uint32_t left = reset_frames_left(reset, &header);
    if (left == 0) {
        reset->is_ready = true;
        return reset_try_without_lock(reset, err);
    }
    bool is_blocked = database_backfilled(database) < database->pin_frame_mark;
    *blocked_count += ran && is_blocked;
    if (is_blocked)
        clock_pause_us(RESET_PAUSE_US);
    reset->is_ready = left <= remainder && !is_blocked;
    return database_sync_files(database, err);
}

static rc reset_backfill(struct reset *reset, struct error *err)
{
    unsigned blocked_count = 0;

    reset->is_ready = false;
    for (unsigned i = 0; i < RESET_ROUND_COUNT && !reset->is_ready; i++) {
        /* An application at full speed leaves more behind than one would like: take it as it is. */
        uint32_t remainder = reset->limits.remainder_frames << (i / RESET_PATIENT_ROUND_COUNT);
        TRY(reset_backfill_round(reset, remainder, &blocked_count, err));
        reset->report->reader_in_the_way = blocked_count >= RESET_BLOCKED_ROUND_COUNT;
        if (reset->report->reader_in_the_way)
            return RC_OK;
    }
    return RC_OK;
}

static rc reset_take_write_lock(struct reset *reset, struct error *err)
{
    struct database *database = reset->database;
    int64_t wait_until_ns = clock_monotonic_ns() + reset->limits.write_lock_wait_ms * 1000000;

    for (;;) {
        rc code = conn_lock_index(&database->locker, WAL_INDEX_LOCK_WRITE, err);
        if (code == RC_OK)
            break;
        if (code != RC_BUSY || clock_monotonic_ns() >= wait_until_ns)
            return code;
        clock_pause_us(RESET_LOCK_PAUSE_US);
    }
    database->holds_write_lock = true;
    database->write_lock_until_ns =
        clock_monotonic_ns() + reset->limits.write_lock_budget_ms * 1000000;
    return RC_OK;
}

static void reset_release_write_lock(struct reset *reset, int64_t taken_ns)
{
    struct database *database = reset->database;

    conn_unlock_index(&database->locker, WAL_INDEX_LOCK_WRITE);
    database->holds_write_lock = false;

    int64_t hold_ns = clock_monotonic_ns() - taken_ns;
    if (reset->limits.holds != NULL)
        histogram_note(reset->limits.holds, hold_ns);
    if (hold_ns > reset->report->write_lock_hold_ns)
        reset->report->write_lock_hold_ns = hold_ns;
}

/* Nobody can commit. Capture the rest, set the mark at the end, copy the rest, go to slot 0. */
static rc reset_under_lock(struct reset *reset, struct error *err)
{
    struct database *database = reset->database;
    struct wal_index_header header;
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

        /* It ends with two fsyncs, which cannot be cut short: none is begun late. */
        if (clock_monotonic_ns() >= latest_start_ns)
            return RC_OK;
        TRY(reset_checkpoint(reset, &ran, err));
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
    TRY(reset_take_write_lock(reset, err));

    int64_t taken_ns = clock_monotonic_ns();
    rc code = reset_under_lock(reset, err);
    reset_release_write_lock(reset, taken_ns);
    return code;
}

static rc reset_run(struct reset *reset, struct error *err)
{
    TRY(database_connect_locker(reset->database, err));
    for (unsigned i = 0; i < RESET_LOCK_ROUND_COUNT && !reset->report->done; i++) {
        TRY(reset_backfill(reset, err));
        if (reset->report->done || !reset->is_ready)
            return RC_OK;
        TRY(reset_finish(reset, err));
        if (reset->report->reader_in_the_way)
            return RC_OK;
    }
    return RC_OK;
}

rc pin_reset(struct database *database, const struct pin_client *client,
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

rc pin_truncate(
    struct database *database, const struct pin_client *client, bool *ret_done, struct error *err)
{
    struct wal_index_header header;
    struct reset reset = { .database = database, .client = client };

    *ret_done = false;
    if (database->pin_holder == PIN_NONE)
        return RC_OK;
    TRY(pin_capture(database, client, &header, err));
    if (!reset_is_done(&reset, &header))
        return RC_OK;

    /*
     * Cuts the log only when everything is backfilled, and nothing is while our pin is in slot 0: a
     * commit that comes in between makes this RC_BUSY, and so does a reader or a writer. It waits
     * for nobody.
     */
    database->busy_until_ms = 0;
    rc code = conn_checkpoint(&database->checkpointer, SQLITE_CHECKPOINT_TRUNCATE, err);
    if (code == RC_BUSY)
        return RC_OK;
    TRY(code);
    database->pin_frame_mark = 0;
    *ret_done = true;
    return RC_OK;
}
