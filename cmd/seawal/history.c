/*
 * history - what a replica holds and what can be restored from it
 */
#include "replica/history.h"

#include "base/alloc.h"
#include "command.h"
#include "history_tree.h"
#include "interrupt.h"
#include "output.h"
#include "place.h"

#include <inttypes.h>
#include <stdio.h>

struct history_flags {
    struct config_flags config;
    bool json;
    bool segments;
};

static const struct flag_spec history_flag_specs[] = {
    { "json", FLAG_BOOL, offsetof(struct history_flags, json), NULL, "print everything as JSON" },
    { "segments", FLAG_BOOL, offsetof(struct history_flags, segments), NULL,
        "list every segment as well (JSON always does)" },
    CONFIG_FLAGS(struct history_flags, config),
};

#define TIMELINE_COLUMN(...) COLUMN_OF(struct history_timeline, __VA_ARGS__)
static const struct column timeline_columns[] = {
    TIMELINE_COLUMN("timeline", NULL, COLUMN_TIMELINE, info.timeline),
    TIMELINE_COLUMN("parent_timeline", NULL, COLUMN_TIMELINE, info.parent_timeline),
    TIMELINE_COLUMN("parent_txid", NULL, COLUMN_TXID, info.parent_txid),
    TIMELINE_COLUMN("parent_time", NULL, COLUMN_TIME, parent_ms),
    TIMELINE_COLUMN("claimed", NULL, COLUMN_TIME, info.time_ms),
};

#define WINDOW_COLUMN(...) COLUMN_OF(struct history_window, __VA_ARGS__)
static const struct column window_columns[] = {
    WINDOW_COLUMN("first_txid", "first txid", COLUMN_TXID, first_txid),
    WINDOW_COLUMN("last_txid", "last txid", COLUMN_TXID, last_txid),
    WINDOW_COLUMN("first_time", "from", COLUMN_TIME, first_ms),
    WINDOW_COLUMN("last_time", "to", COLUMN_TIME, last_ms),
};

#define MERGED_COLUMN(...) COLUMN_OF(struct history_merged, __VA_ARGS__)
static const struct column merged_columns[] = {
    MERGED_COLUMN("first_txid", "first txid", COLUMN_TXID, first_txid),
    MERGED_COLUMN("last_txid", "last txid", COLUMN_TXID, last_txid),
    MERGED_COLUMN("last_time", "as of", COLUMN_TIME, last_ms),
};

#define SNAPSHOT_COLUMN(...) COLUMN_OF(struct history_snapshot, __VA_ARGS__)
static const struct column snapshot_columns[] = {
    SNAPSHOT_COLUMN("first_txid", "began at txid", COLUMN_TXID, first_txid),
    SNAPSHOT_COLUMN("usable_txid", "usable from txid", COLUMN_TXID, usable_txid),
    SNAPSHOT_COLUMN("began", NULL, COLUMN_TIME, began_ms),
    SNAPSHOT_COLUMN("usable", "time", COLUMN_TIME, usable_ms),
    SNAPSHOT_COLUMN("page_count", "pages", COLUMN_SMALL, page_count),
    SNAPSHOT_COLUMN("page_size", "page size", COLUMN_SMALL, page_size),
    SNAPSHOT_COLUMN("size", "size", COLUMN_SIZE, size),
};

struct segment_row {
    uint32_t level;
    uint64_t min_txid;
    uint64_t max_txid;
    int64_t time_ms;
    uint64_t size;
};

#define SEGMENT_COLUMN(...) COLUMN_OF(struct segment_row, __VA_ARGS__)
static const struct column segment_columns[] = {
    SEGMENT_COLUMN("level", "level", COLUMN_SMALL, level),
    SEGMENT_COLUMN("min_txid", "first txid", COLUMN_TXID, min_txid),
    SEGMENT_COLUMN("max_txid", "last txid", COLUMN_TXID, max_txid),
    SEGMENT_COLUMN("time", "time", COLUMN_TIME, time_ms),
    SEGMENT_COLUMN("size", "size", COLUMN_SIZE, size),
};

struct gap_row {
    uint64_t first_txid;
    uint64_t last_txid;
    const char *text;
};

#define GAP_COLUMN(...) COLUMN_OF(struct gap_row, __VA_ARGS__)
static const struct column gap_columns[] = {
    GAP_COLUMN("first_txid", "from txid", COLUMN_TXID, first_txid),
    GAP_COLUMN("last_txid", "to txid", COLUMN_TXID, last_txid),
    GAP_COLUMN("text", "damage", COLUMN_TEXT, text),
};

