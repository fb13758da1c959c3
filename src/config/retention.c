/*
 * retention - one set of rules from our list, from Litestream's keys, or from nothing
 */
#include "retention_priv.h"

#include "base/alloc.h"
#include "base/duration.h"

#include <assert.h>
#include <strings.h>

/* Litestream 0.5's documented defaults. */
static const int64_t litestream_levels_ms[] = { 30 * 1000, 5 * 60 * 1000, 60 * 60 * 1000 };
enum { LITESTREAM_KEEP_MS = 24 * 60 * 60 * 1000 };

_Static_assert(
    array_count(litestream_levels_ms) <= LITESTREAM_LEVEL_COUNT_MAX, "its own default fits");

void retention_draft_init(struct retention_draft *draft)
{
    *draft = (struct retention_draft){ .is_on = true, .keep_ms = -1, .log_keep_ms = -1 };
}

rc retention_word(struct retention_draft *draft, const char *text, struct error *err)
{
    static const struct option_spec on = { .key = "retention", .type = OPTION_BOOL };
    static const struct option_spec keep = { .key = "retention", .type = OPTION_KEEP };
    int64_t keep_ms = 0;

    if (option_parse(&on, text, &draft->is_on, NULL) == RC_OK)
        return RC_OK;
    if (option_parse(&keep, text, &keep_ms, NULL) != RC_OK)
        FAIL(err, RC_USAGE, "'%s' is neither a list of rules, nor 'off', nor a duration", text);
    draft->keep_ms = keep_ms;
    draft->rules.count = 0;
    draft->is_on = true;
    return RC_OK;
}

void retention_take_rules(struct retention_draft *draft, const struct rules *rules)
{
    draft->rules = *rules;
    draft->keep_ms = -1;
    draft->is_on = true;
}

rc retention_add_level(struct retention_draft *draft, int64_t interval_ms, struct error *err)
{
    if (interval_ms == 0)
        FAIL(err, RC_USAGE, "a level needs an 'interval'");
    if (draft->level_count == LITESTREAM_LEVEL_COUNT_MAX)
        FAIL(err, RC_USAGE, "more than %d levels", LITESTREAM_LEVEL_COUNT_MAX);
    if (draft->level_count > 0 && interval_ms <= draft->levels_ms[draft->level_count - 1])
        FAIL(err, RC_USAGE, "the intervals of levels must rise");
    draft->levels_ms[draft->level_count++] = interval_ms;
    return RC_OK;
}

/*
 * One more level, where it can be one: windows are made of whole finer ones, and what is not longer
 * kept than every transaction adds nothing. Since all levels are kept equally long, a coarser one
 * that is left out takes no point away.
 */
static void rules_add_level(struct rules *rules, int64_t every_ms, int64_t keep_ms)
{
    const struct rule *before = &rules->rules[rules->count - 1];
    bool is_multiple = before->every_ms == 0 || every_ms % before->every_ms == 0;

    if (rules->count < RULES_COUNT_MAX && is_multiple && keep_ms >= every_ms &&
        keep_ms > rules->rules[0].keep_ms)
        rules->rules[rules->count++] = (struct rule){ .every_ms = every_ms, .keep_ms = keep_ms };
}

/* Our default, but that every transaction is kept for KEEP_MS. */
static void rules_from_log_keep(struct rules *rules, int64_t keep_ms)
{
    struct rules defaults;

    rules_set_default(&defaults);
    *rules = (struct rules){ .rules = { { .keep_ms = keep_ms } }, .count = 1 };
    for (size_t i = 1; i < defaults.count; i++)
        if (defaults.rules[i].keep_ms > keep_ms)
            rules->rules[rules->count++] = defaults.rules[i];
}

static void rules_from_levels(struct rules *rules, const struct retention_draft *draft)
{
    bool has_levels = draft->level_count > 0;
    const int64_t *levels_ms = has_levels ? draft->levels_ms : litestream_levels_ms;
    size_t level_count = has_levels ? draft->level_count : array_count(litestream_levels_ms);
    int64_t keep_ms = draft->snapshot_keep_ms > 0 ? draft->snapshot_keep_ms : LITESTREAM_KEEP_MS;
    struct rules defaults;

    rules_set_default(&defaults);
    int64_t log_keep_ms = draft->log_keep_ms;
    if (log_keep_ms < 0)
        log_keep_ms = defaults.rules[0].keep_ms;
    if (log_keep_ms > keep_ms)
        log_keep_ms = keep_ms;
    *rules = (struct rules){ .rules = { { .keep_ms = log_keep_ms } }, .count = 1 };
    for (size_t i = 0; i < level_count; i++)
        rules_add_level(rules, levels_ms[i], keep_ms);
}

rc retention_complete(struct db_draft *draft, struct error *err)
{
    const struct retention_draft *retention = &draft->retention;
    struct rules *rules = &draft->db.retention;
    bool has_levels = retention->level_count > 0 || retention->snapshot_keep_ms > 0;
    bool is_litestream = has_levels || retention->log_keep_ms >= 0;

    if (is_litestream && (retention->rules.count > 0 || retention->keep_ms >= 0))
        FAIL(err, RC_USAGE,
            "it stands here, and 'levels', 'l0-retention' or 'snapshot.retention' say it as well");
    if (retention->rules.count > 0)
        *rules = retention->rules;
    else if (retention->keep_ms >= 0)
        *rules = (struct rules){ .rules = { { .keep_ms = retention->keep_ms } }, .count = 1 };
    else if (retention->log_keep_ms == 0)
        *rules = (struct rules){ .rules = { { .keep_ms = RULE_KEEP_FOREVER } }, .count = 1 };
    else if (has_levels)
        rules_from_levels(rules, retention);
    else if (is_litestream)
        rules_from_log_keep(rules, retention->log_keep_ms);
    else
        rules_set_default(rules);
    rules->is_off = !retention->is_on;
    return rules_check(rules, err);
}
