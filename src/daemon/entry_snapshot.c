/*
 * entry_snapshot - the whole database, streamed into the replica beside the running capture
 *
 * Pages are read in chunks under capture_mu and given to the encoder, and so to the network,
 * without it: capture goes on between any two chunks. The snapshot is complete at the position that
 * capture has when the last chunk was read, and restorable when the log up to there is stored as
 * well.
 */
#include "entry_priv.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"
#include "segment/pages_encoder.h"

enum {
    ENTRY_SNAPSHOT_RETRY_FIRST_MS = 1000,
    ENTRY_SNAPSHOT_RETRY_MAX_MS = 5 * 60 * 1000,
    ENTRY_SNAPSHOT_BUSY_PAUSE_US = 2000,
    ENTRY_SNAPSHOT_BUSY_COUNT_MAX = 5000,
};

struct snapshot_run {
    struct entry *entry;
    uint64_t generation; /* of the capture that it reads from */
    struct capture_snapshot snapshot;
    struct capture_position first;
    struct replica_snapshot *target;
    struct pages_encoder *encoder;
    struct snapshot_chunk chunk;
};

static void snapshot_run_release(struct snapshot_run *run)
{
    pages_encoder_free(run->encoder);
    if (run->target != NULL)
        replica_snapshot_abort(run->target);
    snapshot_chunk_release(&run->chunk);
}

/* RC_CANCELLED: there is nothing to take a snapshot of now; the next open asks again. */
static rc snapshot_run_lock(struct snapshot_run *run, struct error *err)
{
    struct entry *entry = run->entry;

    pthread_mutex_lock(&entry->capture_mu);
    bool same =
        entry->capture != NULL && (run->generation == 0 || entry->generation == run->generation);
    if (same && !cancel_asked(entry->context->cancel))
        return RC_OK;
    pthread_mutex_unlock(&entry->capture_mu);
    FAIL(err, RC_CANCELLED, "snapshot given up: the database was closed meanwhile");
}

static rc snapshot_run_begin(struct snapshot_run *run, struct error *err)
{
    struct entry *entry = run->entry;

    TRY(snapshot_run_lock(run, err));
    run->generation = entry->generation;
    capture_snapshot_begin(entry->capture, &run->snapshot, &run->first);
    auto_free char *state_dir = text_copy(capture_state_dir(entry->capture));
    pthread_mutex_unlock(&entry->capture_mu);

    struct replica_snapshot_options options = {
        .timeline = run->first.timeline,
        .first_txid = run->first.txid,
        .time_ms = clock_wall_ms(),
        .size_hint = (uint64_t)run->first.page_count * run->first.page_size,
    };
    struct segment_identity identity = {
        .kind = SEGMENT_SNAPSHOT,
        .database_id = run->first.database_id,
        .timeline = run->first.timeline,
        .page_size = run->first.page_size,
        .min_txid = run->first.txid,
    };
    TRY(replica_snapshot_begin(&run->target, entry->replica, &options, err));
    return pages_encoder_new(
        &run->encoder, &identity, replica_snapshot_sink(run->target), state_dir, err);
}

/* The next chunk, captured up to now. A busy index is a matter of milliseconds. */
static rc snapshot_run_read(struct snapshot_run *run, struct error *err)
{
    struct entry *entry = run->entry;

    for (unsigned try_index = 0;; try_index++) {
        TRY(snapshot_run_lock(run, err));
        rc read = capture_snapshot_next(entry->capture, &run->snapshot, &run->chunk, err);
        pthread_mutex_unlock(&entry->capture_mu);
        if (read != RC_BUSY || try_index == ENTRY_SNAPSHOT_BUSY_COUNT_MAX)
            return read;
        clock_pause_us(ENTRY_SNAPSHOT_BUSY_PAUSE_US);
        scheduler_at(entry->context->scheduler, &entry->capture_job, 0);
    }
}

