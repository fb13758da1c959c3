/*
 * merge - segments that follow one another into one merged segment, without the database
 *
 * Calling sequence:
 *
 *   segment_merge_new()
 *   segment_merge_add()      each source, in order: log or merged segments
 *   segment_merge_finish()   the result into a sink
 *   segment_merge_free()     alone: abandons
 *
 * The first source says where the result begins. Each further one begins with the transaction
 * behind the end of those before it, and continues its digest, or begins earlier and ends later:
 * what it tells again is left out of a log, and does no harm in a merged segment. The result ends
 * where the last one ends, and holds every page that any of them wrote (segment/pages_encoder.h).
 *
 * Differences are resolved on the images that come before them: of a page that no source has given
 * whole yet, the caller is asked for the image as of the transaction before the first source. Each
 * page of the result is checked against the digest that the last source with the page has for it,
 * so a wrong base cannot pass.
 *
 * Memory: a bit a page (segment/page_set.h), a block and an index chunk of one source; images and
 * digests of the pages that were written stand in a sparse file without a name in the scratch
 * folder. After a failure other than RC_MISMATCH a merge can only be freed. Not thread-safe.
 */
#ifndef SEAWAL_SEGMENT_MERGE_H
#define SEAWAL_SEGMENT_MERGE_H

#include "base/error.h"
#include "base/stream.h"
#include "segment/segment.h"

struct segment_merge;

/*
 * Page PGNO as of the transaction before the first source, into OUT (its page size). RC_NOT_FOUND
 * is an answer like any other failure: the merge ends with it.
 */
typedef rc segment_merge_base_fn(void *payload, uint32_t pgno, uint8_t *out, struct error *err);

/* SCRATCH_FOLDER is copied. */
struct segment_merge *segment_merge_new(
    const char *scratch_folder, segment_merge_base_fn *base, void *payload);
void segment_merge_free(struct segment_merge *merge);

/*
 * RC_CORRUPT: the source is damaged. RC_MISMATCH: it is a snapshot, of another database, timeline
 * or page size, or does not follow. Nothing of SOURCE is used after the call.
 */
must_use rc segment_merge_add(struct segment_merge *merge, struct source source, struct error *err);

/*
 * At least one source. RC_CORRUPT: a page is not what its digest says, or one that the database
 * grew by is not there. RET tells what the trailer says.
 */
must_use rc segment_merge_finish(
    struct segment_merge *merge, struct sink sink, struct segment_summary *ret, struct error *err);

#endif
