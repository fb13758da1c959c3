/*
 * every call: whatever capture asks of files and of SQLite fails once, in everything that it does
 *
 * A failure is told, and what follows is as if it had not been: no page is missing or made up.
 */
#include "world.h"

#include "base/alloc.h"
#include "base/text.h"
#include "harness/fault.h"
#include "harness/fault_sqlite.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { MERGE_RETRY_MS = 120000, SLICES_MAX = 1000 };

struct operation {
    const char *name;
    uint64_t spool_size;
    void (*prepare)(struct world *world);
    rc (*run)(struct world *world, struct error *err);
};

static const struct fault_plan kinds[] = {
    { .calls = FAULT_CALLS_OURS | FAULT_CALLS_SQLITE, .sys_errno = EIO },
    { .calls = FAULT_BIT(FAULT_WRITE) | FAULT_BIT(FAULT_ALLOCATE) | FAULT_BIT(FAULT_SYNC),
        .sys_errno = EDQUOT },
    { .calls = FAULT_CALLS_SQL_API, .sys_errno = SQLITE_IOERR_READ },
    { .calls = FAULT_CALLS_SQL_API, .sys_errno = SQLITE_BUSY },
};

static const char grow[] =
    "INSERT INTO first SELECT randomblob(900) FROM"
    " (WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c LIMIT 40)"
    " SELECT x FROM c)";

/* ---- merging what waits, while pages change */

static void prepare_merge(struct world *world)
{
    for (unsigned n = 0; n < 6; n++) {
        world_sql(world, "INSERT INTO first VALUES(randomblob(3000))");
        (void)world_sync(world);
    }
    world_sql(world, "UPDATE first SET x = randomblob(500)");
}

static rc run_merge(struct world *world, struct error *err)
{
    struct capture_merge_report report = { .in_progress = true };
    struct capture_sync_report sync;

    world->monotonic_ms += MERGE_RETRY_MS;
    for (unsigned slice = 0; report.in_progress && slice < SLICES_MAX; slice++) {
        TRY(capture_merge(world->capture, 0, world->monotonic_ms, &report, err));
        if (slice == 0)
            TRY(capture_sync(world->capture, world->wall_ms, &sync, err));
    }
    assert_false(report.in_progress);
    return RC_OK;
}

/* ---- a snapshot */

static void prepare_snapshot(struct world *world)
{
    world_sql(world, grow);
    (void)world_sync(world);
}

static rc run_snapshot(struct world *world, struct error *err)
{
    struct capture_snapshot snapshot;
    struct capture_position first;
    struct snapshot_chunk chunk = SNAPSHOT_CHUNK_INIT;
    uint64_t page_count = 0;
    rc code = RC_OK;

    capture_snapshot_begin(world->capture, &snapshot, &first);
    do {
        code = capture_snapshot_next(world->capture, &snapshot, &chunk, err);
        page_count += chunk.page_count;
    } while (code == RC_OK && chunk.page_count > 0);
    snapshot_chunk_release(&chunk);
    assert_true(code != RC_OK || page_count == first.page_count);
    return code;
}

/* ---- following and checkpoints */

static void prepare_maintain(struct world *world)
{
    (void)world_maintain(world);
    world_sql(world, grow);
    world_sql(world, "DELETE FROM first WHERE rowid % 3 = 1");
}

static rc run_maintain(struct world *world, struct error *err)
{
    struct capture_maintain_report report;

    world->monotonic_ms += 100000;
    return capture_maintain(world->capture, world->monotonic_ms, world->wall_ms, &report, err);
}

/* ---- starting, with and without continuity */

static rc run_start(struct world *world, struct error *err)
{
    struct capture_start_report start;

    if (world->capture == NULL)
        TRY(capture_open(&world->capture, &world->options, err));
    if (capture_state_kind(world->capture) != CAPTURE_STATE_POSITION)
        FAIL(err, RC_BUSY, "the state cannot be used");
    return capture_start(world->capture, 1, &start, err);
}

static void prepare_continued(struct world *world)
{
    world_close(world);
    world_sql(world, grow);
}

static void prepare_resync(struct world *world)
{
    world_close(world);
    world_sql(world, grow);
    world_sql(world, "DELETE FROM first WHERE rowid % 2 = 0; VACUUM;"
                     "PRAGMA wal_checkpoint(TRUNCATE)");
}

/* Only the size is another. */
static void prepare_shrunk(struct world *world)
{
    world_sql(world, grow);
    world_sql(world, "CREATE TABLE second(x); DROP TABLE second");
    (void)world_sync(world);
    world_close(world);
    world_sql(world, "VACUUM; PRAGMA wal_checkpoint(TRUNCATE)");
}

/* ---- the digests were lost */

