/*
 * flags - command lines against tables
 */
#include "base/alloc.h"
#include "base/duration.h"
#include "base/text.h"
#include "command.h"
#include "config/suggest.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FLAG_HELP_COLUMN = 28 };

void positionals_release(struct positionals *positionals)
{
    free(positionals->texts);
    *positionals = POSITIONALS_INIT;
}

/* ---- values */

static rc flag_timeline(uint32_t *ret, const char *text, struct error *err)
{
    uint64_t timeline = 0;
    size_t size = strlen(text);

    if (size == 0 || size > 8 || !text_parse_hex64(&timeline, text, (unsigned)size) ||
        timeline == 0)
        FAIL(err, RC_USAGE, "'%s' is not a timeline, such as 0000000a", text);
    *ret = (uint32_t)timeline;
    return RC_OK;
}

static rc flag_count(uint64_t *ret, const char *text, uint64_t max, struct error *err)
{
    TRY(text_parse_u64(ret, text, max, err));
    if (*ret == 0)
        FAIL(err, RC_USAGE, "'%s' must be at least 1", text);
    return RC_OK;
}

static rc flag_duration(int64_t *ret, const char *text, struct error *err)
{
    TRY(duration_parse_ms(ret, text, err));
    if (*ret < 0)
        FAIL(err, RC_USAGE, "'%s' is negative", text);
    return RC_OK;
}

static rc flag_bool(bool *ret, const char *text, struct error *err)
{
    if (text_equal(text, "true") || text_equal(text, "false")) {
        *ret = text_equal(text, "true");
        return RC_OK;
    }
    FAIL(err, RC_USAGE, "'%s' is neither true nor false", text);
}

static rc flag_store(const struct flag_spec *flag, char *text, void *flags, struct error *err)
{
    void *field = (char *)flags + flag->offset;
    uint64_t number;

    switch (flag->type) {
    case FLAG_BOOL:
        return flag_bool(field, text, err);
    case FLAG_TEXT:
        *(const char **)field = text;
        return RC_OK;
    case FLAG_DURATION:
        return flag_duration(field, text, err);
    case FLAG_INSTANT:
        return instant_parse_ms(field, text, err);
    case FLAG_COUNT:
        TRY(flag_count(&number, text, UINT32_MAX, err));
        *(uint32_t *)field = (uint32_t)number;
        return RC_OK;
    case FLAG_TXID:
        return flag_count(field, text, UINT64_MAX - 1, err);
    case FLAG_TIMELINE:
        return flag_timeline(field, text, err);
    }
    abort();
}

/* ---- the line */

static const struct flag_spec *flag_find(
    const struct command *command, const char *name, size_t name_size)
{
    for (size_t index = 0; index < command->flag_count; index++) {
        const char *candidate = command->flags[index].name;

        if (strlen(candidate) == name_size && strncmp(candidate, name, name_size) == 0)
            return &command->flags[index];
    }
    return NULL;
}

static enum flags_answer flag_unknown(
    const struct command *command, const char *name, size_t name_size)
{
    auto_free char *word = text_format("%.*s", (int)name_size, name);
    struct suggestion suggestion = suggestion_for(word);

    for (size_t index = 0; index < command->flag_count; index++)
        suggestion_consider(&suggestion, command->flags[index].name);
    if (suggestion.best != NULL)
        command_usage_error(
            command, "unknown flag '-%s'; did you mean '-%s'?", word, suggestion.best);
    else
        command_usage_error(command, "unknown flag '-%s'", word);
    return FLAGS_BAD;
}

static bool flag_is_help(const char *name)
{
    return text_equal(name, "h") || text_equal(name, "help");
}

/* The flag at argv[*at]; moves *AT to the last argument that it took. */
static enum flags_answer flag_take(
    const struct command *command, int argc, char **argv, int *at, void *flags)
{
    char *name = argv[*at] + 1;
    struct error err;

    if (*name == '-')
        name++;
    if (flag_is_help(name)) {
        command_print_help(command);
        return FLAGS_HELP;
    }
    size_t name_size = strcspn(name, "=");
    const struct flag_spec *flag = flag_find(command, name, name_size);
    if (flag == NULL)
        return flag_unknown(command, name, name_size);

    static char yes[] = "true";
    char *value = NULL;
    if (name[name_size] == '=')
        value = name + name_size + 1;
    else if (flag->type == FLAG_BOOL)
        value = yes;
    else if (*at + 1 < argc)
        value = argv[++*at];
    if (value == NULL) {
        command_usage_error(command, "-%s needs a value: %s", flag->name, flag->argument);
        return FLAGS_BAD;
    }
    if (flag_store(flag, value, flags, &err) != RC_OK) {
        command_usage_error(command, "-%s: %s", flag->name, err.text);
        return FLAGS_BAD;
    }
    return FLAGS_PARSED;
}

static enum flags_answer positionals_check(
    const struct command *command, const struct positionals *positionals)
{
    if (positionals->count < command->positional_min) {
        command_usage_error(command, "too few arguments, expected: %s", command->arguments);
        return FLAGS_BAD;
    }
    if (positionals->count > command->positional_max) {
        command_usage_error(command, "too many arguments from '%s' on, expected: %s",
            positionals->texts[command->positional_max], command->arguments);
        return FLAGS_BAD;
    }
    return FLAGS_PARSED;
}

enum flags_answer flags_parse(
    const struct command *command, int argc, char **argv, void *flags, struct positionals *ret)
{
    bool flags_ended = false;

    assert(ret->texts == NULL);
    ret->texts = mem_new_array((size_t)argc + 1, sizeof *ret->texts);
    for (int at = 0; at < argc; at++) {
        if (!flags_ended && text_equal(argv[at], "--")) {
            flags_ended = true;
            continue;
        }
        if (flags_ended || argv[at][0] != '-' || argv[at][1] == '\0') {
            ret->texts[ret->count++] = argv[at];
            continue;
        }
        enum flags_answer answer = flag_take(command, argc, argv, &at, flags);
        if (answer != FLAGS_PARSED)
            return answer;
    }
    return positionals_check(command, ret);
}

/* ---- what is said */

static void printf_like(2, 0)
    command_say_list(const struct command *command, const char *format, va_list arguments)
{
    auto_free char *text = NULL;

    if (vasprintf(&text, format, arguments) < 0)
        abort();
    fprintf(stderr, "seawal %s: %s\n", command->name, text);
}

void command_say(const struct command *command, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    command_say_list(command, format, arguments);
    va_end(arguments);
}

int command_usage_error(const struct command *command, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    command_say_list(command, format, arguments);
    va_end(arguments);
    fprintf(stderr, "try: seawal %s --help\n", command->name);
    return EXIT_USAGE;
}

int command_fail(
    const struct command *command, rc code, const struct error *err, enum exit_context context)
{
    assert(code != RC_OK);
    command_say(command, "%s", err->text);
    return (int)exit_code_of(code, err, context);
}

void command_print_help(const struct command *command)
{
    printf("seawal %s - %s\n\nusage: seawal %s %s\n\n%s", command->name, command->summary,
        command->name, command->arguments, command->description);
    if (command->flag_count > 0)
        printf("\nflags:\n");
    for (size_t index = 0; index < command->flag_count; index++) {
        const struct flag_spec *flag = &command->flags[index];
        auto_free char *usage = text_format("-%s%s%s", flag->name,
            flag->argument != NULL ? " " : "", flag->argument != NULL ? flag->argument : "");

        printf("  %-*s  %s\n", FLAG_HELP_COLUMN, usage, flag->help);
    }
}
