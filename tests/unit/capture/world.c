/*
 * world - databases, applications and checks for the tests of capture
 */
#include "world.h"

#include "base/alloc.h"
#include "base/text.h"
#include "codec/digest.h"
#include "harness/sql.h"
#include "replay.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    WRITER_BUSY_TIMEOUT_MS = 60000,
    BUSY_TRY_COUNT_MAX = 60, /* each waits for a second by itself */
};

static const struct database_id world_id = { { 'w', 'o', 'r', 'l', 'd' } };

static void world_open_app(struct world *world)
{
    if (world->app != NULL)
        return;
    assert_int_equal(sqlite3_open(world->path, &world->app), SQLITE_OK);
    sqlite3_busy_timeout(world->app, 5000);
}

struct world world_new(uint32_t page_size)
{
    struct world world = {
        .scratch = scratch_new(),
        .wall_ms = 1790000000000,
        .monotonic_ms = 1000,
    };
    world.path = scratch_path(&world.scratch, "app.db");
    world.options.path = world.path;
    world_open_app(&world);
    auto_free char *sql = text_format("PRAGMA page_size=%u; PRAGMA journal_mode=WAL;"
                                      "CREATE TABLE first(x); INSERT INTO first VALUES(1);",
        page_size);
    sql_run(world.app, sql);
    return world;
}

void world_free(struct world *world)
{
    world_close(world);
    world_close_app(world);
    replay_release(&world->replay);
    free(world->path);
    scratch_release(&world->scratch);
}

void world_sql(struct world *world, const char *sql)
{
    world_open_app(world);
    sql_run(world->app, sql);
}

