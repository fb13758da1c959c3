/*
 * history - a made-up database, the transactions on it, and the segments that tell them
 *
 * Everything follows from the seed. Pages look and change as SQLite's do: cells that are inserted
 * and removed, counters, overflow pages full of random bytes, zeroed pages, growth and shrinking.
 */
#ifndef SEAWAL_TESTS_SEGMENT_HISTORY_H
#define SEAWAL_TESTS_SEGMENT_HISTORY_H

#include "base/buf.h"
#include "base/stream.h"
#include "segment/reader.h"
#include "segment/segment.h"

/* ---- an object in memory */

struct memory_object {
    struct buf bytes;
    uint64_t read_size; /* bytes that were asked of the source */
    unsigned read_count;
    unsigned write_count;
    unsigned refused_read; /* the read of this number fails, counted from 1; 0: none */
    unsigned refused_write;
    rc refusal; /* with this */
};

#define MEMORY_OBJECT_INIT ((struct memory_object){ .bytes = BUF_INIT(UINT64_C(1) << 32) })
#define auto_memory_object __attribute__((cleanup(memory_object_release)))
void memory_object_release(struct memory_object *object);
struct sink memory_object_sink(struct memory_object *object);
struct source memory_object_source(struct memory_object *object);

/* ---- randomness that repeats */

struct noise {
    uint64_t state;
};
uint64_t noise_next(struct noise *noise);
uint32_t noise_below(struct noise *noise, uint32_t limit);
void noise_fill(struct noise *noise, void *out, size_t size);

/* ---- the database */

struct history {
    struct noise noise;
    uint32_t page_size;
    uint32_t page_count;
    uint32_t page_capacity;
    uint8_t *pages;       /* page 1 first; page_capacity of them */
    uint64_t *written_at; /* the last transaction that wrote the page, beside each */
    uint64_t digest;
    uint64_t txid;
    int64_t time_ms;
};

#define auto_history __attribute__((cleanup(history_release)))
struct history history_new(uint64_t seed, uint32_t page_size, uint32_t page_count);
struct history history_copy(const struct history *history);
void history_release(struct history *history);
struct bytes history_page(const struct history *history, uint32_t pgno);
uint64_t history_digest(const struct history *history);

/* Change one page in one of many ways, or fill it. */
void history_edit_page(struct noise *noise, uint8_t *page, size_t page_size);

/* What log_encoder_finish() asks for. */
uint64_t history_digest_of(void *history, uint32_t pgno);

/*
 * Make TRANSACTION_COUNT transactions of up to FRAMES_MAX frames, and write them as one segment to
 * OBJECT. RECORDS, when not NULL, has room for the transactions as they should be read back.
 */
struct history_plan {
    uint32_t transaction_count;
    uint32_t frames_max;
    bool may_resize; /* grow and shrink the database */
};
void history_write_log(struct history *history, const struct history_plan *plan,
    struct memory_object *object, struct segment_transaction *records);

/* The whole database as a snapshot as of its newest transaction. */
void history_write_snapshot(const struct history *history, struct memory_object *object);

/*
 * What the transactions between BEFORE and AFTER made of the database, as one merged segment: the
 * pages that they wrote, those that differ, and all that are new.
 */
void history_write_merged(
    const struct history *before, const struct history *after, struct memory_object *object);

struct segment_identity history_identity(const struct history *history, enum segment_kind kind);

/* Apply one frame to the pages of HISTORY, which is at the state before it. */
must_use rc history_apply(
    struct history *history, const struct log_frame *frame, struct error *err);

/*
 * Read all of OBJECT, a log segment, into HISTORY, which is at the state before it; checks the
 * database digest at each commit (RC_MISMATCH).
 */
must_use rc history_replay(
    struct history *history, struct memory_object *object, struct error *err);

/*
 * Read all of OBJECT, a merged segment, into HISTORY, which is at the state before it or at one
 * within it; checks the database digest (RC_MISMATCH).
 */
must_use rc history_merge(struct history *history, struct memory_object *object, struct error *err);

/* Read all of OBJECT, a snapshot, into a new history. */
must_use rc history_restore(struct history *ret, struct memory_object *object, struct error *err);

#endif
