/*
 * note - the small text files of retention: what is condemned, and what is held
 *
 * expire/<time ms>-<16 hex>.txt, one line each, fields in fixed width, one space between them:
 *
 *   seawal expire 1
 *   database <32 hex>
 *   time <13 digits>
 *   grace <13 digits>
 *   object <timeline> <level> <first txid> <last txid>     any number of times
 *   gone <timeline> <first txid> <last txid>               any number of times
 *   end
 *
 * "object" condemns every object of that timeline and level ("0" to "9", "s" for snapshots) that
 * lies within first to last; "gone" says that no object tells of those transactions any more once
 * the condemned ones are removed, and that this is no damage.
 *
 * holds/<name>.txt:
 *
 *   seawal hold 1
 *   database <32 hex>
 *   timeline <8 hex>
 *   txid <16 hex>
 *   digest <16 hex>
 *   time <13 digits>
 *   made <13 digits>
 *   end
 *
 * Anything that is not exactly this is RC_CORRUPT; another number behind the first line's word is
 * RC_UNSUPPORTED.
 */
#ifndef SEAWAL_REPLICA_NOTE_PRIV_H
#define SEAWAL_REPLICA_NOTE_PRIV_H

#include "base/buf.h"
#include "base/bytes.h"
#include "base/error.h"
#include "replica/replica.h"
#include "txid_set_priv.h"

enum { NOTE_SIZE_MAX = 16 << 20, NOTE_LINE_COUNT_MAX = 100000 };

/* Objects of one timeline and level, or, as "gone", transactions of one timeline. */
struct expire_range {
    uint32_t timeline;
    unsigned level; /* 0..9, LEVEL_SNAPSHOT; not used of what is gone */
    struct txid_range range;
};

struct expire_note {
    struct database_id database_id;
    int64_t time_ms;  /* when the objects were condemned */
    int64_t grace_ms; /* how long they stay from then on */
    struct expire_range *condemned;
    size_t condemned_count;
    struct expire_range *gone; /* of all notes so far */
    size_t gone_count;
};
#define EXPIRE_NOTE_INIT ((struct expire_note){ 0 })
#define auto_expire_note __attribute__((cleanup(expire_note_release)))
void expire_note_release(struct expire_note *note);

/* One more element for an array that doubles; the counts of a note at most NOTE_LINE_COUNT_MAX. */
void expire_range_add(
    struct expire_range **ranges, size_t *count, const struct expire_range *range);

void expire_note_encode(struct buf *out, const struct expire_note *note);
must_use rc expire_note_decode(struct expire_note *ret, struct bytes in, struct error *err);

struct hold_note {
    struct replica_position position; /* database id, timeline, txid, digest and time are used */
    int64_t made_ms;
};
void hold_note_encode(struct buf *out, const struct hold_note *note);
must_use rc hold_note_decode(struct hold_note *ret, struct bytes in, struct error *err);

#endif
