/*
 * every call: each that is made below the layer, of the file system and of SQLite, fails once
 *
 * It is told or done all the same; no lock and no descriptor stays behind, the application goes on,
 * and the same call works next time.
 */
#include "base/alloc.h"
#include "base/text.h"
#include "database_priv.h"
#include "harness/check.h"
#include "harness/fault.h"
#include "harness/fault_sqlite.h"
#include "harness/poison.h"
#include "sqlite/look.h"
#include "wal_fixture.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>

enum {
    PAGE_SIZE = 512,
    PAGE_COUNT_READ = 12,
    INDEX_REGION_FRAMES =
        4062, /* sqlite.org/walformat.html, section 2.2: the first one has these */
    LARGE_SIZE = 512 * (INDEX_REGION_FRAMES + 100),
};

struct operation {
    const char *name;
    void (*prepare)(struct wal_fixture *fixture); /* the database is open and pinned */
    rc (*run)(struct wal_fixture *fixture, struct error *err);
    /* Not below SQLite: a switch of the mode that fails half way leaves -shm open (3.40). */
    bool only_ours;
};

struct kind {
    const char *name;
    struct fault_plan plan;
};

static const struct kind kinds[] = {
    { "files: EIO", { .calls = FAULT_CALLS_OURS, .sys_errno = EIO } },
    { "below SQLite: EIO", { .calls = FAULT_CALLS_SQLITE, .sys_errno = EIO } },
    { "below SQLite: EDQUOT", { .calls = FAULT_CALLS_SQLITE, .sys_errno = EDQUOT } },
    { "SQLite: I/O error", { .calls = FAULT_CALLS_SQL_API, .sys_errno = SQLITE_IOERR_READ } },
    { "SQLite: busy", { .calls = FAULT_CALLS_SQL_API, .sys_errno = SQLITE_BUSY } },
    { "SQLite: no memory", { .calls = FAULT_CALLS_SQL_API, .sys_errno = SQLITE_NOMEM } },
};

/* ---- what is done */

static void prepare_nothing(struct wal_fixture *fixture)
{
    (void)fixture;
}

static rc run_open(struct wal_fixture *fixture, struct error *err)
{
    struct database_options options = { 0 };

    database_close(TAKE(fixture->database));
    TRY(database_open(&fixture->database, fixture->path, &options, err));
    fixture->capture.database = fixture->database;
    return pin_hold(fixture->database, err);
}

static void prepare_rollback(struct wal_fixture *fixture)
{
    database_close(TAKE(fixture->database));
    other_process_run(&fixture->app, "PRAGMA journal_mode=delete");
}

static rc run_convert(struct wal_fixture *fixture, struct error *err)
{
    struct database_options options = { .convert_to_wal = true };

    database_close(TAKE(fixture->database));
    TRY(database_open(&fixture->database, fixture->path, &options, err));
    fixture->capture.database = fixture->database;
    return pin_hold(fixture->database, err);
}

static rc run_advance(struct wal_fixture *fixture, struct error *err)
{
    TRY(pin_advance(fixture->database, &fixture->client, err));
    TRY(pin_outlast_checkpointers(fixture->database, err));
    return pin_backfill(fixture->database, &fixture->client, err);
}

static rc run_reset(struct wal_fixture *fixture, struct error *err)
{
    struct reset_limits limits = { .write_lock_wait_ms = 1000, .write_lock_budget_ms = 10000 };
    struct reset_report report;

    TRY(pin_reset(fixture->database, &fixture->client, &limits, &report, err));
    /* Nobody is in the way, so what is not done was refused. */
    if (!report.done)
        FAIL(err, RC_BUSY, "not done");
    return RC_OK;
}

static void prepare_reset(struct wal_fixture *fixture)
{
    other_process_run(&fixture->app, "REPLACE INTO t VALUES(11, randomblob(3000))");
    other_process_run(&fixture->app, "REPLACE INTO t VALUES(12, randomblob(3000))");
}

static void prepare_cut(struct wal_fixture *fixture)
{
    struct error err = { 0 };

    other_process_run(&fixture->app, "REPLACE INTO t VALUES(13, randomblob(30000))");
    CHECK_OK(run_reset(fixture, &err));
    other_process_run(&fixture->app, "UPDATE t SET v = 1 WHERE id = 1");
}

