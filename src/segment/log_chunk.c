/*
 * log_chunk - see log_chunk_priv.h
 */
#include "log_chunk_priv.h"

enum {
    LOG_COLUMN_SIZE_MAX = 2 * LOG_CHUNK_RAW_TARGET,
    LOG_ENCODING_SHIFT = 4,
    LOG_ENCODING_MASK = 15,
};

void log_chunk_builder_init(struct log_chunk_builder *builder)
{
    *builder = (struct log_chunk_builder){ .digests = BUF_INIT(CHUNK_PLAIN_MAX) };
    for (unsigned column = 0; column < LOG_COLUMN_COUNT; column++)
        builder->columns[column] = BUF_INIT(LOG_COLUMN_SIZE_MAX);
}

void log_chunk_builder_release(struct log_chunk_builder *builder)
{
    for (unsigned column = 0; column < LOG_COLUMN_COUNT; column++)
        buf_release(&builder->columns[column]);
    buf_release(&builder->digests);
}

void log_chunk_builder_clear(struct log_chunk_builder *builder)
{
    for (unsigned column = 0; column < LOG_COLUMN_COUNT; column++)
        buf_clear(&builder->columns[column]);
    buf_clear(&builder->digests);
    builder->frame_count = 0;
    builder->transaction_count = 0;
}

size_t log_chunk_builder_size(const struct log_chunk_builder *builder)
{
    size_t size = 0;
    for (unsigned column = 0; column < LOG_COLUMN_COUNT; column++)
        size += builder->columns[column].size;
    return size;
}

void log_chunk_assemble(const struct log_chunk_builder *builder, struct buf *out)
{
    for (unsigned column = 0; column < LOG_COLUMN_COUNT; column++)
        buf_put(out, buf_bytes(&builder->columns[column]));
}

/* Which of the three counts tells how many numbers a column has. */
static uint32_t log_column_count(enum log_column column, const struct directory_entry *entry)
{
    if (column <= LOG_BLOCK_DENSE_COUNTS)
        return entry->block_count;
    if (column <= LOG_TRANSACTION_FLAGS)
        return entry->transaction_count;
    return entry->item_count;
}

/* A number that must fit into 32 bits; a larger one becomes one that no check accepts. */
static uint32_t log_chunk_next_u32(struct log_chunk *chunk, enum log_column column)
{
    uint64_t value = cursor_varint(&chunk->columns[column]);
    return value > UINT32_MAX ? UINT32_MAX : (uint32_t)value;
}

void log_chunk_put_block(struct log_chunk_builder *builder, const struct log_block *block)
{
    unsigned encodings = (unsigned)block->operations_encoding | (unsigned)block->literals_encoding
                                                                    << LOG_ENCODING_SHIFT;

    buf_put_varint(&builder->columns[LOG_BLOCK_ENCODINGS], encodings);
    buf_put_varint(&builder->columns[LOG_BLOCK_FRAME_COUNTS], block->frame_count);
    buf_put_varint(&builder->columns[LOG_BLOCK_OPERATIONS_RAW], block->operations_raw);
    buf_put_varint(&builder->columns[LOG_BLOCK_OPERATIONS_STORED], block->operations_stored);
    buf_put_varint(&builder->columns[LOG_BLOCK_LITERALS_RAW], block->literals_raw);
    buf_put_varint(&builder->columns[LOG_BLOCK_LITERALS_STORED], block->literals_stored);
    buf_put_varint(&builder->columns[LOG_BLOCK_DENSE_COUNTS], block->dense_count);
}

static rc log_block_check(const struct log_block *block, uint32_t page_size, struct error *err)
{
    uint64_t raw_size = (uint64_t)block->operations_raw + block->literals_raw +
                        (uint64_t)block->dense_count * page_size;

    if (raw_size > LOG_BLOCK_RAW_MAX)
        FAIL(err, RC_CORRUPT, "block unpacks to %llu bytes, more than %d",
            (unsigned long long)raw_size, LOG_BLOCK_RAW_MAX);
    if (block->operations_stored > block->operations_raw ||
        block->literals_stored > block->literals_raw)
        FAIL(err, RC_CORRUPT, "block stores more bytes than it unpacks to");
    if (block->frame_count == 0)
        FAIL(err, RC_CORRUPT, "block without a frame");
    return RC_OK;
}

void log_chunk_next_block(struct log_chunk *chunk, struct log_block *ret)
{
    assert(chunk->blocks_left > 0);
    chunk->blocks_left--;

    uint64_t encodings = cursor_varint(&chunk->columns[LOG_BLOCK_ENCODINGS]);
    ret->operations_encoding = encodings & LOG_ENCODING_MASK;
    ret->literals_encoding = (uint8_t)(encodings >> LOG_ENCODING_SHIFT);
    ret->frame_count = log_chunk_next_u32(chunk, LOG_BLOCK_FRAME_COUNTS);
    ret->operations_raw = log_chunk_next_u32(chunk, LOG_BLOCK_OPERATIONS_RAW);
    ret->operations_stored = log_chunk_next_u32(chunk, LOG_BLOCK_OPERATIONS_STORED);
    ret->literals_raw = log_chunk_next_u32(chunk, LOG_BLOCK_LITERALS_RAW);
    ret->literals_stored = log_chunk_next_u32(chunk, LOG_BLOCK_LITERALS_STORED);
    ret->dense_count = log_chunk_next_u32(chunk, LOG_BLOCK_DENSE_COUNTS);
    ret->checksum = cursor_be64(&chunk->block_checksums);
}

