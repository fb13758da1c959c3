/*
 * entry_metrics - what the works of a database mean for its numbers
 *
 * Works note what they did as it happens; what is a state of the entry is looked at when somebody
 * asks, under mu alone.
 */
#include "entry_priv.h"

#include "base/clock.h"

enum { FRAME_HEADER_SIZE = 24 };

_Static_assert(METRIC_ANSWERS_NONE - METRIC_ANSWERS_2XX == STORE_ANSWER_NONE - STORE_ANSWER_2XX,
    "answers are copied by index");

/* The earlier of two moments; 0 is none. */
static int64_t earlier_ms(int64_t left, int64_t right)
{
    if (left == 0 || right == 0)
        return left + right;
    return left < right ? left : right;
}

void entry_note_unstored_locked(struct entry *entry)
{
    int64_t now_ms = clock_monotonic_ms();
    int64_t age_ms = clock_wall_ms() - entry->durable.time_ms;
    uint64_t durable_txid = entry_durable_txid_locked(entry);

    if (entry->captured.txid <= durable_txid) {
        entry->unstored_since_ms = 0;
        return;
    }
    if (entry->unstored_since_ms == 0)
        entry->unstored_since_ms =
            entry->uncaptured_since_ms != 0 ? entry->uncaptured_since_ms : now_ms;
    /* What is not stored was committed after what is. */
    if (durable_txid > 0 && age_ms >= 0 && now_ms - age_ms > entry->unstored_since_ms)
        entry->unstored_since_ms = now_ms - age_ms;
}

void entry_measure_round(struct entry *entry, const struct capture_sync_report *sync,
    const struct capture_maintain_report *maintain, int64_t elapsed_ns)
{
    struct metrics *metrics = &entry->metrics;

    pthread_mutex_lock(&entry->mu);
    uint64_t frame_size = FRAME_HEADER_SIZE + entry->captured.page_size;
    pthread_mutex_unlock(&entry->mu);

    metrics_add(metrics, METRIC_SYNCS, 1);
    metrics_add(metrics, METRIC_SYNC_TIME, elapsed_ns);
    metrics_add(metrics, METRIC_TRANSACTIONS, (int64_t)sync->transaction_count);
    metrics_add(metrics, METRIC_LOG_BYTES_TOTAL, (int64_t)(sync->frame_count * frame_size));
    metrics_add(metrics, METRIC_SPOOL_SIZE, (int64_t)sync->stored_size);
    metrics_add(metrics, METRIC_SPOOL_SEGMENTS, (int64_t)sync->segment_count);
    metrics_set(metrics, METRIC_LOG_FRAMES, sync->log_frame_count);
    metrics_set(metrics, METRIC_LOG_SIZE, (int64_t)maintain->log_file_size);
    metrics_set(metrics, METRIC_DISK_FULL, 0);
    metrics_set(metrics, METRIC_POISONED, maintain->poison.state == CAPTURE_POISON_BUSY);
    metrics_add(metrics, METRIC_POISONS, maintain->poison.state == CAPTURE_POISON_HEALED);
    if (sync->resynced)
        entry_measure_resync(entry, sync->resync_page_count);
    if (maintain->truncated)
        metrics_add(metrics, METRIC_TRUNCATIONS, 1);
    if (maintain->reset_tried)
        metrics_add(metrics,
            maintain->reset_done          ? METRIC_RESETS_DONE
            : maintain->reader_in_the_way ? METRIC_RESETS_BLOCKED
                                          : METRIC_RESETS_MISSED,
            1);
    if (!entry->reset_pending || (maintain->reset_tried && !maintain->reader_in_the_way))
        metrics_set(metrics, METRIC_READER_SINCE, 0);
    else if (maintain->reader_in_the_way && metrics_get(metrics, METRIC_READER_SINCE) == 0)
        metrics_set(metrics, METRIC_READER_SINCE, clock_monotonic_ms());
}

void entry_measure_resync(struct entry *entry, uint64_t page_count)
{
    metrics_add(&entry->metrics, METRIC_RESYNCS, 1);
    metrics_add(&entry->metrics, METRIC_RESYNC_PAGES, (int64_t)page_count);
}

/* Called with replica_mu held. A spool that cannot be listed keeps its last number. */
void entry_measure_upload(struct entry *entry, const struct upload_report *report)
{
    struct metrics *metrics = &entry->metrics;
    uint64_t segment_count = 0;
    uint64_t size = 0;

    if (report->segment_count > 0) {
        metrics_add(metrics, METRIC_SEGMENTS_STORED, (int64_t)report->segment_count);
        metrics_set(metrics, METRIC_LAST_UPLOAD, clock_wall_ms());
    }
    if (uploader_backlog(entry->uploader, &segment_count, &size, NULL) != RC_OK)
        return;
    metrics_set(metrics, METRIC_SPOOL_SIZE, (int64_t)size);
    metrics_set(metrics, METRIC_SPOOL_SEGMENTS, (int64_t)segment_count);
}

void entry_measure_now(void *payload)
{
    struct entry *entry = payload;
    struct metrics *metrics = &entry->metrics;
    struct store_stats stats;
    struct histogram holds;

    pthread_mutex_lock(&entry->mu);
    int64_t since_ms = earlier_ms(entry->uncaptured_since_ms, entry->unstored_since_ms);
    uint64_t size = (uint64_t)entry->captured.page_count * entry->captured.page_size;
    metrics_set(metrics, METRIC_FOLLOWING, entry->state == ENTRY_FOLLOWING);
    metrics_set(metrics, METRIC_REFUSED, entry->state == ENTRY_REFUSED);
    metrics_set(metrics, METRIC_TXID, (int64_t)entry->captured.txid);
    metrics_set(metrics, METRIC_DURABLE_TXID, (int64_t)entry_durable_txid_locked(entry));
    pthread_mutex_unlock(&entry->mu);

    histogram_read(&metrics->histograms[METRIC_WRITE_LOCK_HOLDS], &holds);
    metrics_set(metrics, METRIC_WRITE_LOCK_MAX, (int64_t)holds.max_ns);
    store_stats_read(entry->store, &stats);
    metrics_set(metrics, METRIC_BEHIND_SINCE, since_ms);
    metrics_set(metrics, METRIC_DB_SIZE, (int64_t)size);
    metrics_set(metrics, METRIC_PUTS, (int64_t)stats.put_count);
    metrics_set(metrics, METRIC_GETS, (int64_t)stats.get_count);
    metrics_set(metrics, METRIC_LISTS, (int64_t)stats.list_count);
    metrics_set(metrics, METRIC_REMOVES, (int64_t)stats.remove_count);
    for (int index = 0; index < STORE_ANSWER_COUNT; index++)
        metrics_set(metrics, (enum metric_id)(METRIC_ANSWERS_2XX + index),
            (int64_t)stats.answer_counts[index]);
    metrics_set(metrics, METRIC_RETRIES, (int64_t)stats.retry_count);
    metrics_set(metrics, METRIC_SENT_BYTES, (int64_t)stats.sent_bytes);
    metrics_set(metrics, METRIC_RECEIVED_BYTES, (int64_t)stats.received_bytes);
}
