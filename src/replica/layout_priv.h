/*
 * layout - from what an object is to its key, and back; the only place that knows
 */
#ifndef SEAWAL_REPLICA_LAYOUT_PRIV_H
#define SEAWAL_REPLICA_LAYOUT_PRIV_H

#include "base/error.h"
#include "replica/restore.h"
#include "segment/name.h"

#include <stdint.h>

/* Levels 0..9 are log and merged segments. */
enum { LEVEL_LOG = 0, LEVEL_SNAPSHOT = REPLICA_LEVEL_MAX + 1, LEVEL_COUNT };

#define REPLICA_INFO_KEY        "seawal.json"
#define REPLICA_TIMELINE_PREFIX "timelines/"

/* Larger numbers are damage; keeps "one more" from wrapping everywhere. */
#define TXID_MAX (UINT64_MAX >> 1)

enum replica_key_kind {
    REPLICA_KEY_INFO,
    REPLICA_KEY_TIMELINE,
    REPLICA_KEY_SEGMENT,
    REPLICA_KEY_RESERVED, /* proofs/, holds/: known names with a content that is not ours here */
};

struct replica_key {
    enum replica_key_kind kind;
    uint32_t timeline;        /* TIMELINE, SEGMENT */
    unsigned level;           /* SEGMENT */
    struct segment_name name; /* SEGMENT */
};

void replica_key_timeline(char out[REPLICA_KEY_SIZE], uint32_t timeline);
void replica_key_segment(
    char out[REPLICA_KEY_SIZE], uint32_t timeline, unsigned level, const struct segment_name *name);

/* "<timeline>/<level>/" */
void replica_key_level(char out[REPLICA_KEY_SIZE], uint32_t timeline, unsigned level);

/* RC_CORRUPT names a key that is none of ours. */
must_use rc replica_key_parse(struct replica_key *ret, const char *key, struct error *err);

#endif
