/*
 * segment_reader - opening a segment: tail, trailer, directory, header
 */
#include "base/alloc.h"
#include "codec/digest.h"
#include "packing_priv.h"
#include "reader_priv.h"

#include <stdlib.h>

enum { SEGMENT_SIZE_MIN = SEGMENT_HEADER_SIZE_MIN + SEGMENT_TRAILER_SIZE };

rc segment_reader_read(const struct segment_reader *reader, uint64_t offset, uint64_t size,
    struct buf *out, struct error *err)
{
    size_t size_before = out->size;
    rc result = reader->source.read(reader->source.payload, offset, size, out, err);

    /* For our callers RC_NOT_FOUND means the end: an object that vanished must not look like one.
     */
    if (result == RC_NOT_FOUND)
        return error_wrap(err, RC_IO, "segment vanished while it was read");
    TRY(result);
    assert(out->size - size_before == size);
    return RC_OK;
}

rc segment_reader_get(const struct segment_reader *reader, uint64_t offset, size_t size,
    struct buf *memory, struct bytes *ret, struct error *err)
{
    assert(offset <= reader->source.size);
    assert(size <= reader->source.size - offset);

    if (offset >= reader->tail_offset) {
        *ret = bytes_part(buf_bytes(&reader->tail), (size_t)(offset - reader->tail_offset), size);
        return RC_OK;
    }
    buf_clear(memory);
    TRY(segment_reader_read(reader, offset, size, memory, err));
    *ret = buf_bytes(memory);
    return RC_OK;
}

static rc segment_reader_read_tail(struct segment_reader *reader, struct error *err)
{
    uint64_t size = reader->source.size;
    if (size < SEGMENT_SIZE_MIN)
        FAIL(err, RC_CORRUPT, "object of %llu bytes is too small to be a segment",
            (unsigned long long)size);

    uint64_t tail_size = size < SEGMENT_FIRST_READ_SIZE ? size : SEGMENT_FIRST_READ_SIZE;
    reader->tail_offset = size - tail_size;
    reader->tail = BUF_INIT(SEGMENT_FIRST_READ_SIZE);
    TRY(reader->source.read(
        reader->source.payload, reader->tail_offset, tail_size, &reader->tail, err));
    assert(reader->tail.size == tail_size);
    return RC_OK;
}

static rc segment_reader_load_directory(struct segment_reader *reader, struct error *err)
{
    const struct segment_layout *layout = &reader->trailer.layout;
    auto_buf struct buf memory = BUF_INIT(DIRECTORY_SIZE_MAX);
    struct bytes directory;

    TRY(segment_reader_get(
        reader, layout->directory_offset, layout->directory_size, &memory, &directory, err));
    return directory_decode(&reader->entries, directory, &reader->trailer, err);
}

static bool segment_identity_equal(
    const struct segment_identity *left, const struct segment_identity *right)
{
    return left->kind == right->kind &&
           memcmp(left->database_id.bytes, right->database_id.bytes, DATABASE_ID_SIZE) == 0 &&
           left->timeline == right->timeline && left->page_size == right->page_size &&
           left->min_txid == right->min_txid && left->parent_digest == right->parent_digest &&
           left->parent_page_count == right->parent_page_count;
}

rc segment_reader_compare_header(
    struct segment_reader *reader, struct bytes start, struct error *err)
{
    struct segment_header header;
    const struct segment_layout *layout = &reader->trailer.layout;

    TRY(segment_header_decode(&header, start, err));
    if (header.size != layout->header_size || /* unreachable: the layout's sums were checked */
        header.checksum != layout->header_checksum ||
        !segment_identity_equal(&header.identity, &reader->trailer.identity))
        FAIL(err, RC_CORRUPT, "header and trailer are not of the same segment");
    reader->header_is_checked = true;
    return RC_OK;
}

rc segment_reader_check_header(struct segment_reader *reader, struct error *err)
{
    if (reader->header_is_checked)
        return RC_OK;

    auto_buf struct buf memory = BUF_INIT(SEGMENT_HEADER_SIZE_MAX);
    struct bytes start;
    TRY(segment_reader_get(reader, 0, reader->trailer.layout.header_size, &memory, &start, err));
    return segment_reader_compare_header(reader, start, err);
}

/* Another version than ours is believed when header and trailer agree on it: one changed byte must
 * not make damage look like the work of a newer seawal. */