static rc adopt(struct world *world, struct error *err)
{
    struct capture_position replica = {
        .database_id = capture_position(world->capture)->database_id,
        .timeline = 1,
        .txid = world->replay.txid,
        .digest = world->replay.digest,
        .page_size = world->replay.page_size,
        .page_count = world->replay.page_count,
        .time_ms = world->replay.time_ms,
    };

    TRY(capture_adopt_begin(world->capture, &replica, err));
    for (uint32_t pgno = 1; pgno <= replica.page_count; pgno++)
        TRY(capture_adopt_page(world->capture, pgno, world->replay.digests[pgno - 1], err));
    return capture_adopt_commit(world->capture, err);
}

static void prepare_adopt(struct world *world)
{
    auto_free char *map = text_format("%s/digests", capture_state_dir(world->capture));

    world_sql(world, grow);
    world_step(world); /* this is what the replica has */
    world_sql(world, "DELETE FROM first WHERE rowid % 3 = 1; VACUUM");
    (void)world_sync(world);
    world_sql(world, "INSERT INTO first VALUES(randomblob(3000))");
    (void)world_sync(world);
    world_close(world);
    assert_int_equal(remove(map), 0);
}

static rc run_adopt(struct world *world, struct error *err)
{
    struct capture_start_report start;

    if (world->capture == NULL)
        TRY(capture_open(&world->capture, &world->options, err));
    if (capture_state_kind(world->capture) != CAPTURE_STATE_POSITION)
        TRY(adopt(world, err));
    return capture_start(world->capture, 1, &start, err);
}

static const struct operation operations[] = {
    { "merge", 8192, prepare_merge, run_merge },
    { "snapshot", 0, prepare_snapshot, run_snapshot },
    { "maintain", 0, prepare_maintain, run_maintain },
    { "continued", 0, prepare_continued, run_start },
    { "resync", 0, prepare_resync, run_start },
    { "shrunk", 0, prepare_shrunk, run_start },
    { "adopt", 0, prepare_adopt, run_adopt },
};

/* ---- striking */

/* The same again with nothing in the way; opened anew when capture has stopped. */
static void heal(struct world *world, const struct operation *operation)
{
    bool starts = operation->run == run_start || operation->run == run_adopt;
    struct error err = { 0 };

    if (!starts && operation->run(world, &err) == RC_OK)
        return;
    world_close(world);
    CHECK_OK(run_adopt(world, &err));
    if (!starts)
        CHECK_OK(operation->run(world, &err));
}

/* False: the operation makes no NTH call of the kind. */
static bool strike(const struct operation *operation, const struct fault_plan *plan, unsigned *told)
{
    struct world world = world_new(512);
    struct error err = { 0 };

    world.options.spool_size = operation->spool_size;
    world.options.checkpoint_page_count = 20;
    world.options.truncate_size = 8192;
    world_sql(&world, "PRAGMA wal_autocheckpoint=0; PRAGMA synchronous=OFF");
    world_begin(&world);
    operation->prepare(&world);
    fault_arm_plan(plan);
    rc code = operation->run(&world, &err);
    bool fired = fault_fired();
    fault_disarm();
    if (code != RC_OK && (!fired || err.text[0] == '\0'))
        fail_msg("%s, call %llu (%s): %s: '%s'", operation->name, (unsigned long long)plan->nth,
            fault_name(), rc_name(code), err.text);
    *told += code != RC_OK;
    if (err.sys_errno == EDQUOT)
        assert_int_equal(code, RC_NO_SPACE);
    if (code != RC_OK)
        heal(&world, operation);
    world_sql(&world, "INSERT INTO first VALUES('after')");
    world_step(&world);
    world_free(&world);
    return fired;
}

static void every_call_may_fail(void **state)
{
    const struct operation *operation = *state;

    for (size_t index = 0; index < array_count(kinds); index++) {
        struct fault_plan plan = kinds[index];
        unsigned told = 0;
        for (plan.nth = 1; strike(operation, &plan, &told); plan.nth++)
            ;
        print_message("%-10s kind %zu: %3u struck, %3u told\n", operation->name, index,
            (unsigned)plan.nth - 1, told);
    }
}

int main(int argc, char **argv)
{
    struct CMUnitTest tests[array_count(operations)];

    for (size_t index = 0; index < array_count(operations); index++) {
        union {
            const struct operation *in;
            void *out;
        } operation = { .in = &operations[index] };
        tests[index] = (struct CMUnitTest){
            .name = operations[index].name,
            .test_func = every_call_may_fail,
            .initial_state = operation.out,
        };
    }
    /* Where files cost nothing, if there is such a place. */
    if (access("/dev/shm", W_OK | X_OK) == 0)
        setenv("TMPDIR", "/dev/shm", 0);
    fault_skip_syncs();
    fault_sqlite_install();
    return world_main(argc, argv, tests, array_count(tests), NULL);
}
