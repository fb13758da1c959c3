/* cancel - the token that every wait looks at */
#include "base/cancel.h"

#include "base/alloc.h"
#include "base/clock.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

/* A wait is cut to a day: no caller means longer, and the deadline cannot overflow. */
enum { CANCEL_WAIT_MS_MAX = 24 * 3600 * 1000 };

struct cancel {
    pthread_mutex_t mu;
    pthread_cond_t changed; /* on the monotonic clock */
    atomic_bool asked;      /* written under mu, read anywhere */
};

static void cancel_must(int result)
{
    assert(result == 0);
}

struct cancel *cancel_new(void)
{
    struct cancel *cancel = mem_new(sizeof *cancel);
    pthread_condattr_t attributes;

    cancel_must(pthread_mutex_init(&cancel->mu, NULL));
    cancel_must(pthread_condattr_init(&attributes));
    cancel_must(pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC));
    cancel_must(pthread_cond_init(&cancel->changed, &attributes));
    cancel_must(pthread_condattr_destroy(&attributes));
    atomic_init(&cancel->asked, false);
    return cancel;
}

void cancel_free(struct cancel *cancel)
{
    if (cancel == NULL)
        return;
    cancel_must(pthread_cond_destroy(&cancel->changed));
    cancel_must(pthread_mutex_destroy(&cancel->mu));
    free(cancel);
}

void cancel_now(struct cancel *cancel)
{
    cancel_must(pthread_mutex_lock(&cancel->mu));
    atomic_store(&cancel->asked, true);
    cancel_must(pthread_cond_broadcast(&cancel->changed));
    cancel_must(pthread_mutex_unlock(&cancel->mu));
}

bool cancel_asked(const struct cancel *cancel)
{
    return cancel != NULL && atomic_load(&cancel->asked);
}

static struct timespec cancel_timespec(int64_t ns)
{
    return (struct timespec){ .tv_sec = (time_t)(ns / 1000000000), .tv_nsec = ns % 1000000000 };
}

static void cancel_sleep_ms(int64_t ms)
{
    struct timespec until = cancel_timespec(clock_monotonic_ns() + ms * 1000000);

    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) == EINTR)
        continue;
}

bool cancel_wait_ms(struct cancel *cancel, int64_t ms)
{
    if (ms <= 0)
        return cancel_asked(cancel);
    if (ms > CANCEL_WAIT_MS_MAX)
        ms = CANCEL_WAIT_MS_MAX;
    if (cancel == NULL) {
        cancel_sleep_ms(ms);
        return false;
    }

    struct timespec until = cancel_timespec(clock_monotonic_ns() + ms * 1000000);
    int result = 0;
    cancel_must(pthread_mutex_lock(&cancel->mu));
    while (!atomic_load(&cancel->asked) && result == 0)
        result = pthread_cond_timedwait(&cancel->changed, &cancel->mu, &until);
    bool asked = atomic_load(&cancel->asked);
    cancel_must(pthread_mutex_unlock(&cancel->mu));
    assert(asked || result == ETIMEDOUT);
    return asked;
}
