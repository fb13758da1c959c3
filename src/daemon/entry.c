/* entry - its life and what others may ask of it; see entry_priv.h */
#include "entry_priv.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/text.h"
#include "store/scheme.h"

struct replica_position replica_position_of(const struct capture_position *position)
{
    return (struct replica_position){
        .database_id = position->database_id,
        .timeline = position->timeline,
        .txid = position->txid,
        .digest = position->digest,
        .page_count = position->page_count,
        .page_size = position->page_size,
        .time_ms = position->time_ms,
    };
}

struct capture_position capture_position_of(const struct replica_position *position)
{
    return (struct capture_position){
        .database_id = position->database_id,
        .timeline = position->timeline,
        .txid = position->txid,
        .digest = position->digest,
        .page_count = position->page_count,
        .page_size = position->page_size,
        .time_ms = position->time_ms,
    };
}

/*
 * The watcher thread: something was written or appeared. A written log is captured once per sync
 * interval; with an interval of 0 as soon as the last upload is done.
 */
static void entry_notified(void *payload, enum watch_event event)
{
    struct entry *entry = payload;

    pthread_mutex_lock(&entry->mu);
    enum entry_state state = entry->state;
    int64_t due_ms = entry->last_sync_ms + entry->config->sync_interval_ms;
    bool hold_back =
        event == WATCH_LOG_WRITTEN && entry->uploading && entry->config->sync_interval_ms == 0;
    if (entry->in_slot_zero) {
        /* A foreign checkpoint that waits for readers would wait for us, with the write lock. */
        hold_back = false;
        due_ms = 0;
    }
    if (due_ms < entry->room_look_ms)
        due_ms = entry->room_look_ms; /* however fast the application writes */
    entry->log_written = true;
    if (entry->uncaptured_since_ms == 0)
        entry->uncaptured_since_ms = clock_monotonic_ms();
    pthread_mutex_unlock(&entry->mu);

    if (state == ENTRY_WAITING)
        scheduler_at(entry->context->scheduler, &entry->open_job, 0);
    else if (state == ENTRY_FOLLOWING && event == WATCH_FILE_CHANGED)
        scheduler_at(entry->context->scheduler, &entry->capture_job, 0);
    else if (state == ENTRY_FOLLOWING && !hold_back)
        scheduler_at(entry->context->scheduler, &entry->capture_job, due_ms);
}

static void entry_job_init(
    struct job *job, struct entry *entry, struct pool *pool, void (*run)(void *payload))
{
    job->pool = pool;
    job->work.run = run;
    job->work.payload = entry;
}

static rc entry_open_store(struct entry *entry, struct error *err)
{
    struct store_options options = entry->config->replica.options;

    options.cancel = entry->context->cancel;
    TRY_AS(err, store_open(&entry->store, entry->config->replica.url, &options, err),
        "database '%s'", entry->config->path);
    entry->replica = replica_new(entry->store);
    return RC_OK;
}

rc entry_new(struct entry **ret, struct entry_context *context, const struct db_config *config,
    struct error *err)
{
    struct entry *entry = mem_new(sizeof *entry);

    entry->context = context;
    entry->config = config;
    entry->log_path = text_format("%s-wal", config->path);
    pthread_mutex_init(&entry->capture_mu, NULL);
    pthread_mutex_init(&entry->replica_mu, NULL);
    pthread_mutex_init(&entry->mu, NULL);
    entry_job_init(&entry->open_job, entry, context->upload_pool, entry_open_run);
    entry_job_init(&entry->capture_job, entry, context->capture_pool, entry_capture_run);
    entry_job_init(&entry->upload_job, entry, context->upload_pool, entry_upload_run);
    entry_job_init(&entry->snapshot_job, entry, context->snapshot_pool, entry_snapshot_run);
    entry_job_init(&entry->merge_job, entry, context->merge_pool, entry_merge_run);
    entry_job_init(&entry->expire_job, entry, context->merge_pool, entry_expire_run);
    metrics_set(&entry->metrics, METRIC_SPOOL_CAP, (int64_t)config->spool_size);
    trouble_init(&entry->open_trouble, "open", &entry->metrics, METRIC_FAILING_OPEN);
    trouble_init(&entry->capture_trouble, "capture", &entry->metrics, METRIC_FAILING_CAPTURE);
    trouble_init(&entry->upload_trouble, "upload", &entry->metrics, METRIC_FAILING_UPLOAD);
    trouble_init(&entry->snapshot_trouble, "snapshot", &entry->metrics, METRIC_FAILING_SNAPSHOT);
    trouble_init(&entry->merge_trouble, "merge", &entry->metrics, METRIC_FAILING_MERGE);
    trouble_init(&entry->expire_trouble, "expire", &entry->metrics, METRIC_FAILING_EXPIRE);
    entry->target = (struct watch_target){
        .database_path = config->path,
        .log_path = entry->log_path,
        .notify = entry_notified,
        .payload = entry,
    };
    rc opened = entry_open_store(entry, err);
    if (opened != RC_OK) {
        entry_free(entry);
        return opened;
    }
    watch_add(context->watch, &entry->target);
    metrics_registry_add(
        &context->registry, config->path, &entry->metrics, entry_measure_now, entry);
    *ret = entry;
    return RC_OK;
}

void entry_free(struct entry *entry)
{
    if (entry == NULL)
        return;
    if (entry->capture != NULL)
        capture_close(entry->capture);
    uploader_free(entry->uploader);
    merger_free(entry->merger);
    replica_free(entry->replica);
    store_free(entry->store);
    pthread_mutex_destroy(&entry->capture_mu);
    pthread_mutex_destroy(&entry->replica_mu);
    pthread_mutex_destroy(&entry->mu);
    free(entry->log_path);
    free(entry->state_dir);
    free(entry->spool_dir);
    free(entry);
}

