/*
 * entry_spool - what is done about a spool that grows, and about a disk that is full
 *
 * The rules are capture's (capture/spool_priv.h); here is when they are applied and what is said.
 *
 * A full disk: an ERROR and the metric at the first failure, and again once a minute; every second
 * one more try, which costs a system call while nothing has changed. Nothing is lost by that: what
 * was committed stays in the log, which the pin holds. Where holding it would take the disk from
 * the application, the pin is given up: what is lost then is the single transactions until there is
 * room, not their outcome, since the opening that follows finds by digest what changed. While it
 * waits for room the spool goes on being uploaded, as it may be what fills the disk.
 */
#include "entry_priv.h"

#include "base/clock.h"
#include "base/log.h"

/* A merge that fails leaves capture as it is, and is tried again by and by. */
void entry_spool_merge(struct entry *entry, struct capture *capture, struct entry_merge *ret)
{
    pthread_mutex_lock(&entry->mu);
    uint64_t stored_txid = entry->durable.txid;
    pthread_mutex_unlock(&entry->mu);

    rc merged = capture_merge(capture, stored_txid, clock_monotonic_ms(), &ret->report, &ret->err);
    /* What was tried on the way to a success is in there as well. */
    if (merged == RC_OK || merged == RC_BUSY)
        ret->err = (struct error){ 0 };
}

/* A warning once an outage, though it may be merged many times before the store is back. */
void entry_spool_tell(struct entry *entry, const struct entry_merge *merge)
{
    const struct capture_merge_report *report = &merge->report;

    if (merge->err.code != RC_OK)
        log_error(LOG_WARN, &merge->err,
            report->is_window ? "window not merged" : "spool not merged", "db", entry->config->path,
            NULL);
    if (merge->report.is_window)
        entry_window_merged(entry, merge);
    if (!report->done || report->is_window)
        return;
    pthread_mutex_lock(&entry->mu);
    bool is_told = entry->merge_told;
    entry->merge_told = true;
    pthread_mutex_unlock(&entry->mu);
    metrics_add(&entry->metrics, METRIC_SPOOL_MERGES, 1);
    metrics_add(&entry->metrics, METRIC_LOST_POINTS, (int64_t)report->lost_point_count);
    log_event(is_told ? LOG_INFO : LOG_WARN, "spool merged", "db", entry->config->path, "from_txid",
        log_u64(report->min_txid), "to_txid", log_u64(report->max_txid), "lost_points",
        log_u64(report->lost_point_count), "bytes_before", log_u64(report->source_size), "bytes",
        log_u64(report->stored_size), NULL);
}

void entry_spool_no_room(struct entry *entry, const struct error *err, bool let_go)
{
    int64_t look_ms = clock_monotonic_ms() + ENTRY_ROOM_RETRY_MS;

    pthread_mutex_lock(&entry->mu);
    entry->room_look_ms = look_ms;
    entry->no_room = let_go;
    pthread_mutex_unlock(&entry->mu);
    metrics_set(&entry->metrics, METRIC_DISK_FULL, 1);
    trouble_note(&entry->capture_trouble, entry->config->path, err, ENTRY_ROOM_RETRY_MS);
    if (!let_go) {
        scheduler_at(entry->context->scheduler, &entry->capture_job, look_ms);
        return;
    }
    log_error(LOG_ERROR, err, "the log is let go, so that the application can go on writing", "db",
        entry->config->path, NULL);
    entry_reopen(entry, ENTRY_ROOM_RETRY_MS);
}
