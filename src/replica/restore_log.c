/*
 * restore_log - segments behind the snapshot, fetched ahead by a few threads and applied in order
 *
 * Level 0 can be tens of thousands of small objects, so what counts is requests in flight. The
 * fetchers run at most LOG_SLOT_COUNT objects and LOG_AHEAD_SIZE_MAX bytes ahead of the one that is
 * applied. Logs that are too large for that are read through two windows while they are applied,
 * large merged segments by ranges (restore_pages.c).
 */
#include "restore_engine_priv.h"

#include <assert.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "layout_priv.h"
#include "object_source_priv.h"
#include "segment/reader.h"

enum {
    LOG_SLOT_COUNT = 64,
    LOG_AHEAD_SIZE_MAX = 24 << 20,
    LOG_WHOLE_SIZE_MAX = 10 << 20,   /* larger ones are not fetched ahead */
    LOG_DIGEST_SIZE_MAX = 256 << 10, /* the same when only indexes are wanted */
    CANCEL_CHECK_FRAME_COUNT = 4096,
};

enum log_slot_state { LOG_SLOT_EMPTY, LOG_SLOT_LOADING, LOG_SLOT_READY };

struct log_slot {
    enum log_slot_state state;
    struct object_source object;
    struct error failure; /* code RC_OK: none */
};

struct log_job {
    struct restore_engine *engine;
    const struct restore_object *objects; /* the segments of the plan */
    size_t count;
    uint64_t whole_size_max;

    pthread_mutex_t mu;
    pthread_cond_t changed;
    struct log_slot slots[LOG_SLOT_COUNT]; /* object i is in slot i % count; guarded by mu */
    size_t next_fetch;                     /* guarded by mu */
    size_t next_apply;                     /* guarded by mu */
    uint64_t ahead_size;                   /* bytes in slots; guarded by mu */
    bool stopping;                         /* guarded by mu; never cleared */
};

/* ---- fetching ahead */

static uint64_t log_cost(const struct log_job *job, size_t index)
{
    const struct restore_object *object = &job->objects[index];

    if (object->size <= job->whole_size_max)
        return object->size;
    return object->kind == SEGMENT_LOG ? OBJECT_WINDOW_COUNT * OBJECT_WINDOW_SIZE : 0;
}

/* The next object to fetch, marked as loading; false when the thread shall end. */
static bool log_take(struct log_job *job, size_t *ret)
{
    bool is_taken = false;

    pthread_mutex_lock(&job->mu);
    while (!job->stopping && job->next_fetch < job->count) {
        size_t index = job->next_fetch;
        bool has_slot = index < job->next_apply + LOG_SLOT_COUNT;
        bool has_room = job->ahead_size + log_cost(job, index) <= LOG_AHEAD_SIZE_MAX ||
                        index == job->next_apply;
        if (has_slot && has_room) {
            job->next_fetch++;
            job->ahead_size += log_cost(job, index);
            job->slots[index % LOG_SLOT_COUNT].state = LOG_SLOT_LOADING;
            *ret = index;
            is_taken = true;
            break;
        }
        pthread_cond_wait(&job->changed, &job->mu);
    }
    pthread_mutex_unlock(&job->mu);
    return is_taken;
}

static void log_load(struct log_job *job, size_t index)
{
    const struct restore_object *object = &job->objects[index];
    struct log_slot *slot = &job->slots[index % LOG_SLOT_COUNT];
    char key[REPLICA_KEY_SIZE];

    restore_object_key(key, object);
    object_source_init(&slot->object, job->engine->store, key, object->size);
    slot->object.received = &job->engine->received;
    slot->failure.code = RC_OK;
    if (object->size > job->whole_size_max) {
        if (object->kind == SEGMENT_LOG && !job->engine->digests_only)
            object_source_use_windows(&slot->object);
        return;
    }
    rc code = object_source_load(&slot->object, &slot->failure);
    assert(code == RC_OK || slot->failure.code != RC_OK);
}

