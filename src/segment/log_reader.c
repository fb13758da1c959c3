/*
 * log_reader - the frames of a log segment with their bytes
 *
 * The walk gives frames and transactions from the index; blocks are read in order beside it. Blocks
 * are small, so the source is asked for LOG_WINDOW_SIZE bytes at a time.
 */
#include "base/alloc.h"
#include "codec/digest.h"
#include "log_walk_priv.h"
#include "packing_priv.h"
#include "page_diff_priv.h"
#include "segment/page_set.h"

#include <stdlib.h>

enum {
    LOG_WINDOW_SIZE = 1 << 20,
    LOG_WINDOW_MAX = LOG_WINDOW_SIZE + SEGMENT_HEADER_SIZE_MAX + LOG_BLOCK_STORED_MAX,
};

struct log_reader {
    struct log_walk walk;
    struct inflater *inflater;

    struct buf window; /* a piece of the object */
    uint64_t window_offset;
    uint64_t block_offset; /* of the next block */

    /* The block being read. */
    uint32_t block_frames_left;
    struct buf operations_memory;
    struct buf literals_memory;
    struct cursor operations;
    struct cursor literals;
    struct cursor dense;
};

static struct log_reader *log_reader_new(struct segment_reader *reader)
{
    struct log_reader *log = mem_new(sizeof *log);
    log_walk_init(&log->walk, reader);
    log->inflater = inflater_new();
    log->window = BUF_INIT(LOG_WINDOW_MAX);
    log->operations_memory = BUF_INIT(LOG_BLOCK_RAW_MAX);
    log->literals_memory = BUF_INIT(LOG_BLOCK_RAW_MAX);
    log->block_offset = reader->trailer.layout.header_size;
    return log;
}

void log_reader_free(struct log_reader *log)
{
    if (log == NULL)
        return;
    log_walk_release(&log->walk);
    inflater_free(log->inflater);
    buf_release(&log->window);
    buf_release(&log->operations_memory);
    buf_release(&log->literals_memory);
    free(log);
}

/* Move the window so that it begins at OFFSET and holds SIZE bytes or more; the header comes along.
 */
static rc log_reader_move_window(
    struct log_reader *log, uint64_t offset, size_t size, struct error *err)
{
    struct segment_reader *reader = log->walk.reader;
    uint64_t start = reader->header_is_checked ? offset : 0;
    uint64_t rest = reader->trailer.layout.index_offset - start;
    uint64_t wanted = offset - start + size;
    if (wanted < LOG_WINDOW_SIZE) /* unreachable: no block is as large as that */
        wanted = rest < LOG_WINDOW_SIZE ? rest : LOG_WINDOW_SIZE;

    buf_clear(&log->window);
    log->window_offset = start;
    TRY(segment_reader_read(reader, start, wanted, &log->window, err));
    if (!reader->header_is_checked)
        return segment_reader_compare_header(reader, buf_bytes(&log->window), err);
    return RC_OK;
}

static rc log_reader_get(
    struct log_reader *log, uint64_t offset, size_t size, struct bytes *ret, struct error *err)
{
    const struct segment_reader *reader = log->walk.reader;
    bool is_in_tail = offset >= reader->tail_offset && reader->header_is_checked;
    if (is_in_tail)
        return segment_reader_get(reader, offset, size, NULL, ret, err);

    uint64_t window_end = log->window_offset + log->window.size;
    if (offset < log->window_offset || /* unreachable: blocks are read in order */
        offset + size > window_end)
        TRY(log_reader_move_window(log, offset, size, err));
    *ret = bytes_part(buf_bytes(&log->window), (size_t)(offset - log->window_offset), size);
    return RC_OK;
}

struct packed_column {
    unsigned encoding;
    struct bytes stored;
    size_t raw_size;
};

static rc log_reader_unpack(struct log_reader *log, const struct packed_column *column,
    struct buf *memory, struct cursor *ret, struct error *err)
{
    buf_clear(memory);
    uint8_t *raw = buf_reserve(memory, column->raw_size);
    TRY(unpack(log->inflater, column->encoding, column->stored, raw, column->raw_size, err));
    *ret = cursor_over(bytes_of(raw, column->raw_size));
    return RC_OK;
}

