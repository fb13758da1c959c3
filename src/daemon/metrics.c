/* metrics - the table of every number, and whose they are; see metrics_priv.h */
#include "metrics_priv.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "base/text.h"

enum { METRICS_LABEL_SIZE_MAX = 64 * 1024 };

#define ROW(id_, family_, label_, type_, unit_, help_)                                             \
    [id_] = {                                                                                      \
        .family = (family_), .label = (label_), .type = (type_), .unit = (unit_), .help = (help_)  \
    }
#define GAUGE(id_, family_, unit_, help_)   ROW(id_, family_, NULL, METRIC_GAUGE, unit_, help_)
#define COUNTER(id_, family_, unit_, help_) ROW(id_, family_, NULL, METRIC_COUNTER, unit_, help_)

/* Litestream's names where they mean the same; its dashboards then work unchanged. */
const struct metric_spec metric_specs[METRIC_COUNT] = {
    GAUGE(METRIC_FOLLOWING, "seawal_following", METRIC_PLAIN,
        "Whether the database is open and followed (1) or not (0)."),
    GAUGE(METRIC_REFUSED, "seawal_refused", METRIC_PLAIN,
        "Whether replication was refused and waits for an operator (1); the log says why."),
    GAUGE(METRIC_BEHIND_SINCE, "seawal_lag_seconds", METRIC_SINCE_MS,
        "Age of the oldest commit that was seen and is not in the store; 0 when all are."),
    GAUGE(METRIC_TXID, "litestream_txid", METRIC_PLAIN, "The newest transaction captured."),
    GAUGE(METRIC_DURABLE_TXID, "seawal_durable_txid", METRIC_PLAIN,
        "The transaction up to which the replica restores everything; 0: nothing yet."),
    GAUGE(METRIC_LAST_UPLOAD, "seawal_last_upload_timestamp_seconds", METRIC_MS,
        "When something was last stored, in seconds since the epoch; 0: not by this process."),
    GAUGE(METRIC_DB_SIZE, "litestream_db_size", METRIC_PLAIN,
        "Bytes of the database as of the newest transaction captured."),
    GAUGE(METRIC_LOG_SIZE, "litestream_wal_size", METRIC_PLAIN,
        "Bytes of the write-ahead log file when it was last looked at."),
    GAUGE(METRIC_LOG_FRAMES, "seawal_log_frames", METRIC_PLAIN,
        "Committed frames in the write-ahead log when it was last looked at."),
    COUNTER(METRIC_LOG_BYTES_TOTAL, "litestream_total_wal_bytes", METRIC_PLAIN,
        "Bytes of the write-ahead log that were captured."),
    COUNTER(
        METRIC_TRANSACTIONS, "seawal_transactions_total", METRIC_PLAIN, "Transactions captured."),
    COUNTER(METRIC_SYNCS, "litestream_sync_count", METRIC_PLAIN, "Rounds of capturing."),
    COUNTER(METRIC_SYNC_ERRORS, "litestream_sync_error_count", METRIC_PLAIN,
        "Rounds of capturing that failed."),
    COUNTER(METRIC_SYNC_TIME, "litestream_sync_seconds", METRIC_NS,
        "Time spent in rounds of capturing."),
    COUNTER(METRIC_RESYNCS, "seawal_resyncs_total", METRIC_PLAIN,
        "How often continuity was lost and the pages that differed became one transaction."),
    COUNTER(METRIC_RESYNC_PAGES, "seawal_resync_pages_total", METRIC_PLAIN,
        "Pages that differed in resyncs."),
    ROW(METRIC_RESETS_DONE, "seawal_log_resets_total", "result=\"done\"", METRIC_COUNTER,
        METRIC_PLAIN,
        "Tries to let the log begin again: done, reader (a foreign one was in the way), missed "
        "(the application was too fast)."),
    ROW(METRIC_RESETS_BLOCKED, "seawal_log_resets_total", "result=\"reader\"", METRIC_COUNTER,
        METRIC_PLAIN, NULL),
    ROW(METRIC_RESETS_MISSED, "seawal_log_resets_total", "result=\"missed\"", METRIC_COUNTER,
        METRIC_PLAIN, NULL),
    COUNTER(METRIC_TRUNCATIONS, "seawal_log_truncations_total", METRIC_PLAIN,
        "How often the log file was cut."),
    GAUGE(METRIC_WRITE_LOCK_MAX, "seawal_write_lock_hold_max_seconds", METRIC_NS,
        "The longest that this process has held the write lock."),
    GAUGE(METRIC_READER_SINCE, "seawal_long_reader_seconds", METRIC_SINCE_MS,
        "How long a foreign reader has kept the log from beginning again; 0: none does."),
    GAUGE(METRIC_POISONED, "seawal_log_poisoned", METRIC_PLAIN,
        "Whether SQLite's WAL-reset bug has struck and is not healed yet (1)."),
    COUNTER(METRIC_POISONS, "seawal_log_poisons_total", METRIC_PLAIN,
        "How often the log was found struck by SQLite's WAL-reset bug and healed."),
    GAUGE(METRIC_DISK_FULL, "litestream_disk_full", METRIC_PLAIN,
        "Whether there is no room for what was committed (1); the application is not affected."),
    GAUGE(METRIC_SPOOL_SIZE, "seawal_spool_bytes", METRIC_PLAIN,
        "Bytes captured that the store does not have yet."),
    GAUGE(METRIC_SPOOL_SEGMENTS, "seawal_spool_segments", METRIC_PLAIN,
        "Segments captured that the store does not have yet."),
    GAUGE(METRIC_SPOOL_CAP, "seawal_spool_cap_bytes", METRIC_PLAIN,
        "Bytes of spool from which it is merged; 0: no cap."),
    COUNTER(METRIC_SPOOL_MERGES, "seawal_spool_merges_total", METRIC_PLAIN,
        "How often the spool was merged because more waited for the store than its cap."),
    COUNTER(METRIC_LOST_POINTS, "seawal_spool_lost_points_total", METRIC_PLAIN,
        "Transactions that cannot be chosen in a restore since they were merged in the spool."),
    COUNTER(METRIC_SEGMENTS_STORED, "seawal_segments_stored_total", METRIC_PLAIN,
        "Segments of the log that the store has taken."),
    COUNTER(METRIC_SNAPSHOTS_STORED, "seawal_snapshots_stored_total", METRIC_PLAIN,
        "Snapshots that the store has taken."),
    COUNTER(METRIC_WINDOWS_STORED, "seawal_merged_segments_total", METRIC_PLAIN,
        "Merged segments of windows of time that the store has taken."),
    COUNTER(METRIC_WINDOWS_SIZE, "seawal_merged_bytes_total", METRIC_PLAIN, "Bytes of them."),
    COUNTER(METRIC_WINDOWS_READ_SIZE, "seawal_merge_fetched_bytes_total", METRIC_PLAIN,
        "Bytes fetched from the store to make them."),
    COUNTER(METRIC_WINDOWS_LOST, "seawal_merge_windows_lost_total", METRIC_PLAIN,
        "Windows that were not merged from the database and are merged from the store."),
    COUNTER(METRIC_EXPIRED_OBJECTS, "seawal_expired_objects_total", METRIC_PLAIN,
        "Objects that retention removed from the store."),
    COUNTER(METRIC_EXPIRED_SIZE, "seawal_expired_bytes_total", METRIC_PLAIN, "Bytes of them."),
    ROW(METRIC_FAILING_OPEN, "seawal_failing", "work=\"open\"", METRIC_GAUGE, METRIC_PLAIN,
        "Whether the last try of this work failed (1) and is repeated."),
    ROW(METRIC_FAILING_CAPTURE, "seawal_failing", "work=\"capture\"", METRIC_GAUGE, METRIC_PLAIN,
        NULL),
    ROW(METRIC_FAILING_UPLOAD, "seawal_failing", "work=\"upload\"", METRIC_GAUGE, METRIC_PLAIN,
        NULL),
    ROW(METRIC_FAILING_SNAPSHOT, "seawal_failing", "work=\"snapshot\"", METRIC_GAUGE, METRIC_PLAIN,
        NULL),
    ROW(METRIC_FAILING_MERGE, "seawal_failing", "work=\"merge\"", METRIC_GAUGE, METRIC_PLAIN, NULL),
    ROW(METRIC_FAILING_EXPIRE, "seawal_failing", "work=\"expire\"", METRIC_GAUGE, METRIC_PLAIN,
        NULL),
    ROW(METRIC_FAILURES_OPEN, "seawal_failures_total", "work=\"open\"", METRIC_COUNTER,
        METRIC_PLAIN, "Tries of this work that failed."),
    ROW(METRIC_FAILURES_CAPTURE, "seawal_failures_total", "work=\"capture\"", METRIC_COUNTER,
        METRIC_PLAIN, NULL),
    ROW(METRIC_FAILURES_UPLOAD, "seawal_failures_total", "work=\"upload\"", METRIC_COUNTER,
        METRIC_PLAIN, NULL),
    ROW(METRIC_FAILURES_SNAPSHOT, "seawal_failures_total", "work=\"snapshot\"", METRIC_COUNTER,
        METRIC_PLAIN, NULL),
    ROW(METRIC_FAILURES_MERGE, "seawal_failures_total", "work=\"merge\"", METRIC_COUNTER,
        METRIC_PLAIN, NULL),
    ROW(METRIC_FAILURES_EXPIRE, "seawal_failures_total", "work=\"expire\"", METRIC_COUNTER,
        METRIC_PLAIN, NULL),
    ROW(METRIC_PUTS, "seawal_store_requests_total", "verb=\"put\"", METRIC_COUNTER, METRIC_PLAIN,
        "Requests to the store as a provider bills them, repeated ones included."),
    ROW(METRIC_GETS, "seawal_store_requests_total", "verb=\"get\"", METRIC_COUNTER, METRIC_PLAIN,
        NULL),
    ROW(METRIC_LISTS, "seawal_store_requests_total", "verb=\"list\"", METRIC_COUNTER, METRIC_PLAIN,
        NULL),
    ROW(METRIC_REMOVES, "seawal_store_requests_total", "verb=\"remove\"", METRIC_COUNTER,
        METRIC_PLAIN, NULL),
    ROW(METRIC_ANSWERS_2XX, "seawal_store_answers_total", "code=\"2xx\"", METRIC_COUNTER,
        METRIC_PLAIN,
        "Answers of a store that speaks HTTP, by status; none: there was none in time."),
    ROW(METRIC_ANSWERS_3XX, "seawal_store_answers_total", "code=\"3xx\"", METRIC_COUNTER,
        METRIC_PLAIN, NULL),
    ROW(METRIC_ANSWERS_4XX, "seawal_store_answers_total", "code=\"4xx\"", METRIC_COUNTER,
        METRIC_PLAIN, NULL),
    ROW(METRIC_ANSWERS_5XX, "seawal_store_answers_total", "code=\"5xx\"", METRIC_COUNTER,
        METRIC_PLAIN, NULL),
    ROW(METRIC_ANSWERS_NONE, "seawal_store_answers_total", "code=\"none\"", METRIC_COUNTER,
        METRIC_PLAIN, NULL),
    COUNTER(METRIC_RETRIES, "seawal_store_retries_total", METRIC_PLAIN,
        "Requests that were repeated because the one before had failed."),
    COUNTER(METRIC_SENT_BYTES, "seawal_store_sent_bytes_total", METRIC_PLAIN,
        "Bytes of bodies sent to the store."),
    COUNTER(METRIC_RECEIVED_BYTES, "seawal_store_received_bytes_total", METRIC_PLAIN,
        "Bytes of bodies received from the store."),
};

