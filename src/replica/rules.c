/*
 * rules - which points of a history are kept for how long
 */
#include "replica/rules.h"

#include <assert.h>

#define MS_PER_MINUTE INT64_C(60000)
#define MS_PER_HOUR   (60 * MS_PER_MINUTE)
#define MS_PER_DAY    (24 * MS_PER_HOUR)

void rules_set_default(struct rules *ret)
{
    *ret = (struct rules){
        .rules = {
            { .every_ms = 0, .keep_ms = MS_PER_DAY },
            { .every_ms = MS_PER_MINUTE, .keep_ms = 7 * MS_PER_DAY },
            { .every_ms = MS_PER_HOUR, .keep_ms = 30 * MS_PER_DAY },
            { .every_ms = MS_PER_DAY, .keep_ms = 365 * MS_PER_DAY },
        },
        .count = 4,
    };
}

static rc rules_check_first(const struct rule *rule, struct error *err)
{
    if (rule->every_ms != 0)
        FAIL(err, RC_USAGE, "the first rule must be about every transaction");
    if (rule->keep_ms < 0)
        FAIL(err, RC_USAGE, "rule 1 keeps for less than nothing");
    return RC_OK;
}

/* Rule NUMBER, counted from 1, behind the one BEFORE it. */
static rc rules_check_next(
    const struct rule *before, const struct rule *rule, size_t number, struct error *err)
{
    if (rule->every_ms < RULE_EVERY_MS_MIN)
        FAIL(err, RC_USAGE, "the windows of rule %zu are shorter than a second", number);
    if (rule->every_ms <= before->every_ms)
        FAIL(err, RC_USAGE,
            "the windows of rule %zu are not longer than those before it; the finest come first",
            number);
    if (before->every_ms != 0 && rule->every_ms % before->every_ms != 0)
        FAIL(err, RC_USAGE, "the windows of rule %zu are no multiple of those before it", number);
    if (rule->keep_ms < rule->every_ms)
        FAIL(err, RC_USAGE, "rule %zu keeps for less than one of its windows", number);
    if (rule->keep_ms < before->keep_ms)
        FAIL(err, RC_USAGE, "rule %zu keeps for less time than the finer one before it", number);
    return RC_OK;
}

rc rules_check(const struct rules *rules, struct error *err)
{
    if (rules->count == 0 || rules->count > RULES_COUNT_MAX)
        FAIL(err, RC_USAGE, "there must be 1 to %d rules", RULES_COUNT_MAX);
    TRY(rules_check_first(&rules->rules[0], err));
    for (size_t i = 1; i < rules->count; i++)
        TRY(rules_check_next(&rules->rules[i - 1], &rules->rules[i], i + 1, err));
    return RC_OK;
}

int64_t rule_window(const struct rule *rule, int64_t time_ms)
{
    assert(rule->every_ms > 0);

    int64_t window = time_ms / rule->every_ms;
    return time_ms % rule->every_ms < 0 ? window - 1 : window;
}
