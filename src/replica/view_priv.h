/*
 * view - a replica as seen from one timeline: the catalog, its chain, and points on it
 */
#ifndef SEAWAL_REPLICA_VIEW_PRIV_H
#define SEAWAL_REPLICA_VIEW_PRIV_H

#include "catalog_priv.h"
#include "replica/replica.h"
#include "route_priv.h"

struct replica {
    struct store *store; /* borrowed */
};

/* Must stay where it is: the chain points into the catalog. */
struct view {
    struct store *store;
    struct catalog catalog;
    struct chain chain; /* empty when no timeline was claimed yet */
};
#define VIEW_INIT ((struct view){ 0 })
#define auto_view __attribute__((cleanup(view_release)))
void view_release(struct view *view);

/* TIMELINE 0: the newest. RC_NOT_FOUND: no replica, or no such timeline. */
must_use rc view_open(struct view *view, struct store *store, uint32_t timeline, struct error *err);

/* The same with what retention condemned: it is there still, and may go while it is read. */
must_use rc view_open_whole(
    struct view *view, struct store *store, uint32_t timeline, struct error *err);

/* A restorable point and what it is made from: a snapshot and the segments behind it. */
struct point {
    size_t span_index; /* of the snapshot */
    size_t snapshot_index;
    uint64_t txid;
    struct route route; /* owned */
};
#define POINT_INIT ((struct point){ 0 })
#define auto_point __attribute__((cleanup(point_release)))
void point_release(struct point *point);

/*
 * The point at exactly UP_TO, or the newest one when UP_TO is TXID_MAX, from the newest snapshot
 * that reaches it; RET is POINT_INIT. RC_NOT_FOUND: certainly not restorable. RC_CORRUPT: it was,
 * but something is missing.
 */
must_use rc point_find(
    struct view *view, uint64_t up_to_txid, struct point *ret, struct error *err);

/* The nearest restorable transactions at or before, at or after TXID; 0: none. Holes are no
 * failure. */
struct point_neighbours {
    uint64_t before_txid;
    uint64_t after_txid;
};
must_use rc point_nearest(
    struct view *view, uint64_t txid, struct point_neighbours *ret, struct error *err);

/* Digest, size and time at the point: one small read. */
must_use rc point_position(
    struct view *view, const struct point *point, struct replica_position *ret, struct error *err);

const struct catalog_snapshot *point_snapshot(const struct view *view, const struct point *point);

#endif
