/*
 * remote - see remote.h
 *
 * A folder behind the product's own driver for folders. The power of its machine never fails.
 */
#include "remote.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/text.h"
#include "replica/replica.h"
#include "sim.h"
#include "store_driver.h"

rc __real_store_open(
    struct store **ret, const char *url, const struct store_options *options, struct error *err);
rc __wrap_store_open(
    struct store **ret, const char *url, const struct store_options *options, struct error *err);

rc __real_replica_each_page_digest(struct replica *replica, const struct replica_position *position,
    const char *scratch_folder, replica_page_fn *each, void *payload, struct error *err);
rc __wrap_replica_each_page_digest(struct replica *replica, const struct replica_position *position,
    const char *scratch_folder, replica_page_fn *each, void *payload, struct error *err);

enum { STALE_MS_MAX = 20000 };

struct remote {
    struct store base;
    struct store *folder;
};

struct remote_upload {
    struct store_upload base;
    struct store_upload *inner;
    char key[SIM_KEY_SIZE];
};

void (*remote_meanwhile)(void);

static struct store *remote_folder(struct store *base)
{
    return container_of(base, struct remote, base)->folder;
}

/* The request travels: others run, in this process too. */
static void remote_wait(const char *what, const char *key)
{
    if (!sim_self.live)
        return;
    sim_point(CALL_STORE, NULL);
    sim_say("%s %s", what, key);
    if (sim_below(3) == 0)
        sim_pause((int64_t)sim_below(400) * 1000000);
    if (remote_meanwhile != NULL)
        remote_meanwhile();
}

static rc remote_lost(const char *when, struct error *err)
{
    sim_say("store: answer lost %s effect", when);
    FAIL(err, RC_NET, "the simulated network failed");
}

static bool remote_is_away(const char *key)
{
    if (!sim_self.live || sim->calm)
        return false;
    switch (sim->outage) {
    case OUTAGE_ALL:
        return true;
    case OUTAGE_LOG:
        return strstr(key, "/0/") != NULL || strstr(key, "/1/") != NULL;
    case OUTAGE_SNAPSHOTS:
        return strstr(key, "/snapshot/") != NULL;
    case OUTAGE_NONE:
    case OUTAGE_COUNT:
        break;
    }
    return false;
}

static bool remote_fails(void)
{
    return sim_self.live && !sim->calm && sim_chance(sim->settings.store_chance);
}

/* RC_NET before it reached the store. */
static rc remote_send(const char *what, const char *key, struct error *err)
{
    remote_wait(what, key);
    if (remote_is_away(key)) {
        sim->counts.store_away++;
        return remote_lost("before", err);
    }
    if (!remote_fails())
        return RC_OK;
    sim->counts.store_lost_before++;
    return remote_lost("before", err);
}

/* What was stored is not in each listing at once. */
static void remote_note_stored(const char *key)
{
    if (!sim_self.live)
        return;
    struct sim_object *object = &sim->recent[sim->recent_count++ % SIM_RECENT_COUNT];
    snprintf(object->key, sizeof object->key, "%s", key);
    object->stored_ns = sim->monotonic_ns;
}

static rc remote_answer(rc result, struct error *err)
{
    if (!remote_fails())
        return result;
    sim->counts.store_lost_after++;
    return remote_lost("after", err);
}

static rc remote_put(struct store *base, const char *key, struct bytes body,
    enum store_put_mode mode, struct error *err)
{
    TRY(remote_send("put", key, err));
    rc result = store_put(remote_folder(base), key, body, mode, err);
    if (result == RC_OK)
        remote_note_stored(key);
    return remote_answer(result, err);
}

static rc remote_upload_begin(struct store_upload **ret, struct store *base, const char *key,
    uint64_t size_hint, struct error *err)
{
    struct store_upload *inner = NULL;

    TRY(remote_send("begin", key, err));
    TRY(store_upload_begin(&inner, remote_folder(base), key, size_hint, err));
    struct remote_upload *upload = mem_new(sizeof *upload);
    upload->inner = inner;
    snprintf(upload->key, sizeof upload->key, "%s", key);
    *ret = &upload->base;
    return RC_OK;
}

static rc remote_upload_write(struct store_upload *base, struct bytes bytes, struct error *err)
{
    struct remote_upload *upload = container_of(base, struct remote_upload, base);

    TRY(remote_send("part", upload->key, err));
    return store_upload_write(upload->inner, bytes, err);
}

static rc remote_upload_commit(struct store_upload *base, struct error *err)
{
    struct remote_upload *upload = container_of(base, struct remote_upload, base);

    TRY(remote_send("complete", upload->key, err));
    rc result = store_upload_commit(TAKE(upload->inner), err);
    if (result == RC_OK)
        remote_note_stored(upload->key);
    TRY(remote_answer(result, err));
    free(upload);
    return RC_OK;
}

static void remote_upload_abort(struct store_upload *base)
{
    struct remote_upload *upload = container_of(base, struct remote_upload, base);

    store_upload_abort(upload->inner);
    free(upload);
}

