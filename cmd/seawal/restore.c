/*
 * restore - from a replica to a database file
 */
#include "replica/restore.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/duration.h"
#include "base/fs.h"
#include "base/path.h"
#include "base/text.h"
#include "command.h"
#include "interrupt.h"
#include "output.h"
#include "place.h"
#include "progress.h"
#include "restore_db.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct restore_flags {
    struct config_flags config;
    const char *output;
    uint64_t txid;        /* 0: not given */
    int64_t timestamp_ms; /* INT64_MIN: not given */
    uint32_t timeline;    /* 0: the newest */
    bool dry_run;
    bool json;
    uint32_t parallelism;
    const char *integrity_check;
    bool if_db_not_exists;
    bool if_replica_exists;
};

static const struct flag_spec restore_flag_specs[] = {
    { "o", FLAG_TEXT, offsetof(struct restore_flags, output), "FILE",
        "where the database goes (default: the database's own path)" },
    { "txid", FLAG_TXID, offsetof(struct restore_flags, txid), "N",
        "restore exactly transaction N (default: the newest)" },
    { "timestamp", FLAG_INSTANT, offsetof(struct restore_flags, timestamp_ms), "TIME",
        "restore the last transaction not later than TIME: 2026-11-21T10:00:00Z, or "
        "'2026-11-21 10:00:00' in UTC" },
    { "timeline", FLAG_TIMELINE, offsetof(struct restore_flags, timeline), "ID",
        "follow this timeline instead of the newest" },
    { "dry-run", FLAG_BOOL, offsetof(struct restore_flags, dry_run), NULL,
        "print what would be restored from which objects; write nothing" },
    { "json", FLAG_BOOL, offsetof(struct restore_flags, json), NULL, "print the result as JSON" },
    { "parallelism", FLAG_COUNT, offsetof(struct restore_flags, parallelism), "N",
        "threads that fetch, at most 16 (default: 4)" },
    { "integrity-check", FLAG_TEXT, offsetof(struct restore_flags, integrity_check), "LEVEL",
        "none, quick or full: SQLite's own check of the result, beside the digests (default: "
        "none)" },
    { "if-db-not-exists", FLAG_BOOL, offsetof(struct restore_flags, if_db_not_exists), NULL,
        "do nothing, successfully, when the output exists" },
    { "if-replica-exists", FLAG_BOOL, offsetof(struct restore_flags, if_replica_exists), NULL,
        "do nothing, successfully, when there certainly is no backup" },
    CONFIG_FLAGS(struct restore_flags, config),
};

/* What the result says, in text and JSON. */
struct restore_result {
    const char *path;
    const char *replica;
    uint32_t timeline;
    uint64_t txid;
    int64_t time_ms;
    uint64_t digest;
    uint32_t page_size;
    uint32_t page_count;
    uint64_t output_size;
    uint64_t object_count;
    uint64_t received_size;
    uint64_t transaction_count;
    uint64_t damage_count;
    const char *integrity_check;
    int64_t duration_ms;
};

#define RESTORE_COLUMN(...) COLUMN_OF(struct restore_result, __VA_ARGS__)
static const struct column restore_columns[] = {
    RESTORE_COLUMN("db_path", "restored", COLUMN_TEXT, path),
    RESTORE_COLUMN("replica", "from", COLUMN_TEXT, replica),
    RESTORE_COLUMN("timeline", "timeline", COLUMN_TIMELINE, timeline),
    RESTORE_COLUMN("txid", "txid", COLUMN_TXID, txid),
    RESTORE_COLUMN("time", "time", COLUMN_TIME, time_ms),
    RESTORE_COLUMN("digest", "digest", COLUMN_DIGEST, digest),
    RESTORE_COLUMN("page_size", NULL, COLUMN_SMALL, page_size),
    RESTORE_COLUMN("page_count", NULL, COLUMN_SMALL, page_count),
    RESTORE_COLUMN("size", "size", COLUMN_SIZE, output_size),
    RESTORE_COLUMN("objects", "objects", COLUMN_COUNT, object_count),
    RESTORE_COLUMN("received_bytes", "received", COLUMN_SIZE, received_size),
    RESTORE_COLUMN("transactions_applied", "transactions applied", COLUMN_COUNT, transaction_count),
    RESTORE_COLUMN("damaged_objects", NULL, COLUMN_COUNT, damage_count),
    RESTORE_COLUMN("integrity_check", "integrity check", COLUMN_TEXT, integrity_check),
    RESTORE_COLUMN("duration_ms", "duration", COLUMN_SPAN, duration_ms),
};

