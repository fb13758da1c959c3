/*
 * retry - the one loop that tries again
 *
 *   struct retry_policy policy = { .deadline_ms = 60000, .cancel = cancel };
 *   TRY(retry_run(&policy, attempt, payload, err));
 *
 * ATTEMPT is called until it answers RC_OK or something that rc_is_transient() does not name, until
 * the deadline, or until cancelled. Between attempts it waits: exponentially longer, jittered, at
 * least as long as the far end asked for (Retry-After). The error that leaves names the number of
 * attempts and the first cause beside the last.
 */
#ifndef SEAWAL_NET_RETRY_H
#define SEAWAL_NET_RETRY_H

#include "base/cancel.h"
#include "base/error.h"

#include <stdbool.h>
#include <stdint.h>

/* Zero fields mean the default behind them. */
struct retry_policy {
    int64_t deadline_ms;   /* for everything together, from the call on; 60 s */
    int64_t pause_ms;      /* before the second attempt; 100 ms, doubled after each further one */
    int64_t pause_ms_max;  /* 5 s */
    unsigned attempts_max; /* no limit */
    struct cancel *cancel; /* may be NULL */
};

/* What an attempt is told, and what it may say beside its rc. */
struct retry_attempt {
    unsigned index;         /* 0 for the first */
    int64_t remaining_ms;   /* until the deadline; more than 0 */
    int64_t retry_after_ms; /* out: what the far end asked for; 0: nothing */
    bool at_once;           /* out: the cause was just removed; try again without a pause, once */
    bool final;             /* out: do not try again although the code is transient */
};

typedef rc retry_fn(void *payload, struct retry_attempt *attempt, struct error *err);

must_use rc retry_run(
    const struct retry_policy *policy, retry_fn *attempt, void *payload, struct error *err);

/*
 * The pause before attempt INDEX (from 1): half of the exponential step fixed, half by RANDOM.
 * Pure.
 */
int64_t retry_pause_ms(const struct retry_policy *policy, unsigned index, uint32_t random);

#endif
