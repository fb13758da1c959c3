/*
 * restore_pages - the blocks of a snapshot or merged segment, fetched and unpacked by several
 * threads
 *
 * The unit of work is an index chunk (at most 512 blocks). A thread reads the chunk's part of the
 * index, then the blocks behind each other in ranges of some MiB, unpacks and checks them, and
 * writes the pages where they belong. What fits into one range is fetched whole, once.
 */
#include "restore_engine_priv.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/alloc.h"
#include "codec/deflate.h"
#include "codec/digest.h"
#include "layout_priv.h"
#include "object_source_priv.h"
#include "segment/reader.h"

enum {
    RANGE_SIZE_MAX = 4 << 20,
    RANGES_SIZE_MAX = 24 << 20, /* of all threads together */
    BLOCK_SIZE_MAX = 128 << 10, /* raw: 64 KiB of pages, or one page */
    RAW_SIZE_MAX = 256 << 10,   /* written at once: fewer calls, and still in the cache */
};

_Static_assert(
    RAW_SIZE_MAX / PAGE_SIZE_MIN <= IMAGE_RUN_PAGE_COUNT_MAX, "a run takes a full buffer");

struct pages_job {
    struct restore_engine *engine;
    const struct restore_object *object;
    enum restore_phase phase;
    struct source source;
    struct segment_reader *reader;
    size_t chunk_count;
    size_t range_size; /* bytes fetched at once */
    uint32_t extent;   /* highest page of the object */

    pthread_mutex_t mu;
    pthread_cond_t changed;
    size_t next_chunk;    /* guarded by mu */
    size_t running_count; /* guarded by mu: threads that have not ended */
    bool stopping;        /* guarded by mu; never cleared */
    struct error failure; /* guarded by mu; the first one */
};

/* What one thread works with. */
struct pages_worker {
    struct pages_job *job;
    struct inflater *inflater;
    struct pages_chunk chunk;
    struct buf range;

    /* Unpacked pages that wait to be written: neighbours in the chunk, as of one transaction. */
    uint8_t *raw;
    uint32_t raw_first; /* index into pgnos and digests of the chunk */
    uint32_t raw_count;
    uint64_t raw_txid;
};

static void pages_worker_init(struct pages_worker *worker, struct pages_job *job)
{
    *worker = (struct pages_worker){
        .job = job,
        .inflater = inflater_new(),
        .chunk = PAGES_CHUNK_INIT,
        .range = BUF_INIT(job->range_size + BLOCK_SIZE_MAX),
        .raw = mem_new(RAW_SIZE_MAX),
    };
}

static void pages_worker_release(struct pages_worker *worker)
{
    inflater_free(worker->inflater);
    pages_chunk_release(&worker->chunk);
    buf_release(&worker->range);
    free(worker->raw);
}

/* Write what waits, as runs of consecutive pages. */
static rc pages_flush(struct pages_worker *worker, struct error *err)
{
    struct image *image = worker->job->engine->image;
    const uint32_t *pgnos = worker->chunk.pgnos + worker->raw_first;
    const uint64_t *digests = worker->chunk.digests + worker->raw_first;
    size_t page_size = image->page_size;

    for (uint32_t first = 0; first < worker->raw_count;) {
        uint32_t count = 1;
        while (first + count < worker->raw_count && pgnos[first + count] == pgnos[first] + count)
            count++;
        struct image_run run = {
            .first_pgno = pgnos[first],
            .count = count,
            .digests = digests + first,
            .txid = worker->raw_txid,
        };
        if (image->fd >= 0)
            run.pages = bytes_of(worker->raw + first * page_size, count * page_size);
        bool is_snapshot = worker->job->object->kind == SEGMENT_SNAPSHOT;
        TRY(is_snapshot ? image_put_run(image, &run, err) : image_merge_run(image, &run, err));
        first += count;
    }
    worker->raw_count = 0;
    return RC_OK;
}

/* Room in the buffer for the pages of BLOCK; what cannot wait together with them is written. */
static rc pages_reserve(
    struct pages_worker *worker, const struct pages_block *block, uint8_t **ret, struct error *err)
{
    size_t page_size = worker->job->engine->image->page_size;
    size_t size = (worker->raw_count + (size_t)block->page_count) * page_size;
    bool is_neighbour = block->first_page == worker->raw_first + worker->raw_count &&
                        block->txid == worker->raw_txid;

