/*
 * status - how far each database's copy is, whether or not a daemon runs
 *
 * State folders are read without locks; the replica is asked what it has. Lag is the age of the
 * oldest commit that is known to be missing from the replica.
 */
#include "base/alloc.h"
#include "base/clock.h"
#include "base/fs.h"
#include "base/path.h"
#include "capture/peek.h"
#include "command.h"
#include "interrupt.h"
#include "output.h"
#include "place.h"
#include "sqlite/database.h"
#include "sqlite/look.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>

/* How long commits that were just seen may take to be captured before they count as late. */
enum { STATUS_GRACE_MS = 1000, STATUS_GRACE_MS_MAX = 10000 };

/* A monitor that asks once a minute wants an answer before it asks again. */
enum { STATUS_REQUEST_MS = 10000, STATUS_NOTE_SIZE_MAX = 4096 };

struct status_flags {
    struct config_flags config;
    bool json;
    bool local;
    int64_t lag_ms_max; /* -1: any */
};

static const struct flag_spec status_flag_specs[] = {
    { "max-lag", FLAG_DURATION, offsetof(struct status_flags, lag_ms_max), "TIME",
        "exit code 1 when a copy is further behind than this" },
    { "local", FLAG_BOOL, offsetof(struct status_flags, local), NULL, "do not ask the replicas" },
    { "json", FLAG_BOOL, offsetof(struct status_flags, json), NULL, "print as JSON" },
    CONFIG_FLAGS(struct status_flags, config),
};

/* What was found about one database. */
struct status_facts {
    const struct db_config *db;
    bool database_exists;
    struct database_look look;
    rc local_code; /* RC_NOT_FOUND: no state folder */
    rc room_code;  /* RC_NO_SPACE: there is none for what is to be captured */
    struct capture_peek peek;
    uint64_t durable_txid; /* what the daemon wrote down last; 0: nothing */
    rc replica_code;       /* RC_NOT_FOUND: nothing there; RC_CANCELLED: not asked */
    struct replica_info replica;
    struct error err; /* of the worse of the two */
    struct error room_err;
};

/* What is said about it. */
struct status_row {
    const char *path;
    const char *status;
    uint32_t timeline;
    uint64_t captured_txid;
    uint64_t durable_txid; /* as the daemon has it */
    uint64_t replica_txid; /* as the replica has it */
    int64_t replica_time_ms;
    uint64_t spool_count; /* segments that the replica does not have */
    uint64_t spool_size;
    int64_t lag_ms;
    char sqlite_writer[SQLITE_VERSION_TEXT_SIZE]; /* empty: not known */
    const char *sqlite_writer_text;
    const char *sqlite_library;
    const char *wal_reset_bug;
    const char *error;
    char taken_over[REPLICA_CLAIM_TEXT_SIZE + 64]; /* by whom; empty: not */
};

/* What SQLite's WAL-reset bug can do or has done to a database. */
static const char status_bug_none[] = "no";
static const char status_bug_possible[] = "possible";
static const char status_bug_struck[] = "struck";

#define STATUS_COLUMN(...) COLUMN_OF(struct status_row, __VA_ARGS__)
static const struct column status_columns[] = {
    STATUS_COLUMN("path", "database", COLUMN_TEXT, path),
    STATUS_COLUMN("status", "status", COLUMN_TEXT, status),
    STATUS_COLUMN("lag_ms", "lag", COLUMN_SPAN, lag_ms),
    STATUS_COLUMN("captured_txid", "captured", COLUMN_TXID, captured_txid),
    STATUS_COLUMN("durable_txid", NULL, COLUMN_TXID, durable_txid),
    STATUS_COLUMN("replica_txid", "replica", COLUMN_TXID, replica_txid),
    STATUS_COLUMN("replica_time", "replica time", COLUMN_TIME, replica_time_ms),
    STATUS_COLUMN("timeline", "timeline", COLUMN_TIMELINE, timeline),
    STATUS_COLUMN("spool_segments", "spool", COLUMN_COUNT, spool_count),
    STATUS_COLUMN("spool_bytes", "bytes", COLUMN_SIZE, spool_size),
    STATUS_COLUMN("sqlite_library", NULL, COLUMN_TEXT, sqlite_library),
    STATUS_COLUMN("sqlite_writer", NULL, COLUMN_TEXT, sqlite_writer_text),
    STATUS_COLUMN("wal_reset_bug", NULL, COLUMN_TEXT, wal_reset_bug),
    STATUS_COLUMN("error", NULL, COLUMN_TEXT, error),
};

