/*
 * header - what a segment says about itself first
 */
#include "header_priv.h"

#include "codec/digest.h"

static bool page_size_is_valid(uint32_t page_size)
{
    return page_size >= PAGE_SIZE_MIN && page_size <= PAGE_SIZE_MAX &&
           (page_size & (page_size - 1)) == 0;
}

static rc segment_identity_check(const struct segment_identity *identity, struct error *err)
{
    if (!page_size_is_valid(identity->page_size))
        FAIL(err, RC_CORRUPT, "page size is %u; must be a power of two from %d to %d",
            identity->page_size, PAGE_SIZE_MIN, PAGE_SIZE_MAX);
    if (identity->min_txid == 0)
        FAIL(err, RC_CORRUPT, "first transaction is 0; transactions count from 1");
    if (identity->kind == SEGMENT_SNAPSHOT &&
        (identity->parent_digest != 0 || identity->parent_page_count != 0))
        FAIL(err, RC_CORRUPT, "snapshot names a parent");
    return RC_OK;
}

void segment_identity_encode(struct buf *out, const struct segment_identity *identity)
{
    assert(segment_identity_check(identity, NULL) == RC_OK);
    assert(identity->kind >= SEGMENT_LOG && identity->kind <= SEGMENT_SNAPSHOT);

    buf_put_u8(out, (uint8_t)identity->kind);
    buf_put_u8(out, 0); /* reserved */
    buf_put_be16(out, 0);
    buf_put_be32(out, 0); /* flags */
    buf_put(out, bytes_of(identity->database_id.bytes, DATABASE_ID_SIZE));
    buf_put_be32(out, identity->timeline);
    buf_put_be32(out, identity->page_size);
    buf_put_be64(out, identity->min_txid);
    buf_put_be64(out, identity->parent_digest);
    buf_put_be32(out, identity->parent_page_count);
}

rc segment_identity_decode(struct segment_identity *ret, struct bytes in, struct error *err)
{
    struct cursor cursor = cursor_over(in);
    struct segment_identity identity;

    uint8_t kind = cursor_u8(&cursor);
    uint8_t reserved_byte = cursor_u8(&cursor);
    uint16_t reserved = cursor_be16(&cursor);
    uint32_t flags = cursor_be32(&cursor);
    struct bytes database_id = cursor_bytes(&cursor, DATABASE_ID_SIZE);
    identity.timeline = cursor_be32(&cursor);
    identity.page_size = cursor_be32(&cursor);
    identity.min_txid = cursor_be64(&cursor);
    identity.parent_digest = cursor_be64(&cursor);
    identity.parent_page_count = cursor_be32(&cursor);

    assert(cursor_is_spent(&cursor)); /* callers give SEGMENT_IDENTITY_SIZE bytes */
    if (kind < SEGMENT_LOG || kind > SEGMENT_SNAPSHOT)
        FAIL(err, RC_UNSUPPORTED, "segment kind %u is not known to this version", kind);
    if (flags != 0 || reserved != 0 || reserved_byte != 0)
        FAIL(err, RC_UNSUPPORTED, "segment flags 0x%x are not known to this version", flags);
    identity.kind = (enum segment_kind)kind;
    memcpy(identity.database_id.bytes, database_id.data, DATABASE_ID_SIZE);
    TRY(segment_identity_check(&identity, err));

    *ret = identity;
    return RC_OK;
}

void segment_header_encode(
    struct buf *out, const struct segment_identity *identity, struct segment_header *ret)
{
    size_t start = out->size;

    buf_put(out, bytes_of(SEGMENT_HEADER_MAGIC, SEGMENT_MAGIC_SIZE));
    buf_put_be16(out, SEGMENT_FORMAT_VERSION);
    segment_identity_encode(out, identity);
    buf_put_be16(out, 0); /* size of the sealed key, which would follow */
    uint64_t checksum = bytes_digest(bytes_of(out->data + start, out->size - start));
    buf_put_be64(out, checksum);

    *ret = (struct segment_header){
        .identity = *identity,
        .checksum = checksum,
        .size = (uint32_t)(out->size - start),
    };
    assert(ret->size == SEGMENT_HEADER_SIZE_MIN);
}

uint16_t segment_header_version(struct bytes in)
{
    struct cursor cursor = cursor_over(in);
    struct bytes magic = cursor_bytes(&cursor, SEGMENT_MAGIC_SIZE);
    uint16_t version = cursor_be16(&cursor);

    bool is_header =
        !cursor.failed && bytes_equal(magic, bytes_of(SEGMENT_HEADER_MAGIC, SEGMENT_MAGIC_SIZE));
    return is_header ? version : 0;
}

rc segment_header_decode(struct segment_header *ret, struct bytes in, struct error *err)
{
    struct cursor cursor = cursor_over(in);
    struct segment_header header;

    struct bytes magic = cursor_bytes(&cursor, SEGMENT_MAGIC_SIZE);
    uint16_t version = cursor_be16(&cursor);
    struct bytes identity = cursor_bytes(&cursor, SEGMENT_IDENTITY_SIZE);
    uint16_t key_size = cursor_be16(&cursor);

    if (cursor.failed)
        FAIL(err, RC_CORRUPT, "header is cut off at %zu bytes", in.size);
    if (!bytes_equal(magic, bytes_of(SEGMENT_HEADER_MAGIC, SEGMENT_MAGIC_SIZE)))
        FAIL(err, RC_CORRUPT, "not a segment: wrong magic at offset 0");
    if (version != SEGMENT_FORMAT_VERSION)
        FAIL(err, RC_CORRUPT, "header says segment format %u, trailer does not", version);
    if (key_size > SEGMENT_KEY_SIZE_MAX)
        FAIL(err, RC_CORRUPT, "sealed key is %u bytes, more than %d", key_size,
            SEGMENT_KEY_SIZE_MAX);

    cursor_bytes(&cursor, key_size);
    size_t summed_size = in.size - cursor.rest.size;
    header.checksum = cursor_be64(&cursor);
    if (cursor.failed)
        FAIL(err, RC_CORRUPT, "header is cut off at %zu bytes", in.size);
    if (bytes_digest(bytes_part(in, 0, summed_size)) != header.checksum)
        FAIL(err, RC_CORRUPT, "header does not match its checksum");
    if (key_size != 0)
        FAIL(err, RC_UNSUPPORTED, "segment is encrypted; this version cannot read it");

    header.size = (uint32_t)(in.size - cursor.rest.size);
    TRY(segment_identity_decode(&header.identity, identity, err));
    *ret = header;
    return RC_OK;
}
