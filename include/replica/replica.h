/*
 * replica - one database's history in one store
 *
 *   seawal.json                                       format, database id, page size
 *   timelines/<timeline>.json                         parent, writer, time
 *   <timeline>/<level>/<min>-<max>-<time>.seg         level: 0 (log), 1..9 (merged), snapshot
 *   holds/<name>.txt                                  points that retention keeps (hold.h)
 *   expire/<time>-<random>.txt                        what retention condemned (expire.h)
 *   proofs/...                                        reserved, not looked into here
 *
 * timeline is 8 lower-case hex digits; the rest of the name is segment/name.h's. Every object is
 * made once, with STORE_PUT_NEW, and never changed, so that no writer can harm what another one
 * wrote. An object under the prefix with any other name is RC_CORRUPT naming the key, never a skip.
 *
 * Snapshots are fuzzy: taken while the database is written, they hold pages as of different
 * transactions. A multipart upload needs its key at the start, so in a snapshot's NAME min = max =
 * the txid at which it began, and the time is that of the beginning. Its TRAILER's max_txid says
 * from which transaction on it is usable, together with the segments from its first txid + 1 on.
 *
 * Merged segments stand for a window of transactions as a whole; the log segments of the window may
 * be gone or may still be there. Segments of one database are stored one after the other in order
 * (replica/upload.h), so a transaction that is in none of them, but followed by others, is damage,
 * never an upload in flight.
 *
 * Thread rules: a struct replica has no state but its store; every function may be called by
 * several threads at once. A struct replica_snapshot belongs to one thread at a time.
 *
 * RC_NOT_FOUND means "certainly not there" wherever it is listed as an answer; an object that was
 * listed and then is missing is RC_CORRUPT, a store that cannot be asked is RC_NET, RC_DENIED,
 * RC_IO.
 */
#ifndef SEAWAL_REPLICA_REPLICA_H
#define SEAWAL_REPLICA_REPLICA_H

#include "base/error.h"
#include "base/stream.h"
#include "segment/name.h"
#include "segment/segment.h"
#include "store/store.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    REPLICA_FORMAT = 1,
    REPLICA_WRITER_SIZE = 128,          /* with the terminator */
    REPLICA_OBJECT_COUNT_MAX = 1 << 22, /* segments of one replica that are looked at */
    REPLICA_TIMELINE_COUNT_MAX = 65536,
};

struct replica;

/* STORE is borrowed and must live longer. Nothing is asked of it yet. */
struct replica *replica_new(struct store *store);
void replica_free(struct replica *replica);

/* The store's name, for messages; valid as long as the store. */
const char *replica_name(const struct replica *replica);

/* Where a history stands after transaction txid; the same fields as capture_position. */
struct replica_position {
    struct database_id database_id;
    uint32_t timeline; /* the one that transaction belongs to */
    uint64_t txid;     /* 0: no position */
    uint64_t digest;
    uint32_t page_count;
    uint32_t page_size;
    int64_t time_ms;
};

/* What timelines/<timeline>.json says. */
struct replica_timeline {
    uint32_t timeline;        /* 1 and up; 0: none */
    uint32_t parent_timeline; /* 0: it begins here */
    uint64_t parent_txid;     /* its own transactions follow this one */
    uint64_t parent_digest;
    bool own_snapshot; /* see replica_claim_options */
    uint32_t page_size;
    int64_t time_ms;                  /* when it was claimed */
    char writer[REPLICA_WRITER_SIZE]; /* who claimed it */
};

struct replica_info {
    struct database_id database_id;
    uint32_t page_size; /* when the replica was made; a timeline may have another */
    int64_t created_ms;

    struct replica_timeline newest_timeline; /* timeline 0: made, but none was claimed yet */

    /*
     * The newest restorable point along the newest timeline's chain; it lies in a parent while the
     * newest timeline has none of its own. txid 0: nothing is restorable yet (no complete
     * snapshot).
     */
    struct replica_position position;

    /*
     * The newest timeline must begin with a snapshot of its own and has no complete one yet:
     * nothing of it is restorable, whatever its log holds. Whoever writes it has to take one.
     */
    bool needs_snapshot;

    uint64_t newest_snapshot_txid;    /* first txid of it (see above); 0: none on the chain */
    uint64_t newest_snapshot_size;    /* stored bytes */
    int64_t newest_snapshot_time_ms;  /* when it began */
    uint64_t log_size_since_snapshot; /* stored bytes of what a restore reads behind it */

    uint64_t object_count; /* segments of all timelines and levels */
    uint64_t object_size;  /* their bytes */
};

/*
 * Look: one listing, the small JSON files, and the trailers that matter. RC_NOT_FOUND: the listing
 * succeeded and there is nothing under the prefix. RC_CORRUPT: a foreign object, a damaged or
 * missing piece, a hole in the newest timeline's log. RC_UNSUPPORTED: a newer format.
 */
