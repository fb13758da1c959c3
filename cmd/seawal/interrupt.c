/*
 * interrupt - TERM and INT cancel what a command does
 */
#include "interrupt.h"

#include <assert.h>
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

enum { INTERRUPT_STACK_SIZE = 64 * 1024, INTERRUPT_EXIT_CODE = 128 };

static sigset_t interrupt_signals(void)
{
    sigset_t signals;

    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGHUP);
    return signals;
}

static void *interrupt_wait(void *payload)
{
    struct cancel *cancel = payload;
    sigset_t signals = interrupt_signals();
    int number = 0;

    if (sigwait(&signals, &number) == 0)
        cancel_now(cancel);
    if (sigwait(&signals, &number) == 0)
        _exit(INTERRUPT_EXIT_CODE + number);
    return NULL;
}

struct cancel *interrupt_start(void)
{
    struct cancel *cancel = cancel_new();
    sigset_t signals = interrupt_signals();
    pthread_attr_t attributes;
    pthread_t thread;

    pthread_sigmask(SIG_BLOCK, &signals, NULL);
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, INTERRUPT_STACK_SIZE);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    int failed = pthread_create(&thread, &attributes, interrupt_wait, cancel);
    assert(failed == 0);
    pthread_attr_destroy(&attributes);
    return cancel;
}
