/*
 * deflate - zlib-format streams of one block each
 *
 * Written with libdeflate where meson found it and with zlib otherwise; the bytes are zlib's format
 * (RFC 1950) either way and reading needs zlib alone. Objects are reused for many blocks and belong
 * to one thread at a time.
 */
#ifndef SEAWAL_CODEC_DEFLATE_H
#define SEAWAL_CODEC_DEFLATE_H

#include "base/buf.h"
#include "base/error.h"

struct deflater;
struct inflater;

/* LEVEL 1 (fast) to 9. */
struct deflater *deflater_new(int level);
void deflater_free(struct deflater *deflater);

/* Append the compressed form of IN to OUT; returns its size. OUT has room for deflate_bound(). */
size_t deflater_run(struct deflater *deflater, struct bytes in, struct buf *out);

/* The largest size that SIZE bytes can take when compressed. */
size_t deflate_bound(size_t size);

struct inflater *inflater_new(void);
void inflater_free(struct inflater *inflater);

/* Exactly OUT_SIZE bytes out of all of IN; anything more, less or malformed is RC_CORRUPT. */
must_use rc inflater_run(
    struct inflater *inflater, struct bytes in, void *out, size_t out_size, struct error *err);

#endif