/* One object of a plan. */
struct restore_plan_row {
    const char *kind;
    uint32_t timeline;
    uint64_t first_txid;
    uint64_t last_txid;
    int64_t time_ms;
    uint64_t size;
    char key[REPLICA_KEY_SIZE];
    const char *key_text; /* key */
};

#define PLAN_COLUMN(...) COLUMN_OF(struct restore_plan_row, __VA_ARGS__)
static const struct column restore_plan_columns[] = {
    PLAN_COLUMN("kind", "kind", COLUMN_TEXT, kind),
    PLAN_COLUMN("timeline", "timeline", COLUMN_TIMELINE, timeline),
    PLAN_COLUMN("first_txid", "first txid", COLUMN_TXID, first_txid),
    PLAN_COLUMN("last_txid", "last txid", COLUMN_TXID, last_txid),
    PLAN_COLUMN("time", "time", COLUMN_TIME, time_ms),
    PLAN_COLUMN("size", "size", COLUMN_SIZE, size),
    PLAN_COLUMN("key", "object", COLUMN_TEXT, key_text),
};

static const char *restore_kind_text(enum segment_kind kind)
{
    switch (kind) {
    case SEGMENT_LOG:
        return "log";
    case SEGMENT_MERGED:
        return "merged";
    case SEGMENT_SNAPSHOT:
        return "snapshot";
    }
    abort();
}

static rc restore_check_of(enum restore_check *ret, const char *word, struct error *err)
{
    static const char *const words[] = { "none", "quick", "full" };

    for (size_t index = 0; index < array_count(words); index++) {
        if (!text_equal(word, words[index]))
            continue;
        *ret = (enum restore_check)index;
        return RC_OK;
    }
    FAIL(err, RC_USAGE, "-integrity-check: '%s' is none of none, quick, full", word);
}

static struct restore_target restore_target_of(const struct restore_flags *flags)
{
    struct restore_target target = { .kind = RESTORE_NEWEST, .timeline = flags->timeline };

    if (flags->txid != 0) {
        target.kind = RESTORE_TXID;
        target.txid = flags->txid;
    } else if (flags->timestamp_ms != INT64_MIN) {
        target.kind = RESTORE_TIME;
        target.time_ms = flags->timestamp_ms;
    }
    return target;
}

static void restore_print_plan(const struct restore_flags *flags, const char *output,
    const struct place *place, const struct restore_plan *plan)
{
    auto_free struct restore_plan_row *rows = mem_new_array(plan->object_count + 1, sizeof *rows);

    for (size_t index = 0; index < plan->object_count; index++) {
        const struct restore_object *object = &plan->objects[index];

        rows[index] = (struct restore_plan_row){
            .kind = restore_kind_text(object->kind),
            .timeline = object->timeline,
            .first_txid = object->first_txid,
            .last_txid = object->last_txid,
            .time_ms = object->name.time_ms,
            .size = object->size,
        };
        restore_object_key(rows[index].key, object);
        rows[index].key_text = rows[index].key;
    }

    struct output_rows list = { restore_plan_columns, array_count(restore_plan_columns), rows,
        sizeof *rows, plan->object_count };
    struct restore_result result = {
        .path = output,
        .replica = store_name(place->store),
        .timeline = plan->target.timeline,
        .txid = plan->target.txid,
        .time_ms = plan->target.time_ms,
        .digest = plan->target.digest,
        .page_size = plan->target.page_size,
        .page_count = plan->target.page_count,
        .output_size = (uint64_t)plan->target.page_count * plan->target.page_size,
        .object_count = plan->object_count,
        .received_size = plan->total_size,
    };
    static const struct column plan_summary[] = {
        RESTORE_COLUMN("db_path", "would restore", COLUMN_TEXT, path),
        RESTORE_COLUMN("replica", "from", COLUMN_TEXT, replica),
        RESTORE_COLUMN("timeline", "timeline", COLUMN_TIMELINE, timeline),
        RESTORE_COLUMN("txid", "txid", COLUMN_TXID, txid),
        RESTORE_COLUMN("time", "time", COLUMN_TIME, time_ms),
        RESTORE_COLUMN("digest", "digest", COLUMN_DIGEST, digest),
        RESTORE_COLUMN("page_size", NULL, COLUMN_SMALL, page_size),
        RESTORE_COLUMN("page_count", NULL, COLUMN_SMALL, page_count),
        RESTORE_COLUMN("size", "size", COLUMN_SIZE, output_size),
        RESTORE_COLUMN("stored_bytes", "to fetch", COLUMN_SIZE, received_size),
    };
    if (flags->json) {
        json_t *object = output_object(plan_summary, array_count(plan_summary), &result);

        json_object_set_new(object, "objects", output_list(&list));
        output_json(object);
        return;
    }
    output_lines(plan_summary, array_count(plan_summary), &result);
    printf("\n");
    output_table(&list, 0);
}