static rc run_cut(struct wal_fixture *fixture, struct error *err)
{
    struct reset_limits limits = { .write_lock_wait_ms = 1000, .write_lock_budget_ms = 1000 };
    struct cut_report report;

    return log_cut(fixture->database, &limits, WAL_HEADER_SIZE, &report, err);
}

/* From the beginning, then from the middle. */
static rc run_scan(struct wal_fixture *fixture, struct error *err)
{
    auto_log_scan struct log_scan scan = LOG_SCAN_INIT;
    struct wal_index_header header;
    struct log_frame_header frame;
    struct bytes page;
    uint32_t checksum[2] = { 0 };
    uint32_t middle = 0;
    rc code = RC_OK;

    TRY(database_log_header(fixture->database, &header, err));
    TRY(log_scan_begin(&scan, fixture->database, err));
    while ((code = log_scan_next(&scan, &header, &frame, &page, err)) == RC_OK) {
        if (scan.frame > header.frame_count / 2 && middle == 0) {
            memcpy(checksum, scan.checksum, sizeof checksum);
            middle = scan.frame;
        }
    }
    if (code != RC_NOT_FOUND)
        return code;
    assert_int_equal(scan.frame, header.frame_count);
    TRY(log_scan_begin_at(&scan, fixture->database, header.salt, middle, checksum, err));
    code = log_scan_next(&scan, &header, &frame, &page, err);
    return code == RC_NOT_FOUND ? RC_OK : code;
}

static rc run_read(struct wal_fixture *fixture, struct error *err)
{
    struct database *database = fixture->database;
    struct wal_index_header header;
    uint8_t page[PAGE_SIZE];
    bool is_running = true;
    int version = 0;

    TRY(database_log_header(database, &header, err));
    for (uint32_t pgno = 1; pgno <= PAGE_COUNT_READ; pgno++)
        TRY(database_read_page(database, pgno, header.frame_count, page, err));
    TRY(database_read_page(database, 1, 0, page, err));
    TRY(database_writer_version(database, &version, err));
    assert_int_equal(version, sqlite_library_number());
    TRY(database_checkpoint_runs(database, &is_running, err));
    if (is_running)
        FAIL(err, RC_BUSY, "a checkpoint runs");
    return RC_OK;
}

/* The log begins again and grows beyond what anybody of this process has looked at. */
static void prepare_long(struct wal_fixture *fixture)
{
    struct error err = { 0 };
    auto_free char *large = text_format("REPLACE INTO t VALUES(14, randomblob(%d))", LARGE_SIZE);

    CHECK_OK(run_reset(fixture, &err));
    other_process_run(&fixture->app, large);
}

/* The newest frame is in the second region of the index, page 1 in the first. */
static rc run_find(struct wal_fixture *fixture, struct error *err)
{
    struct wal_index_header header;
    uint32_t frame = 0;
    uint32_t pgno = 0;

    TRY(database_log_header(fixture->database, &header, err));
    assert_true(header.frame_count > INDEX_REGION_FRAMES);
    TRY(wal_index_pgno_of(fixture->database, header.frame_count, &pgno, err));
    TRY(database_find_frame(fixture->database, pgno, header.frame_count, &frame, err));
    assert_int_equal(frame, header.frame_count);
    return RC_OK;
}

static rc run_find_page(struct wal_fixture *fixture, struct error *err)
{
    struct wal_index_header header;
    uint8_t page[PAGE_SIZE];

    TRY(database_log_header(fixture->database, &header, err));
    return database_read_page(fixture->database, 1, header.frame_count, page, err);
}

static void prepare_poison(struct wal_fixture *fixture)
{
    other_process_run(&fixture->app, "REPLACE INTO t VALUES(11, 'poisoned')");
    poison_index(fixture->path, wal_fixture_header(fixture).frame_count + 5);
}

static rc run_heal(struct wal_fixture *fixture, struct error *err)
{
    struct index_poison poison;

    TRY(database_heal_index(fixture->database, err));
    if (database_index_is_poisoned(fixture->database, &poison))
        FAIL(err, RC_MISMATCH, "not healed");
    return RC_OK;
}

static rc run_look(struct wal_fixture *fixture, struct error *err)
{
    struct database_look look;

    /* Its answer is about a database of another process: descriptors are closed meanwhile. */
    database_close(TAKE(fixture->database));
    TRY(database_look(&look, fixture->path, err));
    return database_check_integrity(fixture->path, true, err);
}