static rc log_reader_unpack_block(
    struct log_reader *log, const struct log_block *block, struct bytes stored, struct error *err)
{
    size_t packed_size = (size_t)block->operations_stored + block->literals_stored;
    struct packed_column operations = {
        .encoding = block->operations_encoding,
        .stored = bytes_part(stored, 0, block->operations_stored),
        .raw_size = block->operations_raw,
    };
    struct packed_column literals = {
        .encoding = block->literals_encoding,
        .stored = bytes_part(stored, block->operations_stored, block->literals_stored),
        .raw_size = block->literals_raw,
    };

    TRY(log_reader_unpack(log, &operations, &log->operations_memory, &log->operations, err));
    TRY(log_reader_unpack(log, &literals, &log->literals_memory, &log->literals, err));
    log->dense = cursor_over(bytes_part(stored, packed_size, stored.size - packed_size));
    log->block_frames_left = block->frame_count;
    return RC_OK;
}

static rc log_reader_load_block(struct log_reader *log, struct error *err)
{
    struct log_block block;
    log_chunk_next_block(&log->walk.chunk, &block);

    uint32_t page_size = log->walk.reader->trailer.identity.page_size;
    size_t stored_size = (size_t)log_block_stored_size(&block, page_size);
    uint64_t offset = log->block_offset;
    struct bytes stored;
    TRY(log_reader_get(log, offset, stored_size, &stored, err));
    log->block_offset += stored_size;

    if (bytes_digest(stored) != block.checksum)
        FAIL(err, RC_CORRUPT, "block at offset %llu does not match its checksum",
            (unsigned long long)offset);
    TRY_AS(err, log_reader_unpack_block(log, &block, stored, err), "block at offset %llu",
        (unsigned long long)offset);
    return RC_OK;
}

static rc log_reader_fill_difference(
    struct log_reader *log, struct log_frame *frame, uint32_t page_size, struct error *err)
{
    struct page_diff_sizes sizes;

    TRY(page_diff_measure(&sizes, log->operations.rest, page_size, err));
    frame->kind = LOG_FRAME_DIFFERENCE;
    frame->operations = cursor_bytes(&log->operations, sizes.operations);
    frame->literals = cursor_bytes(&log->literals, sizes.literals);
    return RC_OK;
}

static rc log_reader_fill_frame(
    struct log_reader *log, struct log_frame *frame, enum frame_code code, struct error *err)
{
    uint32_t page_size = log->walk.reader->trailer.identity.page_size;

    switch (code) { /* unreachable: log_chunk_next_frame() gives no other */
    case FRAME_CODE_DIFFERENCE:
        TRY(log_reader_fill_difference(log, frame, page_size, err));
        break;
    case FRAME_CODE_WHOLE:
        frame->kind = LOG_FRAME_WHOLE;
        frame->literals = cursor_bytes(&log->literals, page_size);
        break;
    case FRAME_CODE_DENSE:
        frame->kind = LOG_FRAME_WHOLE;
        frame->literals = cursor_bytes(&log->dense, page_size);
        break;
    case FRAME_CODE_ZERO:
        frame->kind = LOG_FRAME_ZERO;
        break;
    }
    if (log->literals.failed || log->dense.failed)
        FAIL(err, RC_CORRUPT, "frame of page %u needs more bytes than its block has", frame->pgno);

    log->block_frames_left--;
    if (log->block_frames_left == 0 &&
        (!cursor_is_spent(&log->operations) || !cursor_is_spent(&log->literals) ||
            !cursor_is_spent(&log->dense)))
        FAIL(err, RC_CORRUPT, "block has bytes that no frame uses");
    return RC_OK;
}

rc log_reader_next(struct segment_reader *reader, struct log_event *ret, struct error *err)
{
    if (reader->log == NULL)
        reader->log = log_reader_new(reader);

    struct log_reader *log = reader->log;
    struct log_step step;
    TRY(log_walk_next(&log->walk, &step, err));

    struct log_event event = { .kind = LOG_EVENT_COMMIT, .transaction = step.transaction };
    if (!step.is_commit) {
        /* The index was checked: as long as a chunk has frames it has their blocks. */
        if (log->block_frames_left == 0)
            TRY(log_reader_load_block(log, err));
        event.kind = LOG_EVENT_FRAME;
        event.frame.pgno = step.pgno;
        event.transaction.txid = step.txid;
        TRY(log_reader_fill_frame(log, &event.frame, step.code, err));
    }
    *ret = event;
    return RC_OK;
}

