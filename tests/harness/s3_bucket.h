/*
 * s3_bucket - one bucket in memory, and what S3 answers to a request about it
 *
 * Objects, listings in pages, ranges, conditional writes, uploads in parts, removals in batches:
 * what the product asks of S3, as Amazon documents it. The conformance suite of store drivers runs
 * against it too, so that what it answers is what real servers answer. Signatures are not looked
 * at.
 */
#ifndef SEAWAL_TESTS_HARNESS_S3_BUCKET_H
#define SEAWAL_TESTS_HARNESS_S3_BUCKET_H

#include "base/buf.h"

#include <stdbool.h>
#include <stddef.h>

#define S3_BUCKET_NAME "bucket"

enum { S3_QUERY_COUNT_MAX = 8 };

/* One request. Texts are borrowed for the call; NULL: not there. */
struct s3_asked {
    const char *method;
    const char *bucket;
    const char *key; /* NULL: about the bucket */
    const char *query_names[S3_QUERY_COUNT_MAX];
    const char *query_values[S3_QUERY_COUNT_MAX];
    size_t query_count;
    const char *range;
    const char *if_none_match;
    const char *mark; /* x-amz-meta-seawal-put */
    struct bytes body;
};

struct s3_told {
    int status;
    struct buf headers; /* whole lines */
    struct buf body;
};

/* A listing as of another moment, as stores without strong consistency gave it. */
enum s3_listing {
    S3_LISTING_TRUE,
    S3_LISTING_STALE, /* without the object that was put last */
    S3_LISTING_GHOST, /* with those that were removed */
};

/* Undo percent-encoding in place. */
void s3_unescape(char *text);

struct s3_bucket;

struct s3_bucket *s3_bucket_new(void);
void s3_bucket_free(struct s3_bucket *bucket);

/* Carry ASKED out. TOLD is empty before. */
void s3_bucket_answer(struct s3_bucket *bucket, const struct s3_asked *asked,
    enum s3_listing listing, struct s3_told *told);

/* How many objects were put over another one, and how many came back under a removed one's name
 * with other bytes. */
size_t s3_bucket_overwritten(const struct s3_bucket *bucket);

/* Uploads that were begun, and neither completed nor aborted. */
size_t s3_bucket_unfinished(const struct s3_bucket *bucket);

#endif
