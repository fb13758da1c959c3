/* Telling the poisoned index from a log that is being restarted, and making it whole. */
#include "sqlite/poison.h"

#include "base/clock.h"
#include "database_priv.h"

#include <assert.h>

enum {
    POISON_LOOK_PAUSE_US = 50000, /* a restart leaves the state for some stores' time */
    POISON_LOCK_WAIT_MS = 20,
    POISON_LOCK_PAUSE_US = 50,
};

/* Whether what WORDS say is the poison that was found, though the log may have outgrown it. */
static bool poison_is_known(const struct database *database, const struct wal_index_words *words)
{
    uint32_t claimed = database->poison.claimed_frames;

    return claimed > 0 && words->claimed_frames >= claimed &&
           wal_pair_equal(words->salt, database->poison_salt);
}

static bool poison_is_seen(const struct wal_index_words *words)
{
    return words->claimed_frames > words->log_frames;
}

uint32_t database_backfilled(struct database *database)
{
    struct wal_index_words words = wal_index_words_read(database);

    if (poison_is_seen(&words) || poison_is_known(database, &words))
        return 0;
    return words.claimed_frames;
}

bool database_index_is_poisoned(struct database *database, struct index_poison *ret)
{
    struct wal_index_words first = wal_index_words_read(database);

    assert(!database->holds_write_lock);
    if (!poison_is_known(database, &first)) {
        database->poison = (struct index_poison){ 0 };
        if (!poison_is_seen(&first))
            return false;

        clock_pause_us(POISON_LOOK_PAUSE_US);
        struct wal_index_words second = wal_index_words_read(database);
        if (!poison_is_seen(&second) || second.claimed_frames != first.claimed_frames ||
            !wal_pair_equal(second.salt, first.salt))
            return false;
        database->poison = (struct index_poison){ second.claimed_frames, second.log_frames };
        database->poison_salt[0] = second.salt[0];
        database->poison_salt[1] = second.salt[1];
    }
    *ret = database->poison;
    return true;
}

static rc poison_lock_write(struct database *database, struct error *err)
{
    int64_t until_ms = clock_monotonic_ms() + POISON_LOCK_WAIT_MS;

    for (;;) {
        rc code = conn_lock_index(&database->locker, WAL_INDEX_LOCK_WRITE, err);
        if (code != RC_BUSY || clock_monotonic_ms() >= until_ms)
            return code;
        clock_pause_us(POISON_LOCK_PAUSE_US);
    }
}

/* With the write lock held; it may have been healed while that was waited for. */
static rc poison_heal_locked(struct database *database, struct error *err)
{
    TRY(conn_lock_index(&database->locker, WAL_INDEX_LOCK_CHECKPOINT, err));

    struct wal_index_words words = wal_index_words_read(database);
    rc code = RC_OK;
    if (poison_is_known(database, &words))
        code = wal_index_disclaim(database, err);
    conn_unlock_index(&database->locker, WAL_INDEX_LOCK_CHECKPOINT);
    return code;
}

rc database_heal_index(struct database *database, struct error *err)
{
    struct index_poison poison;

    if (!database_index_is_poisoned(database, &poison))
        return RC_OK;
    TRY(database_connect_locker(database, err));
    TRY(poison_lock_write(database, err));
    rc code = poison_heal_locked(database, err);
    conn_unlock_index(&database->locker, WAL_INDEX_LOCK_WRITE);
    if (code == RC_OK)
        database->poison = (struct index_poison){ 0 };
    return code;
}
