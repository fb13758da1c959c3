/*
 * store - a place that keeps immutable objects under string keys
 *
 * Put, get (range), list, remove, and nothing that knows SQLite or segments. Keys are relative to
 * the replica's prefix, which the store adds; they use '/' and satisfy path_is_safe_key().
 *
 * Thread rules: every function may be called by several threads at once on one store; an upload
 * belongs to one thread at a time.
 *
 * How to write a driver: implement struct store_ops (store_driver.h in src/store), add a row to the
 * table in scheme.c, and run the conformance suite in tests/store.
 */
#ifndef SEAWAL_STORE_STORE_H
#define SEAWAL_STORE_STORE_H

#include "base/buf.h"
#include "base/cancel.h"
#include "base/error.h"

#include <stdbool.h>
#include <stdint.h>

struct store;
struct store_upload;

/* What store_put() does when the key is taken. */
enum store_put_mode {
    STORE_PUT_NEW,     /* RC_EXISTS, and the object that is there stays as it is */
    STORE_PUT_REPLACE, /* for the few small files that change; nowhere in the data path */
};

struct store_object {
    const char *key; /* borrowed for the call */
    uint64_t size;
    int64_t modified_ms; /* the store's clock; informative only */
};

/*
 * Make KEY hold exactly BODY, durably, before RC_OK. A reader sees the old object, the new one or
 * none, never a part. With STORE_PUT_NEW exactly one of several racing writers gets RC_OK. A retry
 * inside the driver that finds its own earlier success (same bytes) answers RC_OK, not RC_EXISTS.
 */
must_use rc store_put(struct store *store, const char *key, struct bytes body,
    enum store_put_mode mode, struct error *err);

/*
 * The same for an object of unknown or large size, in bounded memory: 5 MiB, and a 9,000th of
 * SIZE_HINT where that is more (beyond 44 GiB). SIZE_HINT is an upper estimate of the final size in
 * bytes; with 0 (unknown) an object may reach 48 GiB, then a write answers RC_UNSUPPORTED. Nothing
 * is visible under KEY before commit; abort (also of a failed upload) leaves nothing behind, as far
 * as the store can be reached within ten seconds.
 */
must_use rc store_upload_begin(struct store_upload **ret, struct store *store, const char *key,
    uint64_t size_hint, struct error *err);
must_use rc store_upload_write(struct store_upload *upload, struct bytes bytes, struct error *err);

/*
 * Commits and frees; after a failure the upload is freed as well. Mode is STORE_PUT_NEW: RC_EXISTS
 * when the key is taken. Of objects in several parts some S3 servers look at no condition; there
 * the key is looked up before, and two writers that commit at the same moment may both get RC_OK.
 */
must_use rc store_upload_commit(struct store_upload *upload, struct error *err);
void store_upload_abort(struct store_upload *upload);

/*
 * Append SIZE bytes from OFFSET to OUT (SIZE 0: to the end of the object). RC_NOT_FOUND is an
 * answer, and only ever of the store itself: a missing bucket is RC_USAGE. Fewer bytes than asked
 * because the object ends is RC_CORRUPT; a truncated body is retried inside. After a failure OUT is
 * as before.
 */
must_use rc store_get(struct store *store, const char *key, uint64_t offset, uint64_t size,
    struct buf *out, struct error *err);

/*
 * The last SIZE bytes (or the whole object when it is smaller) appended to OUT, and the object's
 * full size: one request for a trailer and the index before it.
 */
must_use rc store_get_tail(struct store *store, const char *key, uint64_t size, struct buf *out,
    uint64_t *ret_object_size, struct error *err);

/* A non-OK answer of the callback stops the listing and is returned. */
typedef rc store_each_fn(void *payload, const struct store_object *object, struct error *err);

/*
 * Call EACH for every key that begins with PREFIX (relative to the store; "" for all) and sorts
 * after AFTER (NULL: from the start), ascending by bytes. Pages through any number of objects.
 * RC_OK with no call means: certainly empty (for a folder also: it is not there). Objects that are
 * not ours are shown as they are, and their keys need not be safe. The store's own temporary and
 * probe objects are not shown.
 */
must_use rc store_list(struct store *store, const char *prefix, const char *after,
    store_each_fn *each, void *payload, struct error *err);

/* Remove every key; a key that is already gone counts as removed. */
must_use rc store_remove(
    struct store *store, const char *const *keys, size_t key_count, struct error *err);

/*
 * Whether STORE_PUT_NEW is atomic at this provider, found out by asking it once per store (the
 * answer is cached): providers without conditional writes are read back instead.
 */
must_use rc store_has_conditional_put(struct store *store, bool *ret, struct error *err);

/* "s3://bucket/prefix" or "file:///path", without secrets; borrowed, valid as long as the store. */
const char *store_name(const struct store *store);

void store_free(struct store *store);

/*
 * Counters since the store was made, for status and tests: requests as a provider bills them
 * (attempts included; HEAD is a get, parts of an upload are puts); for folders, calls.
 */
enum store_answer {
    STORE_ANSWER_2XX,
    STORE_ANSWER_3XX,
    STORE_ANSWER_4XX,
    STORE_ANSWER_5XX,
    STORE_ANSWER_NONE, /* not reached, broken off, too late */
    STORE_ANSWER_COUNT,
};
struct store_stats {
    uint64_t put_count;
    uint64_t get_count;
    uint64_t list_count;
    uint64_t remove_count;
    uint64_t retry_count;
    uint64_t sent_bytes;                        /* bodies only */
    uint64_t received_bytes;                    /* bodies only */
    uint64_t answer_counts[STORE_ANSWER_COUNT]; /* by status, of stores that speak HTTP */
};
void store_stats_read(const struct store *store, struct store_stats *ret);

#endif
