/*
 * expire_age - since when a transaction is not the newest any more
 *
 * Retention promises the state at instants of the past: a transaction is the state of the database
 * from its own time until the next one, so its age counts from the time of the next one, or from
 * when another timeline took over; the newest state has no age at all, however old its label.
 *
 * Labels are not believed one by one, since clocks jump while order is by txid. A label that lies
 * in the future is taken for the one behind it; after that, a label never lies before those in
 * front of it. So a transaction that was dated forward neither keeps what follows it nor expires
 * anything, and one that was dated back makes nothing older than what came before it. Either way a
 * wrong label can only make something stay for longer than the rules say.
 */
#ifndef SEAWAL_REPLICA_EXPIRE_AGE_PRIV_H
#define SEAWAL_REPLICA_EXPIRE_AGE_PRIV_H

#include "catalog_priv.h"

struct age_mark {
    uint64_t txid;
    int64_t time_ms;
};

/* The transactions of one timeline whose time is known from names. */
struct ages {
    struct age_mark *marks; /* ascending by txid; times mended as above */
    size_t mark_count;
    int64_t end_ms; /* when the last of them ceased to be the newest, or now */
    int64_t now_ms;
};
#define AGES_INIT ((struct ages){ 0 })
#define auto_ages __attribute__((cleanup(ages_release)))
void ages_release(struct ages *ages);

/* Of the timeline at INDEX; all timelines and snapshots of CATALOG must be loaded. */
void ages_find(struct ages *ret, const struct catalog *catalog, size_t index, int64_t now_ms);

/* How long ago TXID was the newest one; 0 when it is, and never less. */
int64_t ages_of(const struct ages *ages, uint64_t txid);

#endif
