/*
 * world - a real database, its capture, and a replay that rebuilds the database from the segments
 *
 * The replay knows nothing of capture but what a restore would: the snapshot taken after begin,
 * then every transaction of every segment, each checked by its digest. The application's side runs
 * in this process (connection APP) or in others: the test program calls itself with "--app", so
 * that no SQLite state crosses a fork. world_main() must therefore be the whole of main().
 */
#ifndef SEAWAL_TESTS_CAPTURE_WORLD_H
#define SEAWAL_TESTS_CAPTURE_WORLD_H

#include "capture/capture.h"
#include "harness/check.h"
#include "harness/scratch.h"

#include <sqlite3.h>
#include <stdbool.h>
#include <sys/types.h>

enum { AS_OF_CAPACITY = 1 << 20 };

struct replay {
    int fd;
    uint32_t page_size;
    uint32_t page_count;
    uint64_t txid;
    uint64_t digest;
    int64_t time_ms;
    uint64_t *digests; /* by page number - 1 */
    size_t capacity;

    /* A snapshot that was taken while the database was written: each page is as of a txid of its
     * own. */
    uint64_t *as_of;       /* by page number - 1, AS_OF_CAPACITY of them; NULL otherwise */
    uint64_t exact_txid;   /* from here on the whole is as of one transaction again */
    uint64_t resync_count; /* transactions seen with the flag */
    uint64_t frame_count;
    uint64_t merged_count; /* merged segments taken */
    uint64_t stored_size;
    uint64_t last_frame_count; /* of the last transaction */
    uint32_t last_flags;
};

struct world {
    struct scratch scratch;
    char *path;
    struct capture_options options;
    struct capture *capture; /* NULL while the daemon is "down" */
    sqlite3 *app;            /* NULL when closed */
    struct replay replay;
    int64_t wall_ms;
    int64_t monotonic_ms;
};

/* A new database in WAL mode with pages of PAGE_SIZE; APP is open, nothing is captured. */
struct world world_new(uint32_t page_size);
void world_free(struct world *world);

/* Run SQL on APP (opened when needed) or in a process of its own that closes properly. */
void world_sql(struct world *world, const char *sql);
void world_sql_elsewhere(struct world *world, const char *sql);
void world_close_app(struct world *world);
int64_t world_number(struct world *world, const char *sql);

/* capture_open(), and state as expected. */
void world_open(struct world *world, enum capture_state_kind expected);

/* capture_begin() after world_open(), then the replay starts from a snapshot. */
void world_begin(struct world *world);

/* The same without a comparison in memory. */
void world_begin_large(struct world *world);

/* Open, start, expect CONTINUITY. */
void world_start(struct world *world, enum capture_continuity continuity);

struct capture_sync_report world_sync(struct world *world);
struct capture_maintain_report world_maintain(struct world *world);
void world_close(struct world *world);

/* Apply what the spool has beyond the replay; checks everything on the way. Returns transactions.
 */
uint64_t world_replay(struct world *world);

/* The replay equals the database as SQLite reads it now, page for page; and the position says so.
 */
void world_check(struct world *world);

/* All pages as SQLite reads them; sqlite3_free() it. */
uint8_t *world_image(struct world *world, uint32_t *ret_page_count);

/* sync, replay, check. */
void world_step(struct world *world);

/* After everything was closed and checkpointed: the replay equals the file byte for byte. */
void world_check_file(struct world *world);

/* A process that writes a mix of everything until it is killed or did STEPS. */
pid_t world_spawn_writer(struct world *world, uint64_t seed, unsigned steps);
pid_t world_spawn(struct world *world, const char *verb, uint64_t number, unsigned steps);
void world_wait(pid_t pid);

/* One random step of the mix on DB. */
void world_mix_schema(sqlite3 *db);
void world_mix_step(sqlite3 *db, uint64_t *random);
uint64_t world_random(uint64_t *state);

/* A verb of the test program's own, run by world_spawn(). */
typedef int world_verb_fn(const char *path, uint64_t number, unsigned steps);
int world_main(
    int argc, char **argv, const struct CMUnitTest *tests, size_t test_count, world_verb_fn *verb);

#endif