void entry_start(struct entry *entry)
{
    scheduler_at(entry->context->scheduler, &entry->open_job, 0);
}

void entry_reopen(struct entry *entry, int64_t delay_ms)
{
    pthread_mutex_lock(&entry->capture_mu);
    struct capture *capture = TAKE(entry->capture);
    entry->generation++;
    if (capture != NULL)
        capture_close(capture);
    pthread_mutex_lock(&entry->mu);
    if (entry->state == ENTRY_FOLLOWING)
        entry->state = ENTRY_WAITING;
    pthread_mutex_unlock(&entry->mu);
    pthread_mutex_unlock(&entry->capture_mu);
    scheduler_at(entry->context->scheduler, &entry->open_job, clock_monotonic_ms() + delay_ms);
}

void entry_refuse(struct entry *entry, const struct error *err)
{
    pthread_mutex_lock(&entry->capture_mu);
    struct capture *capture = TAKE(entry->capture);
    entry->generation++;
    if (capture != NULL)
        capture_close(capture);
    pthread_mutex_lock(&entry->mu);
    entry->state = ENTRY_REFUSED;
    entry->refusal = *err;
    pthread_mutex_unlock(&entry->mu);
    pthread_mutex_unlock(&entry->capture_mu);
    atomic_fetch_add(&entry->context->refused_count, 1);
    log_error(LOG_ERROR, err, "replication refused", "db", entry->config->path, NULL);

    /* Finds nothing to do, but wakes the watcher, which ends when nothing is left to replicate. */
    scheduler_at(entry->context->scheduler, &entry->open_job, 0);
}

void entry_note_failure_locked(struct entry *entry, const struct error *err)
{
    if (entry->state != ENTRY_REFUSED)
        entry->refusal = *err;
}

void entry_note_position(struct entry *entry, const struct capture_position *position)
{
    pthread_mutex_lock(&entry->mu);
    entry->captured = *position;
    entry_note_unstored_locked(entry);
    pthread_mutex_unlock(&entry->mu);
}

void entry_want_snapshot(struct entry *entry)
{
    pthread_mutex_lock(&entry->mu);
    entry->snapshot_wanted = true;
    pthread_mutex_unlock(&entry->mu);
    scheduler_at(entry->context->scheduler, &entry->snapshot_job, 0);
}

void entry_drain(struct entry *entry)
{
    pthread_mutex_lock(&entry->mu);
    entry->draining = true;
    entry->drain_sync = entry->sync_begun + 1;
    enum entry_state state = entry->state;
    pthread_mutex_unlock(&entry->mu);

    if (state == ENTRY_FOLLOWING)
        scheduler_at(entry->context->scheduler, &entry->capture_job, 0);
}

/* Called with mu held. What is durable must be restorable too: a snapshot lies at or before it. */
uint64_t entry_durable_txid_locked(const struct entry *entry)
{
    if (entry->restorable_from == 0 || entry->durable.txid < entry->restorable_from)
        return 0;
    return entry->durable.txid;
}

uint64_t entry_durable_txid(struct entry *entry)
{
    pthread_mutex_lock(&entry->mu);
    uint64_t txid = entry_durable_txid_locked(entry);
    pthread_mutex_unlock(&entry->mu);
    return txid;
}

rc entry_create(struct entry *entry, const struct replica_position *from, struct database_id *ret,
    struct error *err)
{
    char writer[REPLICA_WRITER_SIZE];
    replica_writer_name(writer);
    struct replica_create_options create = {
        .database_id = from->database_id,
        .page_size = from->page_size,
        .timeline = from->timeline,
        .writer = writer,
        .time_ms = clock_wall_ms(),
    };

    return replica_create(entry->replica, &create, ret, err);
}

rc entry_claim(struct entry *entry, const struct replica_position *parent, uint32_t page_size,
    bool continues, uint32_t *ret, struct error *err)
{
    char writer[REPLICA_WRITER_SIZE];
    replica_writer_name(writer);
    struct replica_claim_options claim = {
        .parent = *parent,
        .page_size = page_size,
        .own_snapshot = !continues,
        .writer = writer,
        .time_ms = clock_wall_ms(),
    };

    TRY(entry_claim_note(entry, writer, err));
    TRY(replica_claim_timeline(entry->replica, &claim, ret, err));
    log_event(LOG_WARN, "new timeline", "db", entry->config->path, "timeline", log_u64(*ret),
        "parent_timeline", log_u64(parent->timeline), "parent_txid", log_u64(parent->txid), NULL);
    return RC_OK;
}

enum entry_settlement entry_settlement(struct entry *entry, struct error *ret_err)
{
    enum entry_settlement settlement = ENTRY_UNSETTLED;

    pthread_mutex_lock(&entry->mu);
    bool failed = entry->refusal.code != RC_OK;
    if (entry->state == ENTRY_REFUSED || (failed && entry->context->once)) {
        settlement = ENTRY_LOST;
        *ret_err = entry->refusal;
    } else if (entry->state == ENTRY_FOLLOWING && entry->attached && !entry->snapshot_wanted &&
               entry->sync_done >= entry->drain_sync &&
               entry_durable_txid_locked(entry) == entry->captured.txid) {
        settlement = ENTRY_SETTLED;
    } else if (failed) {
        *ret_err = entry->refusal;
    }
    pthread_mutex_unlock(&entry->mu);
    return settlement;
}