static void *log_thread(void *payload)
{
    struct log_job *job = payload;
    size_t index = 0;

    while (log_take(job, &index)) {
        log_load(job, index);
        pthread_mutex_lock(&job->mu);
        job->slots[index % LOG_SLOT_COUNT].state = LOG_SLOT_READY;
        pthread_cond_broadcast(&job->changed);
        pthread_mutex_unlock(&job->mu);
    }
    return NULL;
}

/* ---- applying */

static rc log_check_identity(const struct log_job *job, const struct restore_object *object,
    const struct segment_reader *reader, struct error *err)
{
    const struct segment_identity *identity = segment_reader_identity(reader);
    const struct segment_summary *summary = segment_reader_summary(reader);
    const struct replica_position *target = &job->engine->plan->target;
    const struct image *image = job->engine->image;

    if (identity->kind != SEGMENT_LOG)
        FAIL(err, RC_CORRUPT, "it is no log segment inside");
    if (memcmp(&identity->database_id, &target->database_id, sizeof(struct database_id)) != 0)
        FAIL(err, RC_CORRUPT, "it belongs to another database");
    if (identity->timeline != object->timeline || identity->min_txid != object->name.min_txid ||
        summary->max_txid != object->name.max_txid)
        FAIL(err, RC_CORRUPT, "its name and its content disagree");
    if (identity->page_size != target->page_size)
        FAIL(err, RC_CORRUPT, "its page size is %" PRIu32, identity->page_size);
    bool is_next = identity->min_txid == image->txid + 1;
    if (is_next && image->has_known_digest && identity->parent_digest != image->known_digest)
        FAIL(err, RC_CORRUPT, "it does not continue the one before it");
    return RC_OK;
}

static rc log_apply_transactions(struct log_job *job, const struct restore_object *object,
    struct segment_reader *reader, struct error *err)
{
    struct restore_engine *engine = job->engine;
    struct log_event event;

    for (uint64_t count = 1;; count++) {
        rc code = log_reader_next(reader, &event, err);
        if (code == RC_NOT_FOUND)
            return RC_OK;
        if (code != RC_OK)
            return code;

        uint64_t txid = event.transaction.txid;
        if (txid > object->last_txid)
            return RC_OK;
        if (txid < object->first_txid)
            continue;
        if (txid != engine->image->txid + 1)
            FAIL(err, RC_CORRUPT, "transaction %" PRIu64 " is out of order", txid);
        if (event.kind == LOG_EVENT_FRAME) {
            if (engine->only != NULL && !page_set_has(engine->only, event.frame.pgno))
                continue;
            TRY(image_apply_frame(engine->image, txid, &event.frame, err));
        } else {
            TRY(image_commit(engine->image, &event.transaction, err));
            engine->transaction_count++;
        }
        if (count % CANCEL_CHECK_FRAME_COUNT != 0)
            continue;
        restore_engine_tell(engine, RESTORE_PHASE_LOG, false);
        if (cancel_asked(engine->cancel))
            FAIL(err, RC_CANCELLED, "restore was cancelled");
    }
}

struct digest_apply {
    struct image *image;
    uint64_t txid;
};

static rc log_apply_digest(void *payload, uint32_t pgno, uint64_t digest, struct error *err)
{
    struct digest_apply *apply = payload;

    return image_apply_digest(apply->image, apply->txid, pgno, digest, err);
}

static rc log_apply_digests(struct log_job *job, struct segment_reader *reader, struct error *err)
{
    const struct segment_summary *summary = segment_reader_summary(reader);
    struct digest_apply apply = { .image = job->engine->image, .txid = summary->max_txid };

    TRY(segment_reader_each_digest(reader, log_apply_digest, &apply, err));
    return image_commit_digests(job->engine->image, summary, err);
}

static rc log_apply_open(struct log_job *job, const struct restore_object *object,
    struct segment_reader *reader, struct error *err)
{
    TRY(log_check_identity(job, object, reader, err));
    if (job->engine->digests_only)
        TRY(log_apply_digests(job, reader, err));
    else
        TRY(log_apply_transactions(job, object, reader, err));
    if (job->engine->image->txid != object->last_txid) {
        FAIL(err, RC_CORRUPT, "it ends at transaction %" PRIu64 ", must reach %" PRIu64,
            job->engine->image->txid, object->last_txid);
    }
    return RC_OK;
}

