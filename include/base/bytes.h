/*
 * bytes - borrowed slices, integers in them, and the cursor that reads them
 *
 * struct bytes borrows; it never frees. A cursor walks over a slice and remembers the first read
 * that ran past the end: decoders read everything, check once with .failed or
 * cursor_is_spent(), validate, then publish. A failed cursor returns zeros.
 */
#ifndef SEAWAL_BASE_BYTES_H
#define SEAWAL_BASE_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct bytes {
    const uint8_t *data;
    size_t size;
};

static inline struct bytes bytes_of(const void *data, size_t size)
{
    return (struct bytes){ .data = data, .size = size };
}

static inline struct bytes bytes_of_text(const char *text)
{
    return bytes_of(text, strlen(text));
}

/* SIZE bytes from OFFSET; both must lie inside SLICE (asserted). */
struct bytes bytes_part(struct bytes slice, size_t offset, size_t size);

bool bytes_equal(struct bytes left, struct bytes right);

/* True when every byte is zero; true for an empty slice. */
bool bytes_are_zero(struct bytes slice);

static inline uint16_t get_be16(const uint8_t *p)
{
    return (uint16_t)(p[0] << 8 | p[1]);
}

static inline uint32_t get_be32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static inline uint64_t get_be64(const uint8_t *p)
{
    return (uint64_t)get_be32(p) << 32 | get_be32(p + 4);
}

static inline void put_be16(uint8_t *p, uint16_t value)
{
    p[0] = (uint8_t)(value >> 8);
    p[1] = (uint8_t)value;
}

static inline void put_be32(uint8_t *p, uint32_t value)
{
    p[0] = (uint8_t)(value >> 24);
    p[1] = (uint8_t)(value >> 16);
    p[2] = (uint8_t)(value >> 8);
    p[3] = (uint8_t)value;
}

static inline void put_be64(uint8_t *p, uint64_t value)
{
    put_be32(p, (uint32_t)(value >> 32));
    put_be32(p + 4, (uint32_t)value);
}

struct cursor {
    struct bytes rest; /* what was not read yet */
    bool failed;       /* a read ran past the end, or a varint was malformed */
};

static inline struct cursor cursor_over(struct bytes slice)
{
    return (struct cursor){ .rest = slice };
}

uint8_t cursor_u8(struct cursor *cursor);
uint16_t cursor_be16(struct cursor *cursor);
uint32_t cursor_be32(struct cursor *cursor);
uint64_t cursor_be64(struct cursor *cursor);

/*
 * An unsigned LEB128 number: 7 bits a byte, least significant first, high bit set on all but the
 * last. At most 10 bytes (5 for varint32); a longer, overflowing or cut one fails the cursor.
 * Encodings with trailing zero groups (non-minimal) fail as well: one number has one encoding.
 */
uint64_t cursor_varint(struct cursor *cursor);
uint32_t cursor_varint32(struct cursor *cursor);

/* A borrowed slice of exactly SIZE bytes; empty and failed when fewer are left. */
struct bytes cursor_bytes(struct cursor *cursor, size_t size);

/* All read, nothing left, nothing failed. */
bool cursor_is_spent(const struct cursor *cursor);

/* Bytes that put_varint() writes at most. */
enum { VARINT_SIZE_MAX = 10 };

/* Write VALUE at P, which has room for VARINT_SIZE_MAX bytes; returns how many were written. */
size_t put_varint(uint8_t *p, uint64_t value);

/* Signed numbers as unsigned ones that stay small near zero: 0, -1, 1, -2, 2 ... */
static inline uint64_t zigzag_encode(int64_t value)
{
    return ((uint64_t)value << 1) ^ (uint64_t)(value >> 63);
}

static inline int64_t zigzag_decode(uint64_t value)
{
    return (int64_t)(value >> 1) ^ -(int64_t)(value & 1);
}

#endif
