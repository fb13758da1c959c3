/*
 * log_chunk - the index chunk of a log segment: its blocks, its transactions, its frames
 *
 * The raw chunk is a row of columns, each a row of varints, so that like stands beside like and
 * packs well. There is no size of a column in it: how many numbers each holds follows from the
 * counts in the directory. Signed numbers are zigzag.
 *
 * A transaction belongs to the chunk in which its last frame is; its frame count covers the chunks
 * before it. Page numbers are differences from the frame before in the same transaction, from 0 for
 * the first one; times and page counts from the transaction before, from the segment's first time
 * and the parent's page count for the first one.
 */
#ifndef SEAWAL_SEGMENT_LOG_CHUNK_PRIV_H
#define SEAWAL_SEGMENT_LOG_CHUNK_PRIV_H

#include "base/buf.h"
#include "directory_priv.h"

enum log_column {
    /* One number for each block. */
    LOG_BLOCK_ENCODINGS, /* of the operations, plus 16 times that of the literals */
    LOG_BLOCK_FRAME_COUNTS,
    LOG_BLOCK_OPERATIONS_RAW,
    LOG_BLOCK_OPERATIONS_STORED,
    LOG_BLOCK_LITERALS_RAW,
    LOG_BLOCK_LITERALS_STORED,
    LOG_BLOCK_DENSE_COUNTS, /* pages in the third column */
    /* One for each transaction. */
    LOG_TRANSACTION_FRAME_COUNTS,
    LOG_TRANSACTION_TIMES,       /* difference, never negative */
    LOG_TRANSACTION_PAGE_COUNTS, /* signed difference */
    LOG_TRANSACTION_FLAGS,
    /* One for each frame. */
    LOG_FRAME_CODES,
    LOG_FRAME_PGNOS, /* signed difference */
    LOG_COLUMN_COUNT,
};

struct log_block {
    uint8_t operations_encoding;
    uint8_t literals_encoding;
    uint32_t frame_count;
    uint32_t operations_raw;
    uint32_t operations_stored;
    uint32_t literals_raw;
    uint32_t literals_stored;
    uint32_t dense_count;
    uint64_t checksum; /* of the stored bytes; in the plain part of the chunk */
};

/* Of the three columns in the object. */
uint64_t log_block_stored_size(const struct log_block *block, uint32_t page_size);

/* ---- encoding: numbers are put as they come, the chunk is put together at its end */

struct log_chunk_builder {
    struct buf columns[LOG_COLUMN_COUNT];
    struct buf digests; /* of transactions */
    uint32_t frame_count;
    uint32_t transaction_count;
};

void log_chunk_builder_init(struct log_chunk_builder *builder);
void log_chunk_builder_release(struct log_chunk_builder *builder);
void log_chunk_builder_clear(struct log_chunk_builder *builder);
size_t log_chunk_builder_size(const struct log_chunk_builder *builder);

void log_chunk_put_frame(
    struct log_chunk_builder *builder, enum frame_code code, int64_t pgno_change);
void log_chunk_put_block(struct log_chunk_builder *builder, const struct log_block *block);
/* Both as differences from the transaction before. */
struct log_transaction_change {
    uint64_t frame_count;
    uint64_t time_ms;
    int64_t page_count;
    uint32_t flags;
    uint64_t digest;
};
void log_chunk_put_transaction(
    struct log_chunk_builder *builder, const struct log_transaction_change *change);

/* Append the raw chunk to OUT. */
void log_chunk_assemble(const struct log_chunk_builder *builder, struct buf *out);

/* ---- decoding: one cursor for each column, over bytes that the caller keeps */

struct log_chunk {
    struct cursor columns[LOG_COLUMN_COUNT];
    struct cursor block_checksums;
    struct cursor digests;
    uint32_t blocks_left;
    uint32_t transactions_left;
    uint32_t frames_left;
};

/*
 * PARTS are those of the chunk that ENTRY describes, and stay valid while RET is used. All numbers
 * are known to be there afterwards, and the blocks to add up to what ENTRY says.
 */
must_use rc log_chunk_decode(struct log_chunk *ret, const struct chunk_parts *parts,
    const struct directory_entry *entry, uint32_t page_size, struct error *err);

/* The next of each kind; asserts that there is one left. */
void log_chunk_next_block(struct log_chunk *chunk, struct log_block *ret);
void log_chunk_next_transaction(struct log_chunk *chunk, struct log_transaction_change *ret);
must_use rc log_chunk_next_frame(struct log_chunk *chunk, enum frame_code *ret_code,
    int64_t *ret_pgno_change, struct error *err);

#endif
