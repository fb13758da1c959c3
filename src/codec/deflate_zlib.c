/* deflate over zlib, for systems without libdeflate */
#include "codec/deflate.h"

#include "base/alloc.h"

#include <assert.h>
#include <limits.h>
#include <stdlib.h>
#include <zlib.h>

struct deflater {
    z_stream stream;
};

struct inflater {
    z_stream stream;
};

struct deflater *deflater_new(int level)
{
    assert(level >= 1 && level <= 9);

    struct deflater *deflater = mem_new(sizeof *deflater);
    int result = deflateInit(&deflater->stream, level);
    assert(result == Z_OK);
    return deflater;
}

void deflater_free(struct deflater *deflater)
{
    if (deflater == NULL)
        return;
    deflateEnd(&deflater->stream);
    free(deflater);
}

size_t deflate_bound(size_t size)
{
    return compressBound(size);
}

size_t deflater_run(struct deflater *deflater, struct bytes in, struct buf *out)
{
    size_t bound = deflate_bound(in.size);
    z_stream *stream = &deflater->stream;

    assert(bound >= in.size && bound <= UINT_MAX);
    int result = deflateReset(stream);
    assert(result == Z_OK);
    stream->next_in = (z_const Bytef *)(uintptr_t)in.data;
    stream->avail_in = (uInt)in.size;
    stream->next_out = buf_reserve(out, bound);
    stream->avail_out = (uInt)bound;
    result = deflate(stream, Z_FINISH);
    assert(result == Z_STREAM_END);
    size_t size = bound - stream->avail_out;
    out->size += size;
    return size;
}

struct inflater *inflater_new(void)
{
    struct inflater *inflater = mem_new(sizeof *inflater);
    int result = inflateInit(&inflater->stream);

    assert(result == Z_OK);
    return inflater;
}

void inflater_free(struct inflater *inflater)
{
    if (inflater == NULL)
        return;
    inflateEnd(&inflater->stream);
    free(inflater);
}

rc inflater_run(
    struct inflater *inflater, struct bytes in, void *out, size_t out_size, struct error *err)
{
    Bytef nothing;
    z_stream *stream = &inflater->stream;

    if (in.size > UINT_MAX || out_size > UINT_MAX)
        FAIL(err, RC_CORRUPT, "%zu deflated bytes for %zu; must be less than 4 GiB", in.size,
            out_size);
    int result = inflateReset(stream);
    assert(result == Z_OK);
    stream->next_in = (z_const Bytef *)(uintptr_t)in.data;
    stream->avail_in = (uInt)in.size;
    stream->next_out = out_size == 0 ? &nothing : out;
    stream->avail_out = (uInt)out_size;
    result = inflate(stream, Z_FINISH);
    if (result != Z_STREAM_END || stream->avail_out != 0)
        FAIL(err, RC_CORRUPT, "%zu deflated bytes are damaged or do not make %zu", in.size,
            out_size);
    if (stream->avail_in != 0)
        FAIL(err, RC_CORRUPT, "deflated data ends after %zu of %zu bytes",
            in.size - stream->avail_in, in.size);
    return RC_OK;
}
