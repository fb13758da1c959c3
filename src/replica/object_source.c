/*
 * object_source - ranges of one object
 */
#include "object_source_priv.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* That a listed object is gone is damage: "certainly not there" is said about points, not pieces.
 */
static rc object_failed(struct error *err, rc code, const char *key)
{
    return error_wrap(err, code == RC_NOT_FOUND ? RC_CORRUPT : code, "object '%s'", key);
}

rc snapshot_failed(struct error *err, rc code, const char *key)
{
    if (code != RC_CORRUPT)
        return error_wrap(err, code, "snapshot '%s'", key);
    return error_wrap(err, code,
        "snapshot '%s' is damaged (moved out of the replica, restores begin with an older one)",
        key);
}

rc object_get_listed(struct store *store, const char *key, struct buf *out, struct error *err)
{
    rc code = store_get(store, key, 0, 0, out, err);

    return code == RC_OK ? RC_OK : object_failed(err, code, key);
}

void object_source_init(
    struct object_source *object, struct store *store, const char *key, uint64_t size)
{
    assert(strlen(key) < sizeof object->key);

    *object = (struct object_source){ .store = store, .size = size };
    snprintf(object->key, sizeof object->key, "%s", key);
}

void object_source_release(struct object_source *object)
{
    buf_release(&object->whole);
    for (size_t i = 0; i < OBJECT_WINDOW_COUNT; i++)
        buf_release(&object->windows[i].bytes);
}

static rc object_fetch(struct object_source *object, uint64_t offset, uint64_t size,
    struct buf *out, struct error *err)
{
    rc code = store_get(object->store, object->key, offset, size, out, err);
    if (code != RC_OK)
        return object_failed(err, code, object->key);
    if (object->received != NULL)
        atomic_fetch_add(object->received, size);
    return RC_OK;
}

rc object_source_load(struct object_source *object, struct error *err)
{
    assert(!object->is_whole);

    if (object->size == 0)
        FAIL(err, RC_CORRUPT, "object '%s' is empty", object->key);
    object->whole = BUF_INIT(object->size);
    buf_reserve(&object->whole, object->size);
    TRY(object_fetch(object, 0, object->size, &object->whole, err));
    if (object->whole.size != object->size) {
        FAIL(err, RC_CORRUPT, "object '%s' has %zu bytes, %" PRIu64 " were listed", object->key,
            object->whole.size, object->size);
    }
    object->is_whole = true;
    return RC_OK;
}

void object_source_use_windows(struct object_source *object)
{
    object->has_windows = true;
    for (size_t i = 0; i < OBJECT_WINDOW_COUNT; i++)
        object->windows[i].bytes.size_max = OBJECT_WINDOW_SIZE;
}

/* The window that holds the range, or the one that was not used for longest, filled with it. */
static rc object_window_for(struct object_source *object, uint64_t offset, uint64_t size,
    struct object_window **ret, struct error *err)
{
    struct object_window *oldest = &object->windows[0];

    for (size_t i = 0; i < OBJECT_WINDOW_COUNT; i++) {
        struct object_window *window = &object->windows[i];
        if (offset >= window->offset && offset + size <= window->offset + window->bytes.size) {
            *ret = window;
            return RC_OK;
        }
        if (window->used_at < oldest->used_at)
            oldest = window;
    }

    uint64_t rest = object->size - offset;
    buf_clear(&oldest->bytes);
    TRY(object_fetch(object, offset, rest < OBJECT_WINDOW_SIZE ? rest : OBJECT_WINDOW_SIZE,
        &oldest->bytes, err));
    oldest->offset = offset;
    *ret = oldest;
    return RC_OK;
}

static rc object_read(
    void *payload, uint64_t offset, uint64_t size, struct buf *out, struct error *err)
{
    struct object_source *object = payload;

    if (offset > object->size || size > object->size - offset) {
        FAIL(err, RC_CORRUPT, "object '%s' has %" PRIu64 " bytes; wanted %" PRIu64 " at %" PRIu64,
            object->key, object->size, size, offset);
    }
    if (size == 0)
        return RC_OK;
    if (object->is_whole)
        return buf_append(out, bytes_part(buf_bytes(&object->whole), offset, size), err);
    if (!object->has_windows || size > OBJECT_WINDOW_SIZE)
        return object_fetch(object, offset, size, out, err);

    struct object_window *window = NULL;
    TRY(object_window_for(object, offset, size, &window, err));
    window->used_at = ++object->turn;
    return buf_append(
        out, bytes_part(buf_bytes(&window->bytes), offset - window->offset, size), err);
}

struct source object_source(struct object_source *object)
{
    return (struct source){ .read = object_read, .payload = object, .size = object->size };
}
