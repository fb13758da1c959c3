/*
 * packing - see packing_priv.h
 */
#include "packing_priv.h"

enum {
    PACK_THOROUGH_LEVEL = 6,
    PACK_FAST_LEVEL = 1,
    PACK_THOROUGH_SIZE_MAX = 160 << 10, /* below what a second of a busy application makes */
    PACK_SIZE_MIN = 16, /* less never gets smaller: the stream's own frame takes 6 bytes and more */
    DENSE_SAMPLE_SIZE = 512,
    DENSE_SIZE_MIN = 256,
};

void packer_init(struct packer *packer)
{
    packer->thorough = deflater_new(PACK_THOROUGH_LEVEL);
    packer->fast = deflater_new(PACK_FAST_LEVEL);
}

void packer_release(struct packer *packer)
{
    deflater_free(packer->thorough);
    deflater_free(packer->fast);
    *packer = (struct packer){ 0 };
}

size_t pack_bound(size_t raw_size)
{
    return deflate_bound(raw_size) + raw_size;
}

static enum segment_encoding pack_with(struct deflater *deflater, struct bytes raw, struct buf *out)
{
    if (raw.size >= PACK_SIZE_MIN && !bytes_are_dense(raw)) {
        size_t size_before = out->size;
        if (deflater_run(deflater, raw, out) < raw.size)
            return ENCODING_ZLIB;
        out->size = size_before;
    }
    buf_put(out, raw);
    return ENCODING_STORED;
}

enum segment_encoding pack(struct packer *packer, struct bytes raw, struct buf *out)
{
    bool is_small = raw.size <= PACK_THOROUGH_SIZE_MAX;
    return pack_with(is_small ? packer->thorough : packer->fast, raw, out);
}

enum segment_encoding pack_fast(struct packer *packer, struct bytes raw, struct buf *out)
{
    return pack_with(packer->fast, raw, out);
}

rc unpack(struct inflater *inflater, unsigned encoding, struct bytes stored, void *out,
    size_t raw_size, struct error *err)
{
    switch (encoding) {
    case ENCODING_STORED:
        if (stored.size != raw_size)
            FAIL(err, RC_CORRUPT, "%zu bytes are stored, must be %zu", stored.size, raw_size);
        if (raw_size > 0)
            memcpy(out, stored.data, raw_size);
        return RC_OK;
    case ENCODING_ZLIB:
        return inflater_run(inflater, stored, out, raw_size, err);
    default:
        FAIL(err, RC_UNSUPPORTED, "encoding %u is not known to this version", encoding);
    }
}

/* Sum of the squared counts of each byte value: size^2 / 256 + size for random bytes, more for
 * others. */
static uint64_t bytes_flatness(struct bytes bytes)
{
    /* Four histograms, so that equal neighbours do not wait for each other's store. */
    uint32_t counts[4][256] = { 0 };
    uint64_t sum = 0;

    size_t index = 0;
    for (; index + 4 <= bytes.size; index += 4) {
        counts[0][bytes.data[index]]++;
        counts[1][bytes.data[index + 1]]++;
        counts[2][bytes.data[index + 2]]++;
        counts[3][bytes.data[index + 3]]++;
    }
    for (; index < bytes.size; index++)
        counts[0][bytes.data[index]]++;
    for (unsigned value = 0; value < 256; value++) {
        uint64_t count = counts[0][value] + counts[1][value] + counts[2][value] + counts[3][value];
        sum += count * count;
    }
    return sum;
}

/* Random content has an expected flatness of size + size^2 / 256; a third more still does not pack.
 */
static bool bytes_are_flat(struct bytes bytes)
{
    uint64_t size = bytes.size;
    return bytes_flatness(bytes) < size + size * size * 21 / 4096;
}

bool bytes_are_dense(struct bytes bytes)
{
    if (bytes.size < DENSE_SIZE_MIN)
        return false;
    /* Text is told from a sample out of the middle; only what passes that is counted whole. */
    if (bytes.size > 2 * DENSE_SAMPLE_SIZE) {
        size_t offset = bytes.size / 2;
        struct bytes sample = bytes_part(bytes, offset, DENSE_SAMPLE_SIZE);
        if (bytes_flatness(sample) > 2 * (DENSE_SAMPLE_SIZE + DENSE_SAMPLE_SIZE * 2))
            return false;
    }
    return bytes_are_flat(bytes);
}