static rc log_apply_log(struct log_job *job, const struct restore_object *object,
    struct object_source *source, struct error *err)
{
    struct segment_reader *reader = NULL;
    TRY(segment_reader_open(&reader, object_source(source), err));
    rc code = log_apply_open(job, object, reader, err);
    segment_reader_free(reader);
    return code;
}

static rc log_apply(struct log_job *job, const struct restore_object *object, struct log_slot *slot,
    struct error *err)
{
    if (slot->failure.code != RC_OK)
        return error_copy(err, &slot->failure);
    if (cancel_asked(job->engine->cancel))
        FAIL(err, RC_CANCELLED, "restore was cancelled");

    rc code = object->kind == SEGMENT_LOG
                  ? log_apply_log(job, object, &slot->object, err)
                  : restore_pages_merge(job->engine, object, &slot->object, err);
    if (code == RC_OK || code == RC_CANCELLED)
        return code;
    return error_wrap(err, code, "segment '%s'", slot->object.key);
}

static rc log_apply_all(struct log_job *job, struct error *err)
{
    rc code = RC_OK;

    for (size_t i = 0; i < job->count && code == RC_OK; i++) {
        struct log_slot *slot = &job->slots[i % LOG_SLOT_COUNT];
        pthread_mutex_lock(&job->mu);
        while (slot->state != LOG_SLOT_READY)
            pthread_cond_wait(&job->changed, &job->mu);
        pthread_mutex_unlock(&job->mu);

        code = log_apply(job, &job->objects[i], slot, err);
        if (code != RC_OK)
            job->engine->failed_object = 1 + i;
        restore_engine_tell(job->engine, RESTORE_PHASE_LOG, false);

        pthread_mutex_lock(&job->mu);
        object_source_release(&slot->object);
        slot->state = LOG_SLOT_EMPTY;
        job->ahead_size -= log_cost(job, i);
        job->next_apply = i + 1;
        pthread_cond_broadcast(&job->changed);
        pthread_mutex_unlock(&job->mu);
    }
    return code;
}

static rc log_run_threads(struct log_job *job, struct error *err)
{
    pthread_t threads[RESTORE_THREAD_COUNT_MAX];
    /* Fetching waits for the store and needs no processor, so more than unpack pages. */
    unsigned wanted = 4 * job->engine->thread_count;
    unsigned started = 0;

    if (wanted > RESTORE_THREAD_COUNT_MAX)
        wanted = RESTORE_THREAD_COUNT_MAX;
    if (wanted > job->count)
        wanted = (unsigned)job->count;
    while (started < wanted && pthread_create(&threads[started], NULL, log_thread, job) == 0)
        started++;
    if (started == 0)
        FAIL(err, RC_IO, "no thread could be started");

    rc code = log_apply_all(job, err);
    pthread_mutex_lock(&job->mu);
    job->stopping = true;
    pthread_cond_broadcast(&job->changed);
    pthread_mutex_unlock(&job->mu);
    for (unsigned i = 0; i < started; i++)
        pthread_join(threads[i], NULL);
    for (size_t i = 0; i < LOG_SLOT_COUNT; i++) {
        if (job->slots[i].state == LOG_SLOT_READY)
            object_source_release(&job->slots[i].object);
    }
    return code;
}

rc restore_log_run(struct restore_engine *engine, struct error *err)
{
    if (engine->plan->object_count == 1)
        return RC_OK;

    auto_free struct log_job *job = mem_new(sizeof *job);
    job->engine = engine;
    job->objects = engine->plan->objects + 1;
    job->count = engine->plan->object_count - 1;
    job->whole_size_max = engine->digests_only ? LOG_DIGEST_SIZE_MAX : LOG_WHOLE_SIZE_MAX;
    pthread_mutex_init(&job->mu, NULL);
    pthread_cond_init(&job->changed, NULL);
    rc code = log_run_threads(job, err);
    pthread_cond_destroy(&job->changed);
    pthread_mutex_destroy(&job->mu);
    return code;
}
