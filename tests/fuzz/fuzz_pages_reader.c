/* Any bytes as a snapshot or merged segment: ascending pages, or an error with text. */
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

static void read_chunks(struct segment_reader *reader, const struct buf *input)
{
    struct pages_chunk chunk = PAGES_CHUNK_INIT;
    struct inflater *inflater = inflater_new();
    uint32_t pgno_before = 0;

    for (size_t index = 0; index < pages_reader_chunk_count(reader); index++) {
        if (!read_chunk(reader, input, index, &chunk, inflater))
            break;
        for (size_t page = 0; page < chunk.page_count; page++) {
            assert(chunk.pgnos[page] > pgno_before);
            pgno_before = chunk.pgnos[page];
        }
    }
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