const struct metric_histogram_spec metric_histogram_specs[METRIC_HISTOGRAM_COUNT] = {
    [METRIC_WRITE_LOCK_HOLDS] = { "seawal_write_lock_hold_seconds",
        "How long this process has held the write lock, each time." },
};

void metrics_registry_release(struct metrics_registry *registry)
{
    for (size_t index = 0; index < registry->member_count; index++)
        free(registry->members[index].label);
    free(registry->members);
    *registry = METRICS_REGISTRY_INIT;
}

/*
 * A label's value is UTF-8 with three characters escaped; one byte that is neither would make
 * Prometheus refuse the whole scrape, so what is not UTF-8 becomes U+FFFD.
 */
static char *metrics_label_of(const char *path)
{
    auto_buf struct buf label = BUF_INIT(METRICS_LABEL_SIZE_MAX);
    size_t size = strnlen(path, METRICS_LABEL_SIZE_MAX / 4);

    buf_put_text(&label, "db=\"");
    for (size_t index = 0; index < size;) {
        uint32_t character = 0;
        size_t count = text_utf8_next(&character, (const uint8_t *)path + index, size - index);

        if (count == 0)
            buf_put_text(&label, "\xef\xbf\xbd");
        else if (character == '\n')
            buf_put_text(&label, "\\n");
        else if (character == '"' || character == '\\')
            buf_put_format(&label, "\\%c", (char)character);
        else
            buf_put(&label, bytes_of(path + index, count));
        index += count == 0 ? 1 : count;
    }
    buf_put_text(&label, "\"");
    return buf_take_text(&label);
}

void metrics_registry_add(struct metrics_registry *registry, const char *path,
    struct metrics *metrics, void (*refresh)(void *payload), void *payload)
{
    if (registry->member_count == registry->capacity) {
        registry->capacity = registry->capacity == 0 ? 4 : registry->capacity * 2;
        registry->members =
            mem_resize(registry->members, registry->capacity * sizeof *registry->members);
    }
    registry->members[registry->member_count++] = (struct metrics_member){
        .label = metrics_label_of(path),
        .metrics = metrics,
        .refresh = refresh,
        .payload = payload,
    };
}
