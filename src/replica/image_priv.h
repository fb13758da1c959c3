/*
 * image - a database file under construction, with the digest of each page
 *
 * Pages of a snapshot are put by several threads; then segments are applied in order: transactions
 * by one thread, whole pages of a merged segment by several. For each page a scratch file keeps its
 * digest and the transaction that gave it, so that memory does not follow the size of the database.
 */
#ifndef SEAWAL_REPLICA_IMAGE_PRIV_H
#define SEAWAL_REPLICA_IMAGE_PRIV_H

#include "base/bytes.h"
#include "base/error.h"
#include "segment/reader.h"
#include "segment/segment.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* All zero: the database does not have the page (yet). */
struct page_entry {
    uint64_t digest;
    uint64_t tag; /* 2 * txid, plus 1 when a segment gave it and 0 when a snapshot did */
};

struct image {
    int fd;    /* of the database file; borrowed; -1: digests alone */
    int table; /* of the scratch file of struct page_entry; owned */
    uint32_t page_size;
    uint8_t *page;            /* two pages of room */
    pthread_mutex_t write_mu; /* guards nothing but the order of writers of fd */

    bool is_partial;       /* pages are left out, so that no sum is looked at */
    uint64_t usable_txid;  /* the snapshot's last transaction: from here on digests must agree */
    uint64_t txid;         /* applied up to here */
    uint64_t known_digest; /* of the database at txid, as the segments say */
    bool has_known_digest;
    atomic_uint_fast64_t sum;        /* of the digests of all pages that are here */
    atomic_uint_fast64_t page_total; /* pages that are here */
    uint32_t page_count;             /* of the database at txid; 0: not known yet */
    uint32_t extent;                 /* no page behind this one is here */
    uint32_t transaction_extent;     /* highest page of the transaction in progress */
};
#define IMAGE_INIT ((struct image){ .fd = -1, .table = -1, .write_mu = PTHREAD_MUTEX_INITIALIZER })
#define auto_image __attribute__((cleanup(image_release)))
void image_release(struct image *image);

struct image_start {
    int fd;
    const char *scratch_folder;
    uint32_t page_size;
    uint64_t first_txid;  /* the snapshot's */
    uint64_t usable_txid; /* the snapshot's last */
};
must_use rc image_open(struct image *image, const struct image_start *start, struct error *err);

/*
 * A run of pages of a snapshot, as of TXID; PAGES may be empty when there is no file. Any thread.
 * The pages' digests were checked by the decoder.
 */
enum { IMAGE_RUN_PAGE_COUNT_MAX = 512 };
struct image_run {
    uint32_t first_pgno;
    uint32_t count;
    const uint64_t *digests;
    struct bytes pages;
    uint64_t txid;
};
must_use rc image_put_run(struct image *image, const struct image_run *run, struct error *err);

/* After all runs: EXTENT is the highest page, SUMMARY the snapshot's. */
must_use rc image_snapshot_done(
    struct image *image, uint32_t extent, const struct segment_summary *summary, struct error *err);

/*
 * The same for a merged segment, whose pages replace what is there (route_priv.h says why they
 * may). Any thread, each page once.
 */
must_use rc image_merge_run(struct image *image, const struct image_run *run, struct error *err);
must_use rc image_merge_done(
    struct image *image, uint32_t extent, const struct segment_summary *summary, struct error *err);

must_use rc image_apply_frame(
    struct image *image, uint64_t txid, const struct log_frame *frame, struct error *err);
must_use rc image_commit(
    struct image *image, const struct segment_transaction *transaction, struct error *err);

/* A whole log segment by its index: no bytes, only digests. */
must_use rc image_apply_digest(
    struct image *image, uint64_t txid, uint32_t pgno, uint64_t digest, struct error *err);
must_use rc image_commit_digests(
    struct image *image, const struct segment_summary *summary, struct error *err);

/* The image must be the database of DIGEST and PAGE_COUNT: everything there, nothing else. */
must_use rc image_check(
    const struct image *image, uint64_t digest, uint32_t page_count, struct error *err);

must_use rc image_entry(
    const struct image *image, uint32_t pgno, struct page_entry *ret, struct error *err);

/* A file without a name in FOLDER; owned. */
must_use rc scratch_file_open(int *ret, const char *folder, struct error *err);

#endif
