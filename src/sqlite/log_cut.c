/*
 * Giving the disk back what a log has outgrown.
 *
 * SQLite's own way is the TRUNCATE checkpoint. It frees the whole file in one piece with the write
 * lock held, which takes as long as the file is large (a second for a gigabyte). And it changes the
 * index: whoever has begun to read and writes later in the same transaction is told
 * SQLITE_BUSY_SNAPSHOT, for which no busy timeout helps, although nobody has committed.
 *
 * What lies behind the last committed frame is nobody's while no writer is at work: readers look no
 * further than the frame count they began with, the log only begins again when nobody reads its
 * frames any more (walRestartLog()), and SQLite itself cuts there (walLimitSize()). So with the
 * write lock held the file is shortened from its end, piece by piece, each piece with a hold of its
 * own. The index stays as it is, and so does every frame that counts. We may die at any point: the
 * file is then as long as it happens to be.
 */
#include "sqlite/pin.h"

#include "base/clock.h"
#include "base/fs.h"
#include "database_priv.h"

#include <assert.h>

enum {
    CUT_PIECE_SIZE = 8 << 20, /* about a millisecond of the file system's time */
    CUT_PAUSE_US = 2000,      /* between two holds: who waits for the lock gets it */
};

/* With the write lock held. *RET is the size that the file has now. */
static rc cut_piece(struct database *database, uint64_t keep_size, uint64_t *ret, struct error *err)
{
    struct wal_index_header header;
    uint64_t size = 0;

    TRY(wal_index_header_try(database, &header, err));
    TRY(fs_size(&size, database->log_fd, err));
    uint64_t used = wal_frame_offset(database->page_size, header.frame_count + 1);
    uint64_t wanted = used > keep_size ? used : keep_size;

    *ret = size;
    if (size <= wanted)
        return RC_OK;
    *ret = size - wanted > CUT_PIECE_SIZE ? size - CUT_PIECE_SIZE : wanted;
    return fs_truncate(database->log_fd, *ret, err);
}

rc log_cut(struct database *database, const struct reset_limits *limits, uint64_t keep_size,
    struct cut_report *ret, struct error *err)
{
    uint64_t before = 0;

    assert(keep_size >= WAL_HEADER_SIZE);
    *ret = (struct cut_report){ 0 };
    TRY(fs_size(&ret->file_size, database->log_fd, err));
    do {
        before = ret->file_size;
        TRY(write_lock_take(database, limits, err));
        rc code = cut_piece(database, keep_size, &ret->file_size, err);
        int64_t hold_ns = write_lock_release(database, limits);
        if (hold_ns > ret->write_lock_hold_ns)
            ret->write_lock_hold_ns = hold_ns;
        TRY(code);
        clock_pause_us(CUT_PAUSE_US);
    } while (ret->file_size < before);
    return RC_OK;
}
