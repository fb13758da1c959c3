/*
 * command - one subcommand: what it is called with, what it says about itself, what it does
 *
 * Every command is a row in main.c's table and a const struct command in a file of its own. Its
 * flags are a table as well: parsing, --help and the manual's check read the same rows.
 */
#ifndef SEAWAL_CMD_SEAWAL_COMMAND_H
#define SEAWAL_CMD_SEAWAL_COMMAND_H

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The exit codes of every command. */
enum exit_code {
    EXIT_DONE = 0,
    EXIT_FAILED = 1,
    EXIT_USAGE = 2,          /* the command line or the configuration */
    EXIT_NOT_THERE = 3,      /* certainly no such backup or point */
    EXIT_COULD_NOT_TELL = 4, /* network, credentials */
    EXIT_DAMAGED = 5,        /* a replica whose bytes are not what they must be */
};

/* What was being done when something failed: the same rc means different things. */
enum exit_context {
    EXIT_WHILE_ASKING,      /* what a replica holds; nothing local is involved */
    EXIT_WHILE_RESTORING,   /* replica to file */
    EXIT_WHILE_REPLICATING, /* database to replica */
    EXIT_CONTEXT_COUNT,
};
enum exit_code exit_code_of(rc code, const struct error *err, enum exit_context context);

enum flag_type {
    FLAG_BOOL,     /* bool */
    FLAG_TEXT,     /* const char *, borrowed from the command line */
    FLAG_DURATION, /* int64_t ms */
    FLAG_INSTANT,  /* int64_t ms since the epoch */
    FLAG_COUNT,    /* uint32_t, 1 and up */
    FLAG_TXID,     /* uint64_t, 1 and up; decimal */
    FLAG_TIMELINE, /* uint32_t, 1 and up; hex digits */
};

struct flag_spec {
    const char *name; /* without dashes */
    enum flag_type type;
    size_t offset;        /* in the command's struct of flags */
    const char *argument; /* "FILE"; NULL for FLAG_BOOL */
    const char *help;
};

/* What is left of a command line without its flags. */
struct positionals {
    char **texts; /* owned array of borrowed texts; NULL-terminated */
    size_t count;
};

struct command {
    const char *name;
    const char *summary;     /* one line, for the list */
    const char *arguments;   /* "[flags] DB|URL" */
    const char *description; /* for --help */
    const struct flag_spec *flags;
    size_t flag_count;
    size_t flags_size;         /* of the struct that they fill */
    const void *flag_defaults; /* such a struct; NULL: all zero */
    size_t positional_min;
    size_t positional_max;

    /* FLAGS is the command's own struct, filled from the command line over its defaults. */
    int (*run)(
        const struct command *self, const void *flags, const struct positionals *positionals);
};

extern const struct command command_replicate;
extern const struct command command_restore;
extern const struct command command_history;
extern const struct command command_expire;
extern const struct command command_hold;
extern const struct command command_status;
extern const struct command command_check;
extern const struct command command_databases;
extern const struct command command_version;

#define POSITIONALS_INIT ((struct positionals){ 0 })
#define auto_positionals __attribute__((cleanup(positionals_release)))
void positionals_release(struct positionals *positionals);

enum flags_answer {
    FLAGS_PARSED,
    FLAGS_HELP, /* help was asked for and printed */
    FLAGS_BAD,  /* said on standard error */
};

/*
 * Flags into FLAGS (the command's struct, holding its defaults), the rest into RET. Flags may stand
 * anywhere, with one dash or two, "-flag value" or "-flag=value"; "--" ends them.
 */
enum flags_answer flags_parse(
    const struct command *command, int argc, char **argv, void *flags, struct positionals *ret);

/* "seawal NAME: TEXT" on standard error, and a hint on where help is. Returns EXIT_USAGE. */
int command_usage_error(const struct command *command, const char *format, ...) printf_like(2, 3);

/* "seawal NAME: TEXT" for a failure, or a notice. */
void command_say(const struct command *command, const char *format, ...) printf_like(2, 3);

/* Report ERR and return the exit code that fits. */
int command_fail(
    const struct command *command, rc code, const struct error *err, enum exit_context context);

void command_print_help(const struct command *command);

#endif
