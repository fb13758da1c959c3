/*
 * pages_chunk - see pages_chunk_priv.h
 */
#include "pages_chunk_priv.h"

#include "base/alloc.h"
#include "codec/digest.h"

#include <stdlib.h>

_Static_assert(PAGES_BLOCK_RAW_MAX / PAGE_SIZE_MIN == PAGES_PER_BLOCK_MAX, "pages of a full block");

uint32_t pages_per_block(uint32_t page_size)
{
    return PAGES_BLOCK_RAW_MAX / page_size;
}

void pages_chunk_builder_init(struct pages_chunk_builder *builder)
{
    *builder = (struct pages_chunk_builder){ .digests = BUF_INIT(CHUNK_PLAIN_MAX) };
    for (unsigned column = 0; column < PAGES_COLUMN_COUNT; column++)
        builder->columns[column] = BUF_INIT(CHUNK_RAW_MAX);
}

void pages_chunk_builder_release(struct pages_chunk_builder *builder)
{
    for (unsigned column = 0; column < PAGES_COLUMN_COUNT; column++)
        buf_release(&builder->columns[column]);
    buf_release(&builder->digests);
}

void pages_chunk_builder_clear(struct pages_chunk_builder *builder, uint64_t min_txid)
{
    for (unsigned column = 0; column < PAGES_COLUMN_COUNT; column++)
        buf_clear(&builder->columns[column]);
    buf_clear(&builder->digests);
    builder->txid_before = min_txid;
    builder->page_count = 0;
    builder->first_pgno = 0;
    builder->run_end = 0;
    builder->run_length = 0;
    builder->run_gap = 0;
}

static void pages_chunk_put_run(struct pages_chunk_builder *builder)
{
    if (builder->run_length == 0)
        return;
    buf_put_varint(&builder->columns[PAGES_RUNS], builder->run_gap);
    buf_put_varint(&builder->columns[PAGES_RUNS], builder->run_length);
    builder->run_length = 0;
}

void pages_chunk_put_page(struct pages_chunk_builder *builder, uint32_t pgno, uint64_t digest)
{
    if (builder->page_count == 0) {
        builder->first_pgno = pgno;
        builder->run_end = pgno;
    }
    assert(pgno >= builder->run_end);

    if (pgno != builder->run_end || builder->page_count == 0) {
        pages_chunk_put_run(builder);
        builder->run_gap = pgno - builder->run_end;
    }
    builder->run_length++;
    builder->run_end = pgno + 1;
    builder->page_count++;
    buf_put_be64(&builder->digests, digest);
}

void pages_chunk_put_block(struct pages_chunk_builder *builder, const struct pages_block *block)
{
    int64_t txid_change = (int64_t)(block->txid - builder->txid_before);

    buf_put_varint(&builder->columns[PAGES_BLOCK_ENCODINGS], block->encoding);
    buf_put_varint(&builder->columns[PAGES_BLOCK_PAGE_COUNTS], block->page_count);
    buf_put_varint(&builder->columns[PAGES_BLOCK_STORED], block->stored_size);
    buf_put_varint(&builder->columns[PAGES_BLOCK_TXIDS], zigzag_encode(txid_change));
    builder->txid_before = block->txid;
}

void pages_chunk_assemble(struct pages_chunk_builder *builder, struct buf *out)
{
    pages_chunk_put_run(builder);
    for (unsigned column = 0; column < PAGES_COLUMN_COUNT; column++)
        buf_put(out, buf_bytes(&builder->columns[column]));
}

static void pages_blocks_read(
    struct pages_chunk *chunk, struct cursor *raw, struct cursor *checksums, uint64_t txid)
{
    for (size_t index = 0; index < chunk->block_count; index++)
        chunk->blocks[index].encoding = cursor_u8(raw);
    for (size_t index = 0; index < chunk->block_count; index++)
        chunk->blocks[index].page_count = cursor_varint32(raw);
    for (size_t index = 0; index < chunk->block_count; index++)
        chunk->blocks[index].stored_size = cursor_varint32(raw);
    for (size_t index = 0; index < chunk->block_count; index++) {
        txid += (uint64_t)zigzag_decode(cursor_varint(raw));
        chunk->blocks[index].txid = txid;
        chunk->blocks[index].checksum = cursor_be64(checksums);
    }
}

/* Sizes and counts of the blocks against the page size and the directory; offsets are given here.
 */
static rc pages_blocks_place(
    struct pages_chunk *chunk, const struct pages_chunk_frame *frame, struct error *err)
{
    uint32_t page_size = frame->identity->page_size;
    uint64_t stored_size = 0;
    uint32_t page_count = 0;

