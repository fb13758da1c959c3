/*
 * trouble - one kind of failure that may last: told once, then rarely, and once more when it ends
 *
 * Belongs to one thread at a time (the work whose failures it tells).
 */
#ifndef SEAWAL_DAEMON_TROUBLE_PRIV_H
#define SEAWAL_DAEMON_TROUBLE_PRIV_H

#include "base/error.h"
#include "metrics_priv.h"

#include <stdint.h>

struct trouble {
    const char *what; /* "upload", "capture": constant text */
    rc code;          /* RC_OK: none */
    uint64_t count;   /* failures in a row */
    int64_t since_ms; /* monotonic */
    int64_t told_ms;  /* monotonic */
    struct metrics *metrics;
    enum metric_id failing;  /* 1 while it lasts */
    enum metric_id failures; /* counted */
};

/* WHAT is constant text, METRICS is borrowed; FAILING is the row of this work in that family. */
void trouble_init(
    struct trouble *trouble, const char *what, struct metrics *metrics, enum metric_id failing);

/*
 * Note a failure of database PATH; RETRY_MS tells the reader what follows (-1: no retry). The same
 * code is told again once a minute at most.
 */
void trouble_note(
    struct trouble *trouble, const char *path, const struct error *err, int64_t retry_ms);

/* It works again; logs that when something was told. */
void trouble_clear(struct trouble *trouble, const char *path);

/* How long to wait before the next try: from FIRST_MS, doubling up to MAX_MS. */
int64_t trouble_backoff_ms(const struct trouble *trouble, int64_t first_ms, int64_t max_ms);

#endif
