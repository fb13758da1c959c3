/*
 * history - what a replica holds: timelines, snapshots, segments, restorable windows
 *
 * One listing, the timelines' JSON files, and the trailer of each snapshot. No block is read.
 */
#ifndef SEAWAL_REPLICA_HISTORY_H
#define SEAWAL_REPLICA_HISTORY_H

#include "base/error.h"
#include "replica/replica.h"

#include <stddef.h>
#include <stdint.h>

struct history_snapshot {
    uint64_t first_txid;  /* it began here (its name) */
    uint64_t usable_txid; /* restorable from here on (its trailer's max_txid) */
    int64_t began_ms;
    int64_t usable_ms; /* time of usable_txid */
    uint32_t page_count;
    uint32_t page_size;
    uint64_t size; /* stored bytes */
};

struct history_segment {
    unsigned level; /* 0..9 */
    struct segment_name name;
    uint64_t size;
};

/*
 * Every transaction from first to last is restorable. What lies between two windows and is no gap
 * is merged: see history_merged.
 */
struct history_window {
    uint64_t first_txid;
    uint64_t last_txid;
    int64_t first_ms;
    int64_t last_ms;
};

/* Transactions that only merged segments tell of: not restorable but for the last of them. */
struct history_merged {
    uint64_t first_txid;
    uint64_t last_txid; /* the next window begins with it */
    int64_t last_ms;
};

/* Transactions that should be there and are not (or twice): damage. */
struct history_gap {
    uint64_t first_txid; /* missing from here ... */
    uint64_t last_txid;  /* ... to here */
    char text[160];      /* for people */
};

struct history_timeline {
    struct replica_timeline info;
    int64_t parent_ms; /* when the transaction was that it departs after; 0: not known */
    struct history_snapshot *snapshots; /* ascending by first_txid */
    size_t snapshot_count;
    struct history_segment *segments; /* ascending by level, then min_txid */
    size_t segment_count;
    uint64_t segment_size; /* stored bytes of all of them */

    /* Of this timeline's own transactions, ascending; what its parents can restore is theirs. */
    struct history_window *windows;
    size_t window_count;
    struct history_merged *merged; /* ascending; between the windows */
    size_t merged_count;
    struct history_gap *gaps; /* ascending; none in a healthy replica */
    size_t gap_count;
};

struct history {
    struct database_id database_id;
    uint32_t page_size;
    int64_t created_ms;
    struct history_timeline *timelines; /* ascending; the last is the newest */
    size_t timeline_count;
    size_t gap_count; /* of all timelines: not 0 is for the caller to report as damage */
};
#define HISTORY_INIT ((struct history){ 0 })
#define auto_history __attribute__((cleanup(history_release)))
void history_release(struct history *history);

/* Codes as replica_inspect(), except that gaps are told in RET and are not a failure. */
must_use rc history_read(struct history *ret, struct replica *replica, struct error *err);

#endif
