/*
 * reader - a segment from any source, everything checked
 *
 * Opening reads the tail once: trailer, and the index as far as it fits into the first read (a
 * small object is read whole by that one call). Nothing that comes from the source is believed
 * before its checksum and bounds were checked; damage is RC_CORRUPT with the offset, a version or
 * flag that we do not know is RC_UNSUPPORTED.
 *
 * Memory: one index chunk and one block at a time, whatever the segment's size.
 *
 * Log segments are read in order:
 *
 *   segment_reader_open(), then log_reader_next() until RC_NOT_FOUND
 *
 * Snapshots and merged segments are read by index chunk, in any order and by several threads (each
 * with its own struct pages_chunk and inflater): pages_reader_load_chunk(), then the stored bytes
 * of its blocks (they lie one behind the other, so a run of them is one ranged read) and
 * pages_block_decode() for each.
 */
#ifndef SEAWAL_SEGMENT_READER_H
#define SEAWAL_SEGMENT_READER_H

#include "base/error.h"
#include "base/stream.h"
#include "codec/deflate.h"
#include "segment/segment.h"

struct segment_reader;

must_use rc segment_reader_open(
    struct segment_reader **ret, struct source source, struct error *err);
void segment_reader_free(struct segment_reader *reader);
#define auto_segment_reader __attribute__((cleanup(segment_reader_release)))
void segment_reader_release(struct segment_reader *const *reader);

/* Valid as long as the reader. */
const struct segment_identity *segment_reader_identity(const struct segment_reader *reader);
const struct segment_summary *segment_reader_summary(const struct segment_reader *reader);

/*
 * Compare the object's first bytes with what its trailer says. Opening does so when the object is
 * small enough to be read whole, log_reader_next() before its first frame; for the rest it costs a
 * read of its own, which only a full verification needs: the trailer repeats all that the header
 * holds.
 */
must_use rc segment_reader_check_header(struct segment_reader *reader, struct error *err);

/* ---- log segments */

/*
 * The transaction table, without reading any block; a non-OK answer of EACH stops and is returned.
 * Does not disturb log_reader_next().
 */
typedef rc segment_transaction_fn(
    void *payload, const struct segment_transaction *transaction, struct error *err);
must_use rc log_reader_each_transaction(
    struct segment_reader *reader, segment_transaction_fn *each, void *payload, struct error *err);

/* Digest after the segment (0: page no longer there) of each distinct page, ascending by pgno. */
typedef rc segment_page_digest_fn(void *payload, uint32_t pgno, uint64_t digest, struct error *err);
must_use rc segment_reader_each_digest(
    struct segment_reader *reader, segment_page_digest_fn *each, void *payload, struct error *err);

enum log_frame_kind { LOG_FRAME_WHOLE, LOG_FRAME_DIFFERENCE, LOG_FRAME_ZERO };

struct log_frame {
    uint32_t pgno;
    enum log_frame_kind kind;
    struct bytes operations; /* LOG_FRAME_DIFFERENCE; valid until the next call on the reader */
    struct bytes literals;   /* WHOLE: the page; DIFFERENCE: literal bytes in order of use */
};

enum log_event_kind { LOG_EVENT_FRAME, LOG_EVENT_COMMIT };

struct log_event {
    enum log_event_kind kind;
    struct log_frame frame; /* LOG_EVENT_FRAME */
    struct segment_transaction
        transaction; /* COMMIT: all of it; FRAME: txid only, the rest is zero */
};

/* The next frame, or the end of a transaction. RC_NOT_FOUND: the segment ended where it should. */
must_use rc log_reader_next(
    struct segment_reader *reader, struct log_event *ret, struct error *err);

/*
 * Rebuild the page into OUT (PAGE_SIZE bytes, not overlapping BASE). BASE is the image before the
 * frame, PAGE_SIZE bytes; it is read for LOG_FRAME_DIFFERENCE only and may be empty otherwise.
 */
must_use rc log_frame_apply(const struct log_frame *frame, uint32_t page_size, struct bytes base,
    uint8_t *out, struct error *err);

/* ---- snapshots and merged segments */

enum { PAGES_PER_BLOCK_MAX = 128, BLOCKS_PER_CHUNK_MAX = 512 };

struct pages_block {
    uint64_t offset; /* of the stored bytes in the object */
    uint32_t stored_size;
    uint32_t page_count;
    uint32_t first_page; /* index into pgnos and digests of the chunk */
    uint64_t txid;       /* the pages are as of this transaction */
    uint64_t checksum;   /* of the stored bytes */
    uint8_t encoding;
};

struct pages_chunk {
    struct pages_block *blocks;
    size_t block_count;
    uint32_t *pgnos; /* ascending, over all blocks of the chunk */
    uint64_t *digests;
    size_t page_count;
};

size_t pages_reader_chunk_count(const struct segment_reader *reader);

/* Safe to call by several threads at once when the source is. RET is reused or PAGES_CHUNK_INIT. */
#define PAGES_CHUNK_INIT ((struct pages_chunk){ 0 })
must_use rc pages_reader_load_chunk(
    struct segment_reader *reader, size_t chunk_index, struct pages_chunk *ret, struct error *err);
void pages_chunk_release(struct pages_chunk *chunk);

/*
 * Unpack block BLOCK_INDEX of CHUNK from its STORED bytes into OUT (page_count * page_size bytes);
 * each page's digest is checked.
 */
struct pages_block_input {
    const struct pages_chunk *chunk;
    size_t block_index;
    struct bytes stored;
};
must_use rc pages_block_decode(const struct segment_reader *reader,
    const struct pages_block_input *input, struct inflater *inflater, uint8_t *out,
    struct error *err);

#endif
