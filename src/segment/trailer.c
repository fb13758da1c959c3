/*
 * trailer - what a segment says about itself last
 */
#include "codec/digest.h"
#include "header_priv.h"

/* From the end: these stay where they are in every version, so that any version can be told. */
enum {
    TRAILER_CHECKSUM_BACK = SEGMENT_MAGIC_SIZE + SEGMENT_CHECKSUM_SIZE,
    TRAILER_VERSION_BACK = TRAILER_CHECKSUM_BACK + 4,
};

static void segment_summary_encode(struct buf *out, const struct segment_summary *summary)
{
    buf_put_be64(out, summary->max_txid);
    buf_put_be64(out, summary->digest);
    buf_put_be32(out, summary->page_count);
    buf_put_be64(out, (uint64_t)summary->first_time_ms);
    buf_put_be64(out, (uint64_t)summary->last_time_ms);
    buf_put_be32(out, summary->place.salt[0]);
    buf_put_be32(out, summary->place.salt[1]);
    buf_put_be32(out, summary->place.checkpoint_sequence);
    buf_put_be32(out, summary->place.frame_count);
    buf_put_be32(out, summary->place.checksum[0]);
    buf_put_be32(out, summary->place.checksum[1]);
    buf_put_be64(out, summary->frame_count);
    buf_put_be64(out, summary->stored_size);
}

static void segment_summary_decode(struct segment_summary *ret, struct cursor *cursor)
{
    ret->max_txid = cursor_be64(cursor);
    ret->digest = cursor_be64(cursor);
    ret->page_count = cursor_be32(cursor);
    ret->first_time_ms = (int64_t)cursor_be64(cursor);
    ret->last_time_ms = (int64_t)cursor_be64(cursor);
    ret->place.salt[0] = cursor_be32(cursor);
    ret->place.salt[1] = cursor_be32(cursor);
    ret->place.checkpoint_sequence = cursor_be32(cursor);
    ret->place.frame_count = cursor_be32(cursor);
    ret->place.checksum[0] = cursor_be32(cursor);
    ret->place.checksum[1] = cursor_be32(cursor);
    ret->frame_count = cursor_be64(cursor);
    ret->stored_size = cursor_be64(cursor);
}

static void segment_layout_encode(struct buf *out, const struct segment_layout *layout)
{
    buf_put_be16(out, (uint16_t)layout->header_size);
    buf_put_be64(out, layout->header_checksum);
    buf_put_be64(out, layout->index_offset);
    buf_put_be64(out, layout->directory_offset);
    buf_put_be32(out, layout->directory_size);
    buf_put_be32(out, layout->chunk_count);
    buf_put_be64(out, layout->directory_checksum);
}

static void segment_layout_decode(struct segment_layout *ret, struct cursor *cursor)
{
    ret->header_size = cursor_be16(cursor);
    ret->header_checksum = cursor_be64(cursor);
    ret->index_offset = cursor_be64(cursor);
    ret->directory_offset = cursor_be64(cursor);
    ret->directory_size = cursor_be32(cursor);
    ret->chunk_count = cursor_be32(cursor);
    ret->directory_checksum = cursor_be64(cursor);
}

void segment_trailer_encode(struct buf *out, const struct segment_trailer *trailer)
{
    size_t start = out->size;

    segment_identity_encode(out, &trailer->identity);
    segment_summary_encode(out, &trailer->summary);
    segment_layout_encode(out, &trailer->layout);
    buf_put_be16(out, SEGMENT_FORMAT_VERSION);
    buf_put_be16(out, SEGMENT_TRAILER_SIZE);
    buf_put_be64(out, bytes_digest(bytes_of(out->data + start, out->size - start)));
    buf_put(out, bytes_of(SEGMENT_TRAILER_MAGIC, SEGMENT_MAGIC_SIZE));

    assert(out->size - start == SEGMENT_TRAILER_SIZE);
}

uint16_t segment_trailer_version(struct bytes in)
{
    assert(in.size == SEGMENT_TRAILER_SIZE);

    const uint8_t *end = in.data + in.size;
    bool is_trailer =
        memcmp(end - SEGMENT_MAGIC_SIZE, SEGMENT_TRAILER_MAGIC, SEGMENT_MAGIC_SIZE) == 0;
    return is_trailer ? get_be16(end - TRAILER_VERSION_BACK) : 0;
}

