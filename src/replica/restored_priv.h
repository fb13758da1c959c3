/*
 * restored_priv - the text of the attribute; hex digits are lower case
 *
 *     seawal 1 <database id, 32 hex digits> <timeline, 8> <txid, 16> <digest, 16>
 */
#ifndef SEAWAL_REPLICA_RESTORED_PRIV_H
#define SEAWAL_REPLICA_RESTORED_PRIV_H

#include "base/buf.h"
#include "replica/restored.h"

enum { RESTORED_TEXT_SIZE = 96 }; /* at most, with the terminator */

void restored_encode(char out[RESTORED_TEXT_SIZE], const struct replica_position *position);
must_use rc restored_decode(struct replica_position *ret, struct bytes text, struct error *err);

#endif
