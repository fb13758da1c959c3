/*
 * buf - owned bytes that grow up to a limit
 *
 * The limit is given at init and is a promise to the reader: nothing that grows has no maximum.
 * Appending past it is RC_CORRUPT from buf_append() when the bytes come from outside; the put_
 * functions are for bytes of our own making and assert instead.
 */
#ifndef SEAWAL_BASE_BUF_H
#define SEAWAL_BASE_BUF_H

#include "base/bytes.h"
#include "base/error.h"

struct buf {
    uint8_t *data;
    size_t size;
    size_t capacity;
    size_t size_max;
};

#define BUF_INIT(limit) ((struct buf){ .size_max = (limit) })
#define auto_buf        __attribute__((cleanup(buf_release)))

void buf_release(struct buf *buf);

/* Forget the content, keep the memory. */
void buf_clear(struct buf *buf);

/* Room for SIZE more bytes at the end; returns where they go. Keeps size, asserts the limit. */
uint8_t *buf_reserve(struct buf *buf, size_t size);

/* Content of SIZE bytes more, RC_CORRUPT with the limit named when that is too much. */
must_use rc buf_append(struct buf *buf, struct bytes bytes, struct error *err);

/* Appenders for our own encoders: the limit is asserted. */
void buf_put(struct buf *buf, struct bytes bytes);
void buf_put_u8(struct buf *buf, uint8_t value);
void buf_put_be16(struct buf *buf, uint16_t value);
void buf_put_be32(struct buf *buf, uint32_t value);
void buf_put_be64(struct buf *buf, uint64_t value);
void buf_put_varint(struct buf *buf, uint64_t value);
void buf_put_text(struct buf *buf, const char *text);
void buf_put_format(struct buf *buf, const char *format, ...) printf_like(2, 3);

/* Drop the first SIZE bytes. */
void buf_drop_front(struct buf *buf, size_t size);

static inline struct bytes buf_bytes(const struct buf *buf)
{
    return bytes_of(buf->data, buf->size);
}

/* The content as an owned NUL-terminated string; the buffer is empty afterwards. */
char *buf_take_text(struct buf *buf);

#endif
