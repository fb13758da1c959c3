/*
 * name - see segment/name.h
 */
#include "segment/name.h"

#include "base/text.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum {
    NAME_TXID_DIGITS = 16,
    NAME_TIME_DIGITS = 13,
    NAME_MAX_OFFSET = NAME_TXID_DIGITS + 1,
    NAME_TIME_OFFSET = NAME_MAX_OFFSET + NAME_TXID_DIGITS + 1,
    NAME_SUFFIX_OFFSET = NAME_TIME_OFFSET + NAME_TIME_DIGITS,
};
#define NAME_SUFFIX      ".seg"
#define NAME_TIME_MS_MAX INT64_C(9999999999999) /* the year 2286 */
_Static_assert(NAME_SUFFIX_OFFSET + sizeof NAME_SUFFIX == SEGMENT_NAME_SIZE, "parts of the name");

static bool segment_name_is_valid(const struct segment_name *name)
{
    return name->min_txid >= 1 && name->min_txid <= name->max_txid &&
           name->time_ms >= 0 && /* unreachable: 13 digits, or an encoder's mistake: it asserts */
           name->time_ms <= NAME_TIME_MS_MAX; /* unreachable: the same */
}

void segment_name_format(char out[SEGMENT_NAME_SIZE], const struct segment_name *name)
{
    assert(segment_name_is_valid(name));

    int size = snprintf(out, SEGMENT_NAME_SIZE, "%016" PRIx64 "-%016" PRIx64 "-%013" PRId64 "%s",
        name->min_txid, name->max_txid, name->time_ms, NAME_SUFFIX);
    assert(size == SEGMENT_NAME_SIZE - 1);
}

rc segment_name_parse(struct segment_name *ret, const char *text, struct error *err)
{
    struct segment_name name;
    uint64_t time_ms;

    if (strlen(text) != SEGMENT_NAME_SIZE - 1 || text[NAME_MAX_OFFSET - 1] != '-' ||
        text[NAME_TIME_OFFSET - 1] != '-' || !text_equal(text + NAME_SUFFIX_OFFSET, NAME_SUFFIX) ||
        !text_parse_hex64(&name.min_txid, text, NAME_TXID_DIGITS) ||
        !text_parse_hex64(&name.max_txid, text + NAME_MAX_OFFSET, NAME_TXID_DIGITS) ||
        !text_parse_digits(&time_ms, text + NAME_TIME_OFFSET, NAME_TIME_DIGITS))
        FAIL(err, RC_CORRUPT, "'%s' is not the name of a segment", text);

    name.time_ms = (int64_t)time_ms;
    if (!segment_name_is_valid(&name))
        FAIL(err, RC_CORRUPT, "'%s' names an empty range of transactions", text);
    *ret = name;
    return RC_OK;
}
