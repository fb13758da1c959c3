/*
 * route - which transactions a snapshot leads to, and by which segments; pure: names in
 *
 * Level 0 is a log: from any state that is not older than the transaction before it, it gives each
 * of its transactions. A merged segment [a..b] (levels 1 to 9) holds every page that a..b changed,
 * whole, as of b: from any state as of a-1 .. b-1 it gives b, and nothing in between. So a point T
 * can be restored from a snapshot that begins at F exactly when every transaction of (F, T] is in a
 * log segment, or in a merged segment that ends at or before T. Log segments do not overlap each
 * other; everything else may overlap and contain as it likes, since all of it tells one history.
 *
 * Why that is right for a fuzzy snapshot as well, whose pages are as of different transactions in
 * [F, usable]. Say that the image stands at transaction c when each page p that it has is as of
 * some transaction a(p) >= c, and each page of the database as of c that it does not have was cut
 * off later, up to usable, so that the snapshot came too late for it. A snapshot's image stands at
 * F.
 *
 *   - a log segment applies each transaction t > c in order, leaving out the pages with a(p) >= t.
 * The base of a difference is the page as of t-1: what is not left out did not change from a(p) to
 * t-1. A difference of a page that is not there is left out as well: a later one cuts it off, or
 * gives it whole. Afterwards a(p) = t.
 *   - a merged segment [a..b] with a-1 <= c < b puts its pages in: whole, so it does not matter
 * what was there, and now a(p) = b. What it does not hold was not written in a..b: as of c it
 * equals itself as of b. What lies behind its page count is cut off unless a(p) > b. A page that is
 * newer than b and goes back to b gets its later changes from the segments behind.
 *
 * So after any step the image stands at one transaction, whichever way led there: whole pages need
 * no base, and differences meet theirs. A merged segment that ends behind the target is never used,
 * and a log segment is cut off there. At usable and behind it nothing is newer and nothing is
 * missing: the sum of all digests must be the one that each segment tells, so that a mistake in
 * this argument, or a segment that lies, is found.
 */
#ifndef SEAWAL_REPLICA_ROUTE_PRIV_H
#define SEAWAL_REPLICA_ROUTE_PRIV_H

#include "catalog_priv.h"

/* A segment as far as it belongs to the chain. */
struct route_segment {
    const struct segment_entry *entry;
    size_t span_index;
    unsigned level;
    uint64_t last_txid; /* of the entry, or the limit of the span */
};

struct route_range {
    uint64_t first_txid;
    uint64_t last_txid;
};

/* Where a snapshot leads. */
struct reach {
    const struct chain *chain; /* borrowed */
    size_t span_index;         /* of the snapshot */
    uint64_t from_txid;        /* where it began */

    struct route_range *ranges; /* the points, ascending and apart; the first begins at from_txid */
    size_t range_count;
    uint64_t
        newest_txid; /* the last transaction that any segment of the chain or a child tells of */

    /* The first transactions behind from_txid that are in no segment, or in two logs. */
    bool has_hole;
    uint64_t hole_first; /* missing: first..last; twice: first > last */
    uint64_t hole_last;
    uint64_t limit_txid; /* nothing behind it is known to be true: it is told twice; or TXID_MAX */

    struct route_segment *segments; /* what can be used, ascending by last_txid */
    size_t segment_count;
};
#define REACH_INIT ((struct reach){ 0 })
#define auto_reach __attribute__((cleanup(reach_release)))
void reach_release(struct reach *reach);

/*
 * From transaction FROM_TXID (the first of a snapshot in span SPAN_INDEX) through the spans that
 * continue it. Points before the snapshot is usable are in it as well.
 */
void reach_find(
    struct reach *ret, const struct chain *chain, size_t span_index, uint64_t from_txid);

bool reach_has(const struct reach *reach, uint64_t txid);

/* The nearest point at or before, at or after TXID; 0 when there is none. */
uint64_t reach_before(const struct reach *reach, uint64_t txid);
uint64_t reach_after(const struct reach *reach, uint64_t txid);

/* What a restore reads behind the snapshot: segments in order. */
struct route {
    struct restore_object *objects; /* owned */
    size_t object_count;
    uint64_t size; /* stored bytes of them */
};
#define ROUTE_INIT ((struct route){ 0 })
#define auto_route __attribute__((cleanup(route_release)))
void route_release(struct route *route);

/*
 * The way to exactly TO_TXID, which must be in reach (asserted), with the fewest bytes, an object
 * more counting like ROUTE_OBJECT_COST bytes.
 */
enum { ROUTE_OBJECT_COST = 64 << 10 };
void route_find(struct route *ret, const struct reach *reach, uint64_t to_txid);

#endif
