/* buf - owned bytes that grow up to a limit */
#include "base/buf.h"

#include "base/alloc.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

enum { BUF_CAPACITY_MIN = 64 };

void buf_release(struct buf *buf)
{
    free(buf->data);
    *buf = BUF_INIT(buf->size_max);
}

void buf_clear(struct buf *buf)
{
    buf->size = 0;
}

/* Capacity doubles, so that appending byte by byte stays linear, and ends at the limit. */
static void buf_grow(struct buf *buf, size_t needed)
{
    size_t capacity = buf->capacity < BUF_CAPACITY_MIN ? BUF_CAPACITY_MIN : buf->capacity;

    while (capacity < needed && capacity <= buf->size_max / 2)
        capacity *= 2;
    if (capacity < needed || capacity > buf->size_max)
        capacity = buf->size_max;
    buf->data = mem_resize(buf->data, capacity);
    buf->capacity = capacity;
}

uint8_t *buf_reserve(struct buf *buf, size_t size)
{
    assert(buf->size <= buf->size_max);
    assert(size <= buf->size_max - buf->size);

    if (buf->data == NULL || size > buf->capacity - buf->size)
        buf_grow(buf, buf->size + size);
    return buf->data + buf->size;
}

rc buf_append(struct buf *buf, struct bytes bytes, struct error *err)
{
    if (bytes.size > buf->size_max - buf->size)
        FAIL(err, RC_CORRUPT, "%zu bytes and %zu more; must be at most %zu", buf->size, bytes.size,
            buf->size_max);

    buf_put(buf, bytes);
    return RC_OK;
}

void buf_put(struct buf *buf, struct bytes bytes)
{
    if (bytes.size == 0)
        return;
    memcpy(buf_reserve(buf, bytes.size), bytes.data, bytes.size);
    buf->size += bytes.size;
}

void buf_put_u8(struct buf *buf, uint8_t value)
{
    *buf_reserve(buf, 1) = value;
    buf->size += 1;
}

void buf_put_be16(struct buf *buf, uint16_t value)
{
    put_be16(buf_reserve(buf, 2), value);
    buf->size += 2;
}

void buf_put_be32(struct buf *buf, uint32_t value)
{
    put_be32(buf_reserve(buf, 4), value);
    buf->size += 4;
}

void buf_put_be64(struct buf *buf, uint64_t value)
{
    put_be64(buf_reserve(buf, 8), value);
    buf->size += 8;
}

void buf_put_varint(struct buf *buf, uint64_t value)
{
    uint8_t encoded[VARINT_SIZE_MAX];

    buf_put(buf, bytes_of(encoded, put_varint(encoded, value)));
}

void buf_put_text(struct buf *buf, const char *text)
{
    buf_put(buf, bytes_of_text(text));
}

void buf_put_format(struct buf *buf, const char *format, ...)
{
    auto_free char *text = NULL;
    va_list arguments;

    va_start(arguments, format);
    int size = vasprintf(&text, format, arguments);
    va_end(arguments);
    assert(size >= 0);
    buf_put(buf, bytes_of(text, (size_t)size));
}

void buf_drop_front(struct buf *buf, size_t size)
{
    assert(size <= buf->size);

    if (size > 0 && size < buf->size)
        memmove(buf->data, buf->data + size, buf->size - size);
    buf->size -= size;
}

char *buf_take_text(struct buf *buf)
{
    /* The terminator is not content and does not count against the limit. */
    char *text = mem_resize(TAKE(buf->data), buf->size + 1);

    text[buf->size] = '\0';
    *buf = BUF_INIT(buf->size_max);
    return text;
}
