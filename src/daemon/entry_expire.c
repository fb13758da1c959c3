/*
 * entry_expire - what no rule keeps any longer goes from the replica
 *
 * One run an interval while something is stored: it costs a listing, and that is why it is rare.
 * While nothing is, runs go on as long as something will still go by its age, ever more rarely, up
 * to one a day; then none. Two runs on one replica do no harm (replica/expire.h).
 */
#include "entry_priv.h"

#include "base/clock.h"
#include "base/log.h"
#include "replica/expire.h"

enum {
    ENTRY_EXPIRE_RETRY_FIRST_MS = 60 * 1000,
    ENTRY_EXPIRE_IDLE_MAX_MS = 24 * 60 * 60 * 1000,
};

static void entry_expire_in(struct entry *entry, int64_t wait_ms)
{
    scheduler_at(entry->context->scheduler, &entry->expire_job, clock_monotonic_ms() + wait_ms);
}

void entry_want_expire(struct entry *entry)
{
    const struct rules *rules = &entry->config->retention;

    if (rules->count == 0 || rules->is_off || entry->context->once)
        return;
    pthread_mutex_lock(&entry->mu);
    entry->expire_changed = true;
    pthread_mutex_unlock(&entry->mu);
    entry_expire_in(entry, entry->config->retention_check_interval_ms);
}

/* Whether there is a replica of ours to look at now. */
static bool entry_expire_begin(struct entry *entry, bool *ret_changed)
{
    pthread_mutex_lock(&entry->mu);
    bool is_wanted = entry->state == ENTRY_FOLLOWING && entry->attached && !entry->draining;
    bool is_draining = entry->draining;
    *ret_changed = entry->expire_changed;
    if (is_wanted)
        entry->expire_changed = false;
    pthread_mutex_unlock(&entry->mu);
    if (!is_wanted && !is_draining)
        entry_expire_in(entry, entry->config->retention_check_interval_ms);
    return is_wanted;
}

static void entry_expire_tell(struct entry *entry, const struct expire_report *report)
{
    metrics_add(&entry->metrics, METRIC_EXPIRED_OBJECTS, (int64_t)report->removed_count);
    metrics_add(&entry->metrics, METRIC_EXPIRED_SIZE, (int64_t)report->removed_size);
    if (report->is_refused && !entry->expire_refused)
        log_event(LOG_WARN,
            "the store lets nothing be removed; 'retention: off' says that it is so", "db",
            entry->config->path, NULL);
    entry->expire_refused = report->is_refused;
    if (report->condemned_count > 0 || report->removed_count > 0)
        log_event(LOG_INFO, "retention", "db", entry->config->path, "condemned",
            log_u64(report->condemned_count), "removed", log_u64(report->removed_count), "bytes",
            log_u64(report->removed_size), NULL);
}

static void entry_expire_next(
    struct entry *entry, const struct expire_report *report, bool was_changed)
{
    int64_t interval_ms = entry->config->retention_check_interval_ms;
    bool is_open = report->later_count + report->pending_count + report->condemned_count +
                       report->waiting_count >
                   0;

    entry->expire_wait_ms = was_changed ? interval_ms : 2 * entry->expire_wait_ms;
    if (entry->expire_wait_ms > ENTRY_EXPIRE_IDLE_MAX_MS)
        entry->expire_wait_ms = ENTRY_EXPIRE_IDLE_MAX_MS;
    if (entry->expire_wait_ms < interval_ms)
        entry->expire_wait_ms = interval_ms;
    if (is_open)
        entry_expire_in(entry, entry->expire_wait_ms);
}

static void entry_expire_failed(struct entry *entry, const struct error *err)
{
    int64_t wait_ms = trouble_backoff_ms(&entry->expire_trouble, ENTRY_EXPIRE_RETRY_FIRST_MS,
        entry->config->retention_check_interval_ms + ENTRY_EXPIRE_RETRY_FIRST_MS);

    if (cancel_asked(entry->context->cancel))
        return;
    trouble_note(&entry->expire_trouble, entry->config->path, err, wait_ms);
    entry_expire_in(entry, wait_ms);
}

void entry_expire_run(void *payload)
{
    struct entry *entry = payload;
    auto_expire_report struct expire_report report = EXPIRE_REPORT_INIT;
    struct expire_options options = {
        .rules = entry->config->retention,
        .grace_ms = entry->config->retention_grace_ms,
        .now_ms = clock_wall_ms(),
        .cancel = entry->context->cancel,
    };
    struct error err = { 0 };
    bool was_changed = false;

    if (!entry_expire_begin(entry, &was_changed))
        return;
    if (expire_run(&report, entry->replica, &options, &err) != RC_OK) {
        entry_expire_failed(entry, &err);
        return;
    }
    trouble_clear(&entry->expire_trouble, entry->config->path);
    entry_expire_tell(entry, &report);
    entry_expire_next(entry, &report, was_changed);
}
