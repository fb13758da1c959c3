/* bytes - slices and the cursor over them */
#include "base/bytes.h"

#include <assert.h>

struct bytes bytes_part(struct bytes slice, size_t offset, size_t size)
{
    assert(offset <= slice.size);
    assert(size <= slice.size - offset);

    /* An empty slice may have no address to add to. */
    return size == 0 ? bytes_of(slice.data, 0) : bytes_of(slice.data + offset, size);
}

bool bytes_equal(struct bytes left, struct bytes right)
{
    if (left.size != right.size)
        return false;
    return left.size == 0 || memcmp(left.data, right.data, left.size) == 0;
}

bool bytes_are_zero(struct bytes slice)
{
    if (slice.size == 0)
        return true;
    /* The first byte is zero and every byte equals the one before it. */
    return slice.data[0] == 0 && memcmp(slice.data, slice.data + 1, slice.size - 1) == 0;
}

/* SIZE bytes to read and step over, or NULL; a failed cursor stays failed. */
static const uint8_t *cursor_take(struct cursor *cursor, size_t size)
{
    if (cursor->failed || size > cursor->rest.size) {
        cursor->failed = true;
        return NULL;
    }

    const uint8_t *data = cursor->rest.data;
    if (size > 0)
        cursor->rest = bytes_of(data + size, cursor->rest.size - size);
    return data;
}

uint8_t cursor_u8(struct cursor *cursor)
{
    const uint8_t *p = cursor_take(cursor, 1);

    return p == NULL ? 0 : *p;
}

uint16_t cursor_be16(struct cursor *cursor)
{
    const uint8_t *p = cursor_take(cursor, 2);

    return p == NULL ? 0 : get_be16(p);
}

uint32_t cursor_be32(struct cursor *cursor)
{
    const uint8_t *p = cursor_take(cursor, 4);

    return p == NULL ? 0 : get_be32(p);
}

uint64_t cursor_be64(struct cursor *cursor)
{
    const uint8_t *p = cursor_take(cursor, 8);

    return p == NULL ? 0 : get_be64(p);
}

/* A number of at most BITS bits; the last group may not carry bits beyond, nor be a needless zero.
 */
static uint64_t cursor_varint_of(struct cursor *cursor, unsigned bits)
{
    uint64_t value = 0;

    for (unsigned shift = 0; shift < bits; shift += 7) {
        uint8_t group = cursor_u8(cursor);
        if (cursor->failed)
            return 0;
        uint64_t low = group & 0x7f;
        if (shift + 7 > bits && low >> (bits - shift) != 0)
            break;
        value |= low << shift;
        if ((group & 0x80) != 0)
            continue;
        if (group == 0 && shift > 0)
            break;
        return value;
    }
    cursor->failed = true;
    return 0;
}

uint64_t cursor_varint(struct cursor *cursor)
{
    return cursor_varint_of(cursor, 64);
}

uint32_t cursor_varint32(struct cursor *cursor)
{
    return (uint32_t)cursor_varint_of(cursor, 32);
}

struct bytes cursor_bytes(struct cursor *cursor, size_t size)
{
    const uint8_t *p = cursor_take(cursor, size);

    return cursor->failed ? bytes_of(NULL, 0) : bytes_of(p, size);
}

bool cursor_is_spent(const struct cursor *cursor)
{
    return !cursor->failed && cursor->rest.size == 0;
}

size_t put_varint(uint8_t *p, uint64_t value)
{
    size_t size = 0;

    while (value >= 0x80) {
        p[size++] = (uint8_t)(value | 0x80);
        value >>= 7;
    }
    p[size++] = (uint8_t)value;
    assert(size <= VARINT_SIZE_MAX);
    return size;
}
