/*
 * app - an application: real SQLite connections that do what applications do, one step at a time
 *
 * Every transaction has a number of its own in the table `ledger`, beside the number of rows of
 * `item` and the sum of their stamps: a database is checked against itself wherever it comes from.
 */
#include <assert.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "sim.h"

enum { BUSY_TIMEOUT_MS = 5000, READER_STEPS_MAX = 40 };

struct app {
    const char *path;
    sqlite3 *db;     /* NULL: closed */
    sqlite3 *reader; /* NULL: no long reader */
    sqlite3_stmt *reading;
};

/* The application would tell its user; the simulation wants to know which failures are normal. */
static bool app_expects(int result)
{
    int code = result & 0xff;

    return code == SQLITE_OK || code == SQLITE_BUSY || code == SQLITE_LOCKED ||
           code == SQLITE_DONE || code == SQLITE_ROW;
}

static int app_run(struct app *app, const char *sql)
{
    int result = sqlite3_exec(app->db, sql, NULL, NULL, NULL);

    sim_say("%s -> %d", sql, result);
    sim->counts.busy += (result & 0xff) == SQLITE_BUSY;
    if (!app_expects(result))
        sim_broken("the application: %s: %s", sql, sqlite3_errmsg(app->db));
    return result;
}

static void app_configure(struct app *app)
{
    const struct sim_settings *settings = &sim->settings;
    char sql[256];

    sqlite3_busy_timeout(app->db, BUSY_TIMEOUT_MS);
    snprintf(sql, sizeof sql,
        "PRAGMA cache_size=%u; PRAGMA wal_autocheckpoint=%u; PRAGMA secure_delete=%u;"
        "PRAGMA synchronous=%s; PRAGMA cache_spill=2",
        settings->cache_pages, settings->autocheckpoint, settings->secure_delete,
        settings->full_sync ? "FULL" : "NORMAL");
    app_run(app, sql);
}

static void app_open(struct app *app)
{
    if (app->db != NULL)
        return;
    int result = sqlite3_open_v2(app->path, &app->db, SQLITE_OPEN_READWRITE, NULL);
    if (result != SQLITE_OK)
        sim_broken("the application cannot open its database: %s", sqlite3_errstr(result));
    app_configure(app);
}

static void app_end_reader(struct app *app)
{
    sqlite3_finalize(app->reading);
    sqlite3_close(app->reader);
    app->reading = NULL;
    app->reader = NULL;
}

static void app_close(struct app *app)
{
    app_end_reader(app);
    sqlite3_close(app->db);
    app->db = NULL;
}

void app_create(const char *path)
{
    struct app app = { .path = path };
    char sql[1024];
    int result = sqlite3_open(path, &app.db);

    assert(result == SQLITE_OK);
    snprintf(sql, sizeof sql,
        "PRAGMA page_size=%u; PRAGMA auto_vacuum=%u; PRAGMA journal_mode=wal;"
        "CREATE TABLE ledger(id INTEGER PRIMARY KEY, number INTEGER, rows INTEGER, total INTEGER);"
        "CREATE TABLE item(id INTEGER PRIMARY KEY, stamp INTEGER, body BLOB);"
        "CREATE INDEX item_stamp ON item(stamp);"
        "INSERT INTO ledger VALUES(1, 0, 0, 0)",
        sim->settings.page_size, sim->settings.auto_vacuum);
    result = sqlite3_exec(app.db, sql, NULL, NULL, NULL);
    assert(result == SQLITE_OK);
    sqlite3_close(app.db);
}

/* ---- transactions */

static int app_change(struct app *app)
{
    char sql[256];
    unsigned size = (unsigned)sim_below(sim_below(4) == 0 ? 3000 : 120);
    unsigned stamp = (unsigned)sim_below(1000000);
    unsigned id = (unsigned)sim_below(200);

    switch (sim_below(8)) {
    case 0:
    case 1:
    case 2:
        snprintf(sql, sizeof sql,
            "INSERT OR REPLACE INTO item VALUES(%u, %u, zeroblob(%u) || 'x%u')", id, stamp, size,
            stamp);
        break;
    case 3:
    case 4:
    case 5:
        snprintf(sql, sizeof sql, "UPDATE item SET stamp=%u WHERE id BETWEEN %u AND %u", stamp, id,
            id + (unsigned)sim_below(6));
        break;
    case 6:
        snprintf(sql, sizeof sql, "DELETE FROM item WHERE id BETWEEN %u AND %u", id,
            id + (unsigned)sim_below(30));
        break;
    default:
        snprintf(sql, sizeof sql, "UPDATE item SET body='y%u' || body WHERE id=%u", stamp, id);
        break;
    }
    return app_run(app, sql);
}

