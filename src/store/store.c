/*
 * store - the public calls: preconditions once for all drivers, then the driver
 */
#include "store/store.h"

#include <assert.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/path.h"
#include "store_driver.h"

/* A key may come out of a listing of foreign objects, so a bad one is an answer and no assertion.
 */
static rc store_check_key(const char *key, struct error *err)
{
    assert(key != NULL);
    if (!path_is_safe_key(key))
        FAIL(err, RC_USAGE,
            "'%.200s' is not a store key; must be relative, at most 1024 bytes and without empty, "
            "'.' and '..' components",
            key);
    return RC_OK;
}

rc store_put(struct store *store, const char *key, struct bytes body, enum store_put_mode mode,
    struct error *err)
{
    assert(store != NULL);
    assert(body.data != NULL || body.size == 0);

    TRY(store_check_key(key, err));
    return store->ops->put(store, key, body, mode, err);
}

rc store_upload_begin(struct store_upload **ret, struct store *store, const char *key,
    uint64_t size_hint, struct error *err)
{
    assert(ret != NULL);
    assert(store != NULL);

    TRY(store_check_key(key, err));
    struct store_upload *upload = NULL;
    TRY(store->ops->upload_begin(&upload, store, key, size_hint, err));
    assert(upload != NULL);
    upload->store = store;
    upload->failed = RC_OK;
    *ret = upload;
    return RC_OK;
}

rc store_upload_write(struct store_upload *upload, struct bytes bytes, struct error *err)
{
    assert(upload != NULL);
    assert(bytes.data != NULL || bytes.size == 0);

    if (upload->failed != RC_OK)
        FAIL(err, upload->failed, "an earlier write of this upload failed");
    if (bytes.size == 0)
        return RC_OK;
    upload->failed = upload->store->ops->upload_write(upload, bytes, err);
    return upload->failed;
}

rc store_upload_commit(struct store_upload *upload, struct error *err)
{
    assert(upload != NULL);

    const struct store_ops *ops = upload->store->ops;
    rc failed = upload->failed;
    if (failed != RC_OK) {
        ops->upload_abort(upload);
        FAIL(err, failed, "an earlier write of this upload failed");
    }
    failed = ops->upload_commit(upload, err);
    if (failed != RC_OK)
        ops->upload_abort(upload);
    return failed;
}

void store_upload_abort(struct store_upload *upload)
{
    if (upload != NULL)
        upload->store->ops->upload_abort(upload);
}

rc store_get(struct store *store, const char *key, uint64_t offset, uint64_t size, struct buf *out,
    struct error *err)
{
    assert(store != NULL);
    assert(out != NULL);

    TRY(store_check_key(key, err));
    if (size > UINT64_MAX - offset)
        FAIL(err, RC_USAGE, "a range ends beyond 2^64");
    size_t size_before = out->size;
    rc got = store->ops->get(store, key, offset, size, out, err);
    if (got != RC_OK)
        out->size = size_before;
    return got;
}

rc store_get_tail(struct store *store, const char *key, uint64_t size, struct buf *out,
    uint64_t *ret_object_size, struct error *err)
{
    assert(store != NULL);
    assert(out != NULL);
    assert(ret_object_size != NULL);
    assert(size > 0);

    TRY(store_check_key(key, err));
    size_t size_before = out->size;
    rc got = store->ops->get_tail(store, key, size, out, ret_object_size, err);
    if (got != RC_OK)
        out->size = size_before;
    return got;
}

rc store_list(struct store *store, const char *prefix, const char *after, store_each_fn *each,
    void *payload, struct error *err)
{
    assert(store != NULL);
    assert(prefix != NULL);
    assert(each != NULL);

    return store->ops->list(store, prefix, after, each, payload, err);
}

rc store_remove(struct store *store, const char *const *keys, size_t key_count, struct error *err)
{
    assert(store != NULL);
    assert(keys != NULL || key_count == 0);

    for (size_t index = 0; index < key_count; index++)
        TRY(store_check_key(keys[index], err));
    if (key_count == 0)
        return RC_OK;
    return store->ops->remove(store, keys, key_count, err);
}

rc store_has_conditional_put(struct store *store, bool *ret, struct error *err)
{
    assert(store != NULL);
    assert(ret != NULL);

    return store->ops->has_conditional_put(store, ret, err);
}

const char *store_name(const struct store *store)
{
    assert(store != NULL);
    return store->name;
}

void store_free(struct store *store)
{
    if (store == NULL)
        return;
    free(TAKE(store->name));
    store->ops->free(store);
}

void store_stats_read(const struct store *store, struct store_stats *ret)
{
    assert(store != NULL);
    assert(ret != NULL);

    const struct store_counters *counters = &store->counters;
    *ret = (struct store_stats){
        .put_count = atomic_load(&counters->put_count),
        .get_count = atomic_load(&counters->get_count),
        .list_count = atomic_load(&counters->list_count),
        .remove_count = atomic_load(&counters->remove_count),
        .retry_count = atomic_load(&counters->retry_count),
        .sent_bytes = atomic_load(&counters->sent_bytes),
        .received_bytes = atomic_load(&counters->received_bytes),
    };
    for (size_t index = 0; index < STORE_ANSWER_COUNT; index++)
        ret->answer_counts[index] = atomic_load(&counters->answer_counts[index]);
}
