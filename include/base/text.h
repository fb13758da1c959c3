/*
 * text - owned strings, comparisons, and numbers out of untrusted text
 */
#ifndef SEAWAL_BASE_TEXT_H
#define SEAWAL_BASE_TEXT_H

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* An owned string made by FORMAT; never NULL. */
char *text_format(const char *format, ...) printf_like(1, 2);

/* NULL-safe equality: two NULLs are equal. */
bool text_equal(const char *left, const char *right);
bool text_has_prefix(const char *text, const char *prefix);
bool text_has_suffix(const char *text, const char *suffix);

/* TEXT behind PREFIX, borrowed, or NULL when it does not begin with it. */
const char *text_after_prefix(const char *text, const char *prefix);

/* The whole of TEXT as a decimal number no larger than MAX; anything else is RC_USAGE. */
must_use rc text_parse_u64(uint64_t *ret, const char *text, uint64_t max, struct error *err);

/* Exactly DIGIT_COUNT lower-case hex digits from TEXT; false when one is not. */
bool text_parse_hex64(uint64_t *ret, const char *text, unsigned digit_count);

/* The same for DIGIT_COUNT (at most 19) decimal digits. */
bool text_parse_digits(uint64_t *ret, const char *text, unsigned digit_count);

/* "10MB", "512 KiB", "1.5GiB", "4096": bytes; KB, MB ... are powers of 1000, KiB ... of 1024. */
must_use rc text_parse_size(uint64_t *ret, const char *text, struct error *err);

/* Lower-case hex of SIZE bytes into OUT, which has 2 * SIZE + 1 bytes. */
void text_put_hex(char *out, const void *data, size_t size);

/*
 * How many of the SIZE bytes at P (at least 1) make the next well-formed UTF-8 character, and which
 * it is; 0 when they make none (Unicode table 3-7: no overlong form, no surrogate, nothing above
 * U+10FFFF).
 */
size_t text_utf8_next(uint32_t *ret, const uint8_t *p, size_t size);

#endif