/* ---- facts */

/* The daemon's own note; what is not there, or not understood, is no note. */
static uint64_t status_durable_txid(const char *state_dir)
{
    auto_free char *path = path_join(state_dir, "durable");
    auto_buf struct buf text = BUF_INIT(STATUS_NOTE_SIZE_MAX);

    if (fs_read_file(&text, path, NULL) != RC_OK)
        return 0;
    json_t *note = json_loadb((const char *)text.data, text.size, 0, NULL);
    json_int_t txid = json_integer_value(json_object_get(note, "txid"));
    json_decref(note);
    return txid > 0 ? (uint64_t)txid : 0;
}

static void status_look_locally(struct status_facts *facts)
{
    auto_free char *state_dir = config_state_dir_of(facts->db);

    facts->database_exists = fs_exists(facts->db->path);
    /* What cannot be read is said by those who have to open it. */
    if (database_look(&facts->look, facts->db->path, NULL) != RC_OK)
        facts->look = (struct database_look){ 0 };
    facts->durable_txid = status_durable_txid(state_dir);
    capture_peek_release(&facts->peek);
    if (!fs_exists(state_dir))
        facts->local_code = RC_NOT_FOUND;
    else
        facts->local_code = capture_peek(&facts->peek, state_dir, facts->db->path, &facts->err);
    facts->room_code = RC_OK;
    if (facts->local_code == RC_OK && facts->peek.log != CAPTURE_PEEK_CAPTURED)
        facts->room_code =
            capture_check_room(state_dir, facts->db->path, facts->durable_txid, &facts->room_err);
}

static void status_ask_replica(struct status_facts *facts, struct cancel *cancel)
{
    auto_place struct place place = PLACE_INIT;

    facts->replica_code = place_open_db(&place, facts->db, cancel, STATUS_REQUEST_MS, &facts->err);
    if (facts->replica_code == RC_OK)
        facts->replica_code = replica_inspect(place.replica, &facts->replica, &facts->err);
}

/* ---- judgement: pure */

/* Whether it is known, from the replica or from the daemon's note, what the replica has. */
static bool status_knows_replica(const struct status_facts *facts)
{
    return facts->replica_code == RC_OK || facts->replica_code == RC_NOT_FOUND ||
           facts->durable_txid > 0;
}

/* Whether the replica lacks the transactions of a segment; one of another timeline has none of
 * ours. */
static bool status_is_pending(const struct status_facts *facts, const struct segment_entry *entry)
{
    const struct replica_position *stored = &facts->replica.position;

    if (facts->replica_code == RC_NOT_FOUND)
        return true;
    if (facts->replica_code != RC_OK)
        return entry->name.max_txid > facts->durable_txid;
    return stored->timeline < facts->peek.position.timeline || entry->name.max_txid > stored->txid;
}

/* Of a merged segment only the newest commit's time is known: the oldest followed what is stored.
 */
static int64_t status_oldest_ms(const struct status_facts *facts, const struct segment_entry *entry)
{
    const struct replica_position *stored = &facts->replica.position;

    if (entry->is_merged && facts->replica_code == RC_OK && stored->txid > 0)
        return stored->time_ms;
    return entry->name.time_ms;
}

/* Segments that wait, and since when the oldest does; OUTPUT_UNKNOWN_MS when none does. */
static int64_t status_count_spool(struct status_row *row, const struct status_facts *facts)
{
    int64_t oldest_ms = OUTPUT_UNKNOWN_MS;

    for (size_t index = 0; index < facts->peek.spool.count; index++) {
        const struct segment_entry *entry = &facts->peek.spool.entries[index];

        if (entry->is_covered || !status_is_pending(facts, entry))
            continue;
        if (oldest_ms == OUTPUT_UNKNOWN_MS)
            oldest_ms = status_oldest_ms(facts, entry);
        row->spool_count++;
        row->spool_size += entry->size;
    }
    return oldest_ms;
}

