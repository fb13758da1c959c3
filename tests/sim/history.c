/* history - what the store holds against the states that were; see oracle.h */
#include <assert.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "codec/digest.h"
#include "layout_priv.h"
#include "oracle.h"
#include "replica/history.h"
#include "replica/replica.h"
#include "replica/restore.h"
#include "segment/reader.h"
#include "sim.h"
#include "store/scheme.h"

enum {
    OBJECT_SIZE_MAX = 64 << 20,
    POINT_COUNT_MAX = 1 << 16,
    IMAGE_SIZE_MAX = 256 << 20,
    PLACE_COUNT_MAX = 8
};

struct history_counts history_counts;

/*
 * Behind which states a transaction may be. The same content may come twice: a power cut takes a
 * state away and brings an older one back.
 */
struct places {
    size_t states[PLACE_COUNT_MAX]; /* ascending; the state after the transaction's */
    size_t count;
};

/* A transaction of the history and the states that it may be. */
struct point {
    uint32_t timeline;
    uint64_t txid;
    uint64_t digest;
    struct places places;
};

static struct point *points;
static size_t point_count;

void history_release_points(void)
{
    free(points);
    points = NULL;
    point_count = 0;
}

static const struct point *point_find(uint32_t timeline, uint64_t txid)
{
    for (size_t i = 0; i < point_count; i++)
        if (points[i].timeline == timeline && points[i].txid == txid)
            return &points[i];
    return NULL;
}

struct reading {
    struct store *store;
    struct replica *replica;
    const struct history_timeline *timeline;
    struct places before; /* of the transaction before; none: it is the first */
    uint64_t txid;        /* the same */
    bool is_first;
    bool is_resync; /* of the transaction at hand */
    bool is_merged; /* only its last state is told */
    int64_t time_ms;
};

static void reading_release(struct reading *reading)
{
    replica_free(reading->replica);
    store_free(reading->store);
}

static bool reading_open(struct reading *reading, const char *remote)
{
    struct store_options options = { 0 };
    struct error err = { 0 };
    char url[PATH_MAX];

    snprintf(url, sizeof url, "file://%s", remote);
    rc opened = store_open(&reading->store, url, &options, &err);
    assert(opened == RC_OK);
    reading->replica = replica_new(reading->store);
    return true;
}

/*
 * A state may be missing from the history only when it could not be seen: the daemon was not there,
 * or there was a moment between it and the capture of the next one at which continuity could have
 * been lost. And never without the mark of a resync.
 */
static bool history_may_skip(
    const struct reading *reading, const struct oracle_state *skipped, uint64_t txid)
{
    uint64_t captured = oracle_captured_epoch(reading->timeline->info.timeline, txid);

    if (reading->is_merged)
        return true;

    return reading->is_resync && (!skipped->is_pinned || captured > skipped->epoch);
}

/* The first state of FIRST to LAST - 1 that may not be missing; LAST: none. */
static size_t history_missing(
    const struct reading *reading, size_t first, size_t last, uint64_t txid)
{
    if (reading->is_first)
        return last;
    for (size_t i = first; i < last; i++)
        if (!oracle_at(i)->is_lost && !history_may_skip(reading, oracle_at(i), txid))
            return i;
    return last;
}

/* Whether state NEXT may follow what the transaction before may be. */
static bool history_reaches(const struct reading *reading, size_t next, uint64_t txid)
{
    for (size_t i = 0; i < reading->before.count; i++) {
        size_t first = reading->before.states[i];
        if (first <= next && history_missing(reading, first, next, txid) == next)
            return true;
    }
    return reading->before.count == 0 && history_missing(reading, 0, next, txid) == next;
}

static void history_complain(const struct reading *reading, uint64_t txid, uint64_t digest)
{
    size_t first = reading->before.count == 0 ? 0 : reading->before.states[0];
    size_t found = oracle_find(digest, first);
    unsigned timeline = reading->timeline->info.timeline;

    if (found == oracle_count())
        sim_broken("timeline %u txid %llu (digest %016llx) is no state from state %zu on", timeline,
            (unsigned long long)txid, (unsigned long long)digest, first);
    else
        sim_broken(
            "state %zu was seen and is not in the history: timeline %u txid %llu is state %zu",
            history_missing(reading, first, found, txid), timeline, (unsigned long long)txid,
            found);
}