must_use rc replica_inspect(struct replica *replica, struct replica_info *ret, struct error *err);

/* "host/pid/random": unique for this process; OUT has REPLICA_WRITER_SIZE bytes. */
void replica_writer_name(char *out);

struct replica_create_options {
    struct database_id database_id; /* all zero: a random one is chosen */
    uint32_t page_size;
    uint32_t
        timeline; /* the first one; 0: 1 (another one when local state is older than the replica) */
    const char *writer; /* replica_writer_name() */
    int64_t time_ms;    /* wall clock */
};

/*
 * Make seawal.json, then the first timeline. RC_EXISTS when somebody was faster with either; a
 * crash between the two leaves a replica whose newest_timeline.timeline is 0: claim one then.
 */
must_use rc replica_create(struct replica *replica, const struct replica_create_options *options,
    struct database_id *ret_database_id, struct error *err);

struct replica_claim_options {
    struct replica_position parent; /* txid 0: none; only timeline, txid and digest are used */

    /*
     * The first transaction comes as a snapshot (capture_begin: another page size, an unrelated
     * file) and not as a log segment that continues the parent's. Implied without a parent.
     * Recorded, since else a lost first segment could not be told from a fresh beginning.
     */
    bool own_snapshot;
    uint32_t page_size;
    const char *writer;
    int64_t time_ms;
};

/*
 * Claim the timeline behind the newest one. Racing claims get different numbers; each gets one.
 * RC_CORRUPT: the replica's header names another database than the parent's position.
 */
must_use rc replica_claim_timeline(struct replica *replica,
    const struct replica_claim_options *options, uint32_t *ret_timeline, struct error *err);

/*
 * Who claimed the timeline behind TIMELINE (one small request): a writer that finds out stops, see
 * promise 9. RET: its record; timeline 0: nobody did.
 */
must_use rc replica_successor(
    struct replica *replica, uint32_t timeline, struct replica_timeline *ret, struct error *err);

/* For people: "timeline 00000002, claimed by host 'web-2', process 4711, at
 * 2026-11-21T10:00:00.000Z". */
enum { REPLICA_CLAIM_TEXT_SIZE = 256 };
void replica_claim_describe(
    char out[REPLICA_CLAIM_TEXT_SIZE], const struct replica_timeline *timeline);

/*
 * The last transaction that the segments of TIMELINE itself tell of, whether it restores or not;
 * txid 0: it has none. What its writer has to go on from. One listing, one trailer.
 */
must_use rc replica_log_end(
    struct replica *replica, uint32_t timeline, struct replica_position *ret, struct error *err);

/* Where a log (level 0) or merged segment (levels 1 to REPLICA_LEVEL_MAX) goes. */
enum { REPLICA_LEVEL_MAX = 9 };
struct replica_segment {
    uint32_t timeline;
    unsigned level;
    struct segment_name name;
};

/*
 * Store SOURCE as <timeline>/<level>/<name>. Small ones are read whole and PUT, larger ones are
 * streamed in bounded memory. When the key is taken it is read back: the same bytes are our own
 * earlier success (RC_OK), others are another writer's (RC_MISMATCH, the text says so).
 */
must_use rc replica_put_segment(struct replica *replica, const struct replica_segment *segment,
    const struct source *source, struct error *err);

/*
 * A snapshot, streamed: begin, give the sink to a pages_encoder, commit after
 * pages_encoder_finish(). Commit frees, also when it fails; abort leaves nothing behind. RC_EXISTS
 * from commit: the very same txid and time are taken.
 */
struct replica_snapshot;

struct replica_snapshot_options {
    uint32_t timeline;
    uint64_t first_txid; /* the position when it began */
    int64_t time_ms;     /* wall clock when it began */
    uint64_t size_hint;  /* upper estimate of stored bytes; 0: unknown */
};
must_use rc replica_snapshot_begin(struct replica_snapshot **ret, struct replica *replica,
    const struct replica_snapshot_options *options, struct error *err);
struct sink replica_snapshot_sink(struct replica_snapshot *snapshot);
must_use rc replica_snapshot_commit(struct replica_snapshot *snapshot, struct error *err);
void replica_snapshot_abort(struct replica_snapshot *snapshot);

/*
 * The digest of every page as of POSITION (timeline and txid choose it; the digest is checked),
 * once each, ascending by pgno, the lock page left out: what capture_adopt_page() wants. Read from
 * page indexes alone when POSITION is the end of a segment, which a newest position always is; else
 * the blocks that are needed are read. SCRATCH_FOLDER takes an unlinked file of 16 bytes a page.
 * EACH is called only after the digests were found to add up. RC_NOT_FOUND: no such restorable
 * point.
 */
typedef rc replica_page_fn(void *payload, uint32_t pgno, uint64_t digest, struct error *err);
must_use rc replica_each_page_digest(struct replica *replica,
    const struct replica_position *position, const char *scratch_folder, replica_page_fn *each,
    void *payload, struct error *err);

#endif
