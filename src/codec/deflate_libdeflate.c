/* deflate over libdeflate: the same format as deflate_zlib.c, faster both ways */
#include "codec/deflate.h"

#include "base/alloc.h"

#include <assert.h>
#include <libdeflate.h>
#include <stdlib.h>

struct deflater {
    struct libdeflate_compressor *compressor;
};

struct inflater {
    struct libdeflate_decompressor *decompressor;
};

struct deflater *deflater_new(int level)
{
    assert(level >= 1 && level <= 9);

    struct deflater *deflater = mem_new(sizeof *deflater);
    deflater->compressor = libdeflate_alloc_compressor(level);
    assert(deflater->compressor != NULL);
    return deflater;
}

void deflater_free(struct deflater *deflater)
{
    if (deflater == NULL)
        return;
    libdeflate_free_compressor(deflater->compressor);
    free(deflater);
}

size_t deflate_bound(size_t size)
{
    return libdeflate_zlib_compress_bound(NULL, size);
}

size_t deflater_run(struct deflater *deflater, struct bytes in, struct buf *out)
{
    size_t bound = deflate_bound(in.size);
    const void *data = in.size == 0 ? "" : (const void *)in.data;
    size_t size = libdeflate_zlib_compress(
        deflater->compressor, data, in.size, buf_reserve(out, bound), bound);

    assert(size > 0);
    out->size += size;
    return size;
}

struct inflater *inflater_new(void)
{
    struct inflater *inflater = mem_new(sizeof *inflater);

    inflater->decompressor = libdeflate_alloc_decompressor();
    assert(inflater->decompressor != NULL);
    return inflater;
}

void inflater_free(struct inflater *inflater)
{
    if (inflater == NULL)
        return;
    libdeflate_free_decompressor(inflater->decompressor);
    free(inflater);
}

rc inflater_run(
    struct inflater *inflater, struct bytes in, void *out, size_t out_size, struct error *err)
{
    uint8_t nothing;
    size_t in_used = 0;
    const void *data = in.size == 0 ? "" : (const void *)in.data;

    /* Without a place for the output's size, anything but exactly OUT_SIZE bytes is refused. */
    enum libdeflate_result result = libdeflate_zlib_decompress_ex(inflater->decompressor, data,
        in.size, out_size == 0 ? &nothing : out, out_size, &in_used, NULL);
    if (result != LIBDEFLATE_SUCCESS)
        FAIL(err, RC_CORRUPT, "%zu deflated bytes are damaged or do not make %zu", in.size,
            out_size);
    if (in_used != in.size)
        FAIL(err, RC_CORRUPT, "deflated data ends after %zu of %zu bytes", in_used, in.size);
    return RC_OK;
}
