/* A database in WAL mode with a real log. */
#include "wal_fixture.h"

#include "base/text.h"
#include "harness/check.h"

#include <stdlib.h>

static rc fake_capture_run(void *payload, struct wal_index_header *ret, struct error *err)
{
    struct fake_capture *capture = payload;

    TRY(database_log_header(capture->database, &capture->header, err));
    capture->count++;
    *ret = capture->header;
    return RC_OK;
}

void wal_fixture_open(struct wal_fixture *fixture, unsigned page_size)
{
    *fixture = (struct wal_fixture){ .scratch = scratch_new() };
    fixture->path = scratch_path(&fixture->scratch, "app.db");
    fixture->app = other_process_start(fixture->path);
    if (page_size > 0) {
        char *sql = text_format("PRAGMA page_size=%u", page_size);
        other_process_run(&fixture->app, sql);
        free(sql);
    }
    other_process_run(&fixture->app, "PRAGMA journal_mode=wal");
    other_process_run(&fixture->app, "PRAGMA wal_autocheckpoint=0");
    other_process_run(&fixture->app, "PRAGMA synchronous=off");
    other_process_run(&fixture->app, "CREATE TABLE t(id INTEGER PRIMARY KEY, v BLOB)");
}

void wal_fixture_open_database(struct wal_fixture *fixture)
{
    struct database_options options = { 0 };
    struct error err = { 0 };

    CHECK_OK(database_open(&fixture->database, fixture->path, &options, &err));
    fixture->capture.database = fixture->database;
    fixture->client =
        (struct pin_client){ .capture = fake_capture_run, .payload = &fixture->capture };
}

void wal_fixture_close(struct wal_fixture *fixture)
{
    database_close(fixture->database);
    if (fixture->app.pid > 0)
        other_process_stop(&fixture->app);
    free(fixture->path);
    scratch_release(&fixture->scratch);
}

void wal_fixture_insert(struct wal_fixture *fixture, unsigned count, unsigned size)
{
    char *sql = text_format("INSERT INTO t(v) VALUES(randomblob(%u))", size);

    for (unsigned i = 0; i < count; i++)
        other_process_run(&fixture->app, sql);
    free(sql);
}

struct wal_index_header wal_fixture_header(struct wal_fixture *fixture)
{
    struct wal_index_header header;
    struct error err = { 0 };

    CHECK_OK(database_log_header(fixture->database, &header, &err));
    return header;
}
