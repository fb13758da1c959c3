/* text - owned strings, comparisons, and numbers out of untrusted text */
#include "base/text.h"

#include "base/alloc.h"

#include <assert.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { TEXT_FRACTION_DIGITS_MAX = 9 };

static const struct {
    const char *name;
    uint64_t bytes;
} text_units[] = {
    { "", 1 },
    { "B", 1 },
    { "KB", UINT64_C(1000) },
    { "MB", UINT64_C(1000000) },
    { "GB", UINT64_C(1000000000) },
    { "TB", UINT64_C(1000000000000) },
    { "PB", UINT64_C(1000000000000000) },
    { "KiB", UINT64_C(1) << 10 },
    { "MiB", UINT64_C(1) << 20 },
    { "GiB", UINT64_C(1) << 30 },
    { "TiB", UINT64_C(1) << 40 },
    { "PiB", UINT64_C(1) << 50 },
};

char *text_format(const char *format, ...)
{
    char *text = NULL;
    va_list arguments;

    va_start(arguments, format);
    int size = vasprintf(&text, format, arguments);
    va_end(arguments);
    assert(size >= 0);
    return text;
}

bool text_equal(const char *left, const char *right)
{
    if (left == NULL || right == NULL)
        return left == right;
    return strcmp(left, right) == 0;
}

bool text_has_prefix(const char *text, const char *prefix)
{
    return text_after_prefix(text, prefix) != NULL;
}

bool text_has_suffix(const char *text, const char *suffix)
{
    size_t text_size = strlen(text);
    size_t suffix_size = strlen(suffix);

    return suffix_size <= text_size && strcmp(text + text_size - suffix_size, suffix) == 0;
}

const char *text_after_prefix(const char *text, const char *prefix)
{
    size_t prefix_size = strlen(prefix);

    return strncmp(text, prefix, prefix_size) == 0 ? text + prefix_size : NULL;
}

static bool text_is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* The digits at *TEXT, stepped over; false when they overflow or there are none. */
static bool text_take_digits(uint64_t *ret, const char **text)
{
    const char *p = *text;
    uint64_t value = 0;

    if (!text_is_digit(*p))
        return false;
    for (; text_is_digit(*p); p++) {
        if (__builtin_mul_overflow(value, UINT64_C(10), &value) ||
            __builtin_add_overflow(value, (uint64_t)(*p - '0'), &value))
            return false;
    }
    *text = p;
    *ret = value;
    return true;
}

rc text_parse_u64(uint64_t *ret, const char *text, uint64_t max, struct error *err)
{
    const char *rest = text;
    uint64_t value = 0;

    if (!text_take_digits(&value, &rest) || *rest != '\0' || value > max)
        FAIL(err, RC_USAGE, "'%s' is not a whole number from 0 to %llu", text,
            (unsigned long long)max);
    *ret = value;
    return RC_OK;
}

bool text_parse_hex64(uint64_t *ret, const char *text, unsigned digit_count)
{
    assert(digit_count >= 1 && digit_count <= 16);

    uint64_t value = 0;
    for (unsigned i = 0; i < digit_count; i++) {
        unsigned digit;
        if (text_is_digit(text[i]))
            digit = (unsigned)(text[i] - '0');
        else if (text[i] >= 'a' && text[i] <= 'f')
            digit = (unsigned)(text[i] - 'a') + 10;
        else
            return false;
        value = value << 4 | digit;
    }
    *ret = value;
    return true;
}

bool text_parse_digits(uint64_t *ret, const char *text, unsigned digit_count)
{
    assert(digit_count >= 1 && digit_count <= 19);

    uint64_t value = 0;
    for (unsigned i = 0; i < digit_count; i++) {
        if (!text_is_digit(text[i]))
            return false;
        value = value * 10 + (uint64_t)(text[i] - '0');
    }
    *ret = value;
    return true;
}

