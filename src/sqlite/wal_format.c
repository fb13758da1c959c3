/* The bytes of SQLite's write-ahead log; the layout is drawn in the header file. */
#include "sqlite/wal_format.h"

#include <assert.h>

enum {
    WAL_MAGIC = 0x377f0682, /* without its lowest bit */
    WAL_VERSION = 3007000,
};

bool wal_page_size_is_valid(uint32_t page_size)
{
    return page_size >= WAL_PAGE_SIZE_MIN && page_size <= WAL_PAGE_SIZE_MAX &&
           (page_size & (page_size - 1)) == 0;
}

static uint32_t wal_native_word(const uint8_t *p)
{
    uint32_t word;

    memcpy(&word, p, sizeof word);
    return word;
}

void wal_checksum(bool big_endian, struct bytes bytes, uint32_t checksum[2])
{
    assert(bytes.size % 8 == 0);

    uint32_t s1 = checksum[0];
    uint32_t s2 = checksum[1];
    bool is_native = big_endian == (__BYTE_ORDER__ == __ORDER_BIG_ENDIAN__);
    const uint8_t *end = bytes.data + bytes.size;

    /* Two loops, because this is the hottest code of a capture and the order never changes inside.
     */
    if (is_native) {
        for (const uint8_t *p = bytes.data; p < end; p += 8) {
            s1 += wal_native_word(p) + s2;
            s2 += wal_native_word(p + 4) + s1;
        }
    } else {
        for (const uint8_t *p = bytes.data; p < end; p += 8) {
            s1 += __builtin_bswap32(wal_native_word(p)) + s2;
            s2 += __builtin_bswap32(wal_native_word(p + 4)) + s1;
        }
    }

    checksum[0] = s1;
    checksum[1] = s2;
}

rc wal_header_decode(struct wal_header *ret, struct bytes in, struct error *err)
{
    if (in.size < WAL_HEADER_SIZE)
        FAIL(err, RC_CORRUPT, "log header is %zu bytes, must be %d", in.size, WAL_HEADER_SIZE);

    struct cursor cursor = cursor_over(bytes_part(in, 0, WAL_HEADER_SIZE));
    struct wal_header header = { 0 };
    uint32_t checksum[2] = { 0, 0 };

    uint32_t magic = cursor_be32(&cursor);
    uint32_t version = cursor_be32(&cursor);
    header.page_size = cursor_be32(&cursor);
    header.checkpoint_sequence = cursor_be32(&cursor);
    header.salt[0] = cursor_be32(&cursor);
    header.salt[1] = cursor_be32(&cursor);
    header.checksum[0] = cursor_be32(&cursor);
    header.checksum[1] = cursor_be32(&cursor);
    assert(cursor_is_spent(&cursor));

    if ((magic & ~1u) != WAL_MAGIC)
        FAIL(err, RC_CORRUPT, "log header begins with 0x%08x, must be 0x%08x or 0x%08x", magic,
            (unsigned)WAL_MAGIC, (unsigned)WAL_MAGIC | 1u);
    header.big_endian_checksum = (magic & 1u) != 0;
    wal_checksum(header.big_endian_checksum, bytes_part(in, 0, WAL_HEADER_SUMMED_SIZE), checksum);
    if (!wal_pair_equal(checksum, header.checksum))
        FAIL(err, RC_CORRUPT, "log header has a wrong checksum");
    if (version != WAL_VERSION)
        FAIL(err, RC_CORRUPT, "log version is %u, must be %d", version, WAL_VERSION);
    if (!wal_page_size_is_valid(header.page_size))
        FAIL(err, RC_CORRUPT, "log page size is %u; must be a power of two from %d to %d",
            header.page_size, WAL_PAGE_SIZE_MIN, WAL_PAGE_SIZE_MAX);

    *ret = header;
    return RC_OK;
}

void wal_frame_header_decode(struct wal_frame_header *ret, struct bytes in)
{
    assert(in.size == WAL_FRAME_HEADER_SIZE);

    ret->pgno = get_be32(in.data);
    ret->commit_page_count = get_be32(in.data + 4);
    ret->salt[0] = get_be32(in.data + 8);
    ret->salt[1] = get_be32(in.data + 12);
    ret->checksum[0] = get_be32(in.data + 16);
    ret->checksum[1] = get_be32(in.data + 20);
}

bool wal_frame_continues(const struct wal_header *header, struct bytes frame, uint32_t checksum[2])
{
    assert(frame.size == WAL_FRAME_HEADER_SIZE + (size_t)header->page_size);

    struct wal_frame_header decoded;
    uint32_t sum[2] = { checksum[0], checksum[1] };

    wal_frame_header_decode(&decoded, bytes_part(frame, 0, WAL_FRAME_HEADER_SIZE));
    if (!wal_pair_equal(decoded.salt, header->salt))
        return false;
    if (decoded.pgno == 0)
        return false;

    wal_checksum(header->big_endian_checksum, bytes_part(frame, 0, WAL_FRAME_SUMMED_SIZE), sum);
    wal_checksum(header->big_endian_checksum,
        bytes_part(frame, WAL_FRAME_HEADER_SIZE, header->page_size), sum);
    if (!wal_pair_equal(sum, decoded.checksum))
        return false;

    checksum[0] = sum[0];
    checksum[1] = sum[1];
    return true;
}
