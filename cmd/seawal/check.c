/*
 * check - what would keep a database from being replicated, or its copy from being trusted
 *
 * Facts of this machine only; the replica is not asked. Opens each database as replicate does, but
 * changes nothing in it: it may leave an empty log and its index behind, as every reader does.
 */
#include "base/alloc.h"
#include "base/fs.h"
#include "base/path.h"
#include "base/text.h"
#include "capture/capture.h"
#include "command.h"
#include "output.h"
#include "place.h"
#include "sqlite/database.h"
#include "sqlite/pin.h"
#include "sqlite/poison.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    CHECK_DETAIL_SIZE = sizeof((struct error *)NULL)->text + 64,
};

struct check_flags {
    struct config_flags config;
    bool json;
};

static const struct flag_spec check_flag_specs[] = {
    { "json", FLAG_BOOL, offsetof(struct check_flags, json), NULL, "print as JSON" },
    CONFIG_FLAGS(struct check_flags, config),
};

enum check_result { CHECK_FINE, CHECK_WARNING, CHECK_PROBLEM, CHECK_DAMAGE };
static const char *const check_result_names[] = {
    [CHECK_FINE] = "ok",
    [CHECK_WARNING] = "warning",
    [CHECK_PROBLEM] = "problem",
    [CHECK_DAMAGE] = "damage",
};

struct check_row {
    const char *path; /* NULL: of no database */
    const char *check;
    const char *result;
    char *detail;       /* owned */
    const char *remedy; /* NULL: none is needed, or the detail says it */
};

#define CHECK_COLUMN(...) COLUMN_OF(struct check_row, __VA_ARGS__)
static const struct column check_columns[] = {
    CHECK_COLUMN("path", "database", COLUMN_TEXT, path),
    CHECK_COLUMN("check", "check", COLUMN_TEXT, check),
    CHECK_COLUMN("result", "result", COLUMN_TEXT, result),
    CHECK_COLUMN("detail", "detail", COLUMN_TEXT, detail),
    CHECK_COLUMN("remedy", NULL, COLUMN_TEXT, remedy),
};

/* What was found; grows with the databases of the configuration, which has a limit. */
struct check_list {
    struct check_row *rows; /* owned, with their details */
    size_t count;
    size_t capacity;
    enum check_result worst;
    const char *path; /* whom the next rows are about */
};
#define CHECK_LIST_INIT ((struct check_list){ 0 })
#define auto_check_list __attribute__((cleanup(check_list_release)))

static void check_list_release(struct check_list *list)
{
    for (size_t index = 0; index < list->count; index++)
        free(list->rows[index].detail);
    free(list->rows);
    *list = CHECK_LIST_INIT;
}

static void check_note(struct check_list *list, const char *check, enum check_result result,
    const char *remedy, const char *format, ...) printf_like(5, 6);

static void check_note(struct check_list *list, const char *check, enum check_result result,
    const char *remedy, const char *format, ...)
{
    char text[CHECK_DETAIL_SIZE];
    va_list arguments;

    assert(result != CHECK_FINE || remedy == NULL);
    if (list->count == list->capacity) {
        list->capacity = list->capacity == 0 ? 64 : 2 * list->capacity;
        list->rows = mem_resize(list->rows, list->capacity * sizeof *list->rows);
    }
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    list->rows[list->count++] = (struct check_row){
        .path = list->path,
        .check = check,
        .result = check_result_names[result],
        .detail = text_copy(text),
        .remedy = remedy,
    };
    if (result > list->worst)
        list->worst = result;
}

/* ---- one thing after the other */

static void check_library(struct check_list *list)
{
    if (sqlite_has_wal_reset_bug(sqlite_library_number()))
        check_note(list, "sqlite library", CHECK_WARNING,
            "none is needed, since seawal lets no checkpoint be struck; better is "
            "SQLite " SQLITE_WAL_RESET_BUG_FIXED,
            "SQLite %s has the WAL-reset bug (sqlite.org/wal.html#walresetbug)",
            sqlite_library_version());
    else
        check_note(list, "sqlite library", CHECK_FINE, NULL, "SQLite %s", sqlite_library_version());
}

