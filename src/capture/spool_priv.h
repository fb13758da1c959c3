/*
 * spool - how much of the local disk a capture takes, and what it does about it
 *
 * Three rules, from the usual to the last resort. "Waiting" is what the store does not have yet.
 *
 *   merge     More than size_max bytes of level 0 wait: they become one merged segment, the newest
 *             image of every page that they changed (spool_merge.c). Done again only when new level
 *             0 has grown beyond size_max and half of the merged segment, so the work is paid for
 *             by what was written since, and the spool is bounded, whatever the outage lasts:
 *
 *                 merged segment         <= the database
 *                 level 0 beside it      <= the larger of size_max and half the database,
 *                                           + the largest transaction
 *                 in all                 <= 1.5 databases + size_max + the largest transaction
 *                 while merging          + the next merged segment (<= the database), pages that
 *                                          change meanwhile, and what is captured meanwhile
 *
 *             Where the disk has less room than that, it is merged earlier, while there is room.
 *             What is lost is the choice of points inside the merged range, never a page.
 *
 *   reserve   The last 5 % of the file system are not for what waits: from there on nothing is
 *             added to it (RC_NO_SPACE) until some of it was stored or there is room. What is on
 *             its way to a store that answers is not meant: SPOOL_TRANSIT_SIZE_MAX, and a quarter
 *             of the reserve on a small file system, may always wait. A machine whose disk is at
 *             97 % for good is replicated like any other.
 *
 *   the log   While nothing can be added the log grows, since the pin stands. When it is larger
 *             than size_max, or half of the reserve is gone on its file system, holding it costs
 * the application its disk: capture_let_go() gives it up, the caller closes the capture, and
 * opens it again when there is room. A resync by digest then brings every page.
 */
#ifndef SEAWAL_CAPTURE_SPOOL_PRIV_H
#define SEAWAL_CAPTURE_SPOOL_PRIV_H

#include "base/error.h"
#include "sqlite/database.h"

#include <stdbool.h>
#include <stdint.h>

struct capture;
struct capture_window;
struct spool_merge;

enum {
    SPOOL_TRANSIT_SIZE_MAX = 16 << 20,
    SPOOL_LOOK_SIZE = 256 << 10, /* how much is written between two looks at the room */
    SPOOL_BLOCK_SIZE = 4096,     /* what a file takes on disk is a multiple of this */
};

struct spool {
    uint64_t size_max;
    bool is_counted;       /* the sizes below were counted since the capture was opened */
    uint64_t waiting_size; /* of level 0 beside the merged segment; at least what it really is */
    uint64_t merged_size;  /* of the merged segment */
    uint64_t stored_txid;  /* the store has everything up to here, as far as we were told */
    int64_t merge_due_ms;  /* monotonic; not before */
    struct spool_merge *merge; /* in progress; NULL otherwise */
};

/* What SIZE bytes in one file take on disk. */
uint64_t spool_disk_size(uint64_t size);

/* A segment of SIZE bytes was added. */
void spool_note_segment(struct spool *spool, uint64_t size);

/* Look how much waits. */
must_use rc spool_count(struct capture *capture, struct error *err);

/* Free bytes above the reserve, 0 when there are none, of the file system that holds the spool. */
must_use rc spool_room(const struct capture *capture, uint64_t *ret, struct error *err);

/* RC_NO_SPACE: what waits must not become more now (see above). */
must_use rc spool_check_room(struct capture *capture, struct error *err);

/* ---- spool_merge.c */

/*
 * PGNO is about to change, its image being the one at PLACE still: kept when a merge in progress
 * has not come to it yet. A merge that cannot keep it is given up, which the next slice tells.
 * RC_BUSY: it cannot be read just now, and must not change before it was kept; nothing else fails.
 */
must_use rc spool_merge_keep(
    struct capture *capture, uint32_t pgno, const struct log_place *place, struct error *err);

/*
 * The window that ends at the position becomes a merged segment in the folder of windows, in slices
 * as well. No merge is in progress. The page set of WINDOW is taken.
 */
must_use rc spool_merge_window(
    struct capture *capture, struct capture_window *window, struct error *err);

/* Give up what is in progress; nothing of it is left. */
void spool_merge_abort(struct spool *spool);

#endif
