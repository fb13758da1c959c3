/* test_retention - rules as they are written here, and as Litestream's keys say them */
#include "config/config.h"

#include "base/alloc.h"
#include "base/text.h"
#include "harness/check.h"

#include <stdlib.h>
#include <string.h>

enum { SECOND = 1000, MINUTE = 60 * SECOND, HOUR = 60 * MINUTE };
#define DAY     INT64_C(86400000)
#define FOREVER RULE_KEEP_FOREVER

#define DEFAULT_RULES                                                                              \
    {                                                                                              \
        { 0, DAY }, { MINUTE, 7 * DAY }, { HOUR, 30 * DAY },                                       \
        {                                                                                          \
            DAY, 365 * DAY                                                                         \
        }                                                                                          \
    }

static rc parse(struct config *config, const char *text, struct error *err)
{
    struct bytes bytes = bytes_of(text, strlen(text));

    return config_parse(config, "f.yml", bytes, NULL, err);
}

static void check_rules(const char *text, const struct rules *rules, const struct rules *expected)
{
    if (rules->count != expected->count || rules->is_off != expected->is_off)
        fail_msg("%s: %zu rules%s", text, rules->count, rules->is_off ? ", off" : "");
    for (size_t i = 0; i < rules->count; i++)
        if (rules->rules[i].every_ms != expected->rules[i].every_ms ||
            rules->rules[i].keep_ms != expected->rules[i].keep_ms)
            fail_msg("%s: rule %zu is {%lld, %lld}", text, i + 1,
                (long long)rules->rules[i].every_ms, (long long)rules->rules[i].keep_ms);
}

#define DB      "dbs:\n  - path: /a\n"
#define REPLICA "    replica: {url: /r}\n"

static void rules_are_what_was_written(void **state)
{
    static const struct {
        const char *text;
        struct rules rules;
    } rows[] = {
        { DB REPLICA, { DEFAULT_RULES, .count = 4 } },
        { "retention:\n" DB REPLICA, { DEFAULT_RULES, .count = 4 } },
        { "retention: on\n" DB REPLICA, { DEFAULT_RULES, .count = 4 } },
        { "retention: off\n" DB REPLICA, { DEFAULT_RULES, .count = 4, .is_off = true } },
        { "retention: off\n" DB REPLICA "    retention: on\n", { DEFAULT_RULES, .count = 4 } },
        { "retention: [{every: transaction, keep: 24h}, {every: 1m, keep: 7d},\n"
          "            {every: 1h, keep: 30d}, {every: 1d, keep: 1y}]\n" DB REPLICA,
            { DEFAULT_RULES, .count = 4 } },
        { "retention:\n  - every: transaction\n    keep: forever\n" DB REPLICA,
            { { { 0, FOREVER } }, .count = 1 } },
        { "retention: [{every: transaction, keep: 0}, {every: 10s, keep: 1h}]\n" DB REPLICA,
            { { { 0, 0 }, { 10 * SECOND, HOUR } }, .count = 2 } },
        /* a database's own stand instead of the common ones, wholly */
        { "retention: [{every: transaction, keep: 1h}, {every: 1m, keep: 7d}]\n" DB REPLICA
          "    retention: [{every: transaction, keep: 2h}]\n",
            { { { 0, 2 * HOUR } }, .count = 1 } },
        { "retention: [{every: transaction, keep: 1h}]\n" DB REPLICA "    retention: off\n",
            { { { 0, HOUR } }, .count = 1, .is_off = true } },
        { "retention: 72h\n" DB REPLICA "    retention: [{every: transaction, keep: 2h}]\n",
            { { { 0, 2 * HOUR } }, .count = 1 } },
    };

    (void)state;
    for (size_t i = 0; i < array_count(rows); i++) {
        auto_config struct config config = CONFIG_INIT;
        struct error err;
        CHECK_OK(parse(&config, rows[i].text, &err));
        check_rules(rows[i].text, &config.dbs[0].retention, &rows[i].rules);
        assert_int_equal(config.warning_count, 0);
    }
}

static void the_keys_of_litestream_03_are_translated(void **state)
{
    auto_config struct config config = CONFIG_INIT;
    const struct rules all = { { { 0, 72 * HOUR } }, .count = 1 };
    struct error err;

    (void)state;
    CHECK_OK(parse(&config,
        "dbs:\n"
        "  - path: /a\n"
        "    replicas:\n"
        "      - {url: /r, retention: 72h, retention-check-interval: 2h, snapshot-interval: 12h}\n",
        &err));
    check_rules("0.3", &config.dbs[0].retention, &all);
    assert_int_equal(config.dbs[0].retention_check_interval_ms, 2 * HOUR);
    assert_int_equal(config.dbs[0].snapshot.interval_ms, 12 * HOUR);
    assert_int_equal(config.warning_count, 0);
}

