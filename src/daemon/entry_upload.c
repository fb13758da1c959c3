/*
 * entry_upload - from the spool into the replica, and what becomes durable by it
 *
 * After every open the replica is looked at once (entry_attach.c): it must hold this history,
 * nobody must have gone on with it, and it tells from where on segments are missing. Then the spool
 * is drained whenever capture made segments. An outage costs nothing but lag: the spool keeps what
 * is not stored.
 */
#include "entry_priv.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/path.h"
#include "segment/dir.h"
#include "segment/reader.h"

enum {
    ENTRY_UPLOAD_RETRY_FIRST_MS = 500,
    ENTRY_UPLOAD_RETRY_MAX_MS = 30 * 1000,
    ENTRY_DURABLE_FILE_SIZE = 128,
};

/* What `seawal status` reads while no one may ask the daemon; overwritten in place, never synced.
 */
static void entry_write_durable(const struct entry *entry, uint64_t txid, int64_t time_ms)
{
    char text[ENTRY_DURABLE_FILE_SIZE];
    auto_free char *path = path_join(entry->state_dir, "durable");
    auto_fd int fd = -1;
    struct error err = { 0 };

    int size =
        snprintf(text, sizeof text, "{\"txid\": %llu, \"time_ms\": %lld, \"stored_ms\": %lld}",
            (unsigned long long)txid, (long long)time_ms, (long long)clock_wall_ms());
    memset(text + size, ' ', sizeof text - (size_t)size - 1);
    text[sizeof text - 1] = '\n';
    if (fs_open(&fd, path, O_WRONLY | O_CREAT, 0600, &err) != RC_OK ||
        fs_write_at(fd, bytes_of(text, sizeof text), 0, &err) != RC_OK)
        log_error(LOG_DEBUG, &err, "status not written", "db", entry->config->path, NULL);
}

static void entry_note_durable(struct entry *entry, const struct upload_report *report)
{
    struct replica_position durable = uploader_durable(entry->uploader);

    pthread_mutex_lock(&entry->mu);
    entry->durable = durable;
    entry_note_unstored_locked(entry);
    entry->log_size += report->stored_size;
    if (durable.txid >= entry->captured.txid)
        entry->merge_told = false; /* the outage is over */
    bool snapshot_is_due = entry_snapshot_is_due_locked(entry) && !entry->snapshot_wanted;
    bool is_drained = durable.txid >= entry->captured.txid;
    bool window_waits = entry->window_waiting_count > 0 || (entry->merge_wanted && is_drained);
    pthread_mutex_unlock(&entry->mu);

    uint64_t txid = entry_durable_txid(entry);
    if (txid > 0 && txid != entry->written_durable) {
        entry->written_durable = txid;
        entry_write_durable(entry, txid, durable.time_ms);
        log_event(LOG_DEBUG, "durable", "db", entry->config->path, "timeline",
            log_u64(durable.timeline), "txid", log_u64(txid), "segments",
            log_u64(report->segment_count), "bytes", log_u64(report->stored_size), NULL);
    }
    if (report->segment_count > 0)
        entry_want_expire(entry);
    if (snapshot_is_due)
        entry_want_snapshot(entry);
    if (window_waits)
        scheduler_at(entry->context->scheduler, &entry->merge_job, 0);
}

/* Said once, when something was stored, since the store is asked with the first put. */
static void entry_tell_unconditional(struct entry *entry)
{
    bool has_conditional_put = true;

    if (entry->unconditional_told ||
        store_has_conditional_put(entry->store, &has_conditional_put, NULL) != RC_OK ||
        has_conditional_put)
        return;
    entry->unconditional_told = true;
    log_event(LOG_WARN,
        "the store has no conditional writes: what is written is read back instead, which two "
        "writers that write in the same instant may not notice",
        "db", entry->config->path, "replica", replica_name(entry->replica), NULL);
}

static rc entry_upload(struct entry *entry, struct error *err)
{
    struct upload_report report = { 0 };

    pthread_mutex_lock(&entry->mu);
    bool attached = entry->attached;
    pthread_mutex_unlock(&entry->mu);
    if (!attached)
        TRY(entry_attach(entry, err));
    rc drained = uploader_drain(entry->uploader, &report, err);
    entry_note_durable(entry, &report);
    entry_measure_upload(entry, &report);
    if (report.segment_count > 0)
        entry_tell_unconditional(entry);
    if (drained == RC_CORRUPT)
        return entry_spool_damaged(entry, err);
    return drained == RC_OK ? entry_fence_after(entry, err) : drained;
}

/* True when the work should be done now. */
static bool entry_upload_enter(struct entry *entry)
{
    pthread_mutex_lock(&entry->mu);
    bool wanted =
        entry->state == ENTRY_FOLLOWING || (entry->state == ENTRY_WAITING && entry->no_room);
    entry->uploading = wanted;
    pthread_mutex_unlock(&entry->mu);
    return wanted;
}

/* With a sync interval of 0 the next capture was held back until now. */
static void entry_upload_leave(struct entry *entry)
{
    pthread_mutex_lock(&entry->mu);
    entry->uploading = false;
    bool capture_due = entry->log_written && entry->config->sync_interval_ms == 0;
    pthread_mutex_unlock(&entry->mu);
    if (capture_due)
        scheduler_at(entry->context->scheduler, &entry->capture_job, 0);
}

static void entry_upload_failed(struct entry *entry, const struct error *err)
{
    if (err->code == RC_CANCELLED)
        return;
    if (err->code == RC_MISMATCH) {
        entry_refuse(entry, err);
        return;
    }

    int64_t wait_ms = trouble_backoff_ms(
        &entry->upload_trouble, ENTRY_UPLOAD_RETRY_FIRST_MS, ENTRY_UPLOAD_RETRY_MAX_MS);
    pthread_mutex_lock(&entry->mu);
    entry_note_failure_locked(entry, err);
    pthread_mutex_unlock(&entry->mu);
    trouble_note(&entry->upload_trouble, entry->config->path, err, wait_ms);
    scheduler_at(entry->context->scheduler, &entry->upload_job, clock_monotonic_ms() + wait_ms);
}

void entry_upload_run(void *payload)
{
    struct entry *entry = payload;
    struct error err = { 0 };

    if (!entry_upload_enter(entry))
        return;
    pthread_mutex_lock(&entry->replica_mu);
    rc uploaded = entry_upload(entry, &err);
    pthread_mutex_unlock(&entry->replica_mu);
    entry_upload_leave(entry);
    if (uploaded == RC_OK)
        trouble_clear(&entry->upload_trouble, entry->config->path);
    else
        entry_upload_failed(entry, &err);
}
