/*
 * metrics - numbers about each database that anybody may set and a scrape reads
 *
 * Every entry owns a struct metrics: one whole number for each row of the table in metrics.c, and a
 * few histograms, all 0 at first. Works set and add without a lock and without knowing of
 * Prometheus; the registry knows whose they are; metrics_text.h makes the text. Nothing is
 * collected: a scrape reads what was last set, so it wakes no database, takes none of its locks and
 * opens nothing.
 *
 * A new number is a new id here and its row in metrics.c.
 *
 * Thread rules: metrics_set(), _add() and _get() by any thread at any time. A registry is filled by
 * one thread before the first scrape, and freed after the last one; what it borrows lives as long.
 */
#ifndef SEAWAL_DAEMON_METRICS_PRIV_H
#define SEAWAL_DAEMON_METRICS_PRIV_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "base/histogram.h"

/* In the order of the text; the rows of one family are neighbours. */
enum metric_id {
    METRIC_FOLLOWING,
    METRIC_REFUSED,
    METRIC_BEHIND_SINCE, /* of the oldest commit that is not in the store; see metric_unit */
    METRIC_TXID,
    METRIC_DURABLE_TXID,
    METRIC_LAST_UPLOAD, /* wall clock, ms since the epoch */
    METRIC_DB_SIZE,
    METRIC_LOG_SIZE,
    METRIC_LOG_FRAMES,
    METRIC_LOG_BYTES_TOTAL,
    METRIC_TRANSACTIONS,
    METRIC_SYNCS,
    METRIC_SYNC_ERRORS,
    METRIC_SYNC_TIME, /* ns */
    METRIC_RESYNCS,
    METRIC_RESYNC_PAGES,
    METRIC_RESETS_DONE,
    METRIC_RESETS_BLOCKED, /* by a foreign reader */
    METRIC_RESETS_MISSED,  /* the application was too fast, or the budget was over */
    METRIC_TRUNCATIONS,
    METRIC_WRITE_LOCK_MAX, /* ns */
    METRIC_READER_SINCE,   /* a foreign reader keeps the log from being reset */
    METRIC_POISONED,       /* 1: the log's index is poisoned and not healed yet */
    METRIC_POISONS,
    METRIC_DISK_FULL, /* 1: the disk of spool or state folder is full */
    METRIC_SPOOL_SIZE,
    METRIC_SPOOL_SEGMENTS,
    METRIC_SPOOL_CAP,
    METRIC_SPOOL_MERGES,
    METRIC_LOST_POINTS, /* transactions that merging made impossible to choose */
    METRIC_SEGMENTS_STORED,
    METRIC_SNAPSHOTS_STORED,
    METRIC_WINDOWS_STORED,    /* merged segments beside the log */
    METRIC_WINDOWS_SIZE,      /* bytes of them */
    METRIC_WINDOWS_READ_SIZE, /* bytes read to make them */
    METRIC_WINDOWS_LOST,
    METRIC_EXPIRED_OBJECTS, /* removed by retention */
    METRIC_EXPIRED_SIZE,    /* bytes of them */
    METRIC_FAILING_OPEN,    /* 1: the last try failed */
    METRIC_FAILING_CAPTURE,
    METRIC_FAILING_UPLOAD,
    METRIC_FAILING_SNAPSHOT,
    METRIC_FAILING_MERGE,
    METRIC_FAILING_EXPIRE,
    METRIC_FAILURES_OPEN,
    METRIC_FAILURES_CAPTURE,
    METRIC_FAILURES_UPLOAD,
    METRIC_FAILURES_SNAPSHOT,
    METRIC_FAILURES_MERGE,
    METRIC_FAILURES_EXPIRE,
    METRIC_PUTS,
    METRIC_GETS,
    METRIC_LISTS,
    METRIC_REMOVES,
    METRIC_ANSWERS_2XX, /* in the order of enum store_answer */
    METRIC_ANSWERS_3XX,
    METRIC_ANSWERS_4XX,
    METRIC_ANSWERS_5XX,
    METRIC_ANSWERS_NONE,
    METRIC_RETRIES,
    METRIC_SENT_BYTES,
    METRIC_RECEIVED_BYTES,
    METRIC_COUNT,
};

enum metric_histogram_id {
    METRIC_WRITE_LOCK_HOLDS,
    METRIC_HISTOGRAM_COUNT,
};

struct metrics {
    _Atomic int64_t values[METRIC_COUNT];
    struct histogram histograms[METRIC_HISTOGRAM_COUNT]; /* histogram_note() into them */
};

static inline void metrics_set(struct metrics *metrics, enum metric_id id, int64_t value)
{
    atomic_store_explicit(&metrics->values[id], value, memory_order_relaxed);
}

static inline void metrics_add(struct metrics *metrics, enum metric_id id, int64_t amount)
{
    atomic_fetch_add_explicit(&metrics->values[id], amount, memory_order_relaxed);
}

static inline int64_t metrics_get(const struct metrics *metrics, enum metric_id id)
{
    return atomic_load_explicit(&metrics->values[id], memory_order_relaxed);
}

enum metric_type { METRIC_GAUGE, METRIC_COUNTER };

/* How the whole number is told. */
enum metric_unit {
    METRIC_PLAIN,
    METRIC_MS,       /* milliseconds, told in seconds */
    METRIC_NS,       /* nanoseconds, told in seconds */
    METRIC_SINCE_MS, /* monotonic ms when it began, told as its age in seconds; 0: it is not so */
};

struct metric_spec {
    const char *family;
    const char *label; /* besides db: "work=\"open\""; NULL: none */
    enum metric_type type;
    enum metric_unit unit;
    const char *help; /* in the first row of a family */
};

struct metric_histogram_spec {
    const char *family;
    const char *help;
};

extern const struct metric_spec metric_specs[METRIC_COUNT];
extern const struct metric_histogram_spec metric_histogram_specs[METRIC_HISTOGRAM_COUNT];

/* One database as a scrape sees it. */
struct metrics_member {
    char *label;             /* db="PATH", escaped; owned */
    struct metrics *metrics; /* borrowed */

    /* Called at the beginning of each scrape to bring numbers in that another object counts; must
     * not wait. NULL: none. */
    void (*refresh)(void *payload);
    void *payload;
};

struct metrics_registry {
    struct metrics_member *members;
    size_t member_count;
    size_t capacity;
};
#define METRICS_REGISTRY_INIT ((struct metrics_registry){ 0 })
void metrics_registry_release(struct metrics_registry *registry);

/* PATH is copied, METRICS and PAYLOAD are borrowed. */
void metrics_registry_add(struct metrics_registry *registry, const char *path,
    struct metrics *metrics, void (*refresh)(void *payload), void *payload);

#endif
