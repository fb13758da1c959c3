/*
 * segment - what every segment says about itself
 *
 * A segment is an immutable object with pages of the transactions [min_txid, max_txid] of one
 * timeline of one database. src/segment/FORMAT.md is the byte-level specification.
 *
 *   log       level 0 as captured: frames of whole transactions in order, as differences or whole
 *   merged    last image of each page of a window of transactions, whole pages, ascending
 *   snapshot  every page of the database, whole pages, ascending
 */
#ifndef SEAWAL_SEGMENT_SEGMENT_H
#define SEAWAL_SEGMENT_SEGMENT_H

#include "base/bytes.h"

#include <stdint.h>

enum segment_kind { SEGMENT_LOG = 1, SEGMENT_MERGED = 2, SEGMENT_SNAPSHOT = 3 };

enum { DATABASE_ID_SIZE = 16, PAGE_SIZE_MIN = 512, PAGE_SIZE_MAX = 65536 };

/* Chosen at random when a replica is made; ties segments, replica and state folder together. */
struct database_id {
    uint8_t bytes[DATABASE_ID_SIZE];
};

/* Known before the first page is written; stored in the header and again before the trailer. */
struct segment_identity {
    enum segment_kind kind;
    struct database_id database_id;
    uint32_t timeline;
    uint32_t page_size;
    uint64_t min_txid;
    uint64_t parent_digest;     /* of the database before min_txid; 0 for a snapshot */
    uint32_t parent_page_count; /* of the database before min_txid; 0 for a snapshot */
};

/*
 * The place in SQLite's log behind the last frame of a log segment: capture continues there after a
 * restart when the log still holds exactly this. All zero: no place (nothing to continue from).
 */
struct log_place {
    uint32_t salt[2];
    uint32_t checkpoint_sequence; /* from the log's header; informative */
    uint32_t frame_count;         /* frames of this log that are captured */
    uint32_t checksum[2];         /* running frame checksum after the last of them */
};

/* Known at the end; stored in the trailer. */
struct segment_summary {
    uint64_t max_txid;
    uint64_t digest;        /* of the database after max_txid */
    uint32_t page_count;    /* of the database after max_txid */
    int64_t first_time_ms;  /* of min_txid: wall clock when it was captured */
    int64_t last_time_ms;   /* of max_txid */
    struct log_place place; /* log segments; all zero otherwise */
    uint64_t frame_count;   /* frames (log) or pages (merged, snapshot) inside */
    uint64_t stored_size;   /* of the whole object in bytes */
};

/* Transaction flags. */
enum {
    TRANSACTION_RESYNC =
        1u << 0, /* not a commit of the application: pages found different on a resync */
};

struct segment_transaction {
    uint64_t txid;
    int64_t time_ms;      /* wall clock when seen; never falls within a timeline */
    uint32_t page_count;  /* of the database after it */
    uint32_t frame_count; /* frames that belong to it */
    uint32_t flags;
    uint64_t digest; /* of the database after it */
};

#endif
