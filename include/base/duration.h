/*
 * duration - spans and instants as people write them
 */
#ifndef SEAWAL_BASE_DURATION_H
#define SEAWAL_BASE_DURATION_H

#include "base/error.h"

#include <stdint.h>

enum { INSTANT_TEXT_SIZE = 32 };

/* "1m30s", "500ms", "24h", "7d", "1y" (365 days), "0": milliseconds. A bare number other than 0 is
 * RC_USAGE. */
must_use rc duration_parse_ms(int64_t *ret, const char *text, struct error *err);

/* "1m30s" for 90000; OUT has INSTANT_TEXT_SIZE bytes. */
void duration_format_ms(char *out, int64_t ms);

/*
 * An instant: RFC 3339 ("2026-11-21T10:00:00Z", with fraction and offset) or "YYYY-MM-DD HH:MM:SS"
 * (also with a fraction), which is UTC. Milliseconds since the epoch. Fractions finer than a
 * millisecond are cut. RC_USAGE names both forms.
 */
must_use rc instant_parse_ms(int64_t *ret, const char *text, struct error *err);

/* RFC 3339 in UTC with milliseconds; OUT has INSTANT_TEXT_SIZE bytes. */
void instant_format_ms(char *out, int64_t ms);

#endif