    if (size > RAW_SIZE_MAX || !is_neighbour)
        TRY(pages_flush(worker, err));
    if (worker->raw_count == 0) {
        worker->raw_first = block->first_page;
        worker->raw_txid = block->txid;
    }
    *ret = worker->raw + worker->raw_count * page_size;
    worker->raw_count += block->page_count;
    return RC_OK;
}

static rc pages_check_block(
    const struct pages_worker *worker, const struct pages_block *block, struct error *err)
{
    const struct pages_job *job = worker->job;
    uint64_t raw_size = (uint64_t)block->page_count * job->engine->image->page_size;

    if (block->txid < job->object->first_txid || block->txid > job->object->last_txid) {
        FAIL(err, RC_CORRUPT, "a block is as of transaction %" PRIu64 ", outside of the object",
            block->txid);
    }
    if (raw_size > BLOCK_SIZE_MAX || block->page_count > PAGES_PER_BLOCK_MAX ||
        block->stored_size > BLOCK_SIZE_MAX)
        FAIL(err, RC_CORRUPT, "a block is larger than blocks are");
    for (uint32_t i = 0; i < block->page_count; i++) {
        uint32_t pgno = worker->chunk.pgnos[block->first_page + i];
        if (pgno == 0 || pgno > job->extent || pgno == lock_page_of(job->engine->image->page_size))
            FAIL(err, RC_CORRUPT, "page %" PRIu32 " does not belong there", pgno);
    }
    return RC_OK;
}

static bool pages_is_wanted(const struct pages_worker *worker, const struct pages_block *block)
{
    const struct page_set *only = worker->job->engine->only;
    bool is_wanted = only == NULL;

    for (uint32_t i = 0; i < block->page_count && !is_wanted; i++)
        is_wanted = page_set_has(only, worker->chunk.pgnos[block->first_page + i]);
    return is_wanted;
}

/* How many blocks from FIRST on lie behind each other and fit into one range. */
static size_t pages_range_count(const struct pages_worker *worker, size_t first, uint64_t *ret_size)
{
    const struct pages_block *blocks = worker->chunk.blocks;
    uint64_t size = blocks[first].stored_size;
    size_t count = 1;

    while (first + count < worker->chunk.block_count) {
        const struct pages_block *next = &blocks[first + count];
        bool is_adjacent = next->offset == blocks[first].offset + size;
        if (!is_adjacent || size + next->stored_size > worker->job->range_size ||
            !pages_is_wanted(worker, next))
            break;
        size += next->stored_size;
        count++;
    }
    *ret_size = size;
    return count;
}

static rc pages_fetch_range(
    struct pages_worker *worker, size_t first, size_t *ret_count, struct error *err)
{
    struct pages_job *job = worker->job;
    uint64_t size = 0;
    size_t count = pages_range_count(worker, first, &size);

    buf_clear(&worker->range);
    buf_reserve(&worker->range, size);
    TRY(job->source.read(
        job->source.payload, worker->chunk.blocks[first].offset, size, &worker->range, err));
    uint64_t base = worker->chunk.blocks[first].offset;
    for (size_t i = first; i < first + count; i++) {
        const struct pages_block *block = &worker->chunk.blocks[i];
        struct pages_block_input input = {
            .chunk = &worker->chunk,
            .block_index = i,
            .stored =
                bytes_part(buf_bytes(&worker->range), block->offset - base, block->stored_size),
        };
        uint8_t *out = NULL;
        TRY(pages_reserve(worker, block, &out, err));
        TRY(pages_block_decode(job->reader, &input, worker->inflater, out, err));
    }
    *ret_count = count;
    return RC_OK;
}

/* Told by a failing thread, or by the caller's cancel token. */
static bool pages_must_stop(struct pages_job *job)
{
    pthread_mutex_lock(&job->mu);
    bool stopping = job->stopping;
    pthread_mutex_unlock(&job->mu);
    return stopping || cancel_asked(job->engine->cancel);
}

