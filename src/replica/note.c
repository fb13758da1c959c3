/*
 * note - the small text files of retention: what is condemned, and what is held
 */
#include "note_priv.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/text.h"
#include "layout_priv.h"

enum {
    NOTE_VERSION = 1,
    TIMELINE_DIGITS = 8,
    TXID_DIGITS = 16,
    TIME_DIGITS = 13,
    NOTE_LINE_SIZE_MAX = 128,
};

void expire_note_release(struct expire_note *note)
{
    free(note->condemned);
    free(note->gone);
    *note = EXPIRE_NOTE_INIT;
}

void expire_range_add(struct expire_range **ranges, size_t *count, const struct expire_range *range)
{
    if (*count == 0 || (*count & (*count - 1)) == 0)
        *ranges = mem_resize(*ranges, (*count == 0 ? 1 : 2 * *count) * sizeof **ranges);
    (*ranges)[(*count)++] = *range;
}

/* ---- out */

static void note_put_head(struct buf *out, const char *what, const struct database_id *id)
{
    char text[2 * DATABASE_ID_SIZE + 1];

    text_put_hex(text, id->bytes, sizeof id->bytes);
    buf_put_format(out, "seawal %s %d\ndatabase %s\n", what, NOTE_VERSION, text);
}

static void note_put_range(struct buf *out, const struct expire_range *range)
{
    buf_put_format(
        out, "%016" PRIx64 " %016" PRIx64 "\n", range->range.first_txid, range->range.last_txid);
}

void expire_note_encode(struct buf *out, const struct expire_note *note)
{
    note_put_head(out, "expire", &note->database_id);
    buf_put_format(
        out, "time %013" PRId64 "\ngrace %013" PRId64 "\n", note->time_ms, note->grace_ms);
    for (size_t i = 0; i < note->condemned_count; i++) {
        const struct expire_range *range = &note->condemned[i];
        char level = range->level == LEVEL_SNAPSHOT ? 's' : (char)('0' + range->level);
        buf_put_format(out, "object %08" PRIx32 " %c ", range->timeline, level);
        note_put_range(out, range);
    }
    for (size_t i = 0; i < note->gone_count; i++) {
        buf_put_format(out, "gone %08" PRIx32 " ", note->gone[i].timeline);
        note_put_range(out, &note->gone[i]);
    }
    buf_put_text(out, "end\n");
}

void hold_note_encode(struct buf *out, const struct hold_note *note)
{
    const struct replica_position *position = &note->position;

    note_put_head(out, "hold", &position->database_id);
    buf_put_format(out, "timeline %08" PRIx32 "\n", position->timeline);
    buf_put_format(out, "txid %016" PRIx64 "\n", position->txid);
    buf_put_format(out, "digest %016" PRIx64 "\n", position->digest);
    buf_put_format(out, "time %013" PRId64 "\n", position->time_ms);
    buf_put_format(out, "made %013" PRId64 "\nend\n", note->made_ms);
}

/* ---- in */

/* One line at a time; what is taken from it moves AT. */
struct lines {
    struct bytes rest;
    unsigned number;
    char line[NOTE_LINE_SIZE_MAX];
    const char *at;
};

static bool lines_next(struct lines *lines)
{
    const uint8_t *end = memchr(lines->rest.data, '\n', lines->rest.size);
    size_t size = end != NULL ? (size_t)(end - lines->rest.data) : 0;

    lines->number++;
    lines->at = lines->line;
    lines->line[0] = '\0';
    if (end == NULL || size >= sizeof lines->line || memchr(lines->rest.data, '\0', size) != NULL)
        return false;
    memcpy(lines->line, lines->rest.data, size);
    lines->line[size] = '\0';
    lines->rest = bytes_of(end + 1, lines->rest.size - size - 1);
    return true;
}

static bool lines_word(struct lines *lines, const char *word)
{
    const char *rest = text_after_prefix(lines->at, word);

    if (rest != NULL)
        lines->at = rest;
    return rest != NULL;
}

static bool lines_hex(struct lines *lines, unsigned digit_count, uint64_t *ret)
{
    if (!text_parse_hex64(ret, lines->at, digit_count))
        return false;
    lines->at += digit_count;
    return true;
}

static bool lines_time(struct lines *lines, int64_t *ret)
{
    uint64_t value = 0;

    if (!text_parse_digits(&value, lines->at, TIME_DIGITS))
        return false;
    lines->at += TIME_DIGITS;
    *ret = (int64_t)value;
    return true;
}

static bool lines_at_end(const struct lines *lines)
{
    return *lines->at == '\0';
}

/* "WORD <13 digits>" as a line of its own. */
static bool lines_take_time(struct lines *lines, const char *word, int64_t *ret)
{
    return lines_next(lines) && lines_word(lines, word) && lines_time(lines, ret) &&
           lines_at_end(lines);
}

static bool lines_take_hex(
    struct lines *lines, const char *word, unsigned digit_count, uint64_t *ret)
{
    return lines_next(lines) && lines_word(lines, word) && lines_hex(lines, digit_count, ret) &&
           lines_at_end(lines);
}