static void check_index(struct check_list *list, struct database *database)
{
    struct index_poison poison;

    if (database_index_is_poisoned(database, &poison))
        check_note(list, "log index", CHECK_DAMAGE,
            "start 'seawal replicate': it heals the log without losing a commit; until then let no "
            "process close the database, since the last to close deletes the log",
            "SQLite's WAL-reset bug has struck: %u frames of %u are taken for copied into the "
            "database, so commits are not seen, and will be lost",
            poison.claimed_frames, poison.log_frames);
    else
        check_note(list, "log index", CHECK_FINE, NULL, "sound");
}

static void check_writer(struct check_list *list, struct database *database)
{
    char version[SQLITE_VERSION_TEXT_SIZE];
    struct error err;
    int number = 0;

    rc result = pin_hold(database, &err);
    if (result == RC_OK)
        result = database_writer_version(database, &number, &err);
    pin_drop(database);
    if (result != RC_OK) {
        check_note(list, "last writer", CHECK_PROBLEM, "try again", "%s", err.text);
        return;
    }

    sqlite_version_format(version, number);
    if (number == 0)
        check_note(list, "last writer", CHECK_FINE, NULL, "not told");
    else if (!sqlite_has_wal_reset_bug(number))
        check_note(list, "last writer", CHECK_FINE, NULL, "SQLite %s", version);
    else
        check_note(list, "last writer", CHECK_WARNING,
            "let the application use SQLite " SQLITE_WAL_RESET_BUG_FIXED
            "; while 'seawal replicate' runs, the bug cannot strike",
            "SQLite %s has the WAL-reset bug (sqlite.org/wal.html#walresetbug)", version);
}

/* What replicate would do about it decides whether it is a problem; the text says what it is. */
static void check_refusal(
    struct check_list *list, const struct db_config *db, rc code, const struct error *err)
{
    if (code == RC_NOT_FOUND && db->restore_if_db_not_exists)
        check_note(list, "database", CHECK_WARNING,
            "none: it is restored first, if it was ever replicated", "%s", err->text);
    else if (code == RC_MISMATCH && db->convert_to_wal)
        check_note(list, "database", CHECK_WARNING,
            "none: it is switched to WAL mode first, if it has content", "%s", err->text);
    else if (code == RC_NOT_FOUND)
        check_note(list, "database", CHECK_PROBLEM,
            "correct the path, or let the application create it", "%s", err->text);
    else
        check_note(list, "database", CHECK_PROBLEM, NULL, "%s", err->text);
}

static void check_database(struct check_list *list, const struct db_config *db)
{
    struct database_options options = { 0 };
    struct database *database = NULL;
    struct wal_index_header header;
    struct error err;

    rc result = database_open(&database, db->path, &options, &err);
    if (result != RC_OK) {
        check_refusal(list, db, result, &err);
        return;
    }
    if (database_log_header(database, &header, &err) == RC_OK)
        check_note(list, "database", CHECK_FINE, NULL,
            "WAL mode, %u pages of %u bytes, %u frames in the log", header.page_count,
            header.page_size, header.frame_count);
    else
        check_note(list, "database", CHECK_PROBLEM, "try again", "%s", err.text);
    check_index(list, database);
    check_writer(list, database);
    database_close(database);
}

/* PATH, or the closest folder above it that exists. Owned. */
static char *check_existing_folder(const char *path)
{
    char *folder = text_copy(path);

    while (!fs_exists(folder) && !text_equal(folder, "/")) {
        char *parent = path_parent(folder);
        free(folder);
        folder = parent;
    }
    return folder;
}

static void check_room(struct check_list *list, const char *folder)
{
    struct capture_room room;
    struct error err;

    if (capture_room_of(&room, folder, &err) != RC_OK) {
        check_note(list, "disk room", CHECK_PROBLEM, "see to the file system", "%s", err.text);
        return;
    }
    uint64_t percent = room.total_size == 0 ? 100 : room.free_size / (room.total_size / 100 + 1);
    bool is_short = room.free_size < room.reserve_size;
    check_note(list, "disk room", is_short ? CHECK_WARNING : CHECK_FINE,
        is_short ? "make room, or set state-dir to a folder of another file system" : NULL,
        "%llu MB free (%llu %%) where the state folder is",
        (unsigned long long)(room.free_size >> 20), (unsigned long long)percent);
}