static rc pages_do_blocks(struct pages_worker *worker, struct error *err)
{
    for (size_t i = 0; i < worker->chunk.block_count;) {
        size_t count = 0;
        if (pages_must_stop(worker->job))
            FAIL(err, RC_CANCELLED, "restore was cancelled");
        if (pages_is_wanted(worker, &worker->chunk.blocks[i]))
            TRY(pages_fetch_range(worker, i, &count, err));
        i += count > 0 ? count : 1;
    }
    return RC_OK;
}

static rc pages_do_digests(struct pages_worker *worker, struct error *err)
{
    for (size_t i = 0; i < worker->chunk.block_count; i++) {
        uint8_t *none = NULL;
        TRY(pages_reserve(worker, &worker->chunk.blocks[i], &none, err));
    }
    return RC_OK;
}

static rc pages_do_chunk(struct pages_worker *worker, size_t chunk_index, struct error *err)
{
    struct pages_job *job = worker->job;
    struct image *image = job->engine->image;

    TRY(pages_reader_load_chunk(job->reader, chunk_index, &worker->chunk, err));
    for (size_t i = 0; i < worker->chunk.block_count; i++)
        TRY(pages_check_block(worker, &worker->chunk.blocks[i], err));
    worker->raw_count = 0;
    if (image->fd >= 0)
        TRY(pages_do_blocks(worker, err));
    else
        TRY(pages_do_digests(worker, err));
    return pages_flush(worker, err);
}

static bool pages_take_chunk(struct pages_job *job, size_t *ret)
{
    pthread_mutex_lock(&job->mu);
    bool is_left = !job->stopping && job->next_chunk < job->chunk_count;
    if (is_left)
        *ret = job->next_chunk++;
    pthread_mutex_unlock(&job->mu);
    return is_left;
}

static void pages_failed(struct pages_job *job, const struct error *err)
{
    pthread_mutex_lock(&job->mu);
    if (!job->stopping)
        job->failure = *err;
    job->stopping = true;
    pthread_mutex_unlock(&job->mu);
}

static void *pages_thread(void *payload)
{
    struct pages_job *job = payload;
    struct pages_worker worker;
    size_t chunk_index = 0;

    pages_worker_init(&worker, job);
    while (pages_take_chunk(job, &chunk_index)) {
        struct error err;
        if (pages_do_chunk(&worker, chunk_index, &err) != RC_OK)
            pages_failed(job, &err);
    }
    pages_worker_release(&worker);

    pthread_mutex_lock(&job->mu);
    job->running_count--;
    pthread_cond_signal(&job->changed);
    pthread_mutex_unlock(&job->mu);
    return NULL;
}

/* The caller's thread tells progress while the others work. */
static void pages_wait(struct pages_job *job)
{
    pthread_mutex_lock(&job->mu);
    while (job->running_count > 0) {
        struct timespec until;
        clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_nsec += 100000000;
        until.tv_sec += until.tv_nsec / 1000000000;
        until.tv_nsec %= 1000000000;
        pthread_cond_timedwait(&job->changed, &job->mu, &until);
        pthread_mutex_unlock(&job->mu);
        restore_engine_tell(job->engine, job->phase, false);
        pthread_mutex_lock(&job->mu);
    }
    pthread_mutex_unlock(&job->mu);
}

static rc pages_run_threads(struct pages_job *job, struct error *err)
{
    pthread_t threads[RESTORE_THREAD_COUNT_MAX];
    unsigned wanted = job->engine->thread_count;
    unsigned started = 0;

    if (wanted > job->chunk_count)
        wanted = (unsigned)job->chunk_count;
    job->range_size = RANGES_SIZE_MAX / wanted;
    if (job->range_size > RANGE_SIZE_MAX)
        job->range_size = RANGE_SIZE_MAX;
    job->running_count = wanted;
    for (; started < wanted; started++) {
        if (pthread_create(&threads[started], NULL, pages_thread, job) != 0)
            break;
    }
    pthread_mutex_lock(&job->mu);
    job->running_count -= wanted - started;
    pthread_mutex_unlock(&job->mu);
    pages_wait(job);
    for (unsigned i = 0; i < started; i++)
        pthread_join(threads[i], NULL);

    if (started == 0)
        FAIL(err, RC_IO, "no thread could be started");
    if (!job->stopping)
        return RC_OK;
    return error_copy(err, &job->failure);
}

