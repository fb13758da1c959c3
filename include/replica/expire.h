/*
 * expire - removing what no rule keeps, so that everything promised restores at every moment
 *
 * An object goes in two steps. First it is condemned: its key stands in a note
 * (expire/<time>-<random>.txt, STORE_PUT_NEW), after it was proved that every point that stays
 * restores without it (src/replica/expire_plan_priv.h). From then on whoever looks at the replica
 * plans without it. After a grace, longer than a restore takes, all is looked at and proved anew,
 * and what still may go is removed. So a restore that began before never loses an object under its
 * hands, and a run that dies between any two of its requests leaves what the next one goes on
 * with. Several may run at the same time, with whatever delay.
 *
 * What a note condemned and what is needed after all (rules were changed, a point was held) is kept
 * and becomes visible again when the grace is over; until then a restore finds it where nothing
 * else leads to its target.
 *
 * Notes say as well which transactions are gone that way, so that they are told from damage.
 */
#ifndef SEAWAL_REPLICA_EXPIRE_H
#define SEAWAL_REPLICA_EXPIRE_H

#include "base/cancel.h"
#include "base/error.h"
#include "replica/replica.h"
#include "replica/restore.h"
#include "replica/rules.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { EXPIRE_NOTE_PARTS = 8 }; /* notes are at least this part of the grace apart */

struct expire_options {
    struct rules rules;    /* checked; is_off: nothing is looked at */
    int64_t grace_ms;      /* of what is condemned now; what was keeps its own */
    int64_t now_ms;        /* wall clock */
    bool dry_run;          /* plan alone */
    struct cancel *cancel; /* looked at between requests; may be NULL */
};

/* Points that restore before, and not afterwards. */
struct expire_lost {
    uint32_t timeline;
    uint64_t first_txid;
    uint64_t last_txid;
    int64_t first_ms; /* times by the names of what tells them; 0: not known */
    int64_t last_ms;
};

struct expire_report {
    struct restore_object *objects; /* owned; what no rule keeps and may go, condemned or not */
    size_t object_count;
    uint64_t object_size;
    struct expire_lost *lost; /* owned; ascending */
    size_t lost_count;

    uint64_t kept_count; /* objects that stay */
    uint64_t kept_size;
    uint64_t waiting_count; /* of those: they wait for a coarser segment to be made */
    uint64_t later_count;   /* of those: they go some day without anything being written */

    uint64_t condemned_count; /* by this run */
    uint64_t removed_count;   /* by this run */
    uint64_t removed_size;
    uint64_t pending_count; /* condemned, and their grace is not over */
    bool is_refused;        /* the store lets nothing be removed; for the caller to say once */
};
#define EXPIRE_REPORT_INIT ((struct expire_report){ 0 })
#define auto_expire_report __attribute__((cleanup(expire_report_release)))
void expire_report_release(struct expire_report *report);

/*
 * One run: remove what was condemned long enough ago, condemn what is new. A listing, a small read
 * for each snapshot, timeline, hold and note, at most one PUT, and a removal for each 1,000
 * objects. RC_NOT_FOUND: no replica. RC_CORRUPT: it holds something that is not understood, or its
 * newest state does not restore: nothing was removed. RC_CANCELLED. RET is written on success.
 */
must_use rc expire_run(struct expire_report *ret, struct replica *replica,
    const struct expire_options *options, struct error *err);

#endif
