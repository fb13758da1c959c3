/*
 * Any bytes as a snapshot or merged segment: ascending pages, or an error with text; a merged
 * segment holds every page that the database grew by, and none behind its end.
 */
#include "segment/reader.h"
#include "segment_input.h"

#include "base/alloc.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* False when the chunk is refused. */
static bool read_chunk(struct segment_reader *reader, const struct buf *input, size_t chunk_index,
    struct pages_chunk *chunk, struct inflater *inflater)
{
    static uint8_t out[PAGES_PER_BLOCK_MAX * PAGE_SIZE_MIN];
    struct error err;

    if (pages_reader_load_chunk(reader, chunk_index, chunk, &err) != RC_OK)
        return false;
    for (size_t index = 0; index < chunk->block_count; index++) {
        const struct pages_block *block = &chunk->blocks[index];
        assert(block->page_count * segment_reader_identity(reader)->page_size <= sizeof out);
        struct pages_block_input block_input = {
            .chunk = chunk,
            .block_index = index,
            .stored = bytes_part(buf_bytes(input), block->offset, block->stored_size),
        };
        rc result = pages_block_decode(reader, &block_input, inflater, out, &err);
        assert(result == RC_OK || err.text[0] != '\0');
    }
    return true;
}

/* GROWN is the number of pages behind the parent's end, LAST the highest page number. */
static void check_growth(const struct segment_reader *reader, uint64_t grown, uint32_t last)
{
    const struct segment_identity *identity = segment_reader_identity(reader);
    uint64_t lock_page = (UINT64_C(1) << 30) / identity->page_size + 1;
    uint64_t from = identity->parent_page_count;
    uint64_t to = segment_reader_summary(reader)->page_count;

    if (identity->kind != SEGMENT_MERGED)
        return;
    assert(last <= to);
    if (to > from)
        assert(grown == to - from - (lock_page > from && lock_page <= to));
    else
        assert(grown == 0);
}

static void read_chunks(struct segment_reader *reader, const struct buf *input)
{
    struct pages_chunk chunk = PAGES_CHUNK_INIT;
    struct inflater *inflater = inflater_new();
    uint32_t parent_page_count = segment_reader_identity(reader)->parent_page_count;
    uint32_t pgno_before = 0;
    uint64_t grown = 0;
    size_t index = 0;

    for (; index < pages_reader_chunk_count(reader); index++) {
        if (!read_chunk(reader, input, index, &chunk, inflater))
            break;
        for (size_t page = 0; page < chunk.page_count; page++) {
            assert(chunk.pgnos[page] > pgno_before);
            pgno_before = chunk.pgnos[page];
            grown += pgno_before > parent_page_count;
        }
    }
    if (index == pages_reader_chunk_count(reader))
        check_growth(reader, grown, pgno_before);
    inflater_free(inflater);
    pages_chunk_release(&chunk);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    auto_buf struct buf input = BUF_INIT(INPUT_SIZE_MAX);
    struct segment_reader *reader;
    struct error err;

    if (size > INPUT_SIZE_MAX ||
        segment_reader_open(&reader, input_source(&input, data, size), &err) != RC_OK)
        return 0;
    if (segment_reader_identity(reader)->kind != SEGMENT_LOG)
        read_chunks(reader, &input);
    segment_reader_free(reader);
    return 0;
}
