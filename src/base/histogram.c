/* Spans in fixed buckets, noted without a lock. */
#include "base/histogram.h"

#include <assert.h>
#include <stdbool.h>

static const uint64_t bounds_ns[HISTOGRAM_BUCKET_COUNT] = {
    UINT64_C(1000),
    UINT64_C(2000),
    UINT64_C(5000), /* microseconds */
    UINT64_C(10000),
    UINT64_C(20000),
    UINT64_C(50000), /* tens */
    UINT64_C(100000),
    UINT64_C(200000),
    UINT64_C(500000), /* hundreds */
    UINT64_C(1000000),
    UINT64_C(2000000),
    UINT64_C(5000000), /* milliseconds */
    UINT64_C(10000000),
    UINT64_C(20000000),
    UINT64_C(50000000), /* tens */
    UINT64_C(100000000),
    UINT64_C(200000000),
    UINT64_C(500000000), /* hundreds */
    UINT64_C(1000000000),
    UINT64_C(2000000000),
    UINT64_C(5000000000), /* seconds */
    UINT64_C(10000000000),
    UINT64_MAX,
};

uint64_t histogram_bound_ns(unsigned bucket)
{
    assert(bucket < HISTOGRAM_BUCKET_COUNT);
    return bounds_ns[bucket];
}

static unsigned histogram_bucket_of(uint64_t ns)
{
    unsigned low = 0;
    unsigned high = HISTOGRAM_BUCKET_COUNT - 1;

    while (low < high) {
        unsigned middle = (low + high) / 2;
        if (ns <= bounds_ns[middle])
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

static void histogram_raise(uint64_t *max, uint64_t value)
{
    uint64_t seen = __atomic_load_n(max, __ATOMIC_RELAXED);

    while (seen < value && !__atomic_compare_exchange_n(
                               max, &seen, value, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
    }
}

void histogram_note(struct histogram *histogram, int64_t ns)
{
    uint64_t span = ns > 0 ? (uint64_t)ns : 0;

    __atomic_fetch_add(&histogram->counts[histogram_bucket_of(span)], 1, __ATOMIC_RELAXED);
    __atomic_fetch_add(&histogram->count, 1, __ATOMIC_RELAXED);
    __atomic_fetch_add(&histogram->sum_ns, span, __ATOMIC_RELAXED);
    histogram_raise(&histogram->max_ns, span);
}

void histogram_read(const struct histogram *histogram, struct histogram *ret)
{
    struct histogram copy = {
        .sum_ns = __atomic_load_n(&histogram->sum_ns, __ATOMIC_RELAXED),
        .max_ns = __atomic_load_n(&histogram->max_ns, __ATOMIC_RELAXED),
    };

    for (unsigned i = 0; i < HISTOGRAM_BUCKET_COUNT; i++) {
        copy.counts[i] = __atomic_load_n(&histogram->counts[i], __ATOMIC_RELAXED);
        copy.count += copy.counts[i];
    }
    *ret = copy;
}

uint64_t histogram_quantile_ns(const struct histogram *histogram, unsigned per_mille)
{
    assert(per_mille > 0 && per_mille <= 1000);

    /* Rounded up, in two parts so that nothing overflows. */
    uint64_t wanted =
        histogram->count / 1000 * per_mille + (histogram->count % 1000 * per_mille + 999) / 1000;
    uint64_t passed = 0;

    for (unsigned i = 0; i < HISTOGRAM_BUCKET_COUNT && wanted > 0; i++) {
        passed += histogram->counts[i];
        if (passed >= wanted)
            return bounds_ns[i] < histogram->max_ns ? bounds_ns[i] : histogram->max_ns;
    }
    return 0;
}
