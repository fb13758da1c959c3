/*
 * hold - one hold as it is stored
 */
#ifndef SEAWAL_REPLICA_HOLD_PRIV_H
#define SEAWAL_REPLICA_HOLD_PRIV_H

#include "replica/hold.h"
#include "segment/segment.h"
#include "store/store.h"

/* NAME, which was listed; RC_CORRUPT when it belongs to another database than ID. */
must_use rc hold_load(struct hold *ret, struct store *store, const struct database_id *id,
    const char *name, struct error *err);

#endif