/* Magic, version and checksum: whether the rest may be read at all. */
static rc segment_trailer_check_seal(struct bytes in, struct error *err)
{
    assert(in.size == SEGMENT_TRAILER_SIZE);

    const uint8_t *end = in.data + in.size;
    if (memcmp(end - SEGMENT_MAGIC_SIZE, SEGMENT_TRAILER_MAGIC, SEGMENT_MAGIC_SIZE) != 0)
        FAIL(err, RC_CORRUPT, "not a whole segment: wrong magic at the end");
    uint16_t version = get_be16(end - TRAILER_VERSION_BACK);
    if (version != SEGMENT_FORMAT_VERSION)
        FAIL(err, RC_CORRUPT, "trailer says segment format %u, header does not", version);
    uint16_t size = get_be16(end - TRAILER_VERSION_BACK + 2);
    if (size != SEGMENT_TRAILER_SIZE)
        FAIL(err, RC_CORRUPT, "trailer is %u bytes, must be %d", size, SEGMENT_TRAILER_SIZE);
    struct bytes summed = bytes_part(in, 0, in.size - TRAILER_CHECKSUM_BACK);
    if (get_be64(end - TRAILER_CHECKSUM_BACK) != bytes_digest(summed))
        FAIL(err, RC_CORRUPT, "trailer does not match its checksum");
    return RC_OK;
}

/* The parts lie one behind the other and fill the object: header, blocks, index, directory,
 * trailer. */
static rc segment_layout_check(
    const struct segment_layout *layout, uint64_t object_size, struct error *err)
{
    if (layout->header_size < SEGMENT_HEADER_SIZE_MIN ||
        layout->header_size > SEGMENT_HEADER_SIZE_MAX)
        FAIL(err, RC_CORRUPT, "header is %u bytes, must be %d to %d", layout->header_size,
            SEGMENT_HEADER_SIZE_MIN, SEGMENT_HEADER_SIZE_MAX);
    if (layout->chunk_count > CHUNK_COUNT_MAX)
        FAIL(err, RC_CORRUPT, "index has %u chunks, more than %d", layout->chunk_count,
            CHUNK_COUNT_MAX);
    if (layout->directory_size > DIRECTORY_SIZE_MAX)
        FAIL(err, RC_CORRUPT, "directory is %u bytes, more than %d", layout->directory_size,
            DIRECTORY_SIZE_MAX);
    if (layout->index_offset < layout->header_size ||
        layout->directory_offset < layout->index_offset || layout->directory_offset > object_size ||
        object_size - layout->directory_offset !=
            (uint64_t)layout->directory_size + SEGMENT_TRAILER_SIZE)
        FAIL(err, RC_CORRUPT, "parts do not fill the object of %llu bytes",
            (unsigned long long)object_size);
    return RC_OK;
}

static bool log_place_is_zero(const struct log_place *place)
{
    return place->salt[0] == 0 && place->salt[1] == 0 && place->checkpoint_sequence == 0 &&
           place->frame_count == 0 && place->checksum[0] == 0 && place->checksum[1] == 0;
}

static rc segment_summary_check(
    const struct segment_trailer *trailer, uint64_t object_size, struct error *err)
{
    const struct segment_summary *summary = &trailer->summary;

    if (summary->stored_size != object_size)
        FAIL(err, RC_CORRUPT, "segment says it has %llu bytes, the object has %llu",
            (unsigned long long)summary->stored_size, (unsigned long long)object_size);
    if (summary->max_txid < trailer->identity.min_txid)
        FAIL(err, RC_CORRUPT, "range of transactions is empty");
    if (summary->last_time_ms < summary->first_time_ms)
        FAIL(err, RC_CORRUPT, "time of the last transaction is before that of the first");
    if (trailer->identity.kind != SEGMENT_LOG && !log_place_is_zero(&summary->place))
        FAIL(err, RC_CORRUPT, "segment without a log names a place in it");
    return RC_OK;
}

rc segment_trailer_decode(
    struct segment_trailer *ret, struct bytes in, uint64_t object_size, struct error *err)
{
    TRY(segment_trailer_check_seal(in, err));

    struct cursor cursor = cursor_over(in);
    struct segment_trailer trailer;
    TRY(segment_identity_decode(
        &trailer.identity, cursor_bytes(&cursor, SEGMENT_IDENTITY_SIZE), err));
    segment_summary_decode(&trailer.summary, &cursor);
    segment_layout_decode(&trailer.layout, &cursor);
    assert(cursor.rest.size == TRAILER_VERSION_BACK);

    TRY(segment_layout_check(&trailer.layout, object_size, err));
    TRY(segment_summary_check(&trailer, object_size, err));
    *ret = trailer;
    return RC_OK;
}