static struct output_rows history_windows(const struct history_timeline *timeline)
{
    return (struct output_rows){ window_columns, array_count(window_columns), timeline->windows,
        sizeof *timeline->windows, timeline->window_count };
}

static struct output_rows history_merged(const struct history_timeline *timeline)
{
    return (struct output_rows){ merged_columns, array_count(merged_columns), timeline->merged,
        sizeof *timeline->merged, timeline->merged_count };
}

static struct output_rows history_snapshots(const struct history_timeline *timeline)
{
    return (struct output_rows){ snapshot_columns, array_count(snapshot_columns),
        timeline->snapshots, sizeof *timeline->snapshots, timeline->snapshot_count };
}

/* Owned by the caller through RET_ROWS. */
static struct output_rows history_segments(
    const struct history_timeline *timeline, struct segment_row **ret_rows)
{
    struct segment_row *rows = mem_new_array(timeline->segment_count + 1, sizeof *rows);

    for (size_t index = 0; index < timeline->segment_count; index++) {
        const struct history_segment *segment = &timeline->segments[index];

        rows[index] = (struct segment_row){
            .level = segment->level,
            .min_txid = segment->name.min_txid,
            .max_txid = segment->name.max_txid,
            .time_ms = segment->name.time_ms,
            .size = segment->size,
        };
    }
    *ret_rows = rows;
    return (struct output_rows){ segment_columns, array_count(segment_columns), rows, sizeof *rows,
        timeline->segment_count };
}

struct level_row {
    uint32_t level;
    uint64_t count;
    uint64_t min_txid;
    uint64_t max_txid;
    uint64_t size;
};

#define LEVEL_COLUMN(...) COLUMN_OF(struct level_row, __VA_ARGS__)
static const struct column level_columns[] = {
    LEVEL_COLUMN("level", "level", COLUMN_SMALL, level),
    LEVEL_COLUMN("count", "segments", COLUMN_COUNT, count),
    LEVEL_COLUMN("min_txid", "first txid", COLUMN_TXID, min_txid),
    LEVEL_COLUMN("max_txid", "last txid", COLUMN_TXID, max_txid),
    LEVEL_COLUMN("size", "size", COLUMN_SIZE, size),
};

/* One row for each level that has segments; they come in the order of their levels. */
static struct output_rows history_levels(
    const struct history_timeline *timeline, struct level_row rows[REPLICA_LEVEL_MAX + 1])
{
    size_t count = 0;

    for (size_t index = 0; index < timeline->segment_count; index++) {
        const struct history_segment *segment = &timeline->segments[index];

        if (count == 0 || rows[count - 1].level != segment->level)
            rows[count++] =
                (struct level_row){ .level = segment->level, .min_txid = segment->name.min_txid };
        struct level_row *row = &rows[count - 1];
        row->count++;
        row->size += segment->size;
        if (segment->name.max_txid > row->max_txid)
            row->max_txid = segment->name.max_txid;
    }
    return (
        struct output_rows){ level_columns, array_count(level_columns), rows, sizeof *rows, count };
}

static struct output_rows history_gaps(
    const struct history_timeline *timeline, struct gap_row **ret_rows)
{
    struct gap_row *rows = mem_new_array(timeline->gap_count + 1, sizeof *rows);

    for (size_t index = 0; index < timeline->gap_count; index++)
        rows[index] = (struct gap_row){ timeline->gaps[index].first_txid,
            timeline->gaps[index].last_txid, timeline->gaps[index].text };
    *ret_rows = rows;
    return (struct output_rows){ gap_columns, array_count(gap_columns), rows, sizeof *rows,
        timeline->gap_count };
}

static json_t *history_timeline_json(const struct history_timeline *timeline)
{
    json_t *object = output_object(timeline_columns, array_count(timeline_columns), timeline);
    struct output_rows windows = history_windows(timeline);
    struct output_rows merged = history_merged(timeline);
    struct output_rows snapshots = history_snapshots(timeline);
    struct level_row level_rows[REPLICA_LEVEL_MAX + 1];
    struct output_rows levels = history_levels(timeline, level_rows);
    auto_free struct segment_row *segment_rows = NULL;
    struct output_rows segments = history_segments(timeline, &segment_rows);
    auto_free struct gap_row *gap_rows = NULL;
    struct output_rows gaps = history_gaps(timeline, &gap_rows);

    json_object_set_new(object, "writer", json_string(timeline->info.writer));
    json_object_set_new(object, "windows", output_list(&windows));
    json_object_set_new(object, "merged", output_list(&merged));
    json_object_set_new(object, "snapshots", output_list(&snapshots));
    json_object_set_new(object, "levels", output_list(&levels));
    json_object_set_new(object, "segments", output_list(&segments));
    json_object_set_new(object, "gaps", output_list(&gaps));
    return object;
}