static rc segment_reader_check_version(
    const struct segment_reader *reader, struct bytes trailer, struct error *err)
{
    uint16_t version = segment_trailer_version(trailer);
    if (version == SEGMENT_FORMAT_VERSION)
        return RC_OK;

    auto_buf struct buf memory = BUF_INIT(SEGMENT_HEADER_SIZE_MIN);
    struct bytes start;
    TRY(segment_reader_get(reader, 0, SEGMENT_HEADER_SIZE_MIN, &memory, &start, err));
    if (version != 0 && segment_header_version(start) == version)
        FAIL(err, RC_UNSUPPORTED, "segment format %u; this version reads %d", version,
            SEGMENT_FORMAT_VERSION);
    return RC_OK;
}

static rc segment_reader_load(struct segment_reader *reader, struct error *err)
{
    TRY(segment_reader_read_tail(reader, err));

    struct bytes tail = buf_bytes(&reader->tail);
    struct bytes trailer = bytes_part(tail, tail.size - SEGMENT_TRAILER_SIZE, SEGMENT_TRAILER_SIZE);
    TRY(segment_reader_check_version(reader, trailer, err));
    TRY(segment_trailer_decode(&reader->trailer, trailer, reader->source.size, err));
    TRY(segment_reader_load_directory(reader, err));
    return reader->tail_offset == 0 ? segment_reader_check_header(reader, err) : RC_OK;
}

rc segment_reader_open(struct segment_reader **ret, struct source source, struct error *err)
{
    struct segment_reader *reader = mem_new(sizeof *reader);
    reader->source = source;

    rc result = segment_reader_load(reader, err);
    if (result != RC_OK) {
        segment_reader_free(reader);
        return result;
    }
    *ret = reader;
    return RC_OK;
}

void segment_reader_free(struct segment_reader *reader)
{
    if (reader == NULL)
        return;
    log_reader_free(reader->log);
    buf_release(&reader->tail);
    free(reader->entries);
    free(reader);
}

void segment_reader_release(struct segment_reader *const *reader)
{
    segment_reader_free(*reader);
}

const struct segment_identity *segment_reader_identity(const struct segment_reader *reader)
{
    return &reader->trailer.identity;
}

const struct segment_summary *segment_reader_summary(const struct segment_reader *reader)
{
    return &reader->trailer.summary;
}

void chunk_memory_init(struct chunk_memory *memory)
{
    memory->stored = BUF_INIT(CHUNK_RAW_MAX + CHUNK_PLAIN_MAX);
    memory->raw = BUF_INIT(CHUNK_RAW_MAX);
}

void chunk_memory_release(struct chunk_memory *memory)
{
    buf_release(&memory->stored);
    buf_release(&memory->raw);
}

rc segment_reader_load_chunk(const struct segment_reader *reader, size_t index,
    struct chunk_memory *memory, struct chunk_parts *ret, struct error *err)
{
    assert(index < reader->trailer.layout.chunk_count);

    const struct directory_entry *entry = &reader->entries[index];
    struct bytes stored;
    size_t stored_size = (size_t)entry->packed_size + entry->plain_size;
    TRY(segment_reader_get(reader, entry->offset, stored_size, &memory->stored, &stored, err));
    if (bytes_digest(stored) != entry->checksum)
        FAIL(err, RC_CORRUPT, "index chunk at offset %llu does not match its checksum",
            (unsigned long long)entry->offset);

    struct inflater *inflater = inflater_new();
    struct bytes packed = bytes_part(stored, 0, entry->packed_size);
    buf_clear(&memory->raw);
    uint8_t *raw = buf_reserve(&memory->raw, entry->raw_size);
    rc result = unpack(inflater, entry->encoding, packed, raw, entry->raw_size, err);
    inflater_free(inflater);
    if (result != RC_OK)
        return error_wrap(
            err, result, "index chunk at offset %llu", (unsigned long long)entry->offset);

    *ret = (struct chunk_parts){
        .raw = bytes_of(raw, entry->raw_size),
        .plain = bytes_part(stored, entry->packed_size, entry->plain_size),
    };
    return RC_OK;
}

rc segment_reader_each_digest(
    struct segment_reader *reader, segment_page_digest_fn *each, void *payload, struct error *err)
{
    if (reader->trailer.identity.kind == SEGMENT_LOG)
        return log_reader_each_digest(reader, each, payload, err);
    return pages_reader_each_digest(reader, each, payload, err);
}