static void restore_print_report(const struct restore_flags *flags, const char *output,
    const struct place *place, const struct restore_report *report, int64_t duration_ms)
{
    struct restore_result result = {
        .path = output,
        .replica = store_name(place->store),
        .timeline = report->position.timeline,
        .txid = report->position.txid,
        .time_ms = report->position.time_ms,
        .digest = report->position.digest,
        .page_size = report->position.page_size,
        .page_count = report->position.page_count,
        .output_size = report->output_size,
        .object_count = report->object_count,
        .received_size = report->received_size,
        .transaction_count = report->transaction_count,
        .damage_count = report->damage_count,
        .integrity_check = flags->integrity_check,
        .duration_ms = duration_ms,
    };

    if (flags->json)
        output_json(output_object(restore_columns, array_count(restore_columns), &result));
    else
        output_lines(restore_columns, array_count(restore_columns), &result);
}

/* Nothing was done, and that is fine. */
static int restore_skip(const struct command *self, const struct restore_flags *flags,
    const char *output, const char *why)
{
    if (flags->json) {
        json_t *object = json_object();

        json_object_set_new(object, "db_path", json_string(output));
        json_object_set_new(object, "txid", json_null());
        json_object_set_new(object, "skipped", json_string(why));
        output_json(object);
    }
    command_say(self, "%s; nothing to do", why);
    return EXIT_DONE;
}

/* A plan that is not there: perhaps that is what was asked about. */
static int restore_no_plan(const struct command *self, const struct restore_flags *flags,
    const char *output, struct place *place, const struct error *why)
{
    struct error err;
    bool is_empty = false;

    if (!flags->if_replica_exists)
        return command_fail(self, RC_NOT_FOUND, why, EXIT_WHILE_ASKING);
    rc result = restore_place_is_empty(place, &is_empty, &err);
    if (result != RC_OK)
        return command_fail(self, result, &err, EXIT_WHILE_ASKING);
    if (!is_empty)
        return command_fail(self, RC_NOT_FOUND, why, EXIT_WHILE_ASKING);
    auto_free char *text = text_format("there is no backup in %s", store_name(place->store));
    return restore_skip(self, flags, output, text);
}

/* A damaged object that is not needed: the restore goes on, but somebody should know. */
static void restore_say_damage(void *payload, const struct restore_damage *damage)
{
    command_say(payload, "damage, gone around by other objects: %s", damage->why.text);
}

static int restore_execute(const struct command *self, const struct restore_flags *flags,
    const char *output, const struct place *place, const struct restore_plan *plan,
    struct cancel *cancel)
{
    struct restore_options options = {
        .output = output,
        .parallelism = flags->parallelism > 16 ? 16 : flags->parallelism,
        .progress = progress_show,
        .damage = restore_say_damage,
        .damage_payload = (void *)(uintptr_t)self,
        .cancel = cancel,
    };
    struct restore_report report;
    struct progress progress;
    struct error err;

    rc result = restore_check_of(&options.check, flags->integrity_check, &err);
    if (result != RC_OK)
        return command_usage_error(self, "%s", err.text);
    progress_begin(&progress);
    options.progress_payload = &progress;
    result = restore_run(place->replica, plan, &options, &report, &err);
    progress_end(&progress);
    if (result != RC_OK)
        return command_fail(self, result, &err, EXIT_WHILE_RESTORING);
    restore_print_report(flags, output, place, &report, clock_monotonic_ms() - progress.started_ms);
    return EXIT_DONE;
}