static void prepare_look(struct wal_fixture *fixture)
{
    other_process_run(&fixture->app, "PRAGMA wal_checkpoint(PASSIVE)");
}

static const struct operation operations[] = {
    { "open", prepare_nothing, run_open, false },
    { "convert", prepare_rollback, run_convert, true },
    { "advance", prepare_reset, run_advance, false },
    { "reset", prepare_reset, run_reset, false },
    { "cut", prepare_cut, run_cut, false },
    { "scan", prepare_reset, run_scan, false },
    { "read", prepare_reset, run_read, false },
    { "heal", prepare_poison, run_heal, false },
    { "look", prepare_look, run_look, false },
};

/* ---- striking */

static size_t open_count(void)
{
    size_t count = 0;
    DIR *folder = opendir("/proc/self/fd");

    assert_non_null(folder);
    while (readdir(folder) != NULL)
        count++;
    closedir(folder);
    return count;
}

static void open_and_pin(struct wal_fixture *fixture)
{
    struct error err = { 0 };

    wal_fixture_open_database(fixture);
    CHECK_OK(pin_hold(fixture->database, &err));
}

/* False: the operation makes no NTH call of the kind. */
static bool strike(struct wal_fixture *fixture, const struct operation *operation,
    const struct fault_plan *plan, unsigned *told)
{
    struct error err = { 0 };
    size_t before = open_count();

    open_and_pin(fixture);
    operation->prepare(fixture);
    fault_arm_plan(plan);
    rc code = operation->run(fixture, &err);
    bool fired = fault_fired();
    fault_disarm();
    if (code != RC_OK && (!fired || err.text[0] == '\0'))
        fail_msg("%s, call %llu (%s): %s: '%s'", operation->name, (unsigned long long)plan->nth,
            fault_name(), rc_name(code), err.text);
    *told += code != RC_OK;
    if (plan->sys_errno == EDQUOT && err.sys_errno == EDQUOT)
        assert_int_equal(code, RC_NO_SPACE);

    /* No lock is left: this does not wait. */
    other_process_run(&fixture->app, "REPLACE INTO t VALUES(10, 'after')");
    if (code != RC_OK)
        CHECK_OK(operation->run(fixture, &err));
    database_close(TAKE(fixture->database));
    if (open_count() != before)
        fail_msg("%s, call %llu (%s): %zu descriptors were open before, %zu are now",
            operation->name, (unsigned long long)plan->nth, fault_name(), before, open_count());
    return fired;
}

static void strike_operation(struct wal_fixture *fixture, const struct operation *operation)
{
    for (size_t index = 0; index < array_count(kinds); index++) {
        struct fault_plan plan = kinds[index].plan;
        unsigned told = 0;
        if (operation->only_ours && plan.calls == FAULT_CALLS_SQLITE)
            continue;
        for (plan.nth = 1; strike(fixture, operation, &plan, &told); plan.nth++)
            ;
        print_message("%-8s %-20s %3u struck, %3u told\n", operation->name, kinds[index].name,
            (unsigned)plan.nth - 1, told);
    }
}

static void every_call_may_fail(void **state)
{
    struct wal_fixture fixture;

    (void)state;
    wal_fixture_open(&fixture, PAGE_SIZE);
    other_process_run(&fixture.app, ".busy 0");
    wal_fixture_insert(&fixture, 3, 2000);
    for (size_t index = 0; index < array_count(operations); index++)
        strike_operation(&fixture, &operations[index]);
    wal_fixture_close(&fixture);
}

/* The second region of the index is mapped when a frame in it is looked for. */
static void every_call_may_fail_in_a_long_log(void **state)
{
    static const struct operation lookups[] = {
        { "find", prepare_long, run_find, false },
        { "page", prepare_long, run_find_page, false },
    };
    struct wal_fixture fixture;

    (void)state;
    wal_fixture_open(&fixture, PAGE_SIZE);
    other_process_run(&fixture.app, ".busy 0");
    wal_fixture_insert(&fixture, 1, 100);
    for (size_t index = 0; index < array_count(lookups); index++)
        strike_operation(&fixture, &lookups[index]);
    wal_fixture_close(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_call_may_fail),
        cmocka_unit_test(every_call_may_fail_in_a_long_log),
    };

    fault_skip_syncs();
    fault_sqlite_install();
    return cmocka_run_group_tests_name("sqlite/every_call", tests, NULL, NULL);
}