static int64_t status_lag(
    const struct status_facts *facts, int64_t oldest_pending_ms, int64_t now_ms)
{
    int64_t since_ms = oldest_pending_ms;

    if (facts->local_code != RC_OK || !status_knows_replica(facts))
        return OUTPUT_UNKNOWN_MS;
    if (since_ms == OUTPUT_UNKNOWN_MS && facts->peek.log == CAPTURE_PEEK_AHEAD)
        since_ms = facts->peek.position.time_ms;
    if (since_ms == OUTPUT_UNKNOWN_MS)
        return facts->peek.log == CAPTURE_PEEK_CAPTURED ? 0 : OUTPUT_UNKNOWN_MS;
    return now_ms > since_ms ? now_ms - since_ms : 0;
}

/* Another writer claimed a timeline behind the one that is written here. */
static bool status_is_taken_over(const struct status_facts *facts)
{
    return facts->local_code == RC_OK && facts->replica_code == RC_OK &&
           facts->peek.position.timeline > 0 &&
           facts->replica.newest_timeline.timeline > facts->peek.position.timeline;
}

static const char *status_word(const struct status_facts *facts, const struct status_row *row)
{
    if (!facts->database_exists)
        return "no database";
    if (facts->look.is_poisoned)
        return "log poisoned";
    if (facts->local_code == RC_NOT_FOUND)
        return "not initialized";
    if (facts->local_code != RC_OK)
        return "state damaged";
    if (facts->room_code == RC_NO_SPACE)
        return "disk full";
    if (facts->replica_code == RC_NOT_FOUND ||
        (facts->replica_code == RC_OK && facts->replica.position.txid == 0))
        return "no backup";
    if (facts->replica_code == RC_CORRUPT || facts->replica_code == RC_MISMATCH)
        return "replica damaged";
    if (facts->replica_code == RC_CANCELLED && facts->durable_txid == 0)
        return "not asked";
    if (facts->replica_code != RC_OK && facts->replica_code != RC_CANCELLED)
        return "unreachable";
    if (status_is_taken_over(facts))
        return "taken over";
    if (facts->peek.log == CAPTURE_PEEK_AHEAD)
        return "not captured";
    return row->spool_count > 0 ? "behind" : "ok";
}

/* The bug needs one process whose SQLite has it; the library is ours. */
static void status_judge_sqlite(struct status_row *row, const struct database_look *look)
{
    row->sqlite_library = sqlite_library_version();
    if (look->writer_version > 0)
        sqlite_version_format(row->sqlite_writer, look->writer_version);
    row->wal_reset_bug = look->is_poisoned                                ? status_bug_struck
                         : sqlite_has_wal_reset_bug(look->writer_version) ? status_bug_possible
                                                                          : status_bug_none;
}

static struct status_row status_judge(const struct status_facts *facts, int64_t now_ms)
{
    struct status_row row = {
        .path = facts->db->path,
        .timeline = facts->peek.position.timeline,
        .captured_txid = facts->peek.position.txid,
        .durable_txid = facts->durable_txid,
        .lag_ms = OUTPUT_UNKNOWN_MS,
    };

    if (facts->replica_code == RC_OK) {
        row.replica_txid = facts->replica.position.txid;
        row.replica_time_ms = facts->replica.position.time_ms;
    }
    if (facts->replica_code != RC_OK && facts->replica_code != RC_NOT_FOUND &&
        facts->replica_code != RC_CANCELLED)
        row.error = facts->err.text;
    if (facts->local_code != RC_OK && facts->local_code != RC_NOT_FOUND)
        row.error = facts->err.text;
    if (facts->room_code == RC_NO_SPACE)
        row.error = facts->room_err.text;
    if (row.error == NULL && status_is_taken_over(facts)) {
        char claim[REPLICA_CLAIM_TEXT_SIZE];
        replica_claim_describe(claim, &facts->replica.newest_timeline);
        snprintf(row.taken_over, sizeof row.taken_over,
            "another process has taken this history over (%s)", claim);
    }
    row.lag_ms = status_lag(facts, status_count_spool(&row, facts), now_ms);
    row.status = status_word(facts, &row);
    status_judge_sqlite(&row, &facts->look);
    return row;
}

