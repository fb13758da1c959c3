/*
 * log_walk - frames and transactions of a log segment in order, from the index alone
 */
#ifndef SEAWAL_SEGMENT_LOG_WALK_PRIV_H
#define SEAWAL_SEGMENT_LOG_WALK_PRIV_H

#include "log_chunk_priv.h"
#include "reader_priv.h"

struct log_walk {
    struct segment_reader *reader;
    struct chunk_memory memory;
    struct log_chunk chunk; /* blocks are left to the user of the walk */
    size_t chunk_index;     /* the next to load */

    struct segment_transaction transaction; /* the newest one that is known */
    bool has_transaction;                   /* it is in progress, not yet told */
    uint64_t frame_count;                   /* frames told of the one in progress */
    uint32_t pgno_before;
};

struct log_step {
    bool is_commit;
    enum frame_code code; /* frames */
    uint32_t pgno;        /* frames */
    uint64_t txid;
    struct segment_transaction transaction; /* commits */
};

void log_walk_init(struct log_walk *walk, struct segment_reader *reader);
void log_walk_release(struct log_walk *walk);
#define auto_log_walk __attribute__((cleanup(log_walk_release)))

/* RC_NOT_FOUND: everything was told, and it is what the trailer says. */
must_use rc log_walk_next(struct log_walk *walk, struct log_step *ret, struct error *err);

#endif