static void the_keys_of_litestream_05_are_translated(void **state)
{
    static const struct {
        const char *text;
        struct rules rules;
    } rows[] = {
        { "snapshot: {retention: 168h}\n",
            { { { 0, DAY }, { 30 * SECOND, 7 * DAY }, { 5 * MINUTE, 7 * DAY }, { HOUR, 7 * DAY } },
                .count = 4 } },
        { "snapshot: {retention: 6h}\n", { { { 0, 6 * HOUR } }, .count = 1 } },
        { "l0-retention: 5m\n",
            { { { 0, 5 * MINUTE }, { MINUTE, 7 * DAY }, { HOUR, 30 * DAY }, { DAY, 365 * DAY } },
                .count = 4 } },
        { "l0-retention: 10d\n",
            { { { 0, 10 * DAY }, { HOUR, 30 * DAY }, { DAY, 365 * DAY } }, .count = 3 } },
        { "l0-retention: 0\n", { { { 0, FOREVER } }, .count = 1 } },
        { "l0-retention: 0\nsnapshot: {retention: 48h}\n", { { { 0, FOREVER } }, .count = 1 } },
        { "levels: [{interval: 1m}, {interval: 10m}]\nl0-retention: 5m\n"
          "snapshot: {interval: 24h, retention: 48h}\n",
            { { { 0, 5 * MINUTE }, { MINUTE, 2 * DAY }, { 10 * MINUTE, 2 * DAY } }, .count = 3 } },
        { "levels: [{interval: 1m}]\nl0-retention: 5m\n",
            { { { 0, 5 * MINUTE }, { MINUTE, DAY } }, .count = 2 } },
        /* what is kept as long and is no multiple adds no point */
        { "levels: [{interval: 20s}, {interval: 30s}, {interval: 1m}]\n"
          "snapshot: {retention: 48h}\n",
            { { { 0, DAY }, { 20 * SECOND, 2 * DAY }, { MINUTE, 2 * DAY } }, .count = 3 } },
        { "levels: [{interval: 1s}, {interval: 2s}, {interval: 4s}, {interval: 8s},\n"
          "  {interval: 16s}, {interval: 32s}, {interval: 64s}, {interval: 128s}]\n"
          "snapshot: {retention: 48h}\n",
            { { { 0, DAY }, { SECOND, 2 * DAY }, { 2 * SECOND, 2 * DAY }, { 4 * SECOND, 2 * DAY },
                  { 8 * SECOND, 2 * DAY }, { 16 * SECOND, 2 * DAY }, { 32 * SECOND, 2 * DAY },
                  { 64 * SECOND, 2 * DAY } },
                .count = 8 } },
        { "retention: {enabled: true}\n", { DEFAULT_RULES, .count = 4 } },
        { "retention: {enabled: false}\n", { DEFAULT_RULES, .count = 4, .is_off = true } },
        { "retention: {enabled: false}\nl0-retention: 1h\nsnapshot: {retention: 6h}\n",
            { { { 0, HOUR }, { 30 * SECOND, 6 * HOUR }, { 5 * MINUTE, 6 * HOUR },
                  { HOUR, 6 * HOUR } },
                .count = 4, .is_off = true } },
    };

    (void)state;
    for (size_t i = 0; i < array_count(rows); i++) {
        auto_config struct config config = CONFIG_INIT;
        auto_free char *text = text_format("%s" DB REPLICA, rows[i].text);
        struct error err;
        CHECK_OK(parse(&config, text, &err));
        check_rules(text, &config.dbs[0].retention, &rows[i].rules);
        assert_int_equal(config.warning_count, 0);
    }
}

/* Where Litestream has it in a database as well. */
static void a_database_has_its_own_snapshot_retention(void **state)
{
    auto_config struct config config = CONFIG_INIT;
    const struct rules all = { { { 0, 6 * HOUR } }, .count = 1 };
    struct error err;

    (void)state;
    CHECK_OK(parse(&config,
        "snapshot: {retention: 168h}\n" DB REPLICA "    snapshot: {retention: 6h}\n"
        "  - path: /b\n"
        "    replica: {url: /s}\n",
        &err));
    check_rules("own", &config.dbs[0].retention, &all);
    assert_int_equal(config.dbs[1].retention.count, 4);
}

static void intervals_of_retention_are_read(void **state)
{
    auto_config struct config config = CONFIG_INIT;
    struct error err;

    (void)state;
    CHECK_OK(parse(&config,
        "retention-grace: 6h\n" DB REPLICA "    retention-check-interval: 10m\n"
        "  - path: /b\n"
        "    replica: {url: /s}\n",
        &err));
    assert_int_equal(config.dbs[0].retention_grace_ms, 6 * HOUR);
    assert_int_equal(config.dbs[0].retention_check_interval_ms, 10 * MINUTE);
    assert_int_equal(config.dbs[1].retention_check_interval_ms, HOUR);

    auto_config struct config plain = CONFIG_INIT;
    config_set_defaults(&plain);
    CHECK_OK(config_add_db(&plain, "/a", "/r", &err));
    assert_int_equal(plain.dbs[0].retention_grace_ms, 24 * HOUR);
    assert_int_equal(plain.dbs[0].retention_check_interval_ms, HOUR);
    assert_int_equal(plain.dbs[0].retention.count, 4);
}

