/*
 * hold - named restore points that retention keeps
 */
#include "replica/hold.h"

#include "base/alloc.h"
#include "command.h"
#include "interrupt.h"
#include "output.h"
#include "place.h"
#include "replica/restore.h"

#include <stdio.h>
#include <stdlib.h>

struct hold_flags {
    struct config_flags config;
    uint64_t txid;        /* 0: not given */
    int64_t timestamp_ms; /* INT64_MIN: not given */
    uint32_t timeline;    /* 0: the newest */
    bool list;
    bool release;
    bool json;
};

static const struct flag_spec hold_flag_specs[] = {
    { "txid", FLAG_TXID, offsetof(struct hold_flags, txid), "N",
        "hold transaction N (default: the newest)" },
    { "timestamp", FLAG_INSTANT, offsetof(struct hold_flags, timestamp_ms), "TIME",
        "hold the last restorable transaction not later than TIME" },
    { "timeline", FLAG_TIMELINE, offsetof(struct hold_flags, timeline), "ID",
        "of this timeline instead of the newest" },
    { "list", FLAG_BOOL, offsetof(struct hold_flags, list), NULL, "print what is held" },
    { "release", FLAG_BOOL, offsetof(struct hold_flags, release), NULL,
        "let the point of this name go" },
    { "json", FLAG_BOOL, offsetof(struct hold_flags, json), NULL, "print the result as JSON" },
    CONFIG_FLAGS(struct hold_flags, config),
};

struct hold_row {
    const char *name;
    uint32_t timeline;
    uint64_t txid;
    int64_t time_ms;
    int64_t made_ms;
};

#define HOLD_COLUMN(...) COLUMN_OF(struct hold_row, __VA_ARGS__)
static const struct column hold_columns[] = {
    HOLD_COLUMN("name", "held", COLUMN_TEXT, name),
    HOLD_COLUMN("timeline", "timeline", COLUMN_TIMELINE, timeline),
    HOLD_COLUMN("txid", "txid", COLUMN_TXID, txid),
    HOLD_COLUMN("time", "time", COLUMN_TIME, time_ms),
    HOLD_COLUMN("made", "since", COLUMN_TIME, made_ms),
};

static struct hold_row hold_row_of(const struct hold *hold)
{
    return (struct hold_row){
        .name = hold->name,
        .timeline = hold->timeline,
        .txid = hold->txid,
        .time_ms = hold->time_ms,
        .made_ms = hold->made_ms,
    };
}

static rc hold_list(const struct hold_flags *flags, struct place *place, struct error *err)
{
    auto_free struct hold *holds = NULL;
    size_t count = 0;

    TRY(replica_holds(place->replica, &holds, &count, err));
    auto_free struct hold_row *rows = mem_new_array(count + 1, sizeof *rows);
    for (size_t i = 0; i < count; i++)
        rows[i] = hold_row_of(&holds[i]);
    struct output_rows list = { hold_columns, array_count(hold_columns), rows, sizeof *rows,
        count };
    if (flags->json)
        output_json(output_list(&list));
    else
        output_table(&list, 0);
    return RC_OK;
}

static rc hold_make(
    const struct hold_flags *flags, const char *name, struct place *place, struct error *err)
{
    struct restore_target target = { .kind = RESTORE_NEWEST, .timeline = flags->timeline };
    struct hold hold;

    if (flags->txid != 0) {
        target.kind = RESTORE_TXID;
        target.txid = flags->txid;
    } else if (flags->timestamp_ms != INT64_MIN) {
        target.kind = RESTORE_TIME;
        target.time_ms = flags->timestamp_ms;
    }
    TRY(replica_hold(place->replica, name, &target, &hold, err));
    struct hold_row row = hold_row_of(&hold);
    if (flags->json)
        output_json(output_object(hold_columns, array_count(hold_columns), &row));
    else
        output_lines(hold_columns, array_count(hold_columns), &row);
    return RC_OK;
}

/* What the table of flags cannot say. */
static int hold_check_flags(
    const struct command *self, const struct hold_flags *flags, size_t positional_count)
{
    bool has_point = flags->txid != 0 || flags->timestamp_ms != INT64_MIN || flags->timeline != 0;

    if (flags->list && flags->release)
        return command_usage_error(self, "-list and -release contradict each other");
    if ((flags->list || flags->release) && has_point)
        return command_usage_error(self, "a point is named when it is to be held");
    if (flags->txid != 0 && flags->timestamp_ms != INT64_MIN)
        return command_usage_error(self, "-txid and -timestamp contradict each other");
    if (flags->list && positional_count != 1)
        return command_usage_error(self, "-list wants DB|URL alone");
    if (!flags->list && positional_count != 2)
        return command_usage_error(self, "a name and DB|URL are needed");
    return EXIT_DONE;
}

static const struct hold_flags hold_defaults = { .timestamp_ms = INT64_MIN };

static int hold_command(
    const struct command *self, const void *parsed, const struct positionals *positionals)
{
    const struct hold_flags *flags = parsed;
    auto_place struct place place = PLACE_INIT;
    struct error err;

    int checked = hold_check_flags(self, flags, positionals->count);
    if (checked != EXIT_DONE)
        return checked;
    const char *name = positionals->texts[0];
    const char *where = positionals->texts[positionals->count - 1];
    rc result = place_open(&place, where, &flags->config, interrupt_start(), &err);
    if (result == RC_OK && flags->list)
        result = hold_list(flags, &place, &err);
    else if (result == RC_OK && flags->release)
        result = replica_release(place.replica, name, &err);
    else if (result == RC_OK)
        result = hold_make(flags, name, &place, &err);
    if (result != RC_OK)
        return command_fail(self, result, &err, EXIT_WHILE_ASKING);
    return EXIT_DONE;
}

const struct command command_hold = {
    .name = "hold",
    .summary = "keep a restore point under a name, whatever the rules say",
    .arguments = "[flags] NAME DB|URL",
    .description =
        "Before a migration, say: 'seawal hold before-v2 app.db'. The exact point is printed.\n"
        "'seawal hold -list DB|URL' shows what is held, 'seawal hold -release NAME DB|URL'\n"
        "lets it go. Exit code 3 says that there certainly is no such point, or hold.\n",
    .flags = hold_flag_specs,
    .flags_size = sizeof(struct hold_flags),
    .flag_defaults = &hold_defaults,
    .flag_count = array_count(hold_flag_specs),
    .positional_min = 1,
    .positional_max = 2,
    .run = hold_command,
};