static void history_add(struct reading *reading, uint64_t txid, uint64_t digest)
{
    struct places after = { 0 };

    if (sim->broken[0] != '\0')
        return;
    for (size_t i = oracle_find(digest, 0); i < oracle_count(); i = oracle_find(digest, i + 1))
        if (after.count < PLACE_COUNT_MAX && history_reaches(reading, i, txid))
            after.states[after.count++] = i + 1;
    if (after.count == 0)
        history_complain(reading, txid, digest);
    reading->before = after;
    reading->txid = txid;
    reading->is_first = false;
    assert(point_count < POINT_COUNT_MAX);
    points[point_count++] = (struct point){
        .timeline = reading->timeline->info.timeline,
        .txid = txid,
        .digest = digest,
        .places = after,
    };
}

static rc history_transaction(
    void *payload, const struct segment_transaction *transaction, struct error *err)
{
    struct reading *reading = payload;

    if (transaction->txid <= reading->txid)
        return RC_OK; /* a merged segment, or another one of the log, told it */
    if (transaction->txid != reading->txid + 1)
        sim_broken("txid %llu follows %llu", (unsigned long long)transaction->txid,
            (unsigned long long)reading->txid);
    if (transaction->time_ms < reading->time_ms)
        sim_broken("the time of txid %llu lies before the one of its predecessor",
            (unsigned long long)transaction->txid);
    reading->time_ms = transaction->time_ms;
    history_counts.transactions++;
    history_counts.resyncs += (transaction->flags & TRANSACTION_RESYNC) != 0;
    reading->is_resync = (transaction->flags & TRANSACTION_RESYNC) != 0;
    history_add(reading, transaction->txid, transaction->digest);
    if (sim->broken[0] != '\0')
        FAIL(err, RC_MISMATCH, "found something");
    return RC_OK;
}

/* A segment that tells of its last transaction alone. */
static void history_merged(struct reading *reading, const struct segment_summary *summary)
{
    reading->is_merged = true;
    history_counts.merged++;
    history_add(reading, summary->max_txid, summary->digest);
    reading->is_merged = false;
}

static rc history_read_bytes(
    void *payload, uint64_t offset, uint64_t size, struct buf *out, struct error *err)
{
    const struct buf *all = payload;

    return buf_append(out, bytes_part(buf_bytes(all), (size_t)offset, (size_t)size), err);
}

static rc history_segment(
    struct reading *reading, const struct history_segment *segment, struct error *err)
{
    auto_buf struct buf all = BUF_INIT(OBJECT_SIZE_MAX);
    struct segment_reader *reader = NULL;
    char key[REPLICA_KEY_SIZE];

    replica_key_segment(key, reading->timeline->info.timeline, segment->level, &segment->name);
    TRY(store_get(reading->store, key, 0, 0, &all, err));
    struct source source = { .read = history_read_bytes, .payload = &all, .size = all.size };
    TRY(segment_reader_open(&reader, source, err));
    const struct segment_identity *identity = segment_reader_identity(reader);
    if (reading->is_first && identity->min_txid > 1 && reading->txid + 1 != identity->min_txid) {
        /* The state that a snapshot began with; it has no transaction of its own in the log. */
        reading->txid = identity->min_txid - 1;
        history_add(reading, reading->txid, identity->parent_digest);
    }
    rc result = RC_OK;
    if (segment->level == LEVEL_LOG)
        result = log_reader_each_transaction(reader, history_transaction, reading, err);
    else
        history_merged(reading, segment_reader_summary(reader));
    segment_reader_free(reader);
    return result;
}

/*
 * What goes on from TXID: log where there is some, else the merged segment that reaches farthest.
 * NULL: nothing does.
 */
static const struct history_segment *history_next(
    const struct history_timeline *timeline, uint64_t txid)
{
    const struct history_segment *found = NULL;

    for (size_t i = 0; i < timeline->segment_count; i++) {
        const struct history_segment *segment = &timeline->segments[i];
        if (segment->name.min_txid > txid + 1 || segment->name.max_txid <= txid)
            continue;
        if (segment->level == LEVEL_LOG)
            return segment;
        if (found == NULL || segment->name.max_txid > found->name.max_txid)
            found = segment;
    }
    return found;
}

/* Where a timeline that began with a snapshot goes on from it. */
static const struct history_segment *history_oldest(const struct history_timeline *timeline)
{
    const struct history_segment *found = NULL;

    for (size_t i = 0; i < timeline->segment_count; i++)
        if (found == NULL || timeline->segments[i].name.min_txid < found->name.min_txid)
            found = &timeline->segments[i];
    return found;
}

