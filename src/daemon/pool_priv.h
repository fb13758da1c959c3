/*
 * pool - a fixed number of threads that run works
 *
 * A work is a function with its payload that may be submitted again and again, from any thread. It
 * never runs twice at once: submitted while it waits, nothing happens; submitted while it runs, it
 * runs once more afterwards. So a submit means "run after now", and no wish is lost.
 */
#ifndef SEAWAL_DAEMON_POOL_PRIV_H
#define SEAWAL_DAEMON_POOL_PRIV_H

#include "base/error.h"

struct pool;

enum work_state { WORK_IDLE, WORK_QUEUED, WORK_RUNNING, WORK_RUNNING_AGAIN };

struct work {
    void (*run)(void *payload);
    void *payload;
    struct work *next;     /* guarded by the pool's mutex */
    enum work_state state; /* guarded by the pool's mutex */
};

/* THREAD_COUNT threads named NAME (15 characters are kept). */
must_use rc pool_start(
    struct pool **ret, const char *name, unsigned thread_count, struct error *err);

/* Runs no more works; returns when those that run have ended. NULL does nothing. */
void pool_stop(struct pool *pool);

void pool_submit(struct pool *pool, struct work *work);

#endif
