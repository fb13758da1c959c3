/*
 * log - one event, one line
 *
 * A line is built on the stack and written by one write(2) of at most LOG_LINE_SIZE bytes, which is
 * what a pipe takes whole: lines of two threads do not mix. A pair that does not fit is left out as
 * a whole and the line says so, so that a JSON line is always a JSON object.
 */
#include "base/log.h"

#include "base/clock.h"
#include "base/duration.h"
#include "base/text.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum {
    LOG_LINE_SIZE = 4096,      /* PIPE_BUF on Linux */
    LOG_LINE_RESERVED = 32,    /* for the note that something was left out, and for the end */
    LOG_VALUE_SIZE_MAX = 1024, /* of a value, before escaping */
    LOG_NUMBER_COUNT = 16,
    LOG_NUMBER_SIZE = 24,
};
_Static_assert(LOG_VALUE_SIZE_MAX > (int)ERROR_TEXT_SIZE, "the text of an error is never cut");

struct log_line {
    char text[LOG_LINE_SIZE];
    size_t size;
    bool is_full; /* the pair that is being added did not fit */
    bool is_cut;  /* at least one pair was left out */
    bool is_json;
};

static const char *const log_level_names[LOG_LEVEL_COUNT] = {
    [LOG_DEBUG] = "debug",
    [LOG_INFO] = "info",
    [LOG_WARN] = "warn",
    [LOG_ERROR] = "error",
};

static atomic_int log_level_current = LOG_INFO;
static atomic_int log_format_current = LOG_FORMAT_TEXT;

static _Thread_local char log_numbers[LOG_NUMBER_COUNT][LOG_NUMBER_SIZE];
static _Thread_local unsigned log_number_next;

void log_set_level(enum log_level level)
{
    assert((unsigned)level < LOG_LEVEL_COUNT);

    atomic_store(&log_level_current, (int)level);
}

enum log_level log_level_now(void)
{
    return (enum log_level)atomic_load(&log_level_current);
}

void log_set_format(enum log_format format)
{
    atomic_store(&log_format_current, (int)format);
}

rc log_level_parse(enum log_level *ret, const char *text, struct error *err)
{
    for (int i = 0; i < LOG_LEVEL_COUNT; i++) {
        if (text_equal(text, log_level_names[i])) {
            *ret = (enum log_level)i;
            return RC_OK;
        }
    }
    FAIL(err, RC_USAGE, "'%s' is not a log level; use debug, info, warn or error", text);
}

static char *log_number_slot(void)
{
    return log_numbers[log_number_next++ % LOG_NUMBER_COUNT];
}

const char *log_u64(uint64_t value)
{
    char *slot = log_number_slot();

    snprintf(slot, LOG_NUMBER_SIZE, "%" PRIu64, value);
    return slot;
}

const char *log_i64(int64_t value)
{
    char *slot = log_number_slot();

    snprintf(slot, LOG_NUMBER_SIZE, "%" PRId64, value);
    return slot;
}

/* Text that log_u64() or log_i64() made stays a number in JSON. */
static bool log_is_number(const char *value)
{
    uintptr_t address = (uintptr_t)value;
    uintptr_t first = (uintptr_t)log_numbers;

    return address >= first && address < first + sizeof log_numbers;
}

static void log_put(struct log_line *line, const char *text, size_t size)
{
    if (line->is_full || size > LOG_LINE_SIZE - LOG_LINE_RESERVED - line->size) {
        line->is_full = true;
        return;
    }
    memcpy(line->text + line->size, text, size);
    line->size += size;
}

static void log_put_text(struct log_line *line, const char *text)
{
    log_put(line, text, strlen(text));
}

/* Characters that act on a terminal or end a line for some reader. */
static bool log_is_control(uint32_t character)
{
    return character < 0x20 || (character >= 0x7f && character < 0xa0) || character == 0x2028 ||
           character == 0x2029;
}

static void log_put_escape(struct log_line *line, uint32_t character)
{
    char escape[8];

    if (character == '"' || character == '\\')
        snprintf(escape, sizeof escape, "\\%c", (char)character);
    else if (character == '\n')
        snprintf(escape, sizeof escape, "\\n");
    else if (character == '\t')
        snprintf(escape, sizeof escape, "\\t");
    else
        snprintf(escape, sizeof escape, "\\u%04x", (unsigned)(character & 0xffff));
    log_put_text(line, escape);
}