/* The worst answer decides: damage, then what could not be told, then nothing there, then late. */
static enum exit_code status_exit_code(const struct status_facts *facts,
    const struct status_row *row, const struct status_flags *flags)
{
    if (facts->local_code != RC_OK && facts->local_code != RC_NOT_FOUND)
        return EXIT_DAMAGED;
    if (facts->look.is_poisoned)
        return EXIT_DAMAGED;
    if (facts->replica_code != RC_OK && facts->replica_code != RC_CANCELLED)
        return exit_code_of(facts->replica_code, &facts->err, EXIT_WHILE_ASKING);
    if (!facts->database_exists || facts->local_code == RC_NOT_FOUND ||
        facts->room_code == RC_NO_SPACE || status_is_taken_over(facts))
        return EXIT_FAILED;
    if (facts->replica_code == RC_OK && facts->replica.position.txid == 0)
        return EXIT_NOT_THERE;
    return flags->lag_ms_max >= 0 && row->lag_ms != OUTPUT_UNKNOWN_MS &&
                   row->lag_ms > flags->lag_ms_max
               ? EXIT_FAILED
               : EXIT_DONE;
}

/* ---- the command */

static bool status_is_ahead(const struct status_facts *facts)
{
    return facts->local_code == RC_OK && facts->peek.log == CAPTURE_PEEK_AHEAD;
}

static void status_look_again(struct status_facts *facts)
{
    uint64_t txid = facts->peek.position.txid;

    status_look_locally(facts);
    /* It moves: what is ahead now is news again. */
    if (status_is_ahead(facts) && facts->peek.position.txid > txid)
        facts->peek.log = CAPTURE_PEEK_CAPTURED;
}

/*
 * Commits that were not captured are a matter of a second while a daemon runs, however old the last
 * captured one is: those databases are looked at again, after one wait for all, before they are
 * called late.
 */
static void status_look(struct status_facts *facts, size_t count, struct cancel *cancel)
{
    int64_t grace_ms = 0;

    for (size_t index = 0; index < count; index++) {
        int64_t wanted_ms = facts[index].db->sync_interval_ms + STATUS_GRACE_MS;

        status_look_locally(&facts[index]);
        if (status_is_ahead(&facts[index]) && wanted_ms > grace_ms)
            grace_ms = wanted_ms;
    }
    if (grace_ms == 0)
        return;
    cancel_wait_ms(cancel, grace_ms < STATUS_GRACE_MS_MAX ? grace_ms : STATUS_GRACE_MS_MAX);
    for (size_t index = 0; index < count; index++)
        if (status_is_ahead(&facts[index]))
            status_look_again(&facts[index]);
}

static const enum exit_code status_severity[] = { EXIT_DONE, EXIT_FAILED, EXIT_NOT_THERE,
    EXIT_COULD_NOT_TELL, EXIT_USAGE, EXIT_DAMAGED };

static enum exit_code status_worse(enum exit_code left, enum exit_code right)
{
    enum exit_code worse = EXIT_DONE;

    for (size_t index = 0; index < array_count(status_severity); index++)
        if (status_severity[index] == left || status_severity[index] == right)
            worse = status_severity[index];
    return worse;
}

