/*
 * store_only - the packing of src/segment, without any compression
 *
 * For seeds: a fuzzer changes a stored column and reaches the decoder behind it, where a changed
 * deflate stream only fails its own checksum.
 */
#include "packing_priv.h"

void packer_init(struct packer *packer)
{
    *packer = (struct packer){ 0 };
}

void packer_release(struct packer *packer)
{
    (void)packer;
}

size_t pack_bound(size_t raw_size)
{
    return raw_size;
}

enum segment_encoding pack(struct packer *packer, struct bytes raw, struct buf *out)
{
    (void)packer;
    buf_put(out, raw);
    return ENCODING_STORED;
}

enum segment_encoding pack_fast(struct packer *packer, struct bytes raw, struct buf *out)
{
    return pack(packer, raw, out);
}

bool bytes_are_dense(struct bytes bytes)
{
    return bytes.size > 0 && bytes.data[0] >= 128;
}

rc unpack(struct inflater *inflater, unsigned encoding, struct bytes stored, void *out,
    size_t raw_size, struct error *err)
{
    (void)inflater;
    if (encoding != ENCODING_STORED || stored.size != raw_size)
        FAIL(err, RC_CORRUPT, "not stored");
    if (raw_size > 0)
        memcpy(out, stored.data, raw_size);
    return RC_OK;
}
