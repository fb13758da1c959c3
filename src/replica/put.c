/*
 * put - segments and snapshots into a replica, each under its name, none ever over another
 */
#include "replica/replica.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "codec/digest.h"
#include "view_priv.h"

enum {
    PUT_WHOLE_SIZE_MAX = 5 << 20, /* larger objects are streamed */
    PUT_CHUNK_SIZE = 1 << 20,
};

/* ---- is what is there ours? */

static rc put_compare(
    struct store *store, const char *key, const struct source *source, struct error *err)
{
    auto_buf struct buf ours = BUF_INIT(PUT_CHUNK_SIZE);
    auto_buf struct buf theirs = BUF_INIT(PUT_CHUNK_SIZE);
    uint64_t object_size = 0;

    /* The trailers differ in nearly every case, so the first look decides. */
    uint64_t tail_size = source->size < PUT_CHUNK_SIZE ? source->size : PUT_CHUNK_SIZE;
    TRY(store_get_tail(store, key, tail_size, &theirs, &object_size, err));
    if (object_size != source->size)
        FAIL(err, RC_MISMATCH, "another object is there");
    TRY(source->read(source->payload, source->size - tail_size, tail_size, &ours, err));
    if (!bytes_equal(buf_bytes(&ours), buf_bytes(&theirs)))
        FAIL(err, RC_MISMATCH, "another object is there");

    for (uint64_t offset = 0; offset < source->size - tail_size;) {
        uint64_t rest = source->size - tail_size - offset;
        uint64_t size = rest < PUT_CHUNK_SIZE ? rest : PUT_CHUNK_SIZE;
        buf_clear(&ours);
        buf_clear(&theirs);
        TRY(source->read(source->payload, offset, size, &ours, err));
        TRY(store_get(store, key, offset, size, &theirs, err));
        if (!bytes_equal(buf_bytes(&ours), buf_bytes(&theirs)))
            FAIL(err, RC_MISMATCH, "another object is there");
        offset += size;
    }
    return RC_OK;
}

/* The key is taken: by an earlier success of ours whose answer was lost, or by another writer. */
static rc put_taken(
    struct store *store, const char *key, const struct source *source, struct error *err)
{
    rc code = put_compare(store, key, source, err);

    if (code == RC_OK)
        return RC_OK;
    if (code == RC_MISMATCH) {
        FAIL(err, RC_MISMATCH,
            "'%s' holds other bytes than ours: another process writes this replica with our "
            "timeline",
            key);
    }
    return error_wrap(err, code == RC_NOT_FOUND ? RC_IO : code, "read '%s' back", key);
}

/* ---- segments */

static rc put_whole(
    struct store *store, const char *key, const struct source *source, struct error *err)
{
    auto_buf struct buf body = BUF_INIT(PUT_WHOLE_SIZE_MAX);

    buf_reserve(&body, source->size);
    TRY(source->read(source->payload, 0, source->size, &body, err));
    return store_put(store, key, buf_bytes(&body), STORE_PUT_NEW, err);
}

static rc put_stream_body(
    struct store_upload *upload, const struct source *source, struct error *err)
{
    auto_buf struct buf chunk = BUF_INIT(PUT_CHUNK_SIZE);

    for (uint64_t offset = 0; offset < source->size;) {
        uint64_t rest = source->size - offset;
        uint64_t size = rest < PUT_CHUNK_SIZE ? rest : PUT_CHUNK_SIZE;
        buf_clear(&chunk);
        TRY(source->read(source->payload, offset, size, &chunk, err));
        TRY(store_upload_write(upload, buf_bytes(&chunk), err));
        offset += size;
    }
    return RC_OK;
}

static rc put_stream(
    struct store *store, const char *key, const struct source *source, struct error *err)
{
    struct store_upload *upload = NULL;
    TRY(store_upload_begin(&upload, store, key, source->size, err));

    rc code = put_stream_body(upload, source, err);
    if (code != RC_OK) {
        store_upload_abort(upload);
        return code;
    }
    return store_upload_commit(upload, err);
}

rc replica_put_segment(struct replica *replica, const struct replica_segment *segment,
    const struct source *source, struct error *err)
{
    assert(segment->level <= REPLICA_LEVEL_MAX);

    char key[REPLICA_KEY_SIZE];
    replica_key_segment(key, segment->timeline, segment->level, &segment->name);

    rc code = source->size <= PUT_WHOLE_SIZE_MAX ? put_whole(replica->store, key, source, err)
                                                 : put_stream(replica->store, key, source, err);
    if (code == RC_EXISTS)
        return put_taken(replica->store, key, source, err);
    if (code != RC_OK)
        return error_wrap(err, code, "store '%s'", key);
    return RC_OK;
}

/* ---- snapshots */

struct replica_snapshot {
    struct store_upload *upload;
    char key[REPLICA_KEY_SIZE];
};

rc replica_snapshot_begin(struct replica_snapshot **ret, struct replica *replica,
    const struct replica_snapshot_options *options, struct error *err)
{
    assert(options->first_txid > 0);

    auto_free struct replica_snapshot *snapshot = mem_new(sizeof *snapshot);
    struct segment_name name = {
        .min_txid = options->first_txid,
        .max_txid = options->first_txid,
        .time_ms = options->time_ms,
    };
    replica_key_segment(snapshot->key, options->timeline, LEVEL_SNAPSHOT, &name);
    TRY_AS(err,
        store_upload_begin(
            &snapshot->upload, replica->store, snapshot->key, options->size_hint, err),
        "store '%s'", snapshot->key);

    *ret = TAKE(snapshot);
    return RC_OK;
}

static rc snapshot_write(void *payload, struct bytes bytes, struct error *err)
{
    struct replica_snapshot *snapshot = payload;

    TRY_AS(err, store_upload_write(snapshot->upload, bytes, err), "store '%s'", snapshot->key);
    return RC_OK;
}

struct sink replica_snapshot_sink(struct replica_snapshot *snapshot)
{
    return (struct sink){ .write = snapshot_write, .payload = snapshot };
}

rc replica_snapshot_commit(struct replica_snapshot *snapshot, struct error *err)
{
    auto_free struct replica_snapshot *owned = snapshot;

    TRY_AS(err, store_upload_commit(TAKE(owned->upload), err), "store '%s'", owned->key);
    return RC_OK;
}

void replica_snapshot_abort(struct replica_snapshot *snapshot)
{
    if (snapshot == NULL)
        return;
    store_upload_abort(snapshot->upload);
    free(snapshot);
}