rc log_frame_apply(const struct log_frame *frame, uint32_t page_size, struct bytes base,
    uint8_t *out, struct error *err)
{
    switch (frame->kind) { /* unreachable: log_reader_next() makes no other kind */
    case LOG_FRAME_WHOLE:
        assert(frame->literals.size == page_size);
        memcpy(out, frame->literals.data, page_size);
        return RC_OK;
    case LOG_FRAME_ZERO:
        memset(out, 0, page_size);
        return RC_OK;
    case LOG_FRAME_DIFFERENCE:
        if (base.size != page_size)
            FAIL(err, RC_MISMATCH, "page %u is stored as a difference and its base is missing",
                frame->pgno);
        TRY_AS(err, page_diff_apply(frame->operations, frame->literals, base, out, err), "page %u",
            frame->pgno);
        return RC_OK;
    }
    assert(false);
    return RC_CORRUPT;
}

rc log_reader_each_transaction(
    struct segment_reader *reader, segment_transaction_fn *each, void *payload, struct error *err)
{
    auto_log_walk struct log_walk walk;
    log_walk_init(&walk, reader);

    for (;;) {
        struct log_step step;
        rc result = log_walk_next(&walk, &step, err);
        if (result == RC_NOT_FOUND)
            return RC_OK;
        TRY(result);
        if (step.is_commit)
            TRY(each(payload, &step.transaction, err));
    }
}

/* Gives the digests of the segment, which lie in chunks behind the frames, one by one. */
struct digest_source {
    const struct segment_reader *reader;
    struct chunk_memory memory;
    size_t chunk_index; /* the next to load */
    struct cursor digests;
    segment_page_digest_fn *each;
    void *payload;
};

static rc digest_source_give(void *payload, uint32_t pgno, struct error *err)
{
    struct digest_source *source = payload;
    const struct segment_reader *reader = source->reader;

    if (source->digests.rest.size == 0) {
        if (source->chunk_index == reader->trailer.layout.chunk_count)
            FAIL(err, RC_CORRUPT, "segment has fewer digests than pages");
        struct chunk_parts parts;
        TRY(segment_reader_load_chunk(reader, source->chunk_index, &source->memory, &parts, err));
        source->digests = cursor_over(parts.plain);
        source->chunk_index++;
    }
    uint64_t digest = cursor_be64(&source->digests);
    bool is_there = pgno <= reader->trailer.summary.page_count;
    if (is_there != (digest != PAGE_DIGEST_UNKNOWN))
        FAIL(err, RC_CORRUPT, "page %u %s", pgno,
            is_there ? "has no digest" : "is behind the end of the database and has a digest");
    return source->each(source->payload, pgno, digest, err);
}

static rc log_reader_collect_pages(
    struct segment_reader *reader, struct page_set *ret, size_t *ret_chunk_count, struct error *err)
{
    auto_log_walk struct log_walk walk;
    log_walk_init(&walk, reader);

    for (;;) {
        struct log_step step;
        rc result = log_walk_next(&walk, &step, err);
        if (result == RC_NOT_FOUND)
            break;
        TRY(result);
        if (!step.is_commit)
            page_set_add(ret, step.pgno);
    }
    *ret_chunk_count = walk.chunk_index;
    return RC_OK;
}

rc log_reader_each_digest(
    struct segment_reader *reader, segment_page_digest_fn *each, void *payload, struct error *err)
{
    auto_page_set struct page_set pages = PAGE_SET_INIT;
    struct digest_source source = { .reader = reader, .each = each, .payload = payload };

    TRY(log_reader_collect_pages(reader, &pages, &source.chunk_index, err));
    chunk_memory_init(&source.memory);
    rc result = page_set_each(&pages, digest_source_give, &source, err);
    size_t chunks_left = reader->trailer.layout.chunk_count - source.chunk_index;
    chunk_memory_release(&source.memory);
    TRY(result);
    if (source.digests.rest.size > 0 || chunks_left > 0)
        FAIL(err, RC_CORRUPT, "segment has more digests than pages");
    return RC_OK;
}
