/*
 * upload - from the spool into the replica, in order
 *
 * One uploader per database and replica. It stores the spool's segments one after the other, oldest
 * first, and moves the durable position only over what the store acknowledged and what follows it
 * without a gap: min txid = durable txid + 1, parent digest = durable digest, same database. A
 * merged segment goes to level 1 in place of the level-0 ones that it covers; it may begin before
 * the durable position, when some of those were stored while it was made. What is stored is removed
 * from the spool, all but the newest level-0 segment (its trailer is capture's position).
 *
 * "Durable" here is about the log: it restores only once a snapshot whose trailer's max_txid is not
 * above it is stored as well. Until the first snapshot was committed nothing may be reported
 * durable.
 *
 * Thread rules: drain by one thread at a time; uploader_durable() by any.
 */
#ifndef SEAWAL_REPLICA_UPLOAD_H
#define SEAWAL_REPLICA_UPLOAD_H

#include "base/cancel.h"
#include "base/error.h"
#include "replica/replica.h"

#include <stdbool.h>
#include <stdint.h>

struct uploader;

struct uploader_options {
    const char *spool_folder; /* segment/dir.h; copied */

    /*
     * Everything up to here needs no upload: replica_info.position, or the position at which a new
     * history or timeline began (its snapshot carries it). database_id, txid and digest are used.
     */
    struct replica_position durable;

    /*
     * Where a timeline of ours began behind DURABLE with a snapshot of its own, while its log is
     * empty: no segment leads there, so when all before it is stored it is reached. txid 0: none.
     */
    struct replica_position origin;

    /* Called before each segment is stored; a failure ends the drain with it. May be NULL. */
    rc (*before_store)(void *payload, struct error *err);
    void *before_store_payload;

    bool keep;             /* leave stored segments in the spool (other replicas still need them) */
    struct cancel *cancel; /* looked at between segments; may be NULL; borrowed */
};

struct uploader *uploader_new(struct replica *replica, const struct uploader_options *options);
void uploader_free(struct uploader *uploader);

struct upload_report {
    uint64_t segment_count; /* stored by this call */
    uint64_t stored_size;   /* their bytes */
    uint64_t removed_count; /* gone from the spool */
};

/*
 * Store everything that is in the spool now. Nothing to do costs one look into the folder and no
 * request. On failure RET tells what was done before it (it is always written), the durable
 * position stands where it is true, and the same call later continues.
 *
 * RC_MISMATCH: the segments do not continue the durable position, or the replica holds different
 * bytes under one of our names: another process writes this replica with our timeline. Never retry:
 * stop, inspect, and claim a new timeline. RC_CORRUPT: a segment in the spool is damaged.
 */
must_use rc uploader_drain(struct uploader *uploader, struct upload_report *ret, struct error *err);

struct replica_position uploader_durable(struct uploader *uploader);

/* Bytes and segments in the spool that are not durable yet, as of now. */
must_use rc uploader_backlog(
    struct uploader *uploader, uint64_t *ret_segment_count, uint64_t *ret_size, struct error *err);

#endif
