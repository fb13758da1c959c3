/*
 * store_driver - what a kind of store implements
 *
 * Drivers implement struct store_ops and nothing else; they know neither SQLite nor the segment
 * format. store.c checked the arguments before it calls a driver: keys are safe (path_is_safe_key),
 * sizes are sane, an upload that failed once is never written to or committed again, only aborted.
 */
#ifndef SEAWAL_STORE_STORE_DRIVER_H
#define SEAWAL_STORE_STORE_DRIVER_H

#include "base/url.h"
#include "store/scheme.h"
#include "store/store.h"

#include <stdatomic.h>

struct store_ops {
    /* As store_put(). A driver that lost an answer finds out what happened before it reports. */
    rc (*put)(struct store *store, const char *key, struct bytes body, enum store_put_mode mode,
        struct error *err);

    /* The driver allocates; the object begins with struct store_upload, which store.c fills. */
    rc (*upload_begin)(struct store_upload **ret, struct store *store, const char *key,
        uint64_t size_hint, struct error *err);
    rc (*upload_write)(struct store_upload *upload, struct bytes bytes, struct error *err);

    /* On RC_OK the upload is freed. On failure store.c calls abort. */
    rc (*upload_commit)(struct store_upload *upload, struct error *err);

    /* Leaves nothing of the object in the store and frees the upload. */
    void (*upload_abort)(struct store_upload *upload);

    /*
     * As store_get() and store_get_tail(); OUT may hold bytes before, and after a failure whatever.
     * store.c puts its size back.
     */
    rc (*get)(struct store *store, const char *key, uint64_t offset, uint64_t size, struct buf *out,
        struct error *err);
    rc (*get_tail)(struct store *store, const char *key, uint64_t size, struct buf *out,
        uint64_t *ret_object_size, struct error *err);

    /* As store_list(). Names of the driver's own making (temporary files, probes) are not shown. */
    rc (*list)(struct store *store, const char *prefix, const char *after, store_each_fn *each,
        void *payload, struct error *err);

    rc (*remove)(struct store *store, const char *const *keys, size_t key_count, struct error *err);
    rc (*has_conditional_put)(struct store *store, bool *ret, struct error *err);
    void (*free)(struct store *store); /* never called with NULL */
};

/* Requests, that is, what a provider counts; for the file driver, calls. */
struct store_counters {
    _Atomic uint64_t put_count;
    _Atomic uint64_t get_count;
    _Atomic uint64_t list_count;
    _Atomic uint64_t remove_count;
    _Atomic uint64_t retry_count;
    _Atomic uint64_t sent_bytes;
    _Atomic uint64_t received_bytes;
    _Atomic uint64_t answer_counts[STORE_ANSWER_COUNT];
};

/* Embedded first in every driver's own struct. */
struct store {
    const struct store_ops *ops;
    char *name; /* owned; freed by store_free() */
    struct store_counters counters;
};

struct store_upload {
    struct store *store;
    rc failed; /* the first failure of a write; nothing but an abort follows */
};

/* Drivers, as rows of the table in scheme.c know them. */
must_use rc file_store_open(struct store **ret, const char *root, struct error *err);
must_use rc s3_store_open(struct store **ret, const struct url *url,
    const struct store_options *options, struct error *err);
must_use rc s3_store_check_url(const struct url *url, struct error *err);

#endif
