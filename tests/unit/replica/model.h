/*
 * model - a database as an array of pages, and the history that the real encoders make of it
 *
 * Every version is kept, so that a restore of any transaction can be compared byte for byte.
 * Commits are random but repeatable: the seed is printed.
 */
#ifndef SEAWAL_TESTS_REPLICA_MODEL_H
#define SEAWAL_TESTS_REPLICA_MODEL_H

#include <stdbool.h>
#include <stdint.h>

#include "harness/check.h"

#include "base/buf.h"
#include "base/error.h"
#include "replica/history.h"
#include "replica/replica.h"
#include "replica/restore.h"
#include "replica/upload.h"
#include "segment/dir.h"
#include "segment/log_encoder.h"
#include "segment/name.h"
#include "segment/pages_encoder.h"
#include "store/scheme.h"
#include "store/store.h"

enum {
    MODEL_PAGE_COUNT_MAX = 96,
    MODEL_VERSION_COUNT_MAX = 4096,
    MODEL_SEGMENT_SIZE_MAX = 64 << 20
};

struct model_version {
    uint8_t *bytes; /* page_count pages */
    uint32_t page_count;
    uint64_t digest;
    int64_t time_ms;
    uint32_t timeline;
};

struct model {
    uint64_t random;
    uint32_t page_size;
    struct database_id id;
    uint32_t timeline;
    uint64_t txid;   /* newest */
    uint64_t parent; /* the timeline's own transactions follow this one */
    int64_t now_ms;
    uint8_t *pages; /* the newest version; room for MODEL_PAGE_COUNT_MAX */
    uint32_t page_count;
    uint64_t digests[MODEL_PAGE_COUNT_MAX + 1];                      /* by pgno */
    struct model_version versions[MODEL_VERSION_COUNT_MAX];          /* by txid */
    bool written[MODEL_VERSION_COUNT_MAX][MODEL_PAGE_COUNT_MAX + 1]; /* by txid and pgno */

    /* the segment in the making */
    struct log_encoder *encoder;
    struct segment_identity identity;
    struct buf segment;

    /* the snapshot in the making */
    struct pages_encoder *pages_encoder;
    struct replica_snapshot *snapshot;
    uint64_t snapshot_first;
    uint32_t snapshot_next;
    uint64_t snapshot_usable; /* of the last one that was finished */

    char *folder; /* scratch */
    struct store *store;
    struct replica *replica;
};

uint64_t model_random(struct model *model, uint64_t below);

/* A first version of some pages, an empty file store, a replica in it with its first timeline. */
struct model *model_new(uint64_t seed, uint32_t page_size);
void model_free(struct model *model);

/* After the newest pages were changed by hand: their digests; also the version they make. */
void model_digest_all(struct model *model);
void model_commit_as_is(struct model *model);

/* One commit; begins a segment when none is open. */
void model_commit(struct model *model);

/* End the open segment, if any; RET and MODEL->segment tell what it is. False when there was none.
 */
bool model_cut(struct model *model, struct segment_name *ret);
void model_store_segment(struct model *model);                    /* cut and put */
void model_spool_segment(struct model *model, const char *spool); /* cut and add to a folder */

/* Transactions FIRST to LAST of the present timeline (or of its parents) as one merged segment. */
struct model_merge {
    unsigned level;
    uint64_t first;
    uint64_t last;
};
void model_merge_name(
    const struct model *model, const struct model_merge *merge, struct segment_name *ret);
void model_merge_encode(struct model *model, const struct model_merge *merge); /* MODEL->segment */
void model_store_merged(struct model *model, const struct model_merge *merge);
void model_spool_merged(struct model *model, const struct model_merge *merge, const char *spool);

/* As capture does: what waits becomes one merged segment, and all of it but the newest log goes. */
void model_merge_spool(struct model *model, const char *spool);

/* Take the stored log segments of the timeline away that lie within FIRST to LAST. */
void model_remove_logs(struct model *model, uint64_t first, uint64_t last);

void model_snapshot_begin(struct model *model);
bool model_snapshot_step(struct model *model); /* some pages; false when there are no more */
void model_snapshot_end(struct model *model);
void model_snapshot(struct model *model); /* all of it at once */

/* COUNT commits in segments of random length, with fuzzy snapshots in between when FUZZY. */
void model_run(struct model *model, unsigned count, bool fuzzy);

/* Continue in a new timeline behind transaction TXID of the present one. */
void model_branch(struct model *model, uint64_t txid);

struct replica_position model_position(const struct model *model, uint64_t txid);

/* Whether POSITION is exactly that of version TXID. */
void model_check_position(
    const struct replica_position *position, const struct model *model, uint64_t txid);

char *model_path(const struct model *model, const char *name);

/* Restore TARGET to a fresh file and compare with version TXID; removes the file. */
void model_check_restore(struct model *model, const struct restore_target *target, uint64_t txid);

/* Restore TARGET, which must fail with WANTED in planning or running and leave nothing. */
void model_check_restore_fails(struct model *model, const struct restore_target *target, rc wanted);

/* Number of entries in the folder of restored files. */
unsigned model_output_count(const struct model *model);

/* Paths of the objects in the file store whose key contains PART, sorted; COUNT of them, owned. */
char **model_objects(const struct model *model, const char *part, size_t *ret_count);
void model_objects_free(char **paths, size_t count);

#endif
