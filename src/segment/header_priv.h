/*
 * header, trailer - the two ends of a segment, encoded and decoded
 *
 * The header is written first and says what is known then; the trailer repeats it, adds what is
 * known at the end and finds the index.
 */
#ifndef SEAWAL_SEGMENT_HEADER_PRIV_H
#define SEAWAL_SEGMENT_HEADER_PRIV_H

#include "base/buf.h"
#include "format_priv.h"

struct segment_header {
    struct segment_identity identity;
    uint64_t checksum; /* of the header without its last 8 bytes, which hold this */
    uint32_t size;     /* of the whole header */
};

/* Where the parts behind the header are. */
struct segment_layout {
    uint32_t header_size;
    uint64_t header_checksum;
    uint64_t index_offset; /* the first byte behind the blocks */
    uint64_t directory_offset;
    uint32_t directory_size;
    uint32_t chunk_count;
    uint64_t directory_checksum;
};

struct segment_trailer {
    struct segment_identity identity;
    struct segment_summary summary;
    struct segment_layout layout;
};

/* Both are used by header and trailer alike, in these 52 bytes. */
void segment_identity_encode(struct buf *out, const struct segment_identity *identity);
must_use rc segment_identity_decode(
    struct segment_identity *ret, struct bytes in, struct error *err);

/* Append the header to OUT, and tell its checksum and size in RET. */
void segment_header_encode(
    struct buf *out, const struct segment_identity *identity, struct segment_header *ret);

/* The format version that a header at the start of IN, or a trailer at the end of IN, states; 0 if
 * there is none. Where these stand is the same in every version. */
uint16_t segment_header_version(struct bytes in);
uint16_t segment_trailer_version(struct bytes in);

/* IN begins with a header and may be longer. */
must_use rc segment_header_decode(struct segment_header *ret, struct bytes in, struct error *err);

void segment_trailer_encode(struct buf *out, const struct segment_trailer *trailer);

/* IN is the last SEGMENT_TRAILER_SIZE bytes of an object of OBJECT_SIZE bytes. */
must_use rc segment_trailer_decode(
    struct segment_trailer *ret, struct bytes in, uint64_t object_size, struct error *err);

#endif