static void history_timeline(struct reading *reading)
{
    const struct history_timeline *timeline = reading->timeline;
    struct error err = { 0 };

    history_counts.timelines++;
    const struct point *parent =
        point_find(timeline->info.parent_timeline, timeline->info.parent_txid);
    reading->before = parent == NULL ? (struct places){ 0 } : parent->places;
    reading->txid = timeline->info.parent_txid;
    reading->time_ms = 0;
    reading->is_first = parent == NULL || timeline->info.own_snapshot;
    if (parent != NULL && parent->digest != timeline->info.parent_digest)
        sim_broken("timeline %u departs from another txid %llu", timeline->info.timeline,
            (unsigned long long)timeline->info.parent_txid);
    const struct history_segment *segment = history_next(timeline, reading->txid);
    if (segment == NULL && reading->is_first)
        segment = history_oldest(timeline);
    for (; segment != NULL && sim->broken[0] == '\0';
         segment = history_next(timeline, reading->txid)) {
        rc result = history_segment(reading, segment, &err);
        if (result != RC_OK)
            sim_broken("segment of timeline %u: %s", timeline->info.timeline, err.text);
    }
}

static void history_check_final(const struct history *history)
{
    uint32_t newest = history->timelines[history->timeline_count - 1].info.timeline;
    const struct oracle_state *last = oracle_at(oracle_count() - 1);

    for (size_t i = 0; i < point_count; i++)
        if (points[i].timeline == newest && points[i].digest == last->digest)
            return;
    /* Nothing was committed since the snapshot that the timeline began with. */
    if (history->timelines[history->timeline_count - 1].segment_count == 0 || point_count == 0)
        return;
    sim_broken("the last state (digest %016llx) is not in timeline %u of the history",
        (unsigned long long)last->digest, newest);
}

static bool history_has_captured(const struct history *history, const struct sim_claim *claim)
{
    for (size_t i = 0; i < point_count; i++)
        if (points[i].txid == claim->txid && points[i].digest == claim->digest)
            return true;
    for (size_t i = 0; i < history->timeline_count; i++) {
        const struct history_timeline *timeline = &history->timelines[i];
        /* It is the one that a snapshot holds and nothing followed, or none holds and will. */
        if (timeline->info.timeline == claim->timeline &&
            (timeline->segment_count == 0 ||
                (timeline->info.own_snapshot && timeline->snapshot_count == 0)))
            return true;
        for (size_t k = 0; k < timeline->segment_count; k++) {
            const struct history_segment *segment = &timeline->segments[k];
            if (segment->level != LEVEL_LOG && segment->name.min_txid <= claim->txid &&
                claim->txid < segment->name.max_txid)
                return true;
        }
    }
    return false;
}

/* Whatever was safe on the disk came to the store, whoever died and whatever was cut. */
static void history_check_captured(const struct history *history)
{
    const struct sim_claim *claim;

    for (size_t i = 0; (claim = oracle_captured(i)) != NULL; i++)
        if (claim->txid != 0 && !history_has_captured(history, claim))
            sim_broken("timeline %u txid %llu (digest %016llx) was captured and is not stored",
                claim->timeline, (unsigned long long)claim->txid,
                (unsigned long long)claim->digest);
}

void history_check(const char *remote, bool is_final)
{
    __attribute__((cleanup(reading_release))) struct reading reading = { 0 };
    auto_history struct history history = HISTORY_INIT;
    struct error err = { 0 };

    history_release_points();
    points = calloc(POINT_COUNT_MAX, sizeof *points);
    reading_open(&reading, remote);
    rc result = history_read(&history, reading.replica, &err);
    if (result == RC_NOT_FOUND && !is_final)
        return;
    if (result != RC_OK) {
        sim_broken("the history cannot be read: %s", err.text);
        return;
    }
    for (size_t i = 0; i < history.timeline_count; i++)
        if (history.timelines[i].gap_count > 0)
            sim_broken("timeline %u has a gap: %s", history.timelines[i].info.timeline,
                history.timelines[i].gaps[0].text);
    for (size_t i = 0; i < history.timeline_count && sim->broken[0] == '\0'; i++) {
        reading.timeline = &history.timelines[i];
        history_timeline(&reading);
    }
    if (is_final && sim->broken[0] == '\0')
        history_check_final(&history);
    /* By a stale listing the product judges a replica that lost what was stored. */
    if (is_final && sim->broken[0] == '\0' && sim->counts.store_stale == 0)
        history_check_captured(&history);
}

/* ---- restores, each in a process of its own: an assertion there must not end the simulation */

