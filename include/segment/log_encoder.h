/*
 * log_encoder - frames of whole transactions in, a log segment out, in bounded memory
 *
 * Calling sequence:
 *
 *   log_encoder_new()
 *   for each transaction: log_encoder_add_frame() one or more times, log_encoder_end_transaction()
 *   log_encoder_finish(), then log_encoder_free() (free alone abandons)
 *
 * Bytes go to the sink as they are ready, from the first on; nothing is rewritten. What grows with
 * the number of frames (the index) is kept in memory up to 1 MiB and then spills into an unlinked
 * temporary file in the scratch folder.
 *
 * A page whose difference from its base saves nothing is stored whole; an all-zero page takes no
 * bytes. Every frame's page image is exactly identity.page_size bytes. After a failure the encoder
 * can only be freed. Not thread-safe.
 */
#ifndef SEAWAL_SEGMENT_LOG_ENCODER_H
#define SEAWAL_SEGMENT_LOG_ENCODER_H

#include "base/error.h"
#include "base/stream.h"
#include "segment/segment.h"

struct log_encoder;

/* IDENTITY and SCRATCH_FOLDER are copied. identity.kind must be SEGMENT_LOG. */
must_use rc log_encoder_new(struct log_encoder **ret, const struct segment_identity *identity,
    struct sink sink, const char *scratch_folder, struct error *err);
void log_encoder_free(struct log_encoder *encoder);

/*
 * The image PAGE that the transaction in progress gives to page PGNO. BASE is the image of the page
 * before this frame, empty when it is not known or the page is new.
 */
must_use rc log_encoder_add_frame(struct log_encoder *encoder, uint32_t pgno, struct bytes page,
    struct bytes base, struct error *err);

/*
 * Close the transaction. txid must follow the previous one (the first is identity.min_txid), frame
 * count is filled by the encoder and ignored here.
 */
must_use rc log_encoder_end_transaction(
    struct log_encoder *encoder, const struct segment_transaction *transaction, struct error *err);

/* Bytes given to the sink plus what is buffered compressed or estimated: when to cut. */
uint64_t log_encoder_size(const struct log_encoder *encoder);
uint32_t log_encoder_transaction_count(const struct log_encoder *encoder);

/*
 * The digest of page PGNO after the last transaction; 0 exactly when the database no longer has it,
 * that is when PGNO is larger than the last transaction's page count (RC_MISMATCH otherwise).
 */
typedef uint64_t segment_digest_fn(void *payload, uint32_t pgno);

/* At least one transaction is required. RET tells what the trailer says. */
must_use rc log_encoder_finish(struct log_encoder *encoder, const struct log_place *place,
    segment_digest_fn *digest_of, void *payload, struct segment_summary *ret, struct error *err);

#endif
