/*
 * expire - remove from a replica what no rule keeps
 */
#include "replica/expire.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/duration.h"
#include "base/text.h"
#include "command.h"
#include "interrupt.h"
#include "output.h"
#include "place.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct expire_flags {
    struct config_flags config;
    bool dry_run;
    bool json;
    const char *retention; /* NULL: not given */
    int64_t grace_ms;      /* -1: not given */
};

static const struct flag_spec expire_flag_specs[] = {
    { "dry-run", FLAG_BOOL, offsetof(struct expire_flags, dry_run), NULL,
        "print what would go; change nothing" },
    { "json", FLAG_BOOL, offsetof(struct expire_flags, json), NULL, "print the result as JSON" },
    { "retention", FLAG_TEXT, offsetof(struct expire_flags, retention), "RULES",
        "default, or every=keep,...: transaction=24h,1m=7d,1h=30d,1d=1y (default: what the "
        "configuration says)" },
    { "grace", FLAG_DURATION, offsetof(struct expire_flags, grace_ms), "TIME",
        "how long what is condemned now stays (default: what the configuration says, or 24h)" },
    CONFIG_FLAGS(struct expire_flags, config),
};

struct expire_result {
    const char *replica;
    uint64_t object_count;
    uint64_t object_size;
    uint64_t condemned_count;
    uint64_t pending_count;
    uint64_t removed_count;
    uint64_t removed_size;
    uint64_t kept_count;
    uint64_t kept_size;
    uint64_t waiting_count;
};

#define EXPIRE_COLUMN(...) COLUMN_OF(struct expire_result, __VA_ARGS__)
static const struct column expire_columns[] = {
    EXPIRE_COLUMN("replica", "replica", COLUMN_TEXT, replica),
    EXPIRE_COLUMN("objects", "objects that go", COLUMN_COUNT, object_count),
    EXPIRE_COLUMN("bytes", "bytes that go", COLUMN_SIZE, object_size),
    EXPIRE_COLUMN("condemned", "condemned now", COLUMN_COUNT, condemned_count),
    EXPIRE_COLUMN("pending", "condemned before", COLUMN_COUNT, pending_count),
    EXPIRE_COLUMN("removed", "removed now", COLUMN_COUNT, removed_count),
    EXPIRE_COLUMN("removed_bytes", "bytes removed", COLUMN_SIZE, removed_size),
    EXPIRE_COLUMN("kept", "objects that stay", COLUMN_COUNT, kept_count),
    EXPIRE_COLUMN("kept_bytes", "bytes that stay", COLUMN_SIZE, kept_size),
    EXPIRE_COLUMN("waiting", "of these, waiting to be merged", COLUMN_COUNT, waiting_count),
};

#define LOST_COLUMN(...) COLUMN_OF(struct expire_lost, __VA_ARGS__)
static const struct column lost_columns[] = {
    LOST_COLUMN("timeline", "timeline", COLUMN_TIMELINE, timeline),
    LOST_COLUMN("first_txid", "first txid", COLUMN_TXID, first_txid),
    LOST_COLUMN("last_txid", "last txid", COLUMN_TXID, last_txid),
    LOST_COLUMN("first_time", "from", COLUMN_TIME, first_ms),
    LOST_COLUMN("last_time", "to", COLUMN_TIME, last_ms),
};

struct expire_row {
    char key[REPLICA_KEY_SIZE];
    const char *key_text; /* key */
    uint64_t size;
};

#define OBJECT_COLUMN(...) COLUMN_OF(struct expire_row, __VA_ARGS__)
static const struct column expire_object_columns[] = {
    OBJECT_COLUMN("key", "object", COLUMN_TEXT, key_text),
    OBJECT_COLUMN("size", "size", COLUMN_SIZE, size),
};

/* ---- rules */

/* "every=keep" of SIZE letters. */
static rc expire_parse_rule(struct rule *ret, const char *text, size_t size, struct error *err)
{
    auto_free char *rule = text_format("%.*s", (int)size, text);
    char *equals = strchr(rule, '=');

    if (equals == NULL)
        FAIL(err, RC_USAGE, "-retention: '%s' is not every=keep, as in 1m=7d", rule);
    *equals = '\0';
    *ret = (struct rule){ .keep_ms = RULE_KEEP_FOREVER };
    if (!text_equal(rule, "transaction"))
        TRY_AS(err, duration_parse_ms(&ret->every_ms, rule, err), "-retention");
    if (!text_equal(equals + 1, "forever"))
        TRY_AS(err, duration_parse_ms(&ret->keep_ms, equals + 1, err), "-retention");
    return RC_OK;
}

static rc expire_parse_rules(struct rules *ret, const char *text, struct error *err)
{
    struct rules rules = { .count = 0 };

    if (text_equal(text, "default")) {
        rules_set_default(ret);
        return RC_OK;
    }
    for (;;) {
        size_t size = strcspn(text, ",");
        if (rules.count == RULES_COUNT_MAX)
            FAIL(err, RC_USAGE, "-retention: more than %d rules", RULES_COUNT_MAX);
        TRY(expire_parse_rule(&rules.rules[rules.count++], text, size, err));
        if (text[size] == '\0')
            break;
        text += size + 1;
    }
    TRY_AS(err, rules_check(&rules, err), "-retention");
    *ret = rules;
    return RC_OK;
}

