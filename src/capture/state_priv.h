/*
 * state - the folder that remembers where the capture of one database stands
 *
 *   .NAME-seawal/        beside the database unless configured otherwise; mode 0700
 *     lock               flock(2) while a process works on it
 *     spool/             level-0 segments (segment/dir.h); the newest one is the position
 *     spool/1/           merged segments, while a store is away for long (spool_priv.h)
 *     windows/1/         merged segments of closed windows, beside level 0 (window.c)
 *     position           see position_priv.h
 *     digests, undo      see digest_map_priv.h
 *
 * Order of every change, so that kill -9 or power loss between any two lines leaves a state that is
 * either right or known to be wrong:
 *
 *   a segment     undo entries, digests, segment fsync, rename, folder fsync, undo closed
 *   a beginning   segments removed (oldest first), position removed, digests made anew, position
 * written an adoption   digests made anew, position written, unrelated segments removed before
 *
 * Whatever the digest map holds, it counts only when its sum equals the position's digest.
 */
#ifndef SEAWAL_CAPTURE_STATE_PRIV_H
#define SEAWAL_CAPTURE_STATE_PRIV_H

#include "base/error.h"
#include "capture/capture.h"
#include "digest_map_priv.h"
#include "position_priv.h"
#include "segment/dir.h"

#include <stdbool.h>

#define STATE_SPOOL_NAME   "spool"
#define STATE_WINDOWS_NAME "windows"

struct state {
    char *folder;
    char *spool;
    char *windows; /* those of level 1 */
    char *position_path;
    int lock_fd;
    struct digest_map *map;

    /* What was found, or written since; all zero without a position. */
    enum capture_state_kind kind;
    struct error trouble; /* what is damaged in the folder; RC_OK: nothing */
    struct position_file now;
    bool is_elsewhere; /* another machine than the one that wrote it */
};
#define STATE_INIT ((struct state){ .lock_fd = -1 })

/* FOLDER NULL: the default place beside the database. RC_BUSY: another process holds it. */
must_use rc state_open(
    struct state *state, const char *database_path, const char *folder, struct error *err);
void state_release(struct state *state);

/* What is to be opened, and where. */
struct state_target {
    struct file_mark file;
    uint32_t page_size;
    uint64_t machine; /* 0: unknown */
};

/* What the folder says about it: fills kind and now. */
must_use rc state_load(struct state *state, const struct state_target *target, struct error *err);

/* Write `position` from NOW. */
must_use rc state_write_position(struct state *state, struct error *err);

/* Remove every segment. */
must_use rc state_drop_spool(struct state *state, struct error *err);

/* One that a power cut brought back would be taken for the newest position. */
must_use rc state_sync_spool(const struct state *state, struct error *err);

/*
 * Make room for another history: position gone, the map empty for ID and PAGE_SIZE. The segments
 * stay when KEEP_SPOOL.
 */
must_use rc state_forget(struct state *state, const struct database_id *id, uint32_t page_size,
    bool keep_spool, struct error *err);

#endif
