/*
 * layout - from what an object is to its key, and back; the only place that knows
 */
#ifndef SEAWAL_REPLICA_LAYOUT_PRIV_H
#define SEAWAL_REPLICA_LAYOUT_PRIV_H

#include "base/error.h"
#include "replica/hold.h"
#include "replica/restore.h"
#include "segment/name.h"

#include <stdint.h>

/* Levels 0..9 are log and merged segments. */
enum { LEVEL_LOG = 0, LEVEL_SNAPSHOT = REPLICA_LEVEL_MAX + 1, LEVEL_COUNT };

#define REPLICA_INFO_KEY        "seawal.json"
#define REPLICA_TIMELINE_PREFIX "timelines/"
#define REPLICA_EXPIRE_PREFIX   "expire/"
#define REPLICA_HOLD_PREFIX     "holds/"

enum { REPLICA_NOTE_NAME_SIZE = REPLICA_HOLD_NAME_SIZE };

/* Larger numbers are damage; keeps "one more" from wrapping everywhere. */
#define TXID_MAX (UINT64_MAX >> 1)

enum replica_key_kind {
    REPLICA_KEY_INFO,
    REPLICA_KEY_TIMELINE,
    REPLICA_KEY_SEGMENT,
    REPLICA_KEY_EXPIRE,   /* what retention condemned */
    REPLICA_KEY_HOLD,     /* a named restore point */
    REPLICA_KEY_RESERVED, /* proofs/: a known name with a content that is not ours here */
};

struct replica_key {
    enum replica_key_kind kind;
    uint32_t timeline;                 /* TIMELINE, SEGMENT */
    unsigned level;                    /* SEGMENT */
    struct segment_name name;          /* SEGMENT */
    char note[REPLICA_NOTE_NAME_SIZE]; /* EXPIRE, HOLD: between the prefix and ".txt" */
};

void replica_key_timeline(char out[REPLICA_KEY_SIZE], uint32_t timeline);
void replica_key_segment(
    char out[REPLICA_KEY_SIZE], uint32_t timeline, unsigned level, const struct segment_name *name);

/* Of a note, see note_priv.h. */
void replica_key_expire(char out[REPLICA_KEY_SIZE], const char *note);
void replica_key_hold(char out[REPLICA_KEY_SIZE], const char *name);

/* "<timeline>/<level>/" */
void replica_key_level(char out[REPLICA_KEY_SIZE], uint32_t timeline, unsigned level);

/* RC_CORRUPT names a key that is none of ours. */
must_use rc replica_key_parse(struct replica_key *ret, const char *key, struct error *err);

#endif
