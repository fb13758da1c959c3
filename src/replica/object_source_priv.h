/*
 * object_source - an object of the replica as a source for readers
 *
 * Small objects are fetched whole with one request and served from memory. Larger ones are read by
 * range as asked (several threads may do so), or, for one reader in order, through two windows of
 * read-ahead: one moves along the blocks, the other along the index.
 */
#ifndef SEAWAL_REPLICA_OBJECT_SOURCE_PRIV_H
#define SEAWAL_REPLICA_OBJECT_SOURCE_PRIV_H

#include "base/buf.h"
#include "base/error.h"
#include "base/stream.h"
#include "replica/restore.h"
#include "store/store.h"

#include <stdatomic.h>
#include <stdbool.h>

enum { OBJECT_WINDOW_SIZE = 1 << 20, OBJECT_WINDOW_COUNT = 2 };

struct object_window {
    uint64_t offset;
    uint64_t used_at; /* turn of its last use */
    struct buf bytes;
};

struct object_source {
    struct store *store;
    char key[REPLICA_KEY_SIZE];
    uint64_t size;
    struct buf whole; /* all of it, when it was loaded */
    bool is_whole;
    bool has_windows;
    uint64_t turn;
    struct object_window windows[OBJECT_WINDOW_COUNT];
    atomic_uint_fast64_t *received; /* counts bytes fetched; may be NULL */
};
#define auto_object_source __attribute__((cleanup(object_source_release)))

/* SIZE as listed. Nothing is fetched yet. */
void object_source_init(
    struct object_source *object, struct store *store, const char *key, uint64_t size);
void object_source_release(struct object_source *object);

/* Fetch everything now; the size is the caller's to bound. */
must_use rc object_source_load(struct object_source *object, struct error *err);

/* Read ahead: from now on one thread at a time. */
void object_source_use_windows(struct object_source *object);

/* Borrowed; OBJECT must stay where it is. */
struct source object_source(struct object_source *object);

/*
 * Say which snapshot failed, with CODE, and what an operator can do when it is damaged: every
 * transaction behind an older snapshot is in the log as well.
 */
rc snapshot_failed(struct error *err, rc code, const char *key);

/* The whole of a small object that was listed: that it is gone is RC_CORRUPT, not RC_NOT_FOUND. */
must_use rc object_get_listed(
    struct store *store, const char *key, struct buf *out, struct error *err);

#endif