/* VALUE in quotes, in escapes that JSON knows; what is not UTF-8 becomes U+FFFD byte by byte. */
static void log_put_quoted(struct log_line *line, const char *value)
{
    size_t size = strnlen(value, LOG_VALUE_SIZE_MAX + 1);
    bool is_long = size > LOG_VALUE_SIZE_MAX;

    if (is_long)
        size = LOG_VALUE_SIZE_MAX;
    log_put(line, "\"", 1);
    for (size_t i = 0; i < size;) {
        uint32_t character = 0xfffd;
        size_t count = text_utf8_next(&character, (const uint8_t *)value + i, size - i);
        if (count == 0 || character == '"' || character == '\\' || log_is_control(character))
            log_put_escape(line, character);
        else
            log_put(line, value + i, count);
        i += count == 0 ? 1 : count;
    }
    log_put_text(line, is_long ? "...\"" : "\"");
}

static bool log_needs_quotes(const char *value)
{
    if (value[0] == '\0' || strnlen(value, LOG_VALUE_SIZE_MAX + 1) > LOG_VALUE_SIZE_MAX)
        return true;
    for (const char *p = value; *p != '\0'; p++) {
        if (*p <= ' ' || *p >= 0x7f || *p == '"' || *p == '\\' || *p == '=')
            return true;
    }
    return false;
}

static void log_put_value(struct log_line *line, const char *value)
{
    bool is_plain = line->is_json ? log_is_number(value) : !log_needs_quotes(value);

    if (is_plain)
        log_put_text(line, value);
    else
        log_put_quoted(line, value);
}

/* One pair, whole or not at all. */
static void log_put_pair(struct log_line *line, const char *key, const char *value)
{
    size_t size_before = line->size;

    if (value == NULL)
        return;
    if (size_before > 0)
        log_put_text(line, line->is_json ? "," : " ");
    if (line->is_json)
        log_put_text(line, size_before == 0 ? "{\"" : "\"");
    log_put_text(line, key);
    log_put_text(line, line->is_json ? "\":" : "=");
    log_put_value(line, value);
    if (line->is_full) {
        line->size = size_before;
        line->is_full = false;
        line->is_cut = true;
    }
}

static void log_begin(struct log_line *line, enum log_level level, const char *event)
{
    char time[INSTANT_TEXT_SIZE];

    assert((unsigned)level < LOG_LEVEL_COUNT);
    line->size = 0;
    line->is_full = false;
    line->is_cut = false;
    line->is_json = atomic_load(&log_format_current) == LOG_FORMAT_JSON;
    instant_format_ms(time, clock_wall_ms());
    log_put_pair(line, "time", time);
    log_put_pair(line, "level", log_level_names[level]);
    log_put_pair(line, "event", event);
}

static void log_put_pairs(struct log_line *line, va_list pairs)
{
    const char *key;

    while ((key = va_arg(pairs, const char *)) != NULL)
        log_put_pair(line, key, va_arg(pairs, const char *));
}

/* A line that cannot be written is lost: there is nobody left to tell. */
static void log_end(struct log_line *line)
{
    const char *end = line->is_json ? "}\n" : "\n";

    if (line->is_cut)
        end = line->is_json ? ",\"cut\":true}\n" : " cut=true\n";
    assert(strlen(end) <= LOG_LINE_RESERVED);
    memcpy(line->text + line->size, end, strlen(end));
    line->size += strlen(end);

    int saved = errno;
    while (write(STDERR_FILENO, line->text, line->size) < 0 && errno == EINTR)
        continue;
    errno = saved;
}

void log_event(enum log_level level, const char *event, ...)
{
    struct log_line line;
    va_list pairs;

    if (level < log_level_now())
        return;
    log_begin(&line, level, event);
    va_start(pairs, event);
    log_put_pairs(&line, pairs);
    va_end(pairs);
    log_end(&line);
}

void log_error(enum log_level level, const struct error *err, const char *event, ...)
{
    struct log_line line;
    va_list pairs;

    if (level < log_level_now())
        return;
    log_begin(&line, level, event);
    va_start(pairs, event);
    log_put_pairs(&line, pairs);
    va_end(pairs);
    log_put_pair(&line, "code", rc_name(err->code));
    log_put_pair(&line, "errno", err->sys_errno == 0 ? NULL : log_i64(err->sys_errno));
    log_put_pair(&line, "error", err->text);
    log_end(&line);
}
