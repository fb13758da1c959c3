/*
 * wal_fixture - a database in WAL mode with a real log, made and held open by another process
 */
#ifndef SEAWAL_TESTS_SQLITE_WAL_FIXTURE_H
#define SEAWAL_TESTS_SQLITE_WAL_FIXTURE_H

#include "harness/scratch.h"
#include "other_process.h"
#include "sqlite/pin.h"

/* Captures nothing but the header, and remembers how far. */
struct fake_capture {
    struct database *database;
    struct wal_index_header header;
    unsigned count;
};

struct wal_fixture {
    struct scratch scratch;
    char *path;
    struct other_process app;
    struct database *database; /* NULL until wal_fixture_open_database() */
    struct fake_capture capture;
    struct pin_client client;
};

/* PAGE_SIZE 0: SQLite's default. The application never checkpoints by itself; table t(id, v) is
 * there. */
void wal_fixture_open(struct wal_fixture *fixture, unsigned page_size);
void wal_fixture_open_database(struct wal_fixture *fixture);
void wal_fixture_close(struct wal_fixture *fixture);

/* The application inserts COUNT rows of SIZE random bytes, a transaction each. */
void wal_fixture_insert(struct wal_fixture *fixture, unsigned count, unsigned size);

struct wal_index_header wal_fixture_header(struct wal_fixture *fixture);

#endif
