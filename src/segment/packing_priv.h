/*
 * packing - columns and blocks, deflated where it pays and stored where it does not
 */
#ifndef SEAWAL_SEGMENT_PACKING_PRIV_H
#define SEAWAL_SEGMENT_PACKING_PRIV_H

#include "base/buf.h"
#include "codec/deflate.h"
#include "format_priv.h"

#include <stdbool.h>

/* One for each encoder; belongs to one thread. */
struct packer {
    struct deflater *thorough; /* for what is small: bytes count there, the time does not */
    struct deflater *fast;     /* for what is large */
};

void packer_init(struct packer *packer);
void packer_release(struct packer *packer);

/*
 * Append RAW to OUT in the encoding that takes fewer bytes, and say which it is. OUT has room for
 * pack_bound(RAW.size). Never takes more than RAW.size bytes.
 */
enum segment_encoding pack(struct packer *packer, struct bytes raw, struct buf *out);
/* The same in less time, whatever the size: for blocks of which there are many. */
enum segment_encoding pack_fast(struct packer *packer, struct bytes raw, struct buf *out);
size_t pack_bound(size_t raw_size);

/* RAW_SIZE bytes out of all of STORED; RC_UNSUPPORTED for an encoding that version 1 does not have.
 */
must_use rc unpack(struct inflater *inflater, unsigned encoding, struct bytes stored, void *out,
    size_t raw_size, struct error *err);

/*
 * Whether the histogram of BYTES is so flat that no entropy coder gains from it: encrypted,
 * compressed or random content, which is stored at once since trying costs ten times as much.
 */
bool bytes_are_dense(struct bytes bytes);

#endif
