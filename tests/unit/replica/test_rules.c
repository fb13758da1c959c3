/* test_rules - the default, the order that rules must have, and windows of time */
#include "replica/rules.h"

#include "base/alloc.h"
#include "harness/check.h"

enum { MINUTE = 60000, HOUR = 60 * MINUTE };

static void the_default_is_in_order(void **state)
{
    (void)state;
    struct rules rules;
    struct error err;

    rules_set_default(&rules);
    CHECK_OK(rules_check(&rules, &err));
    assert_int_equal(rules.count, 4);
    assert_false(rules.is_off);
    assert_int_equal(rules.rules[0].every_ms, 0);
    assert_int_equal(rules.rules[0].keep_ms, 24 * HOUR);
    assert_int_equal(rules.rules[1].every_ms, MINUTE);
    assert_int_equal(rules.rules[1].keep_ms, INT64_C(7) * 24 * HOUR);
    assert_int_equal(rules.rules[2].every_ms, HOUR);
    assert_int_equal(rules.rules[2].keep_ms, INT64_C(30) * 24 * HOUR);
    assert_int_equal(rules.rules[3].every_ms, 24 * HOUR);
    assert_int_equal(rules.rules[3].keep_ms, INT64_C(365) * 24 * HOUR);
}

static void what_is_in_order_is_accepted(void **state)
{
    static const struct rules good[] = {
        { { { 0, 0 } }, .count = 1 },
        { { { 0, RULE_KEEP_FOREVER } }, .count = 1 },
        { { { 0, 0 }, { 1000, 1000 } }, .count = 2 },
        { { { 0, HOUR }, { MINUTE, HOUR }, { HOUR, HOUR } }, .count = 3 },
        { { { 0, HOUR }, { 90000, HOUR }, { 2 * 90000, RULE_KEEP_FOREVER } }, .count = 3 },
        { { { 0, 0 }, { 1000, HOUR }, { 2000, HOUR }, { 4000, HOUR }, { 8000, HOUR },
              { 16000, HOUR }, { 32000, HOUR }, { 64000, HOUR } },
            .count = 8 },
    };

    (void)state;
    for (size_t i = 0; i < array_count(good); i++) {
        struct error err;
        CHECK_OK(rules_check(&good[i], &err));
    }
}

static void what_is_not_is_refused(void **state)
{
    static const struct {
        struct rules rules;
        const char *words;
    } bad[] = {
        { { .count = 0 }, "1 to 8 rules" },
        { { .count = RULES_COUNT_MAX + 1 }, "1 to 8 rules" },
        { { { { MINUTE, HOUR } }, .count = 1 }, "first rule must be about every transaction" },
        { { { { 0, -1 } }, .count = 1 }, "rule 1 keeps" },
        { { { { 0, 0 }, { 0, HOUR } }, .count = 2 }, "rule 2 are shorter" },
        { { { { 0, 0 }, { 999, HOUR } }, .count = 2 }, "rule 2 are shorter" },
        { { { { 0, 0 }, { MINUTE, HOUR }, { MINUTE, HOUR } }, .count = 3 },
            "rule 3 are not longer" },
        { { { { 0, 0 }, { HOUR, HOUR }, { MINUTE, HOUR } }, .count = 3 }, "rule 3 are not longer" },
        { { { { 0, 0 }, { MINUTE, HOUR }, { 90000, HOUR } }, .count = 3 }, "no multiple" },
        { { { { 0, 0 }, { HOUR, MINUTE } }, .count = 2 }, "less than one of its windows" },
        { { { { 0, HOUR + 1 }, { HOUR, HOUR } }, .count = 2 }, "less time than the finer" },
        { { { { 0, RULE_KEEP_FOREVER }, { HOUR, HOUR } }, .count = 2 },
            "less time than the finer" },
    };

    (void)state;
    for (size_t i = 0; i < array_count(bad); i++) {
        struct error err;
        CHECK_RC(rules_check(&bad[i].rules, &err), RC_USAGE);
        CHECK_SAYS(err, bad[i].words);
    }
}

static void windows_are_aligned_to_the_epoch(void **state)
{
    const struct rule rule = { .every_ms = MINUTE };

    (void)state;
    assert_int_equal(rule_window(&rule, 0), 0);
    assert_int_equal(rule_window(&rule, MINUTE - 1), 0);
    assert_int_equal(rule_window(&rule, MINUTE), 1);
    assert_int_equal(rule_window(&rule, -1), -1);
    assert_int_equal(rule_window(&rule, -MINUTE), -1);
    assert_int_equal(rule_window(&rule, -MINUTE - 1), -2);
    assert_true(rule_window(&rule, INT64_MAX) == INT64_MAX / MINUTE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_default_is_in_order),
        cmocka_unit_test(what_is_in_order_is_accepted),
        cmocka_unit_test(what_is_not_is_refused),
        cmocka_unit_test(windows_are_aligned_to_the_epoch),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
