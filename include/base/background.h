/*
 * background - one call in a thread of its own, waited for no longer than one likes
 *
 * Calling sequence:
 *
 *   background_start(), background_wait() any number of times, background_finish()
 *
 * Until finish the call owns what its payload leads to. Where no thread can be had, start makes the
 * call itself.
 *
 * Thread rules: one thread starts, waits and finishes. The object does not move in between.
 */
#ifndef SEAWAL_BASE_BACKGROUND_H
#define SEAWAL_BASE_BACKGROUND_H

#include "base/error.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

struct background {
    rc (*call)(void *payload, struct error *err);
    void *payload;
    pthread_t thread;
    pthread_mutex_t mu;
    pthread_cond_t changed; /* on the monotonic clock */
    bool has_thread;
    bool is_done; /* guarded by mu */
    rc result;
    struct error err;
};

void background_start(
    struct background *background, rc (*call)(void *payload, struct error *err), void *payload);

/* Whether it is done, waiting until UNTIL_NS of clock_monotonic_ns() at the longest. */
must_use bool background_wait(struct background *background, int64_t until_ns);

/* Wait for its end, however long; what it answered. */
must_use rc background_finish(struct background *background, struct error *err);

#endif