int64_t world_number(struct world *world, const char *sql)
{
    sqlite3_stmt *statement = NULL;

    world_open_app(world);
    assert_int_equal(sqlite3_prepare_v2(world->app, sql, -1, &statement, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
    int64_t number = sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    return number;
}

void world_close_app(struct world *world)
{
    if (world->app != NULL)
        assert_int_equal(sqlite3_close(world->app), SQLITE_OK);
    world->app = NULL;
}

/* ---- other processes */

static pid_t world_exec(const char *const *arguments)
{
    pid_t child = fork();

    assert_true(child >= 0);
    if (child == 0) {
        union {
            const char *const *in;
            char *const *out;
        } cast = { .in = arguments };
        execv("/proc/self/exe", cast.out);
        _exit(127);
    }
    return child;
}

void world_wait(pid_t pid)
{
    int status = 0;

    assert_int_equal(waitpid(pid, &status, 0), pid);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        fail_msg("process ended with status %d", status);
}

void world_sql_elsewhere(struct world *world, const char *sql)
{
    const char *arguments[] = { "app", "--app", "sql", world->path, sql, NULL };

    world_wait(world_exec(arguments));
}

pid_t world_spawn(struct world *world, const char *verb, uint64_t number, unsigned steps)
{
    auto_free char *number_text = text_format("%llu", (unsigned long long)number);
    auto_free char *steps_text = text_format("%u", steps);
    const char *arguments[] = { "app", "--app", verb, world->path, number_text, steps_text, NULL };

    return world_exec(arguments);
}

pid_t world_spawn_writer(struct world *world, uint64_t seed, unsigned steps)
{
    return world_spawn(world, "write", seed, steps);
}

static int app_sql(const char *path, const char *sql)
{
    sqlite3 *db = NULL;
    char *message = NULL;

    if (sqlite3_open(path, &db) != SQLITE_OK)
        return 1;
    sqlite3_busy_timeout(db, 10000);
    if (sqlite3_exec(db, sql, NULL, NULL, &message) != SQLITE_OK) {
        fprintf(stderr, "%s: %s\n", sql, message);
        return 2;
    }
    return sqlite3_close(db) == SQLITE_OK ? 0 : 3;
}

static int app_write(const char *path, uint64_t seed, unsigned steps)
{
    sqlite3 *db = NULL;
    uint64_t random = seed * 977 + 1;

    if (sqlite3_open(path, &db) != SQLITE_OK)
        return 1;
    sqlite3_busy_timeout(db, WRITER_BUSY_TIMEOUT_MS);
    world_mix_schema(db);
    for (unsigned n = 0; n < steps; n++)
        world_mix_step(db, &random);
    return sqlite3_close(db) == SQLITE_OK ? 0 : 3;
}

int world_main(
    int argc, char **argv, const struct CMUnitTest *tests, size_t test_count, world_verb_fn *verb)
{
    if (argc >= 5 && strcmp(argv[1], "--app") == 0) {
        uint64_t number = strtoull(argv[4], NULL, 10);
        unsigned steps = argc >= 6 ? (unsigned)strtoul(argv[5], NULL, 10) : 0;
        if (strcmp(argv[2], "sql") == 0)
            return app_sql(argv[3], argv[4]);
        if (strcmp(argv[2], "write") == 0)
            return app_write(argv[3], number, steps);
        return verb != NULL ? verb(argv[3], number, steps) : 9;
    }
    return _cmocka_run_group_tests("capture", tests, test_count, NULL, NULL);
}

/* ---- the mix */

uint64_t world_random(uint64_t *state)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return *state >> 29;
}

/* Everything may find the database locked or changed by others: then the step did nothing. */
static void mix_exec(sqlite3 *db, const char *sql)
{
    int result = sqlite3_exec(db, sql, NULL, NULL, NULL);

    if (result != SQLITE_OK && !sqlite3_get_autocommit(db))
        (void)sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
    if (result == SQLITE_CORRUPT || result == SQLITE_NOTADB)
        _exit(77);
}

void world_mix_schema(sqlite3 *db)
{
    mix_exec(db, "PRAGMA cache_size=50; PRAGMA cache_spill=20;"
                 "CREATE TABLE IF NOT EXISTS t(id INTEGER PRIMARY KEY, k TEXT, v BLOB);"
                 "CREATE TABLE IF NOT EXISTS w(a INT, b TEXT, PRIMARY KEY(a, b)) WITHOUT ROWID;"
                 "CREATE INDEX IF NOT EXISTS tk ON t(k);");
}

void world_mix_step(sqlite3 *db, uint64_t *random)
{
    static const char *const steps[] = {
        "INSERT INTO t(k, v) VALUES(hex(randomblob(10)), randomblob(%u))",
        "INSERT INTO t(k, v) VALUES(hex(randomblob(10)), 'short %u')",
        "UPDATE t SET k = 'k%u' WHERE id = (SELECT max(id) * 7 / 9 FROM t)",
        "UPDATE t SET v = zeroblob(%u) WHERE id = (SELECT max(id) / 3 FROM t)",
        "DELETE FROM t WHERE id %% 50 = %u %% 50",
        "INSERT OR IGNORE INTO w SELECT %u + value, hex(value) FROM"
        " (WITH RECURSIVE c(value) AS (SELECT 1 UNION ALL SELECT value + 1 FROM c LIMIT 30)"
        " SELECT value FROM c)",
        "DELETE FROM w WHERE a %% 3 = %u %% 3",
        "BEGIN; INSERT INTO t(k, v) SELECT hex(randomblob(20)), randomblob(500) FROM"
        " (WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c LIMIT 300) SELECT x FROM c);"
        " DELETE FROM t WHERE id %% 2 = %u %% 2; COMMIT",
        "BEGIN; SAVEPOINT s; INSERT INTO t(k, v) SELECT 's', randomblob(%u %% 900) FROM"
        " (WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c LIMIT 400) SELECT x FROM c);"
        " ROLLBACK TO s; INSERT INTO t(k) VALUES('after'); RELEASE s; COMMIT",
        "BEGIN; INSERT INTO t(k, v) SELECT 'rolled back', randomblob(%u %% 900) FROM"
        " (WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c LIMIT 400) SELECT x FROM c);"
        " ROLLBACK",
    };
    unsigned choice = (unsigned)(world_random(random) % 100);
    unsigned number = (unsigned)(world_random(random) % 9000);

    if (choice == 99) {
        mix_exec(db, "VACUUM");
    } else if (choice == 98) {
        /* It waits for our pin while it keeps all writers out: briefly, please. */
        sqlite3_busy_timeout(db, 20);
        mix_exec(db, "PRAGMA wal_checkpoint(TRUNCATE)");
        sqlite3_busy_timeout(db, WRITER_BUSY_TIMEOUT_MS);
    } else if (choice == 97) {
        mix_exec(db, "DELETE FROM t WHERE id < (SELECT max(id) * 2 / 3 FROM t)");
    } else {
        static const unsigned weights[] = { 20, 45, 60, 70, 75, 83, 87, 90, 94, 97 };
        size_t index = 0;
        while (choice >= weights[index])
            index++;
        char *sql = sqlite3_mprintf(steps[index], number);
        mix_exec(db, sql);
        sqlite3_free(sql);
    }
}

/* ---- capture */

void world_open(struct world *world, enum capture_state_kind expected)
{
    struct error err = { 0 };

    assert_null(world->capture);
    CHECK_OK(capture_open(&world->capture, &world->options, &err));
    assert_int_equal(capture_state_kind(world->capture), expected);
}

static void world_snapshot(struct world *world)
{
    struct error err = { 0 };
    struct capture_snapshot snapshot;
    struct capture_position first;
    struct snapshot_chunk chunk = SNAPSHOT_CHUNK_INIT;
    auto_free char *path = scratch_path(&world->scratch, "replay.db");

    capture_snapshot_begin(world->capture, &snapshot, &first);
    replay_begin(&world->replay, path, &first);
    do {
        CHECK_OK(capture_snapshot_next(world->capture, &snapshot, &chunk, &err));
        assert_int_equal(chunk.txid, first.txid);
        for (size_t index = 0; index < chunk.page_count; index++)
            replay_set_page(
                &world->replay, chunk.pgnos[index], chunk.pages + index * first.page_size);
    } while (chunk.page_count > 0);
    snapshot_chunk_release(&chunk);
    assert_int_equal(world->replay.digest, first.digest);
    assert_int_equal(world->replay.page_count, first.page_count);
}

void world_begin_large(struct world *world)
{
    struct error err = { 0 };

    if (world->capture == NULL)
        world_open(world, CAPTURE_STATE_NONE);
    CHECK_OK(capture_begin(world->capture, NULL, &world_id, 1, &err));
    assert_int_equal(capture_position(world->capture)->txid, 1);
    world_snapshot(world);
}

void world_begin(struct world *world)
{
    world_begin_large(world);
    world_check(world);
}

void world_start(struct world *world, enum capture_continuity continuity)
{
    struct error err = { 0 };
    struct capture_start_report report;

    if (world->capture == NULL)
        world_open(world, CAPTURE_STATE_POSITION);
    CHECK_OK(
        capture_start(world->capture, capture_position(world->capture)->timeline, &report, &err));
    assert_int_equal(report.continuity, continuity);
}

/* As the daemon does: another process may be held up in the middle of a change of the index. */
static bool world_tries_again(rc code, unsigned *tries)
{
    if (code != RC_BUSY || ++*tries > BUSY_TRY_COUNT_MAX)
        return false;
    usleep(1000);
    return true;
}

struct capture_sync_report world_sync(struct world *world)
{
    struct error err = { 0 };
    struct capture_sync_report report = { 0 };
    unsigned tries = 0;
    rc code;

    world->wall_ms += 10;
    do
        code = capture_sync(world->capture, world->wall_ms, &report, &err);
    while (world_tries_again(code, &tries));
    CHECK_RC(code, RC_OK);
    return report;
}

struct capture_maintain_report world_maintain(struct world *world)
{
    struct error err = { 0 };
    struct capture_maintain_report report = { 0 };
    unsigned tries = 0;
    rc code;

    world->wall_ms += 10;
    world->monotonic_ms += 1000;
    do
        code = capture_maintain(world->capture, world->monotonic_ms, world->wall_ms, &report, &err);
    while (world_tries_again(code, &tries));
    CHECK_RC(code, RC_OK);
    return report;
}

void world_close(struct world *world)
{
    capture_close(world->capture);
    world->capture = NULL;
}

uint64_t world_replay(struct world *world)
{
    struct error err = { 0 };
    auto_segment_list struct segment_list list = SEGMENT_LIST_INIT;
    uint64_t before = world->replay.txid;
    auto_free char *spool = text_format("%s/.app.db-seawal/spool", world->scratch.folder);

    auto_free char *merged = segment_dir_merged(spool);

    CHECK_OK(segment_dir_list_spool(&list, spool, &err));
    for (size_t index = 0; index < list.count; index++) {
        const struct segment_entry *entry = &list.entries[index];
        if (entry->is_covered || entry->name.max_txid <= world->replay.txid)
            continue;
        if (entry->is_merged)
            replay_merged(&world->replay, merged, &entry->name);
        else
            replay_segment(&world->replay, spool, &entry->name);
    }
    return world->replay.txid - before;
}

uint8_t *world_image(struct world *world, uint32_t *ret_page_count)
{
    sqlite3_int64 size = 0;

    /* Page by page through SQLite's pager, so with the log laid over the file. */
    world_open_app(world);
    uint8_t *image = sqlite3_serialize(world->app, "main", &size, 0);
    assert_non_null(image);
    *ret_page_count = (uint32_t)(size / world->replay.page_size);
    return image;
}

void world_check(struct world *world)
{
    uint32_t page_size = world->replay.page_size;
    auto_free uint8_t *page = mem_new(page_size);
    uint32_t count = 0;
    uint8_t *image = world_image(world, &count);

    assert_int_equal(count, world->replay.page_count);
    for (uint32_t pgno = 1; pgno <= count; pgno++) {
        replay_read_page(&world->replay, pgno, page);
        if (memcmp(page, image + (size_t)(pgno - 1) * page_size, page_size) != 0)
            fail_msg("page %u differs from the source", pgno);
    }
    sqlite3_free(image);
    if (world->capture != NULL) {
        const struct capture_position *position = capture_position(world->capture);
        assert_int_equal(position->txid, world->replay.txid);
        assert_int_equal(position->digest, world->replay.digest);
        assert_int_equal(position->page_count, world->replay.page_count);
    }
}

void world_step(struct world *world)
{
    (void)world_sync(world);
    (void)world_replay(world);
    world_check(world);
}

void world_check_file(struct world *world)
{
    uint32_t page_size = world->replay.page_size;
    auto_free uint8_t *ours = mem_new(page_size);
    auto_free uint8_t *theirs = mem_new(page_size);
    struct stat status;

    /* Opened only now: nothing of SQLite is open in this process. */
    assert_null(world->app);
    assert_null(world->capture);
    auto_fd int fd = open(world->path, O_RDONLY | O_CLOEXEC);
    assert_int_equal(fstat(fd, &status), 0);
    assert_int_equal(status.st_size, (off_t)world->replay.page_count * page_size);
    for (uint32_t index = 0; index < world->replay.page_count; index++) {
        if (index + 1 == lock_page_of(page_size))
            continue;
        assert_int_equal(pread(fd, theirs, page_size, (off_t)index * page_size), page_size);
        replay_read_page(&world->replay, index + 1, ours);
        if (memcmp(ours, theirs, page_size) != 0)
            fail_msg("page %u differs from the file", index + 1);
    }
}
