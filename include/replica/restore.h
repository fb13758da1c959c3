/*
 * restore - from a replica to a database file, exactly at one transaction, proved
 *
 *   restore_plan_make()     the exact transaction and which objects are needed; nothing is written
 *   restore_run()           does it; the output appears whole and verified, or not at all
 *   restore_plan_release()
 *
 * The plan is a snapshot and the cheapest row of segments behind it, log or merged, that leads to
 * the target (src/replica/route_priv.h says which do). A transaction that only a merged segment
 * tells of can be restored no longer, unless it is the last one of it.
 *
 * Blocks of whole pages are fetched in parallel ranges, unpacked, checked against their page
 * digests and written into a temporary file in the output's folder; log segments are prefetched.
 * Segments are applied in order, the database digest is checked after every transaction of a log
 * and after every merged segment, from the snapshot's last transaction on, and at the end it must
 * be that of the target. A damaged segment is gone around where others tell the same transactions.
 * Memory is fixed (64 MiB at most) whatever the size; per-page digests live in an unlinked file (16
 * bytes a page) in the output's folder.
 */
#ifndef SEAWAL_REPLICA_RESTORE_H
#define SEAWAL_REPLICA_RESTORE_H

#include "base/cancel.h"
#include "base/error.h"
#include "replica/replica.h"
#include "segment/segment.h"

#include <stdbool.h>
#include <stdint.h>

enum restore_target_kind {
    RESTORE_NEWEST, /* the newest restorable transaction */
    RESTORE_TXID,   /* after exactly this transaction */
    RESTORE_TIME,   /* after the last restorable one whose time is not after time_ms */
};

struct restore_target {
    enum restore_target_kind kind;
    uint32_t timeline; /* 0: the newest; its parents are followed */
    uint64_t txid;
    int64_t time_ms;
};

/* One object of the plan and what it gives. */
struct restore_object {
    uint32_t timeline;
    enum segment_kind kind; /* the snapshot comes first, then log and merged segments in order */
    unsigned level;         /* of a log (0) or merged segment (1 and up); a snapshot has none */
    struct segment_name name;
    uint64_t size;       /* stored bytes */
    uint64_t first_txid; /* the transactions that are applied; snapshot: the range it holds */
    uint64_t last_txid;
};

/* A damaged segment that is gone around. */
struct restore_damage {
    struct restore_object object;
    struct error why;
};

struct restore_plan {
    struct replica_position target; /* the exact point */
    uint32_t newest_timeline;       /* of the replica */
    struct restore_object *objects; /* owned */
    size_t object_count;
    uint64_t total_size; /* stored bytes of all objects */

    /* Retention is about to remove the point: objects may be gone before they are read. */
    bool is_expiring;

    struct restore_damage *damages; /* owned; found so far, for the caller to report */
    size_t damage_count;
};
#define RESTORE_PLAN_INIT ((struct restore_plan){ 0 })
#define auto_restore_plan __attribute__((cleanup(restore_plan_release)))
void restore_plan_release(struct restore_plan *plan);

/*
 * RC_NOT_FOUND: certainly no such backup or point; the text says what exists (the nearest
 * restorable points, the oldest and the newest). Any other failure: could not tell. RC_CORRUPT:
 * needed objects are missing, foreign or damaged.
 */
must_use rc restore_plan_make(struct restore_plan *ret, struct replica *replica,
    const struct restore_target *target, struct error *err);

/* The key of OBJECT inside the replica; OUT has REPLICA_KEY_SIZE bytes. */
enum { REPLICA_KEY_SIZE = 128 };
void restore_object_key(char *out, const struct restore_object *object);

enum restore_check { RESTORE_CHECK_NONE, RESTORE_CHECK_QUICK, RESTORE_CHECK_FULL };

enum restore_phase {
    RESTORE_PHASE_SNAPSHOT,
    RESTORE_PHASE_LOG,
    RESTORE_PHASE_SYNC,  /* fsync of the file */
    RESTORE_PHASE_CHECK, /* PRAGMA integrity_check or quick_check */
};

struct restore_progress {
    enum restore_phase phase;
    uint64_t done_size; /* stored bytes fetched and used, of all phases */
    uint64_t total_size;
    uint64_t txid; /* RESTORE_PHASE_LOG: applied so far */
};

/* Called by the thread that called restore_run(), about ten times a second and at each phase. */
typedef void restore_progress_fn(void *payload, const struct restore_progress *progress);

/* Called by the same thread when restore_run() begins anew without a segment that is damaged. */
typedef void restore_damage_fn(void *payload, const struct restore_damage *damage);

struct restore_options {
    const char *output;   /* must not exist, nor its -wal, -shm, -journal; its folder must */
    unsigned parallelism; /* threads; 0: 4; at most 16 */
    enum restore_check check;
    restore_progress_fn *progress; /* may be NULL */
    void *progress_payload;
    restore_damage_fn *damage; /* may be NULL */
    void *damage_payload;
    struct cancel *cancel; /* may be NULL */
};

struct restore_report {
    struct replica_position position; /* exactly this point is in the file */
    uint64_t object_count;            /* that the file was made from */
    uint64_t received_size;           /* stored bytes fetched, of all attempts */
    uint64_t transaction_count;       /* applied from the log; none of a merged segment count */
    uint64_t damage_count;            /* damaged segments gone around, those of the plan included */
    uint64_t output_size;             /* bytes of the file */
};

/*
 * RC_EXISTS: the output, or a -wal, -shm or -journal of it, is there already; nothing was touched.
 * RC_NO_SPACE: disk full. RC_CANCELLED. RC_CORRUPT, RC_MISMATCH: the replica's bytes do not give
 * the target; the text names the object. RC_USAGE: the output's folder is not there. Never
 * RC_NOT_FOUND. After every failure no file is left. Temporary files
 * (.<name>.seawal-restore-XXXXXX) that a killed restore of the same output left are removed at the
 * start.
 *
 * Mode of the output: 0644 less the umask; owner and group: those of the folder when run as root.
 */
must_use rc restore_run(struct replica *replica, const struct restore_plan *plan,
    const struct restore_options *options, struct restore_report *ret, struct error *err);

#endif
