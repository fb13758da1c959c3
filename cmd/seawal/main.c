/*
 * main - the table of subcommands
 */
#include "base/alloc.h"
#include "base/text.h"
#include "command.h"
#include "config/suggest.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

static const struct command *const commands[] = {
    &command_replicate,
    &command_restore,
    &command_history,
    &command_expire,
    &command_hold,
    &command_status,
    &command_check,
    &command_databases,
    &command_version,
};

static void main_print_help(FILE *out)
{
    fprintf(out, "seawal - replicates SQLite databases, continuously, and restores them to any "
                 "transaction\n\nusage: seawal COMMAND [flags] [arguments]\n\ncommands:\n");
    for (size_t index = 0; index < array_count(commands); index++)
        fprintf(out, "  %-12s  %s\n", commands[index]->name, commands[index]->summary);
    fprintf(out, "\n'seawal COMMAND --help' tells more.\n"
                 "exit codes: 0 done, 1 failed, 2 usage or configuration, 3 certainly no such "
                 "backup,\n            4 could not tell (network, credentials), 5 damage found\n");
}

static int main_unknown(const char *name)
{
    struct suggestion suggestion = suggestion_for(name);

    for (size_t index = 0; index < array_count(commands); index++)
        suggestion_consider(&suggestion, commands[index]->name);
    fprintf(stderr, "seawal: unknown command '%s'", name);
    if (suggestion.best != NULL)
        fprintf(stderr, "; did you mean '%s'?", suggestion.best);
    fprintf(stderr, "\ntry: seawal --help\n");
    return EXIT_USAGE;
}

static const struct command *main_find(const char *name)
{
    for (size_t index = 0; index < array_count(commands); index++)
        if (text_equal(commands[index]->name, name))
            return commands[index];
    return NULL;
}

static bool main_is_word(const char *argument, const char *word)
{
    while (*argument == '-')
        argument++;
    return text_equal(argument, word);
}

static int main_help(int argc, char **argv)
{
    const struct command *command = argc > 2 ? main_find(argv[2]) : NULL;

    if (argc > 2 && command == NULL)
        return main_unknown(argv[2]);
    if (command != NULL)
        command_print_help(command);
    else
        main_print_help(stdout);
    return EXIT_DONE;
}

static int main_run(const struct command *command, int argc, char **argv)
{
    auto_free void *flags = mem_new(command->flags_size);
    auto_positionals struct positionals positionals = POSITIONALS_INIT;

    if (command->flag_defaults != NULL)
        memcpy(flags, command->flag_defaults, command->flags_size);
    switch (flags_parse(command, argc, argv, flags, &positionals)) {
    case FLAGS_HELP:
        return EXIT_DONE;
    case FLAGS_BAD:
        return EXIT_USAGE;
    case FLAGS_PARSED:
        break;
    }
    return command->run(command, flags, &positionals);
}

/* What was printed must have arrived: a full disk behind a redirection is a failure. */
static int main_finish(int exit_code)
{
    if (fflush(stdout) == 0 && !ferror(stdout))
        return exit_code;
    fprintf(stderr, "seawal: standard output could not be written\n");
    return exit_code != EXIT_DONE ? exit_code : EXIT_FAILED;
}

int main(int argc, char **argv)
{
    /* A reader that goes away is an error of write(2), which is handled, and no reason to die. */
    signal(SIGPIPE, SIG_IGN);
    if (argc < 2) {
        main_print_help(stderr);
        return EXIT_USAGE;
    }
    if (main_is_word(argv[1], "help") || text_equal(argv[1], "-h"))
        return main_finish(main_help(argc, argv));

    const struct command *command = main_find(argv[1]);
    if (command == NULL && argv[1][0] == '-' && main_is_word(argv[1], "version"))
        command = &command_version;
    if (command == NULL)
        return main_unknown(argv[1]);
    return main_finish(main_run(command, argc - 2, argv + 2));
}