struct text_fraction {
    uint64_t value; /* digits behind the point ... */
    uint64_t scale; /* ... over this power of ten; at least 1 */
};

/* An optional ".digits" at *TEXT, stepped over; false when the digits are missing or too many. */
static bool text_take_fraction(struct text_fraction *ret, const char **text)
{
    struct text_fraction fraction = { .value = 0, .scale = 1 };
    const char *p = *text;

    if (*p == '.') {
        p++;
        if (!text_is_digit(*p))
            return false;
        for (unsigned count = 0; text_is_digit(*p); p++, count++) {
            if (count == TEXT_FRACTION_DIGITS_MAX)
                return false;
            fraction.value = fraction.value * 10 + (uint64_t)(*p - '0');
            fraction.scale *= 10;
        }
    }
    *text = p;
    *ret = fraction;
    return true;
}

/* Bytes of one unit called NAME in any case, 0 when there is none. */
static uint64_t text_unit_bytes(const char *name)
{
    for (size_t i = 0; i < array_count(text_units); i++) {
        if (strcasecmp(text_units[i].name, name) == 0)
            return text_units[i].bytes;
    }
    return 0;
}

/* WHOLE and a fraction of UNIT, cut to whole bytes; false when that overflows. */
static bool text_scale(uint64_t *ret, uint64_t whole, struct text_fraction fraction, uint64_t unit)
{
    /* Neither product can overflow: value < scale <= 10^9, and value * (unit / scale) < unit. */
    uint64_t part = unit / fraction.scale * fraction.value;
    part += unit % fraction.scale * fraction.value / fraction.scale;

    return !__builtin_mul_overflow(whole, unit, &whole) &&
           !__builtin_add_overflow(whole, part, ret);
}

rc text_parse_size(uint64_t *ret, const char *text, struct error *err)
{
    const char *rest = text;
    struct text_fraction fraction;
    uint64_t whole = 0;

    if (!text_take_digits(&whole, &rest) || !text_take_fraction(&fraction, &rest))
        FAIL(err, RC_USAGE, "'%s' is not a size; write it like '512KiB', '10MB' or '4096'", text);
    if (*rest == ' ' && rest[1] != '\0')
        rest++;

    uint64_t unit = text_unit_bytes(rest);
    if (unit == 0)
        FAIL(err, RC_USAGE, "'%s' has no known unit; use B, KB, MB, GB, TB, KiB, MiB, GiB or TiB",
            text);
    if (unit == 1 && fraction.scale != 1)
        FAIL(err, RC_USAGE, "'%s' is not a whole number of bytes", text);

    uint64_t size;
    if (!text_scale(&size, whole, fraction, unit))
        FAIL(err, RC_USAGE, "'%s' is too large a size", text);
    *ret = size;
    return RC_OK;
}

void text_put_hex(char *out, const void *data, size_t size)
{
    static const char digits[] = "0123456789abcdef";
    const uint8_t *bytes = data;

    for (size_t i = 0; i < size; i++) {
        out[2 * i] = digits[bytes[i] >> 4];
        out[2 * i + 1] = digits[bytes[i] & 15];
    }
    out[2 * size] = '\0';
}

size_t text_utf8_next(uint32_t *ret, const uint8_t *p, size_t size)
{
    static const uint32_t smallest[] = { 0, 0, 0x80, 0x800, 0x10000 };
    size_t count = p[0] < 0x80 ? 1 : p[0] < 0xc0 ? 0 : p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : 4;

    if (count == 0 || count > size || p[0] > 0xf4)
        return 0;
    uint32_t value = count == 1 ? p[0] : p[0] & (0x7fu >> count);
    for (size_t i = 1; i < count; i++) {
        if ((p[i] & 0xc0) != 0x80)
            return 0;
        value = value << 6 | (p[i] & 0x3f);
    }
    if (value < smallest[count] || value > 0x10ffff || (value >= 0xd800 && value < 0xe000))
        return 0;
    *ret = value;
    return count;
}