static rc remote_get(struct store *base, const char *key, uint64_t offset, uint64_t size,
    struct buf *out, struct error *err)
{
    TRY(remote_send("get", key, err));
    return store_get(remote_folder(base), key, offset, size, out, err);
}

static rc remote_get_tail(struct store *base, const char *key, uint64_t size, struct buf *out,
    uint64_t *ret_object_size, struct error *err)
{
    TRY(remote_send("tail", key, err));
    return store_get_tail(remote_folder(base), key, size, out, ret_object_size, err);
}

struct remote_listing {
    store_each_fn *each;
    void *payload;
    int64_t until_ns; /* what was stored later is not there yet */
};

static bool remote_is_recent(const char *key, int64_t until_ns)
{
    for (size_t i = 0; i < SIM_RECENT_COUNT; i++) {
        const struct sim_object *object = &sim->recent[i];
        if (object->stored_ns > until_ns && text_equal(object->key, key))
            return true;
    }
    return false;
}

static rc remote_each(void *payload, const struct store_object *object, struct error *err)
{
    struct remote_listing *listing = payload;

    if (remote_is_recent(object->key, listing->until_ns)) {
        sim->counts.store_stale++;
        return RC_OK;
    }
    return listing->each(listing->payload, object, err);
}

static rc remote_list(struct store *base, const char *prefix, const char *after,
    store_each_fn *each, void *payload, struct error *err)
{
    TRY(remote_send("list", prefix, err));
    struct remote_listing listing = { .each = each, .payload = payload, .until_ns = INT64_MAX };
    if (sim_self.live && !sim->calm && sim_chance(sim->settings.stale_chance))
        listing.until_ns = sim->monotonic_ns - (int64_t)sim_below(STALE_MS_MAX) * 1000000;
    return store_list(remote_folder(base), prefix, after, remote_each, &listing, err);
}

static rc remote_remove(
    struct store *base, const char *const *keys, size_t key_count, struct error *err)
{
    TRY(remote_send("remove", key_count > 0 ? keys[0] : "", err));
    return store_remove(remote_folder(base), keys, key_count, err);
}

static rc remote_has_conditional_put(struct store *base, bool *ret, struct error *err)
{
    return store_has_conditional_put(remote_folder(base), ret, err);
}

static void remote_free(struct store *base)
{
    struct remote *remote = container_of(base, struct remote, base);

    store_free(remote->folder);
    free(remote);
}

static const struct store_ops remote_ops = {
    .put = remote_put,
    .upload_begin = remote_upload_begin,
    .upload_write = remote_upload_write,
    .upload_commit = remote_upload_commit,
    .upload_abort = remote_upload_abort,
    .get = remote_get,
    .get_tail = remote_get_tail,
    .list = remote_list,
    .remove = remote_remove,
    .has_conditional_put = remote_has_conditional_put,
    .free = remote_free,
};

/* ---- page digests from the replica: the product reads them with threads, which have no place here
 */

struct page_digests {
    uint32_t *pgnos;
    uint64_t *digests;
    size_t count;
    size_t capacity;
};

static rc page_digests_add(void *payload, uint32_t pgno, uint64_t digest, struct error *err)
{
    struct page_digests *pages = payload;

    (void)err;
    if (pages->count == pages->capacity) {
        pages->capacity = pages->capacity * 2 + 64;
        pages->pgnos = mem_resize(pages->pgnos, pages->capacity * sizeof pages->pgnos[0]);
        pages->digests = mem_resize(pages->digests, pages->capacity * sizeof pages->digests[0]);
    }
    pages->pgnos[pages->count] = pgno;
    pages->digests[pages->count++] = digest;
    return RC_OK;
}

static void page_digests_release(struct page_digests *pages)
{
    free(pages->pgnos);
    free(pages->digests);
}

rc __wrap_replica_each_page_digest(struct replica *replica, const struct replica_position *position,
    const char *scratch_folder, replica_page_fn *each, void *payload, struct error *err)
{
    __attribute__((cleanup(page_digests_release))) struct page_digests pages = { 0 };

    TRY(remote_send("page digests", "", err));
    bool was_live = sim_self.live;
    sim_self.live = false;
    rc result = __real_replica_each_page_digest(
        replica, position, scratch_folder, page_digests_add, &pages, err);
    sim_self.live = was_live;
    for (size_t i = 0; i < pages.count && result == RC_OK; i++)
        result = each(payload, pages.pgnos[i], pages.digests[i], err);
    return result;
}

rc __wrap_store_open(
    struct store **ret, const char *url, const struct store_options *options, struct error *err)
{
    struct store *folder = NULL;

    TRY(__real_store_open(&folder, url, options, err));
    if (!sim_self.live) {
        *ret = folder;
        return RC_OK;
    }
    struct remote *remote = mem_new(sizeof *remote);
    remote->base.ops = &remote_ops;
    remote->base.name = text_copy(store_name(folder));
    remote->folder = folder;
    *ret = &remote->base;
    return RC_OK;
}
