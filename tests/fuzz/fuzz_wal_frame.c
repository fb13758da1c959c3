/* Any bytes as a log: the frames that continue its chain are in its salts, and no changed one does.
 */
#include "sqlite/wal_format.h"

#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { FUZZ_FRAME_SIZE = WAL_FRAME_HEADER_SIZE + WAL_PAGE_SIZE_MIN };

/* One frame with its checksum made right is taken; with one bit of it changed it is not. */
static void check_right_frame(const struct wal_header *header, const uint8_t *data, size_t bit)
{
    uint8_t frame[FUZZ_FRAME_SIZE];
    struct bytes whole = bytes_of(frame, sizeof frame);
    uint32_t sum[2] = { header->checksum[0], header->checksum[1] };
    uint32_t chain[2] = { header->checksum[0], header->checksum[1] };

    memcpy(frame, data, sizeof frame);
    frame[3] |= 1; /* page number 0 is none */
    put_be32(frame + 8, header->salt[0]);
    put_be32(frame + 12, header->salt[1]);
    wal_checksum(header->big_endian_checksum, bytes_of(frame, WAL_FRAME_SUMMED_SIZE), sum);
    wal_checksum(header->big_endian_checksum,
        bytes_of(frame + WAL_FRAME_HEADER_SIZE, WAL_PAGE_SIZE_MIN), sum);
    put_be32(frame + 16, sum[0]);
    put_be32(frame + 20, sum[1]);

    frame[bit / 8] ^= (uint8_t)(1u << bit % 8);
    assert(!wal_frame_continues(header, whole, chain));
    assert(chain[0] == header->checksum[0]);
    frame[bit / 8] ^= (uint8_t)(1u << bit % 8);
    assert(wal_frame_continues(header, whole, chain));
    assert(chain[0] == sum[0]);
    assert(chain[1] == sum[1]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct wal_header header = { .page_size = WAL_PAGE_SIZE_MIN };

    if (size < WAL_HEADER_SIZE + FUZZ_FRAME_SIZE)
        return 0;
    header.big_endian_checksum = (data[0] & 1) != 0;
    header.salt[0] = get_be32(data + 16);
    header.salt[1] = get_be32(data + 20);
    header.checksum[0] = get_be32(data + 24);
    header.checksum[1] = get_be32(data + 28);
    check_right_frame(&header, data + WAL_HEADER_SIZE, get_be32(data + 4) % (FUZZ_FRAME_SIZE * 8));

    uint32_t chain[2] = { header.checksum[0], header.checksum[1] };
    for (size_t at = WAL_HEADER_SIZE; at + FUZZ_FRAME_SIZE <= size; at += FUZZ_FRAME_SIZE) {
        struct wal_frame_header frame;
        if (!wal_frame_continues(&header, bytes_of(data + at, FUZZ_FRAME_SIZE), chain))
            return 0;
        wal_frame_header_decode(&frame, bytes_of(data + at, WAL_FRAME_HEADER_SIZE));
        assert(frame.pgno != 0);
        assert(frame.salt[0] == header.salt[0]);
        assert(frame.salt[1] == header.salt[1]);
        assert(frame.checksum[0] == chain[0]);
        assert(frame.checksum[1] == chain[1]);
    }
    return 0;
}
