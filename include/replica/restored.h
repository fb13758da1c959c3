/*
 * restored - a restored file tells which point of which history it is
 *
 * It is told by an extended attribute of the file, "user.seawal.restored", so that nothing in the
 * database is touched, nothing is left beside it, and renaming the file keeps it; a copy usually
 * has none, nor has a file system without attributes. It is a hint, for whoever begins to replicate
 * the file: the history goes on from there, and not from the newest point. It proves nothing: the
 * digest must be that of the replica's point, and what differs is found by comparing pages.
 */
#ifndef SEAWAL_REPLICA_RESTORED_H
#define SEAWAL_REPLICA_RESTORED_H

#include "base/error.h"
#include "replica/replica.h"

/* The file behind FD is POSITION: its database id, timeline, txid and digest are written down. */
must_use rc restored_mark(int fd, const struct replica_position *position, struct error *err);

/* RC_NOT_FOUND: it tells nothing. RC_CORRUPT: nothing that is understood. */
must_use rc restored_look(struct replica_position *ret, const char *path, struct error *err);

/* It has a history of its own now. */
must_use rc restored_forget(const char *path, struct error *err);

#endif