    for (size_t index = 0; index < chunk->block_count; index++) {
        struct pages_block *block = &chunk->blocks[index];
        if (block->page_count == 0 || block->page_count > pages_per_block(page_size))
            FAIL(err, RC_CORRUPT, "block has %u pages, must be 1 to %u", block->page_count,
                pages_per_block(page_size));
        if (block->stored_size > block->page_count * page_size)
            FAIL(err, RC_CORRUPT, "block stores more bytes than it unpacks to");
        bool is_merged = frame->identity->kind == SEGMENT_MERGED;
        uint64_t txid_min = is_merged ? frame->summary->max_txid : frame->identity->min_txid;
        if (block->txid < txid_min || block->txid > frame->summary->max_txid)
            FAIL(err, RC_CORRUPT, "block is as of transaction %llu, which does not belong there",
                (unsigned long long)block->txid);
        block->offset = frame->entry->blocks_offset + stored_size;
        block->first_page = page_count;
        stored_size += block->stored_size;
        page_count += block->page_count;
    }
    if (stored_size != frame->entry->blocks_size || page_count != frame->entry->item_count)
        FAIL(err, RC_CORRUPT, "blocks of an index chunk do not add up");
    return RC_OK;
}

bool pages_must_lie_between(const struct segment_identity *identity,
    const struct segment_summary *summary, uint64_t after, uint64_t before)
{
    if (identity->kind != SEGMENT_MERGED)
        return false;

    uint64_t lock_page = lock_page_of(identity->page_size);
    uint64_t low = (after > identity->parent_page_count ? after : identity->parent_page_count) + 1;
    uint64_t high = before <= summary->page_count ? before - 1 : summary->page_count;
    return low < high || (low == high && low != lock_page);
}

/*
 * Page numbers ascend by construction; none may be the lock page or, when merged, behind the end,
 * nor may one that the database grew by be left out.
 */
static rc pages_runs_decode(struct pages_chunk *chunk, struct cursor *raw,
    const struct pages_chunk_frame *frame, struct error *err)
{
    uint32_t lock_page = lock_page_of(frame->identity->page_size);
    uint64_t pgno = frame->entry->first_pgno;
    size_t told = 0;

    while (told < chunk->page_count) {
        uint32_t gap = cursor_varint32(raw);
        uint32_t length = cursor_varint32(raw);
        if (raw->failed || (gap == 0) != (told == 0) || length == 0 ||
            length > chunk->page_count - told)
            FAIL(err, RC_CORRUPT, "runs of page numbers are malformed");
        if (told > 0 &&
            pages_must_lie_between(frame->identity, frame->summary, pgno - 1, pgno + gap))
            FAIL(err, RC_CORRUPT, "merged segment lacks pages in front of page %llu",
                (unsigned long long)(pgno + gap));
        pgno += gap;
        if (pgno + length - 1 > UINT32_MAX)
            FAIL(err, RC_CORRUPT, "page numbers run past the largest there is");
        if (pgno <= lock_page && lock_page - pgno < length)
            FAIL(err, RC_CORRUPT, "segment holds the lock page %u", lock_page);
        for (uint32_t index = 0; index < length; index++)
            chunk->pgnos[told++] = (uint32_t)pgno++;
    }
    if (frame->identity->kind == SEGMENT_MERGED && pgno - 1 > frame->summary->page_count)
        FAIL(err, RC_CORRUPT, "merged segment holds pages behind the end of the database");
    return RC_OK;
}

rc pages_chunk_decode(struct pages_chunk *ret, const struct chunk_parts *parts,
    const struct pages_chunk_frame *frame, struct error *err)
{
    const struct directory_entry *entry = frame->entry;
    assert(parts->plain.size == entry->plain_size);

    ret->block_count = entry->block_count;
    ret->page_count = entry->item_count;
    ret->blocks = mem_resize(ret->blocks, ret->block_count * sizeof ret->blocks[0]);
    ret->pgnos = mem_resize(ret->pgnos, ret->page_count * sizeof ret->pgnos[0]);
    ret->digests = mem_resize(ret->digests, ret->page_count * sizeof ret->digests[0]);

    struct cursor raw_cursor = cursor_over(parts->raw);
    struct cursor plain_cursor = cursor_over(parts->plain);
    pages_blocks_read(ret, &raw_cursor, &plain_cursor, frame->identity->min_txid);
    if (raw_cursor.failed)
        FAIL(err, RC_CORRUPT, "index chunk is cut off");
    TRY(pages_blocks_place(ret, frame, err));
    TRY(pages_runs_decode(ret, &raw_cursor, frame, err));
    if (!cursor_is_spent(&raw_cursor))
        FAIL(err, RC_CORRUPT, "index chunk has %zu bytes too many", raw_cursor.rest.size);

    for (size_t index = 0; index < ret->page_count; index++) {
        ret->digests[index] = cursor_be64(&plain_cursor);
        if (ret->digests[index] == PAGE_DIGEST_UNKNOWN)
            FAIL(err, RC_CORRUPT, "page %u has no digest", ret->pgnos[index]);
    }
    assert(cursor_is_spent(&plain_cursor));
    return RC_OK;
}

void pages_chunk_release(struct pages_chunk *chunk)
{
    free(chunk->blocks);
    free(chunk->pgnos);
    free(chunk->digests);
    *chunk = PAGES_CHUNK_INIT;
}
