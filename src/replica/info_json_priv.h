/*
 * info_json - the two small JSON files of a replica, decoded with bounds and encoded
 *
 * seawal.json             {"format": 1, "database_id": "<32 hex>", "page_size": 4096, "created_ms":
 * N} timelines/00000002.json {"format": 1, "database_id": "<32 hex>", "timeline": "00000002",
 *                          "parent_timeline": "00000001", "parent_txid": "<16 hex>",
 *                          "parent_digest": "<16 hex>", "own_snapshot": false, "page_size": 4096,
 *                          "time_ms": N, "writer": "host/pid/random"}
 *
 * Every member is required (the three parent_ ones are all there or all absent) and no other is
 * allowed: what we do not know could change the meaning of what we do. A format other than 1 is
 * RC_UNSUPPORTED, anything else that is not exactly this RC_CORRUPT.
 */
#ifndef SEAWAL_REPLICA_INFO_JSON_PRIV_H
#define SEAWAL_REPLICA_INFO_JSON_PRIV_H

#include "base/buf.h"
#include "base/bytes.h"
#include "base/error.h"
#include "replica/replica.h"

enum { INFO_JSON_SIZE_MAX = 64 << 10 };

/* What seawal.json says. */
struct replica_header {
    struct database_id database_id;
    uint32_t page_size;
    int64_t created_ms;
};

void replica_header_encode(struct buf *out, const struct replica_header *header);
must_use rc replica_header_decode(struct replica_header *ret, struct bytes in, struct error *err);

void replica_timeline_encode(struct buf *out, const struct database_id *database_id,
    const struct replica_timeline *timeline);

/* RET_DATABASE_ID is what the file says; the caller compares. */
must_use rc replica_timeline_decode(struct replica_timeline *ret,
    struct database_id *ret_database_id, struct bytes in, struct error *err);

#endif