static void check_state_folder(struct check_list *list, const struct db_config *db)
{
    auto_free char *state_dir = config_state_dir_of(db);
    auto_free char *folder = check_existing_folder(state_dir);

    if (access(folder, R_OK | W_OK | X_OK) == 0)
        check_note(list, "state folder", CHECK_FINE, NULL, "'%s'%s", state_dir,
            text_equal(folder, state_dir) ? "" : " can be made");
    else
        check_note(list, "state folder", CHECK_PROBLEM,
            "run as the user that owns the database, or set state-dir", "'%s' cannot be written",
            folder);
    check_room(list, folder);
}

static void check_one(struct check_list *list, const struct db_config *db)
{
    list->path = db->path;
    check_database(list, db);
    check_state_folder(list, db);
}

/* ---- the command */

/* A database that the configuration does not know is checked as replicate would take it by default.
 */
static rc check_named(
    struct config *config, const char *name, const struct db_config **ret, struct error *err)
{
    *ret = config_find_db(config, name);
    if (*ret == NULL) {
        TRY(config_add_db(config, name, "file:///", err));
        *ret = config_find_db(config, name);
    }
    return RC_OK;
}

static void check_print(const struct check_list *list, bool json)
{
    struct output_rows rows = { check_columns, array_count(check_columns), list->rows,
        sizeof *list->rows, list->count };

    if (json) {
        output_json(output_list(&rows));
        return;
    }
    output_table(&rows, 0);
    for (size_t index = 0; index < list->count; index++) {
        const struct check_row *row = &list->rows[index];

        if (row->remedy != NULL)
            printf("\n%s: %s%s%s: %s\n", row->result, row->path == NULL ? "" : row->path,
                row->path == NULL ? "" : ": ", row->check, row->remedy);
    }
}

static enum exit_code check_exit_code(enum check_result worst)
{
    static const enum exit_code codes[] = {
        [CHECK_FINE] = EXIT_DONE,
        [CHECK_WARNING] = EXIT_DONE,
        [CHECK_PROBLEM] = EXIT_FAILED,
        [CHECK_DAMAGE] = EXIT_DAMAGED,
    };

    return codes[worst];
}

static rc check_run(struct check_list *list, struct config *config,
    const struct positionals *positionals, struct error *err)
{
    check_library(list);
    for (size_t index = 0; index < positionals->count; index++) {
        const struct db_config *db = NULL;

        TRY(check_named(config, positionals->texts[index], &db, err));
        check_one(list, db);
    }
    for (size_t index = 0; positionals->count == 0 && index < config->db_count; index++)
        check_one(list, &config->dbs[index]);
    return RC_OK;
}

static int check_command(
    const struct command *self, const void *parsed, const struct positionals *positionals)
{
    const struct check_flags *flags = parsed;
    auto_config struct config config = CONFIG_INIT;
    auto_check_list struct check_list list = CHECK_LIST_INIT;
    struct error err;

    rc result = place_load_config(&config, &flags->config, positionals->count > 0, &err);
    if (result == RC_OK)
        result = check_run(&list, &config, positionals, &err);
    if (result != RC_OK)
        return command_fail(self, result, &err, EXIT_WHILE_ASKING);
    check_print(&list, flags->json);
    return (int)check_exit_code(list.worst);
}

const struct command command_check = {
    .name = "check",
    .summary = "find what would keep databases from being replicated",
    .arguments = "[flags] [DB...]",
    .description =
        "Looks at the databases of the configuration file, or at those named: whether each can\n"
        "be opened, is in WAL mode and not encrypted, whether SQLite's WAL-reset bug can strike\n"
        "or has struck, and whether there is a place and room for the state folder. Each\n"
        "finding comes with a remedy. The replica is not asked.\n"
        "\n"
        "Exit codes: 0 nothing, or warnings only; 1 a problem; 5 the WAL-reset bug has struck.\n",
    .flags = check_flag_specs,
    .flags_size = sizeof(struct check_flags),
    .flag_count = array_count(check_flag_specs),
    .positional_max = 1 << 16,
    .run = check_command,
};
