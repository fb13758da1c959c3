/*
 * rules - which points of a history are kept for how long
 *
 * Finest first: {every transaction, 24 h}, {every minute, 7 d}, ... A point is kept by a rule while
 * it is not older than keep_ms and is the last transaction of its window of every_ms; it goes when
 * no rule keeps it. Rule i is about level i of a replica: level 0 holds every transaction, level 1
 * the first kind of windows, and so on.
 *
 * A window is decided by walking in txid order: a new one begins where rule_window() differs from
 * that of the transaction before. Each every_ms is a multiple of the one before it, so that a
 * window is made of whole windows of the finer rule.
 *
 * Pure values; any thread.
 */
#ifndef SEAWAL_REPLICA_RULES_H
#define SEAWAL_REPLICA_RULES_H

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { RULES_COUNT_MAX = 8 };

#define RULE_KEEP_FOREVER INT64_MAX
enum { RULE_EVERY_MS_MIN = 1000 }; /* but for 0, every transaction */

struct rule {
    int64_t every_ms; /* 0: every transaction */
    int64_t keep_ms;  /* or RULE_KEEP_FOREVER */
};

struct rules {
    struct rule rules[RULES_COUNT_MAX]; /* finest first; the first is every transaction */
    size_t count;                       /* 1 and up */
    bool is_off; /* nothing is ever removed; the levels are there all the same */
};

/* Every transaction for 24 hours, every minute for 7 days, every hour for 30, every day for 365. */
void rules_set_default(struct rules *ret);

/* RC_USAGE says what breaks the order: every rises by multiples, keep does not fall. */
must_use rc rules_check(const struct rules *rules, struct error *err);

/* The number of the window that TIME_MS is in; of RULE with every_ms > 0. Windows are aligned to
 * the epoch. */
int64_t rule_window(const struct rule *rule, int64_t time_ms);

#endif
