/*
 * daemon - the daemon's side: the product's own works and scheduler, without threads
 *
 * Pools and inotify are replaced by what stands here: a work that is submitted waits until the seed
 * picks it, and while one waits for the store another one may run (as another thread would), except
 * where the product's own mutexes would keep it waiting. Works therefore interleave at requests;
 * processes interleave everywhere.
 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "digest_map_priv.h"
#include "disk.h"
#include "entry_priv.h"
#include "remote.h"
#include "sim.h"

enum { WORK_COUNT_MAX = 16, NESTED_MAX = 2, NOTICE_DELAY = 3000 };

struct pool {
    const char *name;
};

struct watch {
    struct watch_target *target;
    bool armed;
};

static struct {
    struct work *works[WORK_COUNT_MAX]; /* queued */
    size_t count;
    unsigned depth;
    bool holds_replica; /* open or upload runs: they exclude each other */
    struct entry_context context;
    struct entry *entry;
} life;

/* ---- pool.h */

rc pool_start(struct pool **ret, const char *name, unsigned thread_count, struct error *err)
{
    (void)thread_count;
    (void)err;
    *ret = calloc(1, sizeof **ret);
    (*ret)->name = name;
    return RC_OK;
}

void pool_stop(struct pool *pool)
{
    free(pool);
}

void pool_submit(struct pool *pool, struct work *work)
{
    (void)pool;
    if (work->state == WORK_RUNNING)
        work->state = WORK_RUNNING_AGAIN;
    if (work->state != WORK_IDLE)
        return;
    assert(life.count < WORK_COUNT_MAX);
    work->state = WORK_QUEUED;
    life.works[life.count++] = work;
}

/* ---- watch_priv.h */

struct watch *watch_new(void)
{
    return calloc(1, sizeof(struct watch));
}

void watch_free(struct watch *watch)
{
    free(watch);
}

int watch_fd(const struct watch *watch)
{
    (void)watch;
    return -1;
}

void watch_add(struct watch *watch, struct watch_target *target)
{
    watch->target = target;
}

bool watch_log_arm(struct watch *watch, struct watch_target *target)
{
    (void)target;
    watch->armed = true;
    sim->log_written = false;
    return true;
}

bool watch_folder_arm(struct watch *watch, struct watch_target *target)
{
    (void)watch;
    (void)target;
    return true;
}

void watch_dispatch(struct watch *watch)
{
    if (sim->file_changed) {
        sim->file_changed = false;
        watch->target->notify(watch->target->payload, WATCH_FILE_CHANGED);
    }
    if (watch->armed && sim->log_written) {
        watch->armed = false;
        watch->target->notify(watch->target->payload, WATCH_LOG_WRITTEN);
    }
}

/* ---- what the oracle must know */

rc __real_capture_start(struct capture *capture, uint32_t timeline,
    struct capture_start_report *ret, struct error *err);
rc __wrap_capture_start(struct capture *capture, uint32_t timeline,
    struct capture_start_report *ret, struct error *err);
rc __real_capture_begin(struct capture *capture, const struct capture_position *parent,
    const struct database_id *id, uint32_t timeline, struct error *err);
rc __wrap_capture_begin(struct capture *capture, const struct capture_position *parent,
    const struct database_id *id, uint32_t timeline, struct error *err);
rc __real_capture_merge(struct capture *capture, uint64_t stored_txid, int64_t monotonic_ms,
    struct capture_merge_report *ret, struct error *err);
rc __wrap_capture_merge(struct capture *capture, uint64_t stored_txid, int64_t monotonic_ms,
    struct capture_merge_report *ret, struct error *err);
void __real_capture_close(struct capture *capture);
void __wrap_capture_close(struct capture *capture);

rc __real_digest_map_set(struct digest_map *map, uint32_t pgno, uint64_t digest, struct error *err);
rc __wrap_digest_map_set(struct digest_map *map, uint32_t pgno, uint64_t digest, struct error *err);

/* The map is memory: a process can die between any two of its changes, and no call would tell. */
rc __wrap_digest_map_set(struct digest_map *map, uint32_t pgno, uint64_t digest, struct error *err)
{
    sim_point(CALL_MEMORY, NULL);
    return __real_digest_map_set(map, pgno, digest, err);
}

static void life_pinned(bool pinned)
{
    sim->pinned = pinned;
    sim->epoch++;
}

static void life_captured(const struct capture_position *position)
{
    sim->captured = (struct sim_claim){
        .timeline = position->timeline,
        .txid = position->txid,
        .digest = position->digest,
    };
}

rc __wrap_capture_start(
    struct capture *capture, uint32_t timeline, struct capture_start_report *ret, struct error *err)
{
    rc result = __real_capture_start(capture, timeline, ret, err);

    if (result != RC_OK)
        return result;
    life_captured(capture_position(capture));
    lockstep_yield(REPORT_YIELDED);
    life_pinned(true);
    sim->counts.starts++;
    sim->counts.resyncs += ret->continuity == CAPTURE_RESYNCED;
    sim->counts.unchanged += ret->continuity == CAPTURE_UNCHANGED;
    sim_say("started: continuity %d, txid %llu", (int)ret->continuity,
        (unsigned long long)capture_position(capture)->txid);
    return result;
}

rc __wrap_capture_begin(struct capture *capture, const struct capture_position *parent,
    const struct database_id *id, uint32_t timeline, struct error *err)
{
    rc result = __real_capture_begin(capture, parent, id, timeline, err);

    if (result == RC_OK) {
        life_captured(capture_position(capture));
        life_pinned(true);
        sim->counts.begins++;
    }
    return result;
}

void __wrap_capture_close(struct capture *capture)
{
    if (capture != NULL && sim->pinned)
        life_pinned(false);
    __real_capture_close(capture);
}

