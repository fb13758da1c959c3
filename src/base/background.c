/* One call in a thread of its own. */
#include "base/background.h"

#include <assert.h>
#include <time.h>

static void background_must(int result)
{
    assert(result == 0);
}

static void *background_run(void *payload)
{
    struct background *background = payload;

    background->result = background->call(background->payload, &background->err);
    background_must(pthread_mutex_lock(&background->mu));
    background->is_done = true;
    background_must(pthread_cond_signal(&background->changed));
    background_must(pthread_mutex_unlock(&background->mu));
    return NULL;
}

void background_start(
    struct background *background, rc (*call)(void *payload, struct error *err), void *payload)
{
    pthread_condattr_t attributes;

    *background = (struct background){ .call = call, .payload = payload };
    background_must(pthread_mutex_init(&background->mu, NULL));
    background_must(pthread_condattr_init(&attributes));
    background_must(pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC));
    background_must(pthread_cond_init(&background->changed, &attributes));
    background_must(pthread_condattr_destroy(&attributes));

    background->has_thread =
        pthread_create(&background->thread, NULL, background_run, background) == 0;
    if (!background->has_thread)
        (void)background_run(background);
}

bool background_wait(struct background *background, int64_t until_ns)
{
    struct timespec until = {
        .tv_sec = until_ns / 1000000000,
        .tv_nsec = until_ns % 1000000000,
    };
    int result = 0;

    assert(until_ns >= 0);
    background_must(pthread_mutex_lock(&background->mu));
    while (!background->is_done && result == 0)
        result = pthread_cond_timedwait(&background->changed, &background->mu, &until);
    bool is_done = background->is_done;
    background_must(pthread_mutex_unlock(&background->mu));
    return is_done;
}

rc background_finish(struct background *background, struct error *err)
{
    if (background->has_thread)
        background_must(pthread_join(background->thread, NULL));
    background_must(pthread_cond_destroy(&background->changed));
    background_must(pthread_mutex_destroy(&background->mu));
    if (background->result != RC_OK && err != NULL)
        *err = background->err;
    return background->result;
}
