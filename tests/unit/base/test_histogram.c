/* test_histogram - every span is counted once, in the right bucket, whoever counts */
#include "base/histogram.h"

#include "harness/check.h"

#include <pthread.h>

enum { THREAD_COUNT = 4, NOTE_COUNT = 20000 };

static void bounds_are_one_two_five(void **state)
{
    (void)state;
    uint64_t unit = 1000;

    for (unsigned i = 0; i + 1 < HISTOGRAM_BUCKET_COUNT; i++) {
        const uint64_t factors[] = { 1, 2, 5 };
        assert_true(histogram_bound_ns(i) == unit * factors[i % 3]);
        if (i % 3 == 2)
            unit *= 10;
    }
    assert_true(histogram_bound_ns(HISTOGRAM_BUCKET_COUNT - 1) == UINT64_MAX);
}

static void a_bound_belongs_to_its_bucket(void **state)
{
    (void)state;
    struct histogram histogram = { 0 };

    for (unsigned i = 0; i + 1 < HISTOGRAM_BUCKET_COUNT; i++) {
        histogram_note(&histogram, (int64_t)histogram_bound_ns(i));
        assert_true(histogram.counts[i] == (i == 0 ? 1 : 2));
        histogram_note(&histogram, (int64_t)histogram_bound_ns(i) + 1);
        assert_true(histogram.counts[i + 1] == 1);
    }
    histogram_note(&histogram, INT64_MAX);
    assert_true(histogram.counts[HISTOGRAM_BUCKET_COUNT - 1] == 2);
}

static void count_sum_and_maximum_add_up(void **state)
{
    (void)state;
    struct histogram histogram = { 0 };
    struct histogram copy;

    histogram_note(&histogram, 700);
    histogram_note(&histogram, 3000000);
    histogram_note(&histogram, 40);
    histogram_note(&histogram, -5);
    histogram_read(&histogram, &copy);
    assert_true(copy.count == 4);
    assert_true(copy.sum_ns == 3000740);
    assert_true(copy.max_ns == 3000000);
    assert_true(copy.counts[0] == 3);
}

static void quantiles_are_bounds_or_the_maximum(void **state)
{
    (void)state;
    struct histogram histogram = { 0 };

    assert_true(histogram_quantile_ns(&histogram, 500) == 0);
    for (unsigned i = 0; i < 98; i++)
        histogram_note(&histogram, 1500);
    histogram_note(&histogram, 40000);
    histogram_note(&histogram, 7123456);
    assert_true(histogram_quantile_ns(&histogram, 1) == 2000);
    assert_true(histogram_quantile_ns(&histogram, 980) == 2000);
    assert_true(histogram_quantile_ns(&histogram, 981) == 50000);
    assert_true(histogram_quantile_ns(&histogram, 990) == 50000);
    assert_true(histogram_quantile_ns(&histogram, 991) == 7123456);
    assert_true(histogram_quantile_ns(&histogram, 1000) == 7123456);
}

static void *note_many(void *payload)
{
    for (int64_t i = 0; i < NOTE_COUNT; i++)
        histogram_note(payload, i);
    return NULL;
}

static void threads_lose_nothing(void **state)
{
    (void)state;
    struct histogram histogram = { 0 };
    struct histogram copy;
    pthread_t threads[THREAD_COUNT];

    for (unsigned i = 0; i < THREAD_COUNT; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, note_many, &histogram), 0);
    for (unsigned i = 0; i < THREAD_COUNT; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    histogram_read(&histogram, &copy);
    assert_true(copy.count == THREAD_COUNT * NOTE_COUNT);
    assert_true(histogram.count == copy.count);
    assert_true(copy.sum_ns == (uint64_t)THREAD_COUNT * NOTE_COUNT * (NOTE_COUNT - 1) / 2);
    assert_true(copy.max_ns == NOTE_COUNT - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bounds_are_one_two_five),
        cmocka_unit_test(a_bound_belongs_to_its_bucket),
        cmocka_unit_test(count_sum_and_maximum_add_up),
        cmocka_unit_test(quantiles_are_bounds_or_the_maximum),
        cmocka_unit_test(threads_lose_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
