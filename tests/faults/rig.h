/*
 * rig - one database, its daemon in this process and thread, its replica, and what must be true
 *
 * The daemon's works (src/daemon/entry_*.c) run as in the product; only the pools are replaced, by
 * a queue that this thread empties, and the clock, by one that jumps to the next due time
 * (simulated_time.h). So a flow makes the same calls each time, and takes milliseconds.
 *
 * Whatever fails a check ends the cmocka test, with rig_note() in the text.
 */
#ifndef SEAWAL_TESTS_FAULTS_RIG_H
#define SEAWAL_TESTS_FAULTS_RIG_H

#include "config/config.h"
#include "daemon/entry_priv.h"
#include "harness/check.h"
#include "harness/scratch.h"

#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>

struct rig_image {
    uint8_t *pages; /* sqlite3_free() */
    size_t size;
};

struct rig {
    struct scratch scratch;
    char *path;   /* the database */
    char *output; /* where restores go */
    char *url;    /* of the replica */
    struct config config;
    sqlite3 *app; /* NULL while the application has it closed */

    struct entry_context context;
    struct entry *entry; /* NULL while the daemon is down */
    bool ends_when_hit;  /* the loop returns as soon as a fault has struck */

    /* What was durable when the fault was armed. */
    uint32_t durable_timeline;
    uint64_t durable_txid;
    struct rig_image durable_image;
    bool is_sealed;               /* nothing may follow there: another writer may be at it */
    struct rig_image older_image; /* of the rig_remember() before, if there was one */
    struct rig_image source;      /* what the application wrote, when the fault was armed */
    bool may_be_older;            /* a listing does not show what was put last */

    size_t fd_count; /* before anything was opened */
};

/* A database with a few pages; nothing runs. URL NULL: a replica in a folder beside it. */
void rig_begin(struct rig *rig, const char *url);

/* Everything is closed; no descriptor is left open that was not there before. */
void rig_end(struct rig *rig);

/* What is printed when a check fails. */
void rig_note(const char *format, ...) printf_like(1, 2);

/* The application; nothing is refused meanwhile, and never while a fault is armed. */
void rig_sql(struct rig *rig, const char *sql);
void rig_close_app(struct rig *rig);

/* The daemon begins; it is then to make everything durable. */
void rig_start(struct rig *rig);
void rig_stop(struct rig *rig);

/* Run for MS, whatever comes of it; more only for what was begun before. */
void rig_run(struct rig *rig, int64_t ms);

/* Run until all that the application has committed by now is durable, or MS have passed. */
bool rig_settle(struct rig *rig, int64_t ms);

/* The same, and it must. */
void rig_must_settle(struct rig *rig);

/* Remember what is durable now, which is all: to be restored later by rig_check(). */
void rig_remember(struct rig *rig);

/* Remember what the application has written so far: rig_check() finds it as it is. */
void rig_note_source(struct rig *rig);

/*
 * What the daemon calls durable by now restores: its last transaction, and with ALL what the
 * application has.
 */
void rig_check_claim(struct rig *rig, bool all);

/*
 * Whatever happened, the daemon now makes everything durable, goes on with the next commit, and a
 * restore gives what the application has, as does one to the point of rig_remember(). The database
 * is what the application wrote, also once its log is gone. No temporary file is left.
 */
void rig_check(struct rig *rig);

/* A restore of the newest point into OUTPUT, which is not there before. */
must_use rc rig_restore(struct rig *rig, struct error *err);

/* OUTPUT must hold EXPECTED (or OLDER, if not NULL) page for page; it is removed. */
void rig_take_output(
    struct rig *rig, const struct rig_image *expected, const struct rig_image *older);

/* What the operator was told since rig_hush(): warnings and errors. */
unsigned rig_told(void);
const char *rig_told_last(void);
void rig_hush(void);

#endif