static void history_print_json(const struct place *place, const struct history *history)
{
    json_t *object = json_object();
    json_t *timelines = json_array();
    char id[2 * DATABASE_ID_SIZE + 1];

    for (size_t index = 0; index < DATABASE_ID_SIZE; index++)
        snprintf(id + 2 * index, 3, "%02x", history->database_id.bytes[index]);
    for (size_t index = 0; index < history->timeline_count; index++)
        json_array_append_new(timelines, history_timeline_json(&history->timelines[index]));
    json_object_set_new(object, "replica", json_string(store_name(place->store)));
    json_object_set_new(object, "database_id", json_string(id));
    json_object_set_new(object, "page_size", json_integer(history->page_size));
    if (history->timeline_count > 0)
        json_object_set_new(object, "newest_timeline",
            json_sprintf("%08x", history->timelines[history->timeline_count - 1].info.timeline));
    json_object_set_new(object, "timelines", timelines);
    output_json(object);
}

static void history_print_timeline(
    const struct history_timeline *timeline, const struct history_flags *flags)
{
    struct output_rows windows = history_windows(timeline);
    struct output_rows merged = history_merged(timeline);
    struct output_rows snapshots = history_snapshots(timeline);
    struct level_row level_rows[REPLICA_LEVEL_MAX + 1];
    struct output_rows levels = history_levels(timeline, level_rows);
    auto_free struct segment_row *segment_rows = NULL;
    struct output_rows segments = history_segments(timeline, &segment_rows);
    auto_free struct gap_row *gap_rows = NULL;
    struct output_rows gaps = history_gaps(timeline, &gap_rows);

    printf("\ntimeline %08" PRIx32, timeline->info.timeline);
    if (timeline->info.parent_timeline != 0)
        printf(", after transaction %" PRIu64 " of %08" PRIx32, timeline->info.parent_txid,
            timeline->info.parent_timeline);
    printf("\n");
    if (timeline->window_count == 0)
        printf("  nothing of its own can be restored yet\n");
    else
        printf("  every transaction can be restored:\n");
    output_table(&windows, 4);
    if (timeline->merged_count > 0)
        printf("  merged, to be restored as of their last transaction only:\n");
    output_table(&merged, 4);
    if (timeline->snapshot_count > 0)
        printf("  snapshots:\n");
    output_table(&snapshots, 4);
    printf("  segments: %zu, %.1f MB\n", timeline->segment_count,
        (double)timeline->segment_size / 1e6);
    output_table(&levels, 4);
    if (flags->segments)
        output_table(&segments, 4);
    if (timeline->gap_count > 0)
        printf("  DAMAGE, transactions are missing:\n");
    output_table(&gaps, 4);
}

static void history_print(
    const struct place *place, const struct history *history, const struct history_flags *flags)
{
    printf("%s\n\n", store_name(place->store));
    history_tree_print(history);
    for (size_t index = 0; index < history->timeline_count; index++)
        history_print_timeline(&history->timelines[index], flags);
}

static int history_command(
    const struct command *self, const void *parsed, const struct positionals *positionals)
{
    const struct history_flags *flags = parsed;
    auto_place struct place place = PLACE_INIT;
    auto_history struct history history = HISTORY_INIT;
    struct error err;

    rc result = place_open(&place, positionals->texts[0], &flags->config, interrupt_start(), &err);
    if (result == RC_OK)
        result = history_read(&history, place.replica, &err);
    if (result != RC_OK)
        return command_fail(self, result, &err, EXIT_WHILE_ASKING);

    if (flags->json)
        history_print_json(&place, &history);
    else
        history_print(&place, &history, flags);
    if (history.gap_count == 0)
        return EXIT_DONE;
    command_say(self, "%zu gaps: transactions that should be there are missing", history.gap_count);
    return EXIT_DAMAGED;
}

const struct command command_history = {
    .name = "history",
    .summary = "what a replica holds: timelines, snapshots, what can be restored",
    .arguments = "[flags] DB|URL",
    .description =
        "DB is a database of the configuration file; URL is a replica. A timeline is one line\n"
        "of history; another one begins when a database was restored, replaced or written\n"
        "twice. Exit code 3 says that there certainly is nothing, 4 that it could not be\n"
        "told, 5 that transactions are missing.\n",
    .flags = history_flag_specs,
    .flags_size = sizeof(struct history_flags),
    .flag_count = array_count(history_flag_specs),
    .positional_min = 1,
    .positional_max = 1,
    .run = history_command,
};