/* What was asked for and what was found, where they are not the same. */
static void restore_say_point(const struct command *self, const struct restore_target *target,
    const struct restore_plan *plan)
{
    char asked[INSTANT_TEXT_SIZE];
    char found[INSTANT_TEXT_SIZE];

    if (plan->is_expiring)
        command_say(self, "retention is removing this point: what it needs may go any time");
    if (target->kind != RESTORE_TIME || plan->target.time_ms == target->time_ms)
        return;
    instant_format_ms(asked, target->time_ms);
    instant_format_ms(found, plan->target.time_ms);
    command_say(self,
        "the newest restorable point not later than %s is transaction %" PRIu64 " of %s", asked,
        plan->target.txid, found);
}

static int restore_place(const struct command *self, const struct restore_flags *flags,
    const char *output, struct place *place, struct cancel *cancel)
{
    struct restore_target target = restore_target_of(flags);
    auto_restore_plan struct restore_plan plan = RESTORE_PLAN_INIT;
    struct error err;

    if (!flags->dry_run && fs_exists(output)) {
        if (flags->if_db_not_exists)
            return restore_skip(self, flags, output, "the output exists");
        command_say(self, "'%s' exists; choose another -o, or move it away", output);
        return EXIT_FAILED;
    }
    rc result = restore_plan_make(&plan, place->replica, &target, &err);
    if (result == RC_NOT_FOUND)
        return restore_no_plan(self, flags, output, place, &err);
    if (result != RC_OK)
        return command_fail(self, result, &err, EXIT_WHILE_ASKING);
    for (size_t index = 0; index < plan.damage_count; index++)
        restore_say_damage((void *)(uintptr_t)self, &plan.damages[index]);
    restore_say_point(self, &target, &plan);
    if (flags->dry_run) {
        restore_print_plan(flags, output, place, &plan);
        return EXIT_DONE;
    }
    return restore_execute(self, flags, output, place, &plan, cancel);
}

/* What the table of flags cannot say. */
static int restore_check_flags(const struct command *self, const struct restore_flags *flags)
{
    enum restore_check check;
    struct error err;

    if (flags->txid != 0 && flags->timestamp_ms != INT64_MIN)
        return command_usage_error(self, "-txid and -timestamp contradict each other");
    if (restore_check_of(&check, flags->integrity_check, &err) != RC_OK)
        return command_usage_error(self, "%s", err.text);
    if (flags->output != NULL && flags->output[0] == '\0')
        return command_usage_error(self, "-o is empty");
    return EXIT_DONE;
}

static const struct restore_flags restore_defaults = { .timestamp_ms = INT64_MIN,
    .integrity_check = "none" };

static int restore_command(
    const struct command *self, const void *parsed, const struct positionals *positionals)
{
    const struct restore_flags *flags = parsed;
    auto_place struct place place = PLACE_INIT;
    struct error err;

    int checked = restore_check_flags(self, flags);
    if (checked != EXIT_DONE)
        return checked;

    struct cancel *cancel = interrupt_start();
    rc result = place_open(&place, positionals->texts[0], &flags->config, cancel, &err);
    if (result != RC_OK)
        return command_fail(self, result, &err, EXIT_WHILE_ASKING);
    const char *output = flags->output;
    if (output == NULL && place.db != NULL)
        output = place.db->path;
    if (output == NULL)
        return command_usage_error(self, "-o is needed where a replica is named directly");
    return restore_place(self, flags, output, &place, cancel);
}

const struct command command_restore = {
    .name = "restore",
    .summary = "rebuild a database at any transaction from its replica",
    .arguments = "[flags] DB|URL",
    .description =
        "DB is a database of the configuration file; URL is a replica:\n"
        "s3://bucket/prefix?endpoint=..., file:///path or a folder. The file appears whole\n"
        "and verified, or not at all: the database's digest must be that of the wanted\n"
        "transaction. Nothing is ever overwritten.\n"
        "\n"
        "Exit code 3 says that there certainly is no such backup or point, 4 that it could\n"
        "not be told (network, credentials), 5 that the replica is damaged.\n",
    .flags = restore_flag_specs,
    .flags_size = sizeof(struct restore_flags),
    .flag_defaults = &restore_defaults,
    .flag_count = array_count(restore_flag_specs),
    .positional_min = 1,
    .positional_max = 1,
    .run = restore_command,
};
