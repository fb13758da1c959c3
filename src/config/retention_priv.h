/*
 * retention - one set of rules from our list, from Litestream's keys, or from nothing
 *
 * Litestream 0.3 keeps all for the time that its replica's "retention" says: one rule. Litestream
 * 0.5 keeps the segments of level 0 for "l0-retention" and those of its "levels" for
 * "snapshot.retention": a rule for each. What was not written is then as Litestream documents it,
 * except that level 0 is kept for as long as our own default does. Without any of those keys our
 * default rules stand.
 */
#ifndef SEAWAL_CONFIG_RETENTION_PRIV_H
#define SEAWAL_CONFIG_RETENTION_PRIV_H

#include "options_priv.h"

/* Nothing was written. */
void retention_draft_init(struct retention_draft *draft);

/* "off", "on", or a duration. RC_USAGE without file and line. */
must_use rc retention_word(struct retention_draft *draft, const char *text, struct error *err);

/* RULES stand from now on, instead of what stood there. */
void retention_take_rules(struct retention_draft *draft, const struct rules *rules);

/* The next of Litestream's levels. RC_USAGE without file and line. */
must_use rc retention_add_level(
    struct retention_draft *draft, int64_t interval_ms, struct error *err);

/* Into DRAFT's db.retention. RC_USAGE without file and line: both ways at once. */
must_use rc retention_complete(struct db_draft *draft, struct error *err);

#endif