static void what_makes_no_sense_is_refused_with_its_line(void **state)
{
    static const struct {
        const char *text;
        const char *message;
    } rows[] = {
        { "retention: maybe\n", "f.yml:1: 'retention': 'maybe' is neither a list of rules" },
        { "retention: []\n", "f.yml:1: 'retention': there must be 1 to 8 rules" },
        { "\nretention: [1h]\n", "f.yml:2: 'rules' must be a map, not a value" },
        { "retention:\n  - every: transaction\n", "f.yml:2: a rule of 'retention' needs" },
        { "retention:\n  - keep: 1h\n", "f.yml:2: a rule of 'retention' needs" },
        { "retention:\n  - every: transaction\n    keep: 1h\n    kep: 1h\n",
            "f.yml:4: unknown key 'kep' in rules; did you mean 'keep'?" },
        { "retention:\n  - {every: commit, keep: 1h}\n",
            "f.yml:2: 'every': 'commit' is neither 'transaction' nor a duration" },
        { "retention:\n  - {every: transaction, keep: -1h}\n",
            "f.yml:2: 'keep': '-1h' is neither 'forever' nor a duration" },
        { "retention:\n  - {every: 1m, keep: 1h}\n",
            "f.yml:2: 'retention': the first rule must be about every transaction" },
        { "retention:\n  - {every: transaction, keep: 1h}\n  - {every: 1m, keep: 30m}\n",
            "f.yml:2: 'retention': rule 2 keeps for less time" },
        { "retention: [{every: transaction, keep: 0}, {every: 1s, keep: 1h},\n"
          "  {every: 2s, keep: 1h}, {every: 4s, keep: 1h}, {every: 8s, keep: 1h},\n"
          "  {every: 16s, keep: 1h}, {every: 32s, keep: 1h}, {every: 64s, keep: 1h},\n"
          "  {every: 128s, keep: 1h}]\n",
            "f.yml:4: more than 8 rules" },
        { "retention: {enabled: perhaps}\n", "f.yml:1: 'enabled': 'perhaps' is neither true" },
        { "retention: {on: true}\n", "f.yml:1: unknown key 'on' in retention" },
        { "levels: 30s\n", "f.yml:1: 'levels' must be a list, not a value" },
        { "levels:\n  - {}\n", "f.yml:2: 'levels': a level needs an 'interval'" },
        { "levels:\n  - interval: 10ms\n", "f.yml:2: 'interval': '10ms' is not in the range" },
        { "levels:\n  - interval: 1m\n  - interval: 1m\n",
            "f.yml:3: 'levels': the intervals of levels must rise" },
        { "levels: [{interval: 1s}, {interval: 2s}, {interval: 3s}, {interval: 4s},\n"
          "  {interval: 5s}, {interval: 6s}, {interval: 7s}, {interval: 8s},\n"
          "  {interval: 9s}]\n",
            "f.yml:3: 'levels': more than 8 levels" },
        { "snapshot: {retention: 0}\n", "f.yml:1: 'retention': '0' is not in the range" },
        { "l0-retention: soon\n", "f.yml:1: 'l0-retention': 'soon' is not a duration" },
        { "retention-check-interval: 0\n", "f.yml:1: 'retention-check-interval': '0'" },
        { "l0-retention: 1h\nretention: 72h\n" DB REPLICA, "f.yml:2: 'retention': it stands here" },
        { "snapshot: {retention: 9h}\nretention:\n  - {every: transaction, keep: 1h}\n" DB REPLICA,
            "f.yml:3: 'retention': it stands here, and" },
    };

    (void)state;
    for (size_t i = 0; i < array_count(rows); i++) {
        struct config config = CONFIG_INIT;
        struct error err;
        CHECK_RC(parse(&config, rows[i].text, &err), RC_USAGE);
        if (!text_has_prefix(err.text, rows[i].message))
            fail_msg("%s: '%s' does not begin with '%s'", rows[i].text, err.text, rows[i].message);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rules_are_what_was_written),
        cmocka_unit_test(the_keys_of_litestream_03_are_translated),
        cmocka_unit_test(the_keys_of_litestream_05_are_translated),
        cmocka_unit_test(a_database_has_its_own_snapshot_retention),
        cmocka_unit_test(intervals_of_retention_are_read),
        cmocka_unit_test(what_makes_no_sense_is_refused_with_its_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
