/*
 * recopy - after an fsync of the database file has failed, checkpoints copy all of the log again
 *
 * The kernel reports such a failure once, takes the pages that it could not write for clean, and
 * may forget them; the next fsync succeeds ("fsyncgate"). SQLite writes what the checkpoint that
 * failed had copied once more. But what earlier checkpoints of the same log had copied and left
 * for this fsync is behind nBackfill, and would never be written again: then the log would be
 * restarted over the only good copy.
 *
 * So nBackfill becomes 0, as SQLite's own recovery has it, while our pin keeps the log from being
 * restarted (an fsync is only asked for with the pin in slots 1..4). What logs before this one held
 * was synced by the checkpoint that let their restart happen. The index outlives this process and
 * is made anew after a power cut, with the same 0.
 *
 * A failed fsync of the log itself cannot be mended: nobody but SQLite may write there.
 */
#include "base/clock.h"
#include "database_priv.h"

#include <assert.h>

enum { RECOPY_LOCK_WAIT_MS = 20, RECOPY_END_WAIT_MS = 1000, RECOPY_PAUSE_US = 1000 };

static rc recopy_locked(struct database *database, struct error *err)
{
    TRY(conn_lock_index(&database->locker, WAL_INDEX_LOCK_CHECKPOINT, err));
    rc code = wal_index_disclaim(database, err);
    conn_unlock_index(&database->locker, WAL_INDEX_LOCK_CHECKPOINT);
    return code;
}

static rc recopy(struct database *database, struct error *err)
{
    struct reset_limits limits = { .write_lock_wait_ms = RECOPY_LOCK_WAIT_MS };

    assert(database->pin_holder != PIN_NONE);
    TRY(write_lock_take(database, &limits, err));
    rc code = recopy_locked(database, err);
    (void)write_lock_release(database, &limits);
    if (code == RC_OK)
        database->sync_failed = false;
    return code;
}

void recopy_before_end(struct database *database)
{
    int64_t until_ms = clock_monotonic_ms() + RECOPY_END_WAIT_MS;

    while (database->sync_failed && recopy(database, NULL) == RC_BUSY &&
           clock_monotonic_ms() < until_ms)
        clock_pause_us(RECOPY_PAUSE_US);
}

rc recopy_after(struct database *database, rc code, struct error *err)
{
    struct error why;

    if (!database->sync_failed)
        return code;
    rc done = recopy(database, &why);
    if (done != RC_OK) {
        *err = why;
        return done;
    }
    if (code != RC_OK && code != RC_BUSY)
        return code;
    FAIL(
        err, RC_IO, "the database file could not be synced; checkpoints copy all of the log again");
}