uint64_t log_block_stored_size(const struct log_block *block, uint32_t page_size)
{
    return (uint64_t)block->operations_stored + block->literals_stored +
           (uint64_t)block->dense_count * page_size;
}

/* Each block by itself, and all of them against the directory. CHUNK is a copy that is used up. */
static rc log_chunk_check_blocks(struct log_chunk chunk, const struct directory_entry *entry,
    uint32_t page_size, struct error *err)
{
    uint64_t frame_count = 0;
    uint64_t stored_size = 0;

    while (chunk.blocks_left > 0) {
        struct log_block block;
        log_chunk_next_block(&chunk, &block);
        TRY(log_block_check(&block, page_size, err));
        frame_count += block.frame_count;
        stored_size += log_block_stored_size(&block, page_size);
    }
    if (frame_count != entry->item_count || stored_size != entry->blocks_size)
        FAIL(err, RC_CORRUPT, "blocks of an index chunk do not add up");
    return RC_OK;
}

rc log_chunk_decode(struct log_chunk *ret, const struct chunk_parts *parts,
    const struct directory_entry *entry, uint32_t page_size, struct error *err)
{
    struct bytes raw = parts->raw;
    struct bytes plain = parts->plain;
    struct log_chunk chunk = {
        .blocks_left = entry->block_count,
        .transactions_left = entry->transaction_count,
        .frames_left = entry->item_count,
    };

    struct cursor cursor = cursor_over(raw);
    for (unsigned column = 0; column < LOG_COLUMN_COUNT; column++) {
        size_t start = raw.size - cursor.rest.size;
        uint32_t count = log_column_count((enum log_column)column, entry);
        for (uint32_t index = 0; index < count && !cursor.failed; index++)
            cursor_varint(&cursor);
        size_t end = raw.size - cursor.rest.size;
        chunk.columns[column] = cursor_over(bytes_part(raw, start, end - start));
    }
    if (!cursor_is_spent(&cursor))
        FAIL(err, RC_CORRUPT, "index chunk has %zu bytes too many or a malformed number",
            cursor.rest.size);

    size_t checksums_size = (size_t)entry->block_count * SEGMENT_CHECKSUM_SIZE;
    assert(plain.size == entry->plain_size);
    chunk.block_checksums = cursor_over(bytes_part(plain, 0, checksums_size));
    chunk.digests = cursor_over(bytes_part(plain, checksums_size, plain.size - checksums_size));
    TRY(log_chunk_check_blocks(chunk, entry, page_size, err));
    *ret = chunk;
    return RC_OK;
}

void log_chunk_put_transaction(
    struct log_chunk_builder *builder, const struct log_transaction_change *change)
{
    buf_put_varint(&builder->columns[LOG_TRANSACTION_FRAME_COUNTS], change->frame_count);
    buf_put_varint(&builder->columns[LOG_TRANSACTION_TIMES], change->time_ms);
    buf_put_varint(
        &builder->columns[LOG_TRANSACTION_PAGE_COUNTS], zigzag_encode(change->page_count));
    buf_put_varint(&builder->columns[LOG_TRANSACTION_FLAGS], change->flags);
    buf_put_be64(&builder->digests, change->digest);
    builder->transaction_count++;
}

void log_chunk_next_transaction(struct log_chunk *chunk, struct log_transaction_change *ret)
{
    assert(chunk->transactions_left > 0);
    chunk->transactions_left--;

    ret->frame_count = cursor_varint(&chunk->columns[LOG_TRANSACTION_FRAME_COUNTS]);
    ret->time_ms = cursor_varint(&chunk->columns[LOG_TRANSACTION_TIMES]);
    ret->page_count = zigzag_decode(cursor_varint(&chunk->columns[LOG_TRANSACTION_PAGE_COUNTS]));
    ret->flags = log_chunk_next_u32(chunk, LOG_TRANSACTION_FLAGS);
    ret->digest = cursor_be64(&chunk->digests);
}

void log_chunk_put_frame(
    struct log_chunk_builder *builder, enum frame_code code, int64_t pgno_change)
{
    buf_put_varint(&builder->columns[LOG_FRAME_CODES], code);
    buf_put_varint(&builder->columns[LOG_FRAME_PGNOS], zigzag_encode(pgno_change));
    builder->frame_count++;
}

rc log_chunk_next_frame(
    struct log_chunk *chunk, enum frame_code *ret_code, int64_t *ret_pgno_change, struct error *err)
{
    assert(chunk->frames_left > 0);
    chunk->frames_left--;

    uint64_t code = cursor_varint(&chunk->columns[LOG_FRAME_CODES]);
    int64_t pgno_change = zigzag_decode(cursor_varint(&chunk->columns[LOG_FRAME_PGNOS]));
    if (code > FRAME_CODE_ZERO)
        FAIL(err, RC_CORRUPT, "frame has unknown kind %llu", (unsigned long long)code);

    *ret_code = (enum frame_code)code;
    *ret_pgno_change = pgno_change;
    return RC_OK;
}
