/*
 * merge_base - pages as of the transaction before a step, from what is stored
 *
 * Needed where a log is merged of which capture has not made the merged segment itself, and nothing
 * before it in the step has the page whole. The pages that its logs name are rebuilt into a file
 * without a name, at the first question: the blocks of the snapshot that hold them, and what of the
 * segments behind it is theirs.
 */
#ifndef SEAWAL_REPLICA_MERGE_BASE_PRIV_H
#define SEAWAL_REPLICA_MERGE_BASE_PRIV_H

#include "base/error.h"
#include "merge_step_priv.h"

#include <stdatomic.h>
#include <stdint.h>

struct merge_base {
    const struct merge_place *place;
    const struct merge_step *step;
    const char *scratch_folder;
    int image_fd; /* -1: not asked for yet */
    uint32_t page_size;
    atomic_uint_fast64_t received; /* stored bytes fetched */
};

/* segment_merge_base_fn; RC_NOT_FOUND: that transaction cannot be restored. */
must_use rc merge_base_read(void *payload, uint32_t pgno, uint8_t *out, struct error *err);

void merge_base_release(struct merge_base *base);

#endif