/* The plan was made from the name, or the trailer; the object must be what they say. */
static rc pages_check_identity(const struct pages_job *job, struct error *err)
{
    const struct restore_plan *plan = job->engine->plan;
    const struct restore_object *object = job->object;
    const struct segment_identity *identity = segment_reader_identity(job->reader);
    const struct segment_summary *summary = segment_reader_summary(job->reader);

    if (identity->kind != object->kind || identity->timeline != object->timeline ||
        identity->page_size != plan->target.page_size ||
        identity->min_txid != object->name.min_txid || summary->max_txid != object->last_txid ||
        memcmp(&identity->database_id, &plan->target.database_id, sizeof(struct database_id)) != 0)
        FAIL(err, RC_CORRUPT, "it is not what the plan was made from");
    return RC_OK;
}

/* Chunks are in order, so the last page of the last one is the highest. */
static rc pages_find_extent(struct pages_job *job, struct error *err)
{
    struct pages_chunk chunk = PAGES_CHUNK_INIT;

    if (job->chunk_count == 0)
        return RC_OK;
    rc code = pages_reader_load_chunk(job->reader, job->chunk_count - 1, &chunk, err);
    if (code == RC_OK && chunk.page_count > 0)
        job->extent = chunk.pgnos[chunk.page_count - 1];
    pages_chunk_release(&chunk);
    return code;
}

static rc pages_run_open(struct pages_job *job, struct error *err)
{
    struct image *image = job->engine->image;
    const struct segment_identity *identity = segment_reader_identity(job->reader);
    const struct segment_summary *summary = segment_reader_summary(job->reader);

    TRY(pages_check_identity(job, err));
    bool is_next = identity->kind == SEGMENT_MERGED && identity->min_txid == image->txid + 1;
    if (is_next && image->has_known_digest && identity->parent_digest != image->known_digest)
        FAIL(err, RC_CORRUPT, "it does not continue the one before it");
    job->chunk_count = pages_reader_chunk_count(job->reader);
    TRY(pages_find_extent(job, err));
    if (job->chunk_count > 0)
        TRY(pages_run_threads(job, err));
    return identity->kind == SEGMENT_SNAPSHOT
               ? image_snapshot_done(image, job->extent, summary, err)
               : image_merge_done(image, job->extent, summary, err);
}

/* The whole of JOB's object from JOB's source. */
static rc pages_run(struct pages_job *job, struct error *err)
{
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_mutex_init(&job->mu, NULL);
    pthread_cond_init(&job->changed, &attributes);
    pthread_condattr_destroy(&attributes);

    rc code = segment_reader_open(&job->reader, job->source, err);
    if (code == RC_OK)
        code = pages_run_open(job, err);

    segment_reader_free(job->reader);
    pthread_cond_destroy(&job->changed);
    pthread_mutex_destroy(&job->mu);
    return code;
}

rc restore_pages_run(struct restore_engine *engine, struct error *err)
{
    const struct restore_object *object = &engine->plan->objects[0];
    char key[REPLICA_KEY_SIZE];
    restore_object_key(key, object);

    auto_object_source struct object_source source;
    object_source_init(&source, engine->store, key, object->size);
    source.received = &engine->received;
    struct pages_job job = {
        .engine = engine,
        .object = object,
        .phase = RESTORE_PHASE_SNAPSHOT,
        .source = object_source(&source),
    };
    rc code = RC_OK;
    if (object->size <= RANGE_SIZE_MAX && !engine->digests_only)
        code = object_source_load(&source, err);
    if (code == RC_OK)
        code = pages_run(&job, err);
    return code == RC_OK ? RC_OK : snapshot_failed(err, code, key);
}

rc restore_pages_merge(struct restore_engine *engine, const struct restore_object *object,
    struct object_source *source, struct error *err)
{
    struct pages_job job = {
        .engine = engine,
        .object = object,
        .phase = RESTORE_PHASE_LOG,
        .source = object_source(source),
    };

    assert(object->kind == SEGMENT_MERGED);
    return pages_run(&job, err);
}