/* On standard error, in a few lines however many databases there are. */
static void status_warn(const struct command *self, const struct status_row *rows, size_t count)
{
    const struct status_row *first = NULL;
    size_t possible_count = 0;

    for (size_t index = 0; index < count; index++) {
        const struct status_row *row = &rows[index];

        if (row->wal_reset_bug == status_bug_struck)
            command_say(self,
                "%s: SQLite's WAL-reset bug has struck; start 'seawal replicate', which heals the "
                "log, and let no process close the database before ('seawal check' tells more)",
                row->path);
        if (row->wal_reset_bug != status_bug_possible)
            continue;
        if (possible_count++ == 0)
            first = row;
    }
    if (first != NULL)
        command_say(self,
            "warning: %zu of %zu databases were last written by an SQLite with the WAL-reset bug, "
            "as '%s' by %s; while 'seawal replicate' runs it cannot strike, but let the application "
            "use " SQLITE_WAL_RESET_BUG_FIXED,
            possible_count, count, first->path, first->sqlite_writer);
    if (sqlite_has_wal_reset_bug(sqlite_library_number()))
        command_say(self, "warning: seawal itself uses SQLite %s, which has the WAL-reset bug too",
            sqlite_library_version());
}

static int status_print(const struct command *self, const struct config *config,
    const struct status_flags *flags, struct cancel *cancel)
{
    auto_free struct status_facts *facts = mem_new_array(config->db_count + 1, sizeof *facts);
    auto_free struct status_row *rows = mem_new_array(config->db_count + 1, sizeof *rows);
    enum exit_code worst = EXIT_DONE;

    for (size_t index = 0; index < config->db_count; index++)
        facts[index].db = &config->dbs[index];
    status_look(facts, config->db_count, cancel);
    for (size_t index = 0; index < config->db_count && !cancel_asked(cancel); index++) {
        facts[index].replica_code = RC_CANCELLED;
        if (!flags->local)
            status_ask_replica(&facts[index], cancel);
        rows[index] = status_judge(&facts[index], clock_wall_ms());
        worst = status_worse(worst, status_exit_code(&facts[index], &rows[index], flags));
    }
    for (size_t index = 0; index < config->db_count; index++) {
        rows[index].sqlite_writer_text =
            rows[index].sqlite_writer[0] == '\0' ? NULL : rows[index].sqlite_writer;
        if (rows[index].taken_over[0] != '\0')
            rows[index].error = rows[index].taken_over;
    }
    if (cancel_asked(cancel)) {
        command_say(self, "interrupted");
        return EXIT_FAILED;
    }

    struct output_rows list = { status_columns, array_count(status_columns), rows, sizeof *rows,
        config->db_count };
    if (flags->json)
        output_json(output_list(&list));
    else
        output_table(&list, 0);
    status_warn(self, rows, config->db_count);
    for (size_t index = 0; index < config->db_count; index++) {
        if (rows[index].error != NULL)
            command_say(self, "%s: %s", rows[index].path, rows[index].error);
        capture_peek_release(&facts[index].peek);
    }
    return (int)worst;
}

static const struct status_flags status_defaults = { .lag_ms_max = -1 };

static int status_command(
    const struct command *self, const void *parsed, const struct positionals *positionals)
{
    const struct status_flags *flags = parsed;
    auto_config struct config config = CONFIG_INIT;
    struct error err;

    (void)positionals;
    rc result = place_load_config(&config, &flags->config, false, &err);
    if (result != RC_OK)
        return command_fail(self, result, &err, EXIT_WHILE_ASKING);
    return status_print(self, &config, flags, interrupt_start());
}

const struct command command_status = {
    .name = "status",
    .summary = "how far the copy of each database is",
    .arguments = "[flags]",
    .description =
        "For every database of the configuration file, whether or not a daemon runs: the last\n"
        "captured transaction, the last one in the replica, what waits in the spool, and the\n"
        "lag: the age of the oldest commit that is known to be missing from the replica.\n"
        "\n"
        "Exit codes: 1 a lag beyond -max-lag, a full disk, a database that was never\n"
        "replicated, or whose history another writer has taken over; 3 no backup;\n"
        "4 a replica that could not be asked; 5 damage.\n",
    .flags = status_flag_specs,
    .flags_size = sizeof(struct status_flags),
    .flag_defaults = &status_defaults,
    .flag_count = array_count(status_flag_specs),
    .run = status_command,
};
