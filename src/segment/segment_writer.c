/*
 * segment_writer - see segment_writer_priv.h
 */
#include "segment_writer_priv.h"

#include "codec/digest.h"

enum { WRITER_BLOCK_COUNT_MAX = CHUNK_PLAIN_MAX / SEGMENT_CHECKSUM_SIZE };

void segment_writer_init(
    struct segment_writer *writer, struct sink sink, const char *scratch_folder)
{
    *writer = (struct segment_writer){
        .sink = sink,
        .chunk = BUF_INIT(pack_bound(CHUNK_RAW_MAX) + CHUNK_PLAIN_MAX),
        .directory = BUF_INIT(DIRECTORY_SIZE_MAX),
        .block_checksums = BUF_INIT(CHUNK_PLAIN_MAX),
    };
    packer_init(&writer->packer);
    index_spill_init(&writer->spill, scratch_folder);
}

void segment_writer_release(struct segment_writer *writer)
{
    packer_release(&writer->packer);
    index_spill_release(&writer->spill);
    buf_release(&writer->chunk);
    buf_release(&writer->directory);
    buf_release(&writer->block_checksums);
}

static rc segment_writer_put(struct segment_writer *writer, struct bytes bytes, struct error *err)
{
    if (bytes.size == 0)
        return RC_OK;
    TRY(writer->sink.write(writer->sink.payload, bytes, err));
    writer->offset += bytes.size;
    return RC_OK;
}

static rc segment_writer_put_as_sink(void *payload, struct bytes bytes, struct error *err)
{
    return segment_writer_put(payload, bytes, err);
}

rc segment_writer_begin(
    struct segment_writer *writer, const struct segment_identity *identity, struct error *err)
{
    assert(writer->offset == 0);

    segment_header_encode(&writer->chunk, identity, &writer->header);
    TRY(segment_writer_put(writer, buf_bytes(&writer->chunk), err));
    buf_clear(&writer->chunk);
    return RC_OK;
}

rc segment_writer_add_block(struct segment_writer *writer, struct bytes stored, struct error *err)
{
    assert(writer->block_count < WRITER_BLOCK_COUNT_MAX);

    TRY(segment_writer_put(writer, stored, err));
    buf_put_be64(&writer->block_checksums, bytes_digest(stored));
    writer->block_count++;
    writer->blocks_size += stored.size;
    return RC_OK;
}

rc segment_writer_add_chunk(struct segment_writer *writer, struct directory_entry *entry,
    struct bytes raw, struct bytes digests, struct error *err)
{
    assert(raw.size <= CHUNK_RAW_MAX);
    assert(writer->block_checksums.size + digests.size <= CHUNK_PLAIN_MAX);

    if (writer->chunk_count == CHUNK_COUNT_MAX)
        FAIL(err, RC_UNSUPPORTED, "segment needs more than %d index chunks", CHUNK_COUNT_MAX);

    struct buf *chunk = &writer->chunk;
    buf_clear(chunk);
    entry->encoding = (uint8_t)pack(&writer->packer, raw, chunk);
    entry->packed_size = (uint32_t)chunk->size;
    entry->raw_size = (uint32_t)raw.size;
    buf_put(chunk, buf_bytes(&writer->block_checksums));
    buf_put(chunk, digests);

    entry->block_count = writer->block_count;
    entry->blocks_size = writer->blocks_size;
    entry->plain_size = directory_entry_plain_size(entry);
    assert(entry->packed_size + entry->plain_size == chunk->size);
    entry->checksum = bytes_digest(buf_bytes(chunk));

    TRY(index_spill_add(&writer->spill, buf_bytes(chunk), err));
    directory_entry_encode(&writer->directory, entry);
    writer->chunk_count++;
    writer->block_count = 0;
    writer->blocks_size = 0;
    buf_clear(&writer->block_checksums);
    return RC_OK;
}

rc segment_writer_finish(
    struct segment_writer *writer, struct segment_summary *summary, struct error *err)
{
    assert(writer->block_count == 0);

    struct segment_layout layout = {
        .header_size = writer->header.size,
        .header_checksum = writer->header.checksum,
        .index_offset = writer->offset,
        .directory_size = (uint32_t)writer->directory.size,
        .chunk_count = writer->chunk_count,
        .directory_checksum = bytes_digest(buf_bytes(&writer->directory)),
    };

    struct sink self = { .write = segment_writer_put_as_sink, .payload = writer };
    TRY(index_spill_drain(&writer->spill, self, err));
    layout.directory_offset = writer->offset;

    summary->stored_size = writer->offset + writer->directory.size + SEGMENT_TRAILER_SIZE;
    struct segment_trailer trailer = {
        .identity = writer->header.identity,
        .summary = *summary,
        .layout = layout,
    };
    auto_buf struct buf end = BUF_INIT(DIRECTORY_SIZE_MAX + SEGMENT_TRAILER_SIZE);
    buf_put(&end, buf_bytes(&writer->directory));
    segment_trailer_encode(&end, &trailer);
    TRY(segment_writer_put(writer, buf_bytes(&end), err));

    assert(writer->offset == summary->stored_size);
    return RC_OK;
}
