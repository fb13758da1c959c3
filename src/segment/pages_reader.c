/*
 * pages_reader - chunks and blocks of snapshots and merged segments
 */
#include "codec/digest.h"
#include "packing_priv.h"
#include "pages_chunk_priv.h"
#include "reader_priv.h"

size_t pages_reader_chunk_count(const struct segment_reader *reader)
{
    assert(reader->trailer.identity.kind != SEGMENT_LOG);
    return reader->trailer.layout.chunk_count;
}

/*
 * The directory says where the next chunk begins: this one must end before it, with nothing that
 * must be there between them. (In front of the first chunk the directory looked.)
 */
static rc pages_chunk_check_end(const struct segment_reader *reader, size_t chunk_index,
    const struct pages_chunk *chunk, struct error *err)
{
    const struct segment_trailer *trailer = &reader->trailer;
    bool is_last = chunk_index + 1 == trailer->layout.chunk_count;
    uint64_t end = chunk->pgnos[chunk->page_count - 1];
    uint64_t next = is_last ? UINT64_MAX : reader->entries[chunk_index + 1].first_pgno;

    if (end >= next)
        FAIL(err, RC_CORRUPT, "index chunks overlap");
    if (pages_must_lie_between(&trailer->identity, &trailer->summary, end, next))
        FAIL(err, RC_CORRUPT, "merged segment lacks pages behind page %llu",
            (unsigned long long)end);
    return RC_OK;
}

rc pages_reader_load_chunk(
    struct segment_reader *reader, size_t chunk_index, struct pages_chunk *ret, struct error *err)
{
    assert(chunk_index < pages_reader_chunk_count(reader));

    const struct directory_entry *entry = &reader->entries[chunk_index];
    struct pages_chunk_frame frame = {
        .identity = &reader->trailer.identity,
        .summary = &reader->trailer.summary,
        .entry = entry,
    };
    auto_chunk_memory struct chunk_memory memory;
    chunk_memory_init(&memory);
    struct chunk_parts parts;

    TRY(segment_reader_load_chunk(reader, chunk_index, &memory, &parts, err));
    TRY_AS(err, pages_chunk_decode(ret, &parts, &frame, err), "index chunk at offset %llu",
        (unsigned long long)entry->offset);
    return pages_chunk_check_end(reader, chunk_index, ret, err);
}

rc pages_block_decode(const struct segment_reader *reader, const struct pages_block_input *input,
    struct inflater *inflater, uint8_t *out, struct error *err)
{
    assert(input->block_index < input->chunk->block_count);

    const struct pages_block *block = &input->chunk->blocks[input->block_index];
    uint32_t page_size = reader->trailer.identity.page_size;
    unsigned long long offset = block->offset;
    if (input->stored.size != block->stored_size || bytes_digest(input->stored) != block->checksum)
        FAIL(err, RC_CORRUPT, "block at offset %llu does not match its checksum", offset);

    size_t raw_size = (size_t)block->page_count * page_size;
    TRY_AS(err, unpack(inflater, block->encoding, input->stored, out, raw_size, err),
        "block at offset %llu", offset);
    for (uint32_t index = 0; index < block->page_count; index++) {
        uint32_t pgno = input->chunk->pgnos[block->first_page + index];
        struct bytes page = bytes_of(out + (size_t)index * page_size, page_size);
        if (page_digest(pgno, page) != input->chunk->digests[block->first_page + index])
            FAIL(err, RC_CORRUPT, "page %u in the block at offset %llu does not match its digest",
                pgno, offset);
    }
    return RC_OK;
}

static rc pages_chunk_each_digest(
    const struct pages_chunk *chunk, segment_page_digest_fn *each, void *payload, struct error *err)
{
    for (size_t index = 0; index < chunk->page_count; index++)
        TRY(each(payload, chunk->pgnos[index], chunk->digests[index], err));
    return RC_OK;
}

rc pages_reader_each_digest(
    struct segment_reader *reader, segment_page_digest_fn *each, void *payload, struct error *err)
{
    struct pages_chunk chunk = PAGES_CHUNK_INIT;
    rc result = RC_OK;

    for (size_t index = 0; result == RC_OK && index < pages_reader_chunk_count(reader); index++) {
        result = pages_reader_load_chunk(reader, index, &chunk, err);
        if (result == RC_OK)
            result = pages_chunk_each_digest(&chunk, each, payload, err);
    }
    pages_chunk_release(&chunk);
    return result;
}
