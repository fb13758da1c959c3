/*
 * directory - what the index chunks are and where, one entry each
 *
 * Everything between header and directory is accounted for here: chunks lie one behind the other
 * from the index offset on, and the blocks that a chunk describes lie one behind the other, chunk
 * after chunk, from the end of the header on.
 */
#ifndef SEAWAL_SEGMENT_DIRECTORY_PRIV_H
#define SEAWAL_SEGMENT_DIRECTORY_PRIV_H

#include "base/buf.h"
#include "header_priv.h"

struct directory_entry {
    uint8_t kind;     /* enum chunk_kind */
    uint8_t encoding; /* of the packed part */
    uint32_t packed_size;
    uint32_t raw_size; /* of the packed part when unpacked */
    uint32_t block_count;
    uint64_t blocks_size;       /* stored bytes of all its blocks */
    uint32_t item_count;        /* frames, digests or pages */
    uint32_t transaction_count; /* CHUNK_FRAMES */
    uint32_t first_pgno;        /* CHUNK_PAGES */
    uint64_t checksum;          /* of the stored chunk: packed part, then plain part */

    /* Not stored, found by adding up. */
    uint32_t plain_size;
    uint64_t offset;        /* of the chunk in the object */
    uint64_t blocks_offset; /* of its first block */
};

/* The two parts of a stored chunk, the first one unpacked. */
struct chunk_parts {
    struct bytes raw;
    struct bytes plain;
};

/* Checksums of blocks, digests of transactions or pages: bytes that no codec makes smaller. */
uint32_t directory_entry_plain_size(const struct directory_entry *entry);

void directory_entry_encode(struct buf *out, const struct directory_entry *entry);

/*
 * Every entry of the directory IN, all sums checked against the trailer. RET is an array of
 * trailer->layout.chunk_count entries that the caller owns, NULL when there are none.
 */
must_use rc directory_decode(struct directory_entry **ret, struct bytes in,
    const struct segment_trailer *trailer, struct error *err);

#endif
