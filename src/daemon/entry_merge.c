/*
 * entry_merge - windows of time become merged segments beside the log, and when a snapshot is due
 *
 * The finest windows are merged by capture, from the database itself, in slices between rounds
 * (entry_window_*). The merge work stores them, and makes the longer ones from those that it keeps.
 * In steady state that is one PUT a window and no other request; the store is listed once at the
 * start, and where a window was lost.
 *
 * How much is merged says when a new snapshot pays: what is uploaded follows what changed.
 */
#include "entry_priv.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/path.h"
#include "base/text.h"
#include "snapshot_rule_priv.h"

enum {
    ENTRY_MERGE_RETRY_FIRST_MS = 1000,
    ENTRY_MERGE_RETRY_MAX_MS = 5 * 60 * 1000,
    ENTRY_MERGE_STEP_PAUSE_MS = 10,
    ENTRY_WINDOW_WAITING_MAX = 4, /* no further ones while the store takes none */
};

/* ---- the finest windows */

/* While the store is away the spool has its own way of merging, and the disk is not ours to fill.
 */
static bool entry_window_is_wanted(struct entry *entry)
{
    pthread_mutex_lock(&entry->mu);
    bool is_wanted = entry->attached && entry->durable.txid >= entry->window_before_txid &&
                     entry->window_waiting_count < ENTRY_WINDOW_WAITING_MAX;
    pthread_mutex_unlock(&entry->mu);
    return is_wanted;
}

int64_t entry_window_time_ms(const struct entry *entry, int64_t wall_ms)
{
    const struct rules *rules = &entry->config->retention;
    int64_t now_ms = clock_wall_ms();

    if (rules->count > 1 &&
        rule_window(&rules->rules[1], now_ms) != rule_window(&rules->rules[1], wall_ms))
        return wall_ms;
    return now_ms;
}

void entry_window_close(
    struct entry *entry, struct capture *capture, int64_t wall_ms, struct entry_window *ret)
{
    uint64_t txid = capture_position(capture)->txid;

    *ret = (struct entry_window){ 0 };
    rc closed =
        capture_window(capture, wall_ms, entry_window_is_wanted(entry), &ret->report, &ret->err);
    if (closed == RC_OK)
        ret->err = (struct error){ 0 };
    if (ret->report.due_ms > 0)
        ret->next_ms = ret->report.due_ms > wall_ms ? ret->report.due_ms - wall_ms : 1;
    if (!ret->report.begun && !ret->report.lost)
        return;
    pthread_mutex_lock(&entry->mu);
    entry->window_before_txid = txid;
    entry->window_lost = entry->window_lost || ret->report.lost;
    pthread_mutex_unlock(&entry->mu);
}

void entry_window_tell(struct entry *entry, const struct entry_window *window)
{
    if (window->err.code != RC_OK)
        log_error(LOG_WARN, &window->err, "window not merged", "db", entry->config->path, NULL);
    metrics_add(&entry->metrics, METRIC_WINDOWS_LOST, window->report.lost);
}

void entry_window_merged(struct entry *entry, const struct entry_merge *merge)
{
    const struct capture_merge_report *report = &merge->report;

    if (!report->done && !report->window_lost)
        return;
    pthread_mutex_lock(&entry->mu);
    entry->window_waiting_count += report->done;
    entry->window_lost = entry->window_lost || report->window_lost;
    bool is_stored = entry->durable.txid >= report->max_txid;
    pthread_mutex_unlock(&entry->mu);
    metrics_add(&entry->metrics, METRIC_WINDOWS_LOST, report->window_lost);
    if (report->done && is_stored)
        scheduler_at(entry->context->scheduler, &entry->merge_job, 0);
}

bool entry_snapshot_is_due_locked(const struct entry *entry)
{
    bool is_merged = entry->config->retention.count > 1;
    struct snapshot_account account = {
        .snapshot_size = entry->snapshot_size,
        .snapshot_time_ms = entry->snapshot_time_ms,
        .log_size = entry->log_size,
        .behind_size = is_merged ? entry->merged_before + entry->merged_size : entry->log_size,
    };

    return !entry->draining && snapshot_is_due(&account, &entry->config->snapshot, clock_wall_ms());
}

/* ---- the work */

/* What one run needs of the entry. */
struct merge_run {
    struct merger_sight of;
    uint64_t durable_txid;
    bool window_lost;
    bool reset_size;
    unsigned waiting_count;
    char *state_dir; /* owned */
};

/* False when there is nothing to merge now. */
static bool merge_run_begin(struct entry *entry, struct merge_run *run)
{
    *run = (struct merge_run){ 0 };
    pthread_mutex_lock(&entry->capture_mu);
    if (entry->capture != NULL)
        run->state_dir = text_copy(capture_state_dir(entry->capture));
    pthread_mutex_unlock(&entry->capture_mu);

    pthread_mutex_lock(&entry->mu);
    bool is_wanted = run->state_dir != NULL && entry->state == ENTRY_FOLLOWING && entry->attached &&
                     !entry->draining && !entry->context->once &&
                     entry->durable.timeline == entry->timeline;
    run->of.database_id = entry->captured.database_id;
    run->of.timeline = entry->timeline;
    run->durable_txid = entry->durable.txid;
    run->window_lost = entry->window_lost;
    run->reset_size = entry->merged_reset;
    run->waiting_count = entry->window_waiting_count;
    if (is_wanted) {
        entry->merge_wanted = false;
        entry->window_lost = false;
        entry->merged_reset = false;
        entry->window_waiting_count = 0;
    }
    pthread_mutex_unlock(&entry->mu);
    return is_wanted && entry->config->retention.count > 1;
}

