/*
 * replica_url - one URL from the ways a replica's place can be written
 */
#ifndef SEAWAL_CONFIG_REPLICA_URL_PRIV_H
#define SEAWAL_CONFIG_REPLICA_URL_PRIV_H

#include "options_priv.h"

/*
 * Make draft->db.replica.url complete: from type, bucket and path where no url was written,
 * absolute where it is a plain path. RC_USAGE tells what is missing or contradicts itself.
 */
must_use rc replica_url_complete(struct db_draft *draft, struct error *err);

#endif
