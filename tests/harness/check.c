/* check - calls that must not return, run where they do no harm */
#include "harness/check.h"

#include <assert.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

/* Of gcc's coverage runtime, and only there in a build that measures. */
void __gcov_dump(void) __attribute__((weak));

_Noreturn void check_leave(int status)
{
    if (__gcov_dump != NULL)
        __gcov_dump();
    _exit(status);
}

static void check_run(void (*body)(void *payload), void *payload)
{
    struct rlimit no_core = { 0, 0 };

    setrlimit(RLIMIT_CORE, &no_core);
    signal(SIGABRT, SIG_DFL);
    close(STDERR_FILENO);
    body(payload);
}

bool check_aborts(void (*body)(void *payload), void *payload)
{
    pid_t child = fork();
    assert(child >= 0);

    if (child == 0) {
        check_run(body, payload);
        _exit(0);
    }

    int status = 0;
    pid_t waited = waitpid(child, &status, 0);
    assert(waited == child);
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
}