static int app_changes(struct app *app, uint64_t count)
{
    int result = sim_below(40) == 0 ? app_run(app, "REINDEX") : SQLITE_OK;

    for (uint64_t i = 0; i < count && result == SQLITE_OK; i++)
        result = app_change(app);
    return result;
}

static int app_sign(struct app *app)
{
    char sql[256];

    snprintf(sql, sizeof sql,
        "UPDATE ledger SET number=%llu, rows=(SELECT count(*) FROM item),"
        " total=(SELECT coalesce(sum(stamp), 0) FROM item)",
        (unsigned long long)++sim->next_number);
    return app_run(app, sql);
}

/* A recovery may bring up a commit of a dead process: the oracle must see it before the next one.
 */
static void app_show(struct app *app)
{
    if (!sim->look_soon)
        return;
    app_run(app, "SELECT number FROM ledger");
    sim->look_soon = false;
    lockstep_yield(REPORT_YIELDED);
}

static void app_transact(struct app *app, uint64_t change_count)
{
    bool rollback = sim->order == ORDER_ANY && sim_below(20) == 0;

    if (app_run(app, sim_below(3) > 0 ? "BEGIN IMMEDIATE" : "BEGIN") != SQLITE_OK)
        return;
    app_show(app);
    if (app_changes(app, change_count) != SQLITE_OK || app_sign(app) != SQLITE_OK || rollback) {
        app_run(app, "ROLLBACK");
        sim->counts.rollbacks++;
        return;
    }
    if (app_run(app, "COMMIT") == SQLITE_OK) {
        sim->committed = true;
        sim->counts.commits++;
    } else if (sqlite3_get_autocommit(app->db) == 0) {
        app_run(app, "ROLLBACK");
    }
}

/* ---- everything else */

static void app_checkpoint(struct app *app)
{
    int mode = SQLITE_CHECKPOINT_PASSIVE + (int)sim_below(4);
    /* A writer may wait as long as it likes, but not the one that we are waiting for. */
    sqlite3_busy_timeout(app->db, sim_below(2) == 0 ? 0 : 200);
    int result = sqlite3_wal_checkpoint_v2(app->db, NULL, mode, NULL, NULL);

    sim_say("checkpoint %d -> %d", mode, result);
    sqlite3_busy_timeout(app->db, BUSY_TIMEOUT_MS);
    sim->counts.checkpoints++;
    if (!app_expects(result))
        sim_broken("the application: checkpoint: %s", sqlite3_errmsg(app->db));
}

static void app_read(struct app *app)
{
    if (app->reader != NULL) {
        app_end_reader(app);
        return;
    }
    int result = sqlite3_open_v2(app->path, &app->reader, SQLITE_OPEN_READWRITE, NULL);
    assert(result == SQLITE_OK);
    sqlite3_busy_timeout(app->reader, BUSY_TIMEOUT_MS);
    result =
        sqlite3_prepare_v2(app->reader, "SELECT number FROM ledger, item", -1, &app->reading, NULL);
    if (result == SQLITE_OK)
        (void)sqlite3_step(app->reading);
}

static void app_vacuum(struct app *app)
{
    const char *sql = "VACUUM";

    if (sim->settings.auto_vacuum == 2 && sim_below(2) == 0)
        sql = "PRAGMA incremental_vacuum(4)";
    if (app_run(app, sql) == SQLITE_OK)
        sim->counts.vacuums++;
}

static void app_step(struct app *app)
{
    uint64_t choice = sim_below(100);

    if (sim->order == ORDER_CLOSE) {
        app_close(app);
        return;
    }
    app_open(app);
    app_show(app);
    if (sim->order == ORDER_WRITE || choice < 62) {
        app_transact(app, 1 + sim_below(4));
    } else if (choice < 68) {
        app_transact(app, 20 + sim_below(60)); /* spills */
    } else if (choice < 80) {
        app_checkpoint(app);
    } else if (choice < 83) {
        app_vacuum(app);
    } else if (choice < 94) {
        app_read(app);
    } else {
        app_close(app);
        sim->counts.reopens++;
    }
}

void app_life(enum sim_actor actor, const char *path)
{
    struct app app = { .path = path };

    sim_self.actor = actor;
    vfs_install();
    sim_self.live = true;
    for (;;) {
        lockstep_yield(REPORT_IDLE);
        app_step(&app);
    }
}