static bool lines_take_timeline(struct lines *lines, uint32_t *ret)
{
    uint64_t value = 0;

    if (!lines_hex(lines, TIMELINE_DIGITS, &value) || value == 0)
        return false;
    *ret = (uint32_t)value;
    return true;
}

static bool lines_take_id(struct lines *lines, struct database_id *ret)
{
    if (!lines_next(lines) || !lines_word(lines, "database "))
        return false;
    for (size_t i = 0; i < DATABASE_ID_SIZE; i++) {
        uint64_t byte = 0;
        if (!lines_hex(lines, 2, &byte))
            return false;
        ret->bytes[i] = (uint8_t)byte;
    }
    return lines_at_end(lines);
}

static rc lines_fail(const struct lines *lines, struct error *err)
{
    FAIL(err, RC_CORRUPT, "line %u is not what it must be", lines->number);
}

static rc lines_head(
    struct lines *lines, const char *what, struct database_id *ret_id, struct error *err)
{
    bool is_ours = lines_next(lines) && lines_word(lines, "seawal ") && lines_word(lines, what) &&
                   lines_word(lines, " ");

    if (!is_ours)
        return lines_fail(lines, err);
    if (!text_equal(lines->at, "1"))
        FAIL(err, RC_UNSUPPORTED, "version '%.8s', this program knows %d; use a newer one",
            lines->at, NOTE_VERSION);
    return lines_take_id(lines, ret_id) ? RC_OK : lines_fail(lines, err);
}

static bool lines_range(struct lines *lines, struct txid_range *ret)
{
    return lines_word(lines, " ") && lines_hex(lines, TXID_DIGITS, &ret->first_txid) &&
           lines_word(lines, " ") && lines_hex(lines, TXID_DIGITS, &ret->last_txid) &&
           lines_at_end(lines) && ret->first_txid > 0 && ret->first_txid <= ret->last_txid &&
           ret->last_txid <= TXID_MAX;
}

static bool lines_level(struct lines *lines, unsigned *ret)
{
    char level = lines->at[0];

    if (level != 's' && (level < '0' || level > '9'))
        return false;
    *ret = level == 's' ? LEVEL_SNAPSHOT : (unsigned)(level - '0');
    lines->at++;
    return true;
}

/* The line that LINES stands at, into NOTE. */
static bool expire_note_line(struct expire_note *note, struct lines *lines)
{
    struct expire_range range = { 0 };
    bool is_object = lines_word(lines, "object ");

    if (!is_object && !lines_word(lines, "gone "))
        return false;
    if (!lines_take_timeline(lines, &range.timeline))
        return false;
    if (is_object && (!lines_word(lines, " ") || !lines_level(lines, &range.level)))
        return false;
    if (!lines_range(lines, &range.range))
        return false;
    if (is_object && note->gone_count > 0)
        return false; /* one spelling: objects come first */
    if (is_object)
        expire_range_add(&note->condemned, &note->condemned_count, &range);
    else
        expire_range_add(&note->gone, &note->gone_count, &range);
    return note->condemned_count + note->gone_count <= NOTE_LINE_COUNT_MAX;
}

rc expire_note_decode(struct expire_note *ret, struct bytes in, struct error *err)
{
    struct lines lines = { .rest = in };
    auto_expire_note struct expire_note note = EXPIRE_NOTE_INIT;

    TRY(lines_head(&lines, "expire", &note.database_id, err));
    if (!lines_take_time(&lines, "time ", &note.time_ms) ||
        !lines_take_time(&lines, "grace ", &note.grace_ms) || !lines_next(&lines))
        return lines_fail(&lines, err);
    while (!text_equal(lines.line, "end")) {
        if (!expire_note_line(&note, &lines) || !lines_next(&lines))
            return lines_fail(&lines, err);
    }
    if (lines.rest.size > 0)
        FAIL(err, RC_CORRUPT, "something follows its end");

    *ret = note;
    note = EXPIRE_NOTE_INIT;
    return RC_OK;
}

rc hold_note_decode(struct hold_note *ret, struct bytes in, struct error *err)
{
    struct lines lines = { .rest = in };
    struct hold_note note = { 0 };
    struct replica_position *position = &note.position;
    uint64_t timeline = 0;

    TRY(lines_head(&lines, "hold", &position->database_id, err));
    bool is_right = lines_take_hex(&lines, "timeline ", TIMELINE_DIGITS, &timeline) &&
                    lines_take_hex(&lines, "txid ", TXID_DIGITS, &position->txid) &&
                    lines_take_hex(&lines, "digest ", TXID_DIGITS, &position->digest) &&
                    lines_take_time(&lines, "time ", &position->time_ms) &&
                    lines_take_time(&lines, "made ", &note.made_ms) && lines_next(&lines) &&
                    text_equal(lines.line, "end");
    if (!is_right)
        return lines_fail(&lines, err);
    if (lines.rest.size > 0)
        FAIL(err, RC_CORRUPT, "something follows its end");
    if (timeline == 0 || position->txid == 0 || position->txid > TXID_MAX)
        FAIL(err, RC_CORRUPT, "it names no point");
    position->timeline = (uint32_t)timeline;
    *ret = note;
    return RC_OK;
}
