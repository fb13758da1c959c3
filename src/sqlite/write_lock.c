/*
 * SQLite's write lock, taken as the byte in the WAL-index that it is: no statement, so no read slot
 * of ours is left behind, and nothing to roll back. Tried for a while, never queued for; every hold
 * is measured.
 */
#include "base/clock.h"
#include "database_priv.h"

#include <assert.h>
#include <fcntl.h>

enum {
    WRITE_LOCK_PAUSE_US = 50,
    WRITE_LOCK_CALM_MS = 2, /* a longer transaction is mostly one that only reads */

    /* Slots 0..4 of the index (sqlite.org/walformat.html, section 2.3.1). */
    READ_LOCK_FIRST = 123,
    READ_LOCK_COUNT = 5,
};

bool database_has_foreign_reader(const struct database *database)
{
    struct flock lock = {
        .l_type = F_WRLCK,
        .l_whence = SEEK_SET,
        .l_start = READ_LOCK_FIRST,
        .l_len = READ_LOCK_COUNT,
    };

    /* POSIX locks of our own process, the pin's, are not told. */
    return fcntl(database->index_fd, F_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
}

rc write_lock_take(struct database *database, const struct reset_limits *limits, struct error *err)
{
    int64_t now_ns = clock_monotonic_ns();
    int64_t wait_until_ns = now_ns + limits->write_lock_wait_ms * 1000000;
    int64_t calm_ms = limits->write_lock_wait_ms < WRITE_LOCK_CALM_MS ? limits->write_lock_wait_ms
                                                                      : WRITE_LOCK_CALM_MS;
    int64_t calm_until_ns = now_ns + calm_ms * 1000000;

    assert(!database->holds_write_lock);
    TRY(database_connect_locker(database, err));
    for (;;) {
        while (clock_monotonic_ns() < calm_until_ns && database_has_foreign_reader(database))
            clock_pause_us(WRITE_LOCK_PAUSE_US);
        rc code = conn_lock_index(&database->locker, WAL_INDEX_LOCK_WRITE, err);
        if (code == RC_OK)
            break;
        if (code != RC_BUSY || clock_monotonic_ns() >= wait_until_ns)
            return code;
        clock_pause_us(WRITE_LOCK_PAUSE_US);
    }
    database->holds_write_lock = true;
    database->write_lock_taken_ns = clock_monotonic_ns();
    database->write_lock_until_ns =
        database->write_lock_taken_ns + limits->write_lock_budget_ms * 1000000;
    return RC_OK;
}

int64_t write_lock_release(struct database *database, const struct reset_limits *limits)
{
    assert(database->holds_write_lock);
    conn_unlock_index(&database->locker, WAL_INDEX_LOCK_WRITE);
    database->holds_write_lock = false;

    int64_t hold_ns = clock_monotonic_ns() - database->write_lock_taken_ns;
    if (limits->holds != NULL)
        histogram_note(limits->holds, hold_ns);
    return hold_ns;
}
