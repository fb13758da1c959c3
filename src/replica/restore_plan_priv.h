/*
 * restore_plan - the same target by another way, when a segment turns out to be damaged
 */
#ifndef SEAWAL_REPLICA_RESTORE_PLAN_PRIV_H
#define SEAWAL_REPLICA_RESTORE_PLAN_PRIV_H

#include "replica/restore.h"

/* A replica with more damage than that is not gone around any more. */
enum { RESTORE_DAMAGE_COUNT_MAX = 16 };

/*
 * Another plan for the target of PLAN, by a new look at the replica, without its segment
 * OBJECT_INDEX, in which WHY was found, and without those that it goes around already. RET, which
 * may be PLAN, is replaced on success. Fails without a text: WHY is what there is to say then.
 */
must_use rc restore_plan_around(struct restore_plan *ret, struct replica *replica,
    const struct restore_plan *plan, size_t object_index, const struct error *why);

#endif