static rc snapshot_run_pages(struct snapshot_run *run, struct error *err)
{
    for (;;) {
        TRY(snapshot_run_read(run, err));
        if (run->chunk.page_count == 0)
            return RC_OK;
        for (size_t index = 0; index < run->chunk.page_count; index++) {
            struct bytes page =
                bytes_of(run->chunk.pages + index * run->first.page_size, run->first.page_size);
            TRY(pages_encoder_add(run->encoder, run->chunk.pgnos[index], page, run->chunk.txid,
                run->chunk.digests[index], err));
        }
    }
}

static rc snapshot_run_finish(
    struct snapshot_run *run, struct segment_summary *summary, struct error *err)
{
    TRY(snapshot_run_lock(run, err));
    const struct capture_position *last = capture_position(run->entry->capture);
    *summary = (struct segment_summary){
        .max_txid = last->txid,
        .digest = last->digest,
        .page_count = last->page_count,
        .first_time_ms = run->first.time_ms,
        .last_time_ms = last->time_ms,
    };
    pthread_mutex_unlock(&run->entry->capture_mu);

    TRY(pages_encoder_finish(run->encoder, summary, err));
    return replica_snapshot_commit(TAKE(run->target), err);
}

static rc snapshot_run_all(
    struct snapshot_run *run, struct segment_summary *summary, struct error *err)
{
    TRY(snapshot_run_begin(run, err));
    TRY(snapshot_run_pages(run, err));
    return snapshot_run_finish(run, summary, err);
}

static void entry_snapshot_done(struct entry *entry, const struct segment_summary *summary)
{
    trouble_clear(&entry->snapshot_trouble, entry->config->path);
    pthread_mutex_lock(&entry->mu);
    entry->snapshot_wanted = false;
    entry->snapshot_done_count++;
    if (entry->restorable_from == 0)
        entry->restorable_from = summary->max_txid;
    entry_note_unstored_locked(entry);
    entry->snapshot_size = summary->stored_size;
    entry->snapshot_time_ms = clock_wall_ms();
    entry->log_size = 0;
    entry->merged_before = 0;
    entry->merged_size = 0;
    entry->merged_reset = true;
    pthread_mutex_unlock(&entry->mu);
    metrics_add(&entry->metrics, METRIC_SNAPSHOTS_STORED, 1);
    metrics_set(&entry->metrics, METRIC_LAST_UPLOAD, clock_wall_ms());
    log_event(LOG_INFO, "snapshot stored", "db", entry->config->path, "txid",
        log_u64(summary->max_txid), "pages", log_u64(summary->frame_count), "bytes",
        log_u64(summary->stored_size), NULL);
    scheduler_at(entry->context->scheduler, &entry->upload_job, 0);
}

static void entry_snapshot_failed(struct entry *entry, const struct error *err)
{
    int64_t wait_ms = trouble_backoff_ms(
        &entry->snapshot_trouble, ENTRY_SNAPSHOT_RETRY_FIRST_MS, ENTRY_SNAPSHOT_RETRY_MAX_MS);

    if (cancel_asked(entry->context->cancel))
        return;
    pthread_mutex_lock(&entry->mu);
    if (err->code != RC_CANCELLED)
        entry_note_failure_locked(entry, err);
    pthread_mutex_unlock(&entry->mu);
    if (err->code != RC_CANCELLED)
        trouble_note(&entry->snapshot_trouble, entry->config->path, err, wait_ms);
    scheduler_at(entry->context->scheduler, &entry->snapshot_job, clock_monotonic_ms() + wait_ms);
}

void entry_snapshot_run(void *payload)
{
    struct entry *entry = payload;
    struct snapshot_run run = { .entry = entry, .chunk = SNAPSHOT_CHUNK_INIT };
    struct segment_summary summary = { 0 };
    struct error err = { 0 };

    pthread_mutex_lock(&entry->mu);
    bool wanted = entry->snapshot_wanted && entry->state == ENTRY_FOLLOWING;
    pthread_mutex_unlock(&entry->mu);
    if (!wanted)
        return;

    rc done = snapshot_run_all(&run, &summary, &err);
    snapshot_run_release(&run);
    if (done == RC_OK)
        entry_snapshot_done(entry, &summary);
    else
        entry_snapshot_failed(entry, &err);
}