static bool history_image(const char *path, uint64_t *ret_digest, uint64_t *ret_image)
{
    auto_buf struct buf all = BUF_INIT(IMAGE_SIZE_MAX);
    FILE *file = fopen(path, "rb");
    uint8_t chunk[65536];

    if (file == NULL)
        return false;
    for (size_t size; (size = fread(chunk, 1, sizeof chunk, file)) > 0;)
        if (buf_append(&all, bytes_of(chunk, size), NULL) != RC_OK)
            break;
    fclose(file);
    if (all.size < 512)
        return false;
    uint32_t page_size = (uint32_t)all.data[16] << 8 | all.data[17];
    page_size = page_size == 1 ? 65536 : page_size;
    *ret_digest = 0;
    for (size_t at = 0; at + page_size <= all.size; at += page_size)
        *ret_digest +=
            page_digest((uint32_t)(at / page_size + 1), bytes_of(all.data + at, page_size));
    *ret_image = bytes_digest(buf_bytes(&all));
    return true;
}

static void history_compare(const char *output, const struct sim_claim *claim)
{
    uint64_t digest = 0;
    uint64_t image = 0;

    if (!history_image(output, &digest, &image)) {
        sim_broken("the restored file cannot be read");
        return;
    }
    size_t state = oracle_find(claim->digest, 0);
    if (state == oracle_count())
        sim_broken("txid %llu, called durable, is a state that never was",
            (unsigned long long)claim->txid);
    else if (digest != claim->digest || image != oracle_at(state)->image)
        sim_broken("txid %llu restores to something else than state %zu",
            (unsigned long long)claim->txid, state);
}

static void history_restore(const char *remote, const char *scratch, const struct sim_claim *claim)
{
    __attribute__((cleanup(reading_release))) struct reading reading = { 0 };
    auto_restore_plan struct restore_plan plan = RESTORE_PLAN_INIT;
    struct restore_report report;
    struct error err = { 0 };
    struct restore_target target = {
        .kind = RESTORE_TXID,
        .timeline = claim->timeline,
        .txid = claim->txid,
    };
    char output[PATH_MAX];

    reading_open(&reading, remote);
    snprintf(output, sizeof output, "%s/restored", scratch);
    struct restore_options options = {
        .output = output,
        .parallelism = 1,
        .check = RESTORE_CHECK_FULL,
    };
    rc result = restore_plan_make(&plan, reading.replica, &target, &err);
    if (result == RC_OK)
        result = restore_run(reading.replica, &plan, &options, &report, &err);
    if (result != RC_OK)
        sim_broken("timeline %u txid %llu does not restore: %s", claim->timeline,
            (unsigned long long)claim->txid, err.text);
    else
        history_compare(output, claim);
    unlink(output);
}

static void history_restore_apart(
    const char *remote, const char *scratch, const struct sim_claim *claim)
{
    int status = 0;
    pid_t child = fork();

    assert(child >= 0);
    if (child == 0) {
        sim_self.live = false;
        history_restore(remote, scratch, claim);
        _exit(0);
    }
    pid_t waited = waitpid(child, &status, 0);
    assert(waited == child);
    history_counts.restores++;
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        sim_broken(
            "a restore of txid %llu died with status %d", (unsigned long long)claim->txid, status);
}

void history_check_claim(const char *remote, const char *scratch)
{
    if (sim->claim.txid != 0 && sim->broken[0] == '\0')
        history_restore_apart(remote, scratch, &sim->claim);
}

/* Points before the first snapshot of a replica were never promised. */
static bool history_is_restorable(struct reading *reading, const struct point *point)
{
    auto_restore_plan struct restore_plan plan = RESTORE_PLAN_INIT;
    struct restore_target target = {
        .kind = RESTORE_TXID,
        .timeline = point->timeline,
        .txid = point->txid,
    };

    return restore_plan_make(&plan, reading->replica, &target, NULL) != RC_NOT_FOUND;
}

void history_check_restores(const char *remote, const char *scratch, unsigned count)
{
    __attribute__((cleanup(reading_release))) struct reading reading = { 0 };

    reading_open(&reading, remote);
    for (unsigned i = 0; i < count && point_count > 0 && sim->broken[0] == '\0'; i++) {
        const struct point *point = &points[sim_below(point_count)];
        struct sim_claim claim = {
            .timeline = point->timeline,
            .txid = point->txid,
            .digest = point->digest,
        };
        if (history_is_restorable(&reading, point))
            history_restore_apart(remote, scratch, &claim);
    }
}
