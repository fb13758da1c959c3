/* child - see child_priv.h */
#include "child_priv.h"

#include <assert.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/text.h"

/* Every signal is blocked or ignored in us for signalfd's sake; the application starts without
 * that. */
static void child_attributes_init(posix_spawnattr_t *attributes)
{
    sigset_t none;
    sigset_t defaults;

    posix_spawnattr_init(attributes);
    sigemptyset(&none);
    posix_spawnattr_setsigmask(attributes, &none);
    sigemptyset(&defaults);
    sigaddset(&defaults, SIGPIPE);
    posix_spawnattr_setsigdefault(attributes, &defaults);
    posix_spawnattr_setflags(attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
}

/* Whether WORD, as far as SIZE, names a program: a path to one, or a name in PATH. */
static bool child_is_program(const char *word, size_t size)
{
    auto_free char *name = text_format("%.*s", (int)size, word);
    const char *path = getenv("PATH");

    if (strchr(name, '/') != NULL || path == NULL)
        return access(name, X_OK) == 0;
    while (*path != '\0') {
        size_t folder_size = strcspn(path, ":");
        auto_free char *candidate = text_format("%.*s/%s", (int)folder_size, path, name);
        if (access(candidate, X_OK) == 0)
            return true;
        path += folder_size;
        path += *path == ':';
    }
    return false;
}

/* Whether COMMAND is one command: nothing in it, but in single quotes, asks more of a shell. */
static bool child_is_single(const char *command)
{
    for (const char *at = command; *at != '\0'; at++) {
        if (strchr(";&|<>\n(){}`", *at) != NULL)
            return false;
        if (*at != '\'')
            continue;
        at = strchr(at + 1, '\'');
        if (at == NULL)
            return false;
    }
    return true;
}

/*
 * A plain command takes the shell's place, so that signals reach the application and its status is
 * its own; a list, a pipe or a builtin needs the shell to stay.
 */
static char *child_command(const char *command)
{
    size_t word_size = strcspn(command, " \t\"'$=");
    bool ends_there =
        command[word_size] == '\0' || command[word_size] == ' ' || command[word_size] == '\t';
    bool plain = word_size > 0 && ends_there && child_is_single(command);

    return text_format(
        "%s%s", plain && child_is_program(command, word_size) ? "exec " : "", command);
}

rc child_start(struct child *child, const char *command, struct error *err)
{
    assert(child->pid == 0);

    char shell[] = "sh";
    char option[] = "-c";
    auto_free char *line = child_command(command);
    char *arguments[] = { shell, option, line, NULL };
    posix_spawnattr_t attributes;

    child_attributes_init(&attributes);
    int failure = posix_spawn(&child->pid, "/bin/sh", NULL, &attributes, arguments, environ);
    posix_spawnattr_destroy(&attributes);
    if (failure != 0) {
        child->pid = 0;
        return error_set(err, RC_IO, failure, __FILE__, __LINE__, "run '%s'", command);
    }
    return RC_OK;
}

bool child_reap(struct child *child)
{
    bool ended = false;

    for (;;) {
        int status = 0;
        pid_t pid = waitpid(-1, &status, WNOHANG);
        if (pid <= 0)
            return ended;
        if (pid != child->pid)
            continue;
        child->pid = 0;
        child->exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
        ended = true;
    }
}

void child_signal(const struct child *child, int signal_number)
{
    if (child->pid > 0)
        kill(child->pid, signal_number);
}
