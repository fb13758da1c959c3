/*
 * scheduler - works that are due at a time
 *
 * A job is a work with a pool and a due time. Any thread sets due times; the watcher thread alone
 * submits what is due and sleeps until the next: scheduler_fd() becomes readable when a job is due
 * earlier than the watcher believes. A binary heap: setting and submitting cost O(log jobs), and
 * nothing happens while nothing is due.
 */
#ifndef SEAWAL_DAEMON_SCHEDULER_PRIV_H
#define SEAWAL_DAEMON_SCHEDULER_PRIV_H

#include "base/error.h"
#include "pool_priv.h"

#include <stddef.h>
#include <stdint.h>

struct scheduler;

struct job {
    struct work work;
    struct pool *pool;
    int64_t due_ms;    /* monotonic; guarded by the scheduler's mutex */
    size_t heap_place; /* 1-based, 0: not waiting; guarded by the scheduler's mutex */
};

must_use rc scheduler_new(struct scheduler **ret, struct error *err);
void scheduler_free(struct scheduler *scheduler);

/* Readable when scheduler_run_due() should be called. */
int scheduler_fd(const struct scheduler *scheduler);

/* Run JOB at DUE_MS, or earlier when it is due earlier already. 0: now. */
void scheduler_at(struct scheduler *scheduler, struct job *job, int64_t due_ms);

/* Submit all that is due at NOW_MS; returns the milliseconds until the next is (-1: none). */
int64_t scheduler_run_due(struct scheduler *scheduler, int64_t now_ms);

#endif
