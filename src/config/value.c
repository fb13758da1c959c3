/*
 * value - one configuration value from text, by the type of its row
 */
#include "options_priv.h"

#include "base/alloc.h"
#include "base/duration.h"
#include "base/path.h"
#include "base/text.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <strings.h>
#include <unistd.h>

static const struct {
    const char *word;
    bool value;
} value_bools[] = {
    { "true", true },
    { "false", false },
    { "yes", true },
    { "no", false },
    { "on", true },
    { "off", false },
};

static rc value_bool(bool *ret, const char *text, struct error *err)
{
    for (size_t index = 0; index < array_count(value_bools); index++) {
        if (strcasecmp(value_bools[index].word, text) != 0)
            continue;
        *ret = value_bools[index].value;
        return RC_OK;
    }
    FAIL(err, RC_USAGE, "'%s' is neither true nor false", text);
}

static rc value_log_format(enum log_format *ret, const char *text, struct error *err)
{
    if (strcmp(text, "json") == 0)
        *ret = LOG_FORMAT_JSON;
    else if (strcmp(text, "text") == 0 || strcmp(text, "pretty") == 0)
        *ret = LOG_FORMAT_TEXT;
    else
        FAIL(err, RC_USAGE, "'%s' is neither text nor json", text);
    return RC_OK;
}

static rc value_log_level(enum log_level *ret, const char *text, struct error *err)
{
    /* Litestream writes its levels in either case and has one more. */
    if (strcasecmp(text, "trace") == 0)
        text = "debug";
    if (strcasecmp(text, "warning") == 0)
        text = "warn";
    static const char *const words[] = { "debug", "info", "warn", "error" };
    for (size_t index = 0; index < array_count(words); index++)
        if (strcasecmp(text, words[index]) == 0)
            return log_level_parse(ret, words[index], err);
    FAIL(err, RC_USAGE, "'%s' is none of debug, info, warn, error", text);
}

static rc value_limits(
    const struct option_spec *option, const char *text, uint64_t value, struct error *err)
{
    if (value < option->min || (option->max != 0 && value > option->max))
        FAIL(err, RC_USAGE, "'%s' is not in the range that makes sense here", text);
    return RC_OK;
}

static rc value_duration(
    const struct option_spec *option, const char *text, int64_t *ret, struct error *err)
{
    int64_t ms;

    TRY(duration_parse_ms(&ms, text, err));
    if (ms < 0)
        FAIL(err, RC_USAGE, "'%s' is negative", text);
    TRY(value_limits(option, text, (uint64_t)ms, err));
    *ret = ms;
    return RC_OK;
}

/* A duration, or WORD for WORD_MS. */
static rc value_duration_or(
    const char *word, int64_t word_ms, const char *text, int64_t *ret, struct error *err)
{
    if (strcasecmp(text, word) == 0) {
        *ret = word_ms;
        return RC_OK;
    }
    if (duration_parse_ms(ret, text, NULL) != RC_OK)
        FAIL(err, RC_USAGE, "'%s' is neither '%s' nor a duration as in '30s', '24h', '7d' or '1y'",
            text, word);
    return RC_OK;
}

static rc value_count(
    const struct option_spec *option, const char *text, uint32_t *ret, struct error *err)
{
    uint64_t count;

    TRY(text_parse_u64(&count, text, UINT32_MAX, err));
    TRY(value_limits(option, text, count, err));
    *ret = (uint32_t)count;
    return RC_OK;
}

static rc value_size(
    const struct option_spec *option, const char *text, uint64_t *ret, struct error *err)
{
    uint64_t size;

    TRY(text_parse_size(&size, text, err));
    TRY(value_limits(option, text, size, err));
    *ret = size;
    return RC_OK;
}

static rc value_tristate(const char *text, int *ret, struct error *err)
{
    bool value = false;

    TRY(value_bool(&value, text, err));
    *ret = value ? 1 : -1;
    return RC_OK;
}

static void value_text(char **field, char *owned)
{
    free(*field);
    *field = owned;
}

rc option_absolute_path(char **ret, const char *path, struct error *err)
{
    static const char *const prefixes[] = { "sqlite3://", "sqlite://" };

    for (size_t index = 0; index < array_count(prefixes); index++)
        if (text_has_prefix(path, prefixes[index]))
            path = text_after_prefix(path, prefixes[index]);
    if (path[0] == '\0')
        FAIL(err, RC_USAGE, "an empty path");
    if (path[0] == '/') {
        *ret = text_copy(path);
        return RC_OK;
    }
    if (text_has_prefix(path, "~/")) {
        const char *home = getenv("HOME");

        if (home == NULL || home[0] != '/')
            FAIL(err, RC_USAGE, "'%s': environment variable HOME is not set", path);
        *ret = path_join(home, path + 2);
        return RC_OK;
    }

    auto_free char *here = getcwd(NULL, 0);
    if (here == NULL)
        FAIL_SYS(err, "current folder");
    while (text_has_prefix(path, "./"))
        path += 2;
    *ret = path_join(here, path);
    return RC_OK;
}

/* HOST:PORT as it is, ":PORT" as the same on loopback. Nothing is looked up. */
static rc value_address(char **ret, const char *text, struct error *err)
{
    const char *colon = strrchr(text, ':');
    uint64_t port;

    if (colon == NULL || text_parse_u64(&port, colon + 1, UINT16_MAX, NULL) != RC_OK)
        FAIL(err, RC_USAGE, "'%s' is not HOST:PORT, as in 127.0.0.1:9090 or :9090", text);
    size_t host_size = (size_t)(colon - text);
    bool bracketed = host_size > 2 && text[0] == '[' && colon[-1] == ']';
    if (!bracketed && strcspn(text, ":[]/ ") != host_size)
        FAIL(err, RC_USAGE, "'%.*s' is not a host; an IPv6 address stands in brackets",
            (int)host_size, text);
    *ret = host_size == 0 ? text_format("127.0.0.1%s", text) : text_copy(text);
    return RC_OK;
}

rc option_parse(const struct option_spec *option, const char *text, void *field, struct error *err)
{
    switch (option->type) {
    case OPTION_TEXT:
        value_text(field, text_copy(text));
        return RC_OK;
    case OPTION_PATH: {
        char *path;

        TRY(option_absolute_path(&path, text, err));
        value_text(field, path);
        return RC_OK;
    }
    case OPTION_ADDRESS: {
        char *address = NULL;

        TRY(value_address(&address, text, err));
        value_text(field, address);
        return RC_OK;
    }
    case OPTION_DURATION:
        return value_duration(option, text, field, err);
    case OPTION_EVERY:
        return value_duration_or("transaction", 0, text, field, err);
    case OPTION_KEEP:
        return value_duration_or("forever", RULE_KEEP_FOREVER, text, field, err);
    case OPTION_COUNT:
        return value_count(option, text, field, err);
    case OPTION_SIZE:
        return value_size(option, text, field, err);
    case OPTION_BOOL:
        return value_bool(field, text, err);
    case OPTION_TRISTATE:
        return value_tristate(text, field, err);
    case OPTION_LOG_LEVEL:
        return value_log_level(field, text, err);
    case OPTION_LOG_FORMAT:
        return value_log_format(field, text, err);
    case OPTION_SECTION:
    case OPTION_DBS:
    case OPTION_REPLICAS:
    case OPTION_RULES:
    case OPTION_LEVELS:
    case OPTION_IGNORED:
    case OPTION_REFUSED:
        break;
    }
    abort(); /* these have no text of their own */
}