/* The merger of the history as it is. */
static void merge_run_prepare(struct entry *entry, const struct merge_run *run)
{
    bool is_same = entry->merger != NULL && entry->merger_of.timeline == run->of.timeline &&
                   memcmp(&entry->merger_of.database_id, &run->of.database_id,
                       sizeof run->of.database_id) == 0;

    if (!is_same) {
        auto_free char *windows = path_join(run->state_dir, "windows");
        auto_free char *kept = path_join(run->state_dir, "kept");
        struct merger_options options = {
            .database_id = run->of.database_id,
            .timeline = run->of.timeline,
            .windows_folder = windows,
            .kept_folder = kept,
            .kept_size_max = entry->config->spool_size / 4,
            .rules = &entry->config->retention,
            .cancel = entry->context->cancel,
        };
        merger_free(entry->merger);
        entry->merger = merger_new(entry->replica, &options);
        entry->merger_of = run->of;
    }
    if (run->window_lost)
        merger_note_lost(entry->merger);
    if (run->reset_size)
        merger_reset_size(entry->merger);
}

static void merge_run_tell(struct entry *entry, const struct merge_report *report)
{
    struct metrics *metrics = &entry->metrics;

    metrics_add(metrics, METRIC_WINDOWS_STORED, (int64_t)report->stored_count);
    metrics_add(metrics, METRIC_WINDOWS_SIZE, (int64_t)report->stored_size);
    metrics_add(metrics, METRIC_WINDOWS_READ_SIZE, (int64_t)report->fetched_size);
    if (report->given_up > 0)
        log_error(LOG_WARN, &report->why, "a window cannot be merged; its log stays", "db",
            entry->config->path, NULL);
    if (report->stored_count > 0)
        log_event(LOG_DEBUG, "merged", "db", entry->config->path, "segments",
            log_u64(report->stored_count), "bytes", log_u64(report->stored_size), "fetched",
            log_u64(report->fetched_size), NULL);

    pthread_mutex_lock(&entry->mu);
    if (!entry->merged_reset)
        entry->merged_size = merger_size(entry->merger);
    bool snapshot_is_due = entry_snapshot_is_due_locked(entry) && !entry->snapshot_wanted;
    pthread_mutex_unlock(&entry->mu);
    if (snapshot_is_due)
        entry_want_snapshot(entry);
}

/* As long as the step took: half of a thread at most, whatever there is to catch up with. */
static void merge_run_next(
    struct entry *entry, const struct merge_report *report, int64_t elapsed_ms)
{
    int64_t wait_ms = elapsed_ms + ENTRY_MERGE_STEP_PAUSE_MS;

    if (!report->is_more && report->due_ms == 0)
        return;
    if (!report->is_more) {
        wait_ms = report->due_ms - clock_wall_ms();
        if (wait_ms < ENTRY_MERGE_STEP_PAUSE_MS)
            wait_ms = ENTRY_MERGE_STEP_PAUSE_MS;
    }
    scheduler_at(entry->context->scheduler, &entry->merge_job, clock_monotonic_ms() + wait_ms);
}

static void entry_merge_failed(
    struct entry *entry, const struct merge_run *run, const struct error *err)
{
    int64_t wait_ms = trouble_backoff_ms(
        &entry->merge_trouble, ENTRY_MERGE_RETRY_FIRST_MS, ENTRY_MERGE_RETRY_MAX_MS);

    if (cancel_asked(entry->context->cancel))
        return;
    pthread_mutex_lock(&entry->mu);
    entry->window_waiting_count += run->waiting_count;
    pthread_mutex_unlock(&entry->mu);
    trouble_note(&entry->merge_trouble, entry->config->path, err, wait_ms);
    scheduler_at(entry->context->scheduler, &entry->merge_job, clock_monotonic_ms() + wait_ms);
}

void entry_merge_run(void *payload)
{
    struct entry *entry = payload;
    struct merge_run run;
    struct merge_report report = { 0 };
    struct error err = { 0 };
    int64_t began_ms = clock_monotonic_ms();

    if (merge_run_begin(entry, &run)) {
        merge_run_prepare(entry, &run);
        rc merged = merger_run(entry->merger, run.durable_txid, clock_wall_ms(), &report, &err);
        merge_run_tell(entry, &report);
        if (merged == RC_OK) {
            trouble_clear(&entry->merge_trouble, entry->config->path);
            merge_run_next(entry, &report, clock_monotonic_ms() - began_ms);
        } else {
            entry_merge_failed(entry, &run, &err);
        }
    }
    free(run.state_dir);
}
