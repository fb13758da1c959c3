/* test_cancel - a wait ends when it is over or when somebody asks, and never otherwise */
#include "base/cancel.h"

#include "base/clock.h"
#include "harness/check.h"

#include <pthread.h>

static void nobody_asks_a_missing_token(void **state)
{
    (void)state;
    int64_t before = clock_monotonic_ms();

    assert_false(cancel_asked(NULL));
    assert_false(cancel_wait_ms(NULL, 0));
    assert_false(cancel_wait_ms(NULL, 20));
    assert_true(clock_monotonic_ms() - before >= 20);
    cancel_free(NULL);
}

static void a_wait_takes_its_time(void **state)
{
    (void)state;
    struct cancel *cancel = cancel_new();
    int64_t before = clock_monotonic_ms();

    assert_false(cancel_asked(cancel));
    assert_false(cancel_wait_ms(cancel, -5));
    assert_false(cancel_wait_ms(cancel, 0));
    assert_false(cancel_wait_ms(cancel, 20));
    assert_true(clock_monotonic_ms() - before >= 20);
    cancel_free(cancel);
}

static void *ask_soon(void *payload)
{
    clock_pause_us(20000);
    cancel_now(payload);
    return NULL;
}

static void *wait_for_ever(void *payload)
{
    return cancel_wait_ms(payload, INT64_MAX) ? payload : NULL;
}

static void asking_ends_every_wait_for_good(void **state)
{
    (void)state;
    enum { WAITER_COUNT = 3 };
    struct cancel *cancel = cancel_new();
    pthread_t asker;
    pthread_t waiters[WAITER_COUNT];

    for (int i = 0; i < WAITER_COUNT; i++)
        assert_int_equal(pthread_create(&waiters[i], NULL, wait_for_ever, cancel), 0);
    assert_int_equal(pthread_create(&asker, NULL, ask_soon, cancel), 0);
    assert_int_equal(pthread_join(asker, NULL), 0);
    for (int i = 0; i < WAITER_COUNT; i++) {
        void *answer;
        assert_int_equal(pthread_join(waiters[i], &answer), 0);
        assert_ptr_equal(answer, cancel);
    }

    int64_t before = clock_monotonic_ms();
    assert_true(cancel_asked(cancel));
    assert_true(cancel_wait_ms(cancel, 600000));
    assert_true(cancel_wait_ms(cancel, 0));
    assert_true(clock_monotonic_ms() - before < 120000);
    cancel_now(cancel);
    assert_true(cancel_asked(cancel));
    cancel_free(cancel);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nobody_asks_a_missing_token),
        cmocka_unit_test(a_wait_takes_its_time),
        cmocka_unit_test(asking_ends_every_wait_for_good),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
