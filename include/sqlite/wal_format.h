/*
 * wal_format - the bytes of SQLite's write-ahead log
 *
 * Log header, 32 bytes, all big-endian whatever the checksum order (sqlite.org/fileformat2.html,
 * 4):
 *
 *      0  magic 0x377f0682; lowest bit set when checksums run over big-endian words
 *      4  version, 3007000
 *      8  page size
 *     12  checkpoint sequence
 *     16  salt[2], replaced whenever the log restarts
 *     24  checksum[2] of bytes 0..23
 *
 * Valid when (1) the magic is one of the two, (2) the checksum matches, (3) the version is 3007000,
 * (4) the page size is a power of two from 512 to 65536. Read nothing else from one that is not
 * valid.
 *
 * Frame, 24 bytes and a page:
 *
 *      0  page number, from 1
 *      4  size of the database in pages after this commit; 0 in frames that end no transaction
 *      8  salt[2] of the log
 *     16  checksum[2], running: of bytes 0..7 and the page, continued from the frame before (from
 * the log header's own checksum for the first frame)
 *
 * Nothing in a frame says that it is committed; the WAL-index does (database.h).
 */
#ifndef SEAWAL_SQLITE_WAL_FORMAT_H
#define SEAWAL_SQLITE_WAL_FORMAT_H

#include "base/bytes.h"
#include "base/error.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

enum {
    WAL_HEADER_SIZE = 32,
    WAL_HEADER_SUMMED_SIZE = 24,
    WAL_FRAME_HEADER_SIZE = 24,
    WAL_FRAME_SUMMED_SIZE = 8,
    WAL_PAGE_SIZE_MIN = 512,
    WAL_PAGE_SIZE_MAX = 65536,
};
_Static_assert(WAL_HEADER_SUMMED_SIZE % 8 == 0, "the checksum runs over pairs of 32-bit words");
_Static_assert(WAL_HEADER_SUMMED_SIZE + 8 == WAL_HEADER_SIZE, "the checksum closes the header");

struct wal_header {
    uint32_t page_size;
    uint32_t checkpoint_sequence;
    uint32_t salt[2];
    uint32_t checksum[2]; /* where the chain of frame checksums begins */
    bool big_endian_checksum;
};

struct wal_frame_header {
    uint32_t pgno;
    uint32_t commit_page_count; /* not 0: last frame of a transaction */
    uint32_t salt[2];
    uint32_t checksum[2];
};

bool wal_page_size_is_valid(uint32_t page_size);

/* Of salts, and of checksums. */
static inline bool wal_pair_equal(const uint32_t left[2], const uint32_t right[2])
{
    return memcmp(left, right, 2 * sizeof left[0]) == 0;
}

/* Continue CHECKSUM over BYTES, whose size is a multiple of 8. */
void wal_checksum(bool big_endian, struct bytes bytes, uint32_t checksum[2]);

/* IN is WAL_HEADER_SIZE bytes or more. RC_CORRUPT: not valid; SQLite may be in the middle of
 * writing it. */
must_use rc wal_header_decode(struct wal_header *ret, struct bytes in, struct error *err);

/* IN is exactly WAL_FRAME_HEADER_SIZE bytes. Every content is well formed; wal_frame_continues()
 * judges. */
void wal_frame_header_decode(struct wal_frame_header *ret, struct bytes in);

/*
 * Whether FRAME, a header and its page, is the successor of a frame whose running checksum is
 * CHECKSUM in the log with HEADER's salts and word order; CHECKSUM then becomes the frame's. False
 * leaves it alone.
 */
bool wal_frame_continues(const struct wal_header *header, struct bytes frame, uint32_t checksum[2]);

/* Byte offset of frame FRAME (from 1) in the log. */
static inline uint64_t wal_frame_offset(uint32_t page_size, uint32_t frame)
{
    return WAL_HEADER_SIZE + (uint64_t)(frame - 1) * (page_size + WAL_FRAME_HEADER_SIZE);
}

#endif
