/*
 * histogram - how long something took, counted in fixed buckets
 *
 * The bounds are 1, 2 and 5 times each power of ten from a microsecond to ten seconds. Noting costs
 * a few relaxed atomic additions and no memory: it is always on.
 *
 * Thread rules: note and read from any thread; begins as zeroed memory.
 */
#ifndef SEAWAL_BASE_HISTOGRAM_H
#define SEAWAL_BASE_HISTOGRAM_H

#include <stdint.h>

enum { HISTOGRAM_BUCKET_COUNT = 23 };

struct histogram {
    /* Bucket i has what was longer than bound i - 1 and not longer than bound i. */
    uint64_t counts[HISTOGRAM_BUCKET_COUNT];
    uint64_t count; /* of all buckets */
    uint64_t sum_ns;
    uint64_t max_ns;
};

/* In ns; UINT64_MAX for the last bucket, which takes whatever is longer than the others hold. */
uint64_t histogram_bound_ns(unsigned bucket);

/* A span below zero counts as zero. */
void histogram_note(struct histogram *histogram, int64_t ns);

/*
 * A copy to look at while others note. Its COUNT is the sum of its buckets; sum and maximum may be
 * ahead of them or behind by what is being noted.
 */
void histogram_read(const struct histogram *histogram, struct histogram *ret);

/*
 * At least PER_MILLE (1..1000) of 1,000 were not longer than this: a bucket's bound, or the maximum
 * where that is less. 0 when nothing was noted. HISTOGRAM is a copy of histogram_read().
 */
uint64_t histogram_quantile_ns(const struct histogram *histogram, unsigned per_mille);

#endif