/* The database of the configuration that PLACE is about, named by itself or by its replica. */
static const struct db_config *expire_db(const struct place *place, const char *name)
{
    if (place->db != NULL)
        return place->db;
    for (size_t i = 0; i < place->config.db_count; i++)
        if (text_equal(place->config.dbs[i].replica.url, name))
            return &place->config.dbs[i];
    return NULL;
}

/*
 * Rules of the configuration, or those that were given. A replica that is named directly may belong
 * to a daemon with rules of its own: nothing is removed by a default that nobody asked for.
 */
static rc expire_options_of(struct expire_options *ret, const struct expire_flags *flags,
    const struct db_config *db, struct error *err)
{
    *ret = (struct expire_options){
        .grace_ms = INT64_C(24) * 60 * 60 * 1000,
        .now_ms = clock_wall_ms(),
        .dry_run = flags->dry_run,
    };
    rules_set_default(&ret->rules);
    if (db != NULL) {
        ret->rules = db->retention;
        ret->grace_ms = db->retention_grace_ms;
    }
    if (flags->grace_ms >= 0)
        ret->grace_ms = flags->grace_ms;
    if (flags->retention != NULL)
        return expire_parse_rules(&ret->rules, flags->retention, err);
    if (db == NULL && !flags->dry_run)
        FAIL(err, RC_USAGE,
            "no configuration says what to keep here; say -retention default, or which rules, or "
            "-config FILE");
    return RC_OK;
}

/* ---- output */

static void expire_print(
    const struct expire_flags *flags, const struct place *place, const struct expire_report *report)
{
    struct expire_result result = {
        .replica = store_name(place->store),
        .object_count = report->object_count,
        .object_size = report->object_size,
        .condemned_count = report->condemned_count,
        .pending_count = report->pending_count,
        .removed_count = report->removed_count,
        .removed_size = report->removed_size,
        .kept_count = report->kept_count,
        .kept_size = report->kept_size,
        .waiting_count = report->waiting_count,
    };
    auto_free struct expire_row *rows = mem_new_array(report->object_count + 1, sizeof *rows);
    for (size_t i = 0; i < report->object_count; i++) {
        restore_object_key(rows[i].key, &report->objects[i]);
        rows[i].key_text = rows[i].key;
        rows[i].size = report->objects[i].size;
    }
    struct output_rows lost = { lost_columns, array_count(lost_columns), report->lost,
        sizeof *report->lost, report->lost_count };
    struct output_rows objects = { expire_object_columns, array_count(expire_object_columns), rows,
        sizeof *rows, report->object_count };

    if (flags->json) {
        json_t *object = output_object(expire_columns, array_count(expire_columns), &result);
        json_object_set_new(object, "dry_run", json_boolean(flags->dry_run));
        json_object_set_new(object, "points", output_list(&lost));
        json_object_set_new(object, "object_list", output_list(&objects));
        output_json(object);
        return;
    }
    output_lines(expire_columns, array_count(expire_columns), &result);
    if (report->lost_count > 0)
        printf("\npoints that go:\n");
    output_table(&lost, 2);
    if (flags->dry_run && report->object_count > 0)
        printf("\nobjects that go:\n");
    if (flags->dry_run)
        output_table(&objects, 2);
}

static const struct expire_flags expire_defaults = { .grace_ms = -1 };

static int expire_command(
    const struct command *self, const void *parsed, const struct positionals *positionals)
{
    const struct expire_flags *flags = parsed;
    auto_place struct place place = PLACE_INIT;
    auto_expire_report struct expire_report report = EXPIRE_REPORT_INIT;
    struct expire_options options;
    struct error err;

    struct cancel *cancel = interrupt_start();
    rc result = place_open(&place, positionals->texts[0], &flags->config, cancel, &err);
    if (result == RC_OK)
        result = expire_options_of(&options, flags, expire_db(&place, positionals->texts[0]), &err);
    if (result != RC_OK)
        return command_fail(self, result, &err, EXIT_WHILE_ASKING);
    if (options.rules.is_off) {
        command_say(self, "retention is off for this database; nothing is removed");
        return EXIT_DONE;
    }
    options.cancel = cancel;
    result = expire_run(&report, place.replica, &options, &err);
    if (result != RC_OK)
        return command_fail(self, result, &err, EXIT_WHILE_ASKING);
    expire_print(flags, &place, &report);
    if (report.is_refused) {
        command_say(self, "the store lets nothing be removed; 'retention: off' says that it is so");
        return EXIT_FAILED;
    }
    return EXIT_DONE;
}

const struct command command_expire = {
    .name = "expire",
    .summary = "remove from a replica what no rule keeps",
    .arguments = "[flags] DB|URL",
    .description =
        "What goes is condemned first, after it was proved that everything that stays\n"
        "restores without it, and removed by a later run when the grace is over. The daemon\n"
        "does the same by itself. Points that 'seawal hold' names stay.\n",
    .flags = expire_flag_specs,
    .flags_size = sizeof(struct expire_flags),
    .flag_defaults = &expire_defaults,
    .flag_count = array_count(expire_flag_specs),
    .positional_min = 1,
    .positional_max = 1,
    .run = expire_command,
};
