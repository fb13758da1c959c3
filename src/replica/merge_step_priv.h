/*
 * merge_step - one step of the plan: from its sources to a file that waits
 */
#ifndef SEAWAL_REPLICA_MERGE_STEP_PRIV_H
#define SEAWAL_REPLICA_MERGE_STEP_PRIV_H

#include "base/cancel.h"
#include "replica/merge_plan.h"
#include "replica/replica.h"

struct merge_place {
    struct replica *replica;
    uint32_t timeline;
    const char *windows_folder;
    const char *kept_folder; /* NULL: all comes from the store */
    struct cancel *cancel;
};

struct merge_made {
    uint64_t source_size;
    uint64_t fetched_size;
};

/*
 * The result is in WINDOWS_FOLDER/<level> then. RC_NOT_FOUND: certainly not possible, the image
 * that a difference needs is not restorable. RC_MISMATCH, RC_CORRUPT: the sources do not fit, or
 * one is damaged.
 */
must_use rc merge_step_run(const struct merge_place *place, const struct merge_step *step,
    struct merge_made *ret, struct error *err);

#endif
