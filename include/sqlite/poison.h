/*
 * poison - the state that SQLite's WAL-reset bug leaves in the log's index, and the way out of it
 *
 * The bug (sqlite.org/wal.html#walresetbug): a checkpointer that read the index before the log was
 * restarted writes the old log's frame count into the new log's nBackfill. While nBackfill is
 * larger than mxFrame, which nothing else can make it for longer than a restart takes (or when a
 * writer is killed in that instant, in every release), SQLite takes every frame for copied:
 *
 *   - new readers do not look into the log, so they miss what was committed since the restart, and
 *     a writer among them commits changes of stale pages;
 *   - checkpoints copy nothing, and the last connection to close deletes the log all the same;
 *   - when the log has grown to exactly nBackfill frames, the next writer restarts it; when it has
 *     grown beyond, checkpoints go on behind the frames that were never copied, and nothing shows
 *     any more.
 *
 * Until then nothing is lost: the database file is what it was when the log was restarted, and the
 * log has every commit since. What heals it is nBackfill = 0: SQLite's own recovery does that
 * (no process has the database open, then somebody opens it), and database_heal_index() does.
 *
 * It cannot come about while a pin is held (pin.h), but it can be met.
 */
#ifndef SEAWAL_SQLITE_POISON_H
#define SEAWAL_SQLITE_POISON_H

#include "base/error.h"

#include <stdbool.h>
#include <stdint.h>

struct database;

struct index_poison {
    uint32_t claimed_frames; /* nBackfill */
    uint32_t log_frames;     /* mxFrame when it was found */
};

/*
 * Whether the index is poisoned. When it seems so it is looked at again 50 ms later, so a log that
 * is being restarted is not taken for it. Once found it is remembered until it is healed or the log
 * is another one, also when the log outgrows it. Must not be called with the write lock held.
 */
bool database_index_is_poisoned(struct database *database, struct index_poison *ret);

/*
 * Heal a poisoned index: under SQLite's write and checkpoint locks nBackfill becomes 0, and the
 * header's change counter moves by one, so that every connection drops the pages it has cached.
 * Nothing but the index is written, and no frame or page is touched. The locks are held for
 * microseconds and not waited for with one of them held. RC_BUSY: a transaction or a checkpoint is
 * in progress; try again. RC_OK also when there was nothing to heal.
 */
must_use rc database_heal_index(struct database *database, struct error *err);

#endif