rc __wrap_capture_merge(struct capture *capture, uint64_t stored_txid, int64_t monotonic_ms,
    struct capture_merge_report *ret, struct error *err)
{
    rc result = __real_capture_merge(capture, stored_txid, monotonic_ms, ret, err);

    sim->counts.merges += result == RC_OK && ret->done;
    return result;
}

static void life_claim(void)
{
    struct entry *entry = life.entry;
    uint64_t txid = entry_durable_txid(entry);

    if (txid == 0 || (txid == sim->claim.txid && entry->durable.timeline == sim->claim.timeline))
        return;
    sim->claim = (struct sim_claim){
        .timeline = entry->durable.timeline,
        .txid = txid,
        .digest = entry->durable.digest,
    };
    sim->counts.claims++;
    sim_say("durable: timeline %u txid %llu", sim->claim.timeline, (unsigned long long)txid);
    lockstep_yield(REPORT_YIELDED);
}

/* ---- works */

static bool life_needs_replica(const struct work *work)
{
    return work->run == entry_open_run || work->run == entry_upload_run;
}

static const char *life_work_name(const struct work *work)
{
    if (work->run == entry_open_run)
        return "open";
    if (work->run == entry_upload_run)
        return "upload";
    return work->run == entry_capture_run ? "capture" : "snapshot";
}

static void life_run(size_t place)
{
    struct work *work = life.works[place];
    bool needs_replica = life_needs_replica(work);

    life.works[place] = life.works[--life.count];
    work->state = WORK_RUNNING;
    life.depth++;
    life.holds_replica = life.holds_replica || needs_replica;
    sim_say("work %s", life_work_name(work));
    work->run(work->payload);
    life.holds_replica = life.holds_replica && !needs_replica;
    life.depth--;

    bool again = work->state == WORK_RUNNING_AGAIN;
    work->state = WORK_IDLE;
    if (again)
        pool_submit(NULL, work);
}

/* Runs one of the works that may run now; false: there is none. */
static bool life_run_any(void)
{
    size_t places[WORK_COUNT_MAX];
    size_t count = 0;

    for (size_t i = 0; i < life.count; i++)
        if (!life.holds_replica || !life_needs_replica(life.works[i]))
            places[count++] = i;
    if (count == 0)
        return false;
    life_run(places[sim_below(count)]);
    if (life.entry->state == ENTRY_FOLLOWING)
        life_captured(&life.entry->captured);
    life_claim();
    return true;
}

static void life_turn(void)
{
    /* inotify tells soon, but not at once. */
    if (!sim_chance(NOTICE_DELAY))
        watch_dispatch(life.context.watch);
    int64_t wait_ms = scheduler_run_due(life.context.scheduler, clock_monotonic_ms());
    sim->due_ms = wait_ms < 0 ? INT64_MAX : clock_monotonic_ms() + wait_ms;
}

static void life_meanwhile(void)
{
    if (life.depth > NESTED_MAX || sim_below(3) > 0)
        return;
    life_turn();
    if (life_run_any())
        sim->counts.nested++;
}

static void life_configure(struct config *config, const char *path, const char *remote)
{
    const struct sim_settings *settings = &sim->settings;
    char url[512];
    struct error err = { 0 };

    snprintf(url, sizeof url, "file://%s", remote);
    config_set_defaults(config);
    rc added = config_add_db(config, path, url, &err);
    assert(added == RC_OK);
    struct db_config *db = &config->dbs[0];
    db->sync_interval_ms = settings->sync_interval_ms;
    db->min_checkpoint_page_count = settings->checkpoint_pages;
    db->truncate_size = settings->truncate_size;
    if (settings->spool_size != 0)
        db->spool_size = settings->spool_size;
    db->snapshot.interval_ms = settings->snapshot_interval_ms;
}

static void life_begin(struct config *config)
{
    struct entry_context *context = &life.context;
    struct error err = { 0 };
    rc result = scheduler_new(&context->scheduler, &err);

    assert(result == RC_OK);
    result = pool_start(&context->capture_pool, "capture", 1, &err);
    assert(result == RC_OK);
    result = pool_start(&context->upload_pool, "upload", 1, &err);
    assert(result == RC_OK);
    result = pool_start(&context->snapshot_pool, "snapshot", 1, &err);
    assert(result == RC_OK);
    context->cancel = cancel_new();
    context->new_timeline = sim->new_timeline;
    context->watch = watch_new();
    result = entry_new(&life.entry, context, &config->dbs[0], &err);
    assert(result == RC_OK);
    remote_meanwhile = life_meanwhile;
    entry_start(life.entry);
}

static void life_report(bool *is_draining)
{
    struct error why = { 0 };

    if (sim->drain && !*is_draining) {
        entry_drain(life.entry);
        *is_draining = true;
    }
    sim->settlement = (int)entry_settlement(life.entry, &why);
    if (sim->settlement == ENTRY_LOST)
        snprintf(sim->last_words, sizeof sim->last_words, "%s", why.text);
}

void daemon_life(const char *path, const char *remote)
{
    struct config config = CONFIG_INIT;
    bool is_draining = false;

    sim_self.actor = ACTOR_DAEMON;
    vfs_install();
    sim_self.live = true;
    lockstep_yield(REPORT_IDLE);
    life_configure(&config, path, remote);
    life_begin(&config);
    for (;;) {
        life_report(&is_draining);
        if (sim->stop)
            break;
        life_turn();
        if (!life_run_any())
            lockstep_yield(REPORT_IDLE);
    }
    cancel_now(life.context.cancel);
    entry_free(life.entry);
    lockstep_yield(REPORT_ENDED);
    _exit(0);
}
