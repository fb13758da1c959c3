/* pool: a work never runs twice at once, and no submit is lost */
#include "pool_priv.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"

struct counted {
    atomic_int running;
    atomic_int overlap_count;
    atomic_int run_count;
    atomic_int wanted; /* what the work has to have seen when it ran last */
    atomic_int seen;
    atomic_int start_count;
    atomic_bool *gate; /* unless NULL: runs until it is open */
    unsigned pause_us;
};

static void counted_run(void *payload)
{
    struct counted *counted = payload;

    if (atomic_fetch_add(&counted->running, 1) != 0)
        atomic_fetch_add(&counted->overlap_count, 1);
    atomic_store(&counted->seen, atomic_load(&counted->wanted));
    atomic_fetch_add(&counted->start_count, 1);
    clock_pause_us(counted->pause_us);
    while (counted->gate != NULL && !atomic_load(counted->gate))
        clock_pause_us(1000);
    atomic_fetch_add(&counted->run_count, 1);
    atomic_fetch_sub(&counted->running, 1);
}

static void wait_for(atomic_int *value, int wanted)
{
    for (int try = 0; try < 60000 && atomic_load(value) != wanted; try++)
        clock_pause_us(1000);
    assert_int_equal(atomic_load(value), wanted);
}

static void test_pool_never_runs_a_work_twice_at_once(void **state)
{
    (void)state;
    struct counted counted = { .pause_us = 200 };
    struct work work = { .run = counted_run, .payload = &counted };
    struct pool *pool = NULL;

    assert_int_equal(pool_start(&pool, "test", 4, NULL), RC_OK);
    for (int turn = 1; turn <= 2000; turn++) {
        atomic_store(&counted.wanted, turn);
        pool_submit(pool, &work);
        if (turn % 7 == 0)
            clock_pause_us(50);
    }
    wait_for(&counted.seen, 2000);
    pool_stop(pool);
    assert_int_equal(atomic_load(&counted.overlap_count), 0);
    assert_true(atomic_load(&counted.run_count) >= 1);
    assert_true(atomic_load(&counted.run_count) <= 2000);
}

static void test_pool_runs_again_what_was_submitted_while_it_ran(void **state)
{
    (void)state;
    atomic_bool gate = false;
    struct counted counted = { .gate = &gate };
    struct work work = { .run = counted_run, .payload = &counted };
    struct pool *pool = NULL;

    assert_int_equal(pool_start(&pool, "test", 2, NULL), RC_OK);
    pool_submit(pool, &work);
    wait_for(&counted.start_count, 1);
    pool_submit(pool, &work);
    pool_submit(pool, &work);
    atomic_store(&gate, true);
    wait_for(&counted.run_count, 2);
    clock_pause_us(50000);
    assert_int_equal(atomic_load(&counted.run_count), 2);
    pool_stop(pool);
}

/* By then whoever made this thread is in pool_stop(), however slow the machine. */
static void *open_later(void *payload)
{
    clock_pause_us(1000000);
    atomic_store((atomic_bool *)payload, true);
    return NULL;
}

static void test_pool_stop_waits_for_what_runs_and_drops_the_rest(void **state)
{
    (void)state;
    atomic_bool gate = false;
    struct counted counted[3] = { { .gate = &gate }, { .pause_us = 0 }, { .pause_us = 0 } };
    struct work works[3];
    struct pool *pool = NULL;
    pthread_t opener;

    assert_int_equal(pool_start(&pool, "test", 1, NULL), RC_OK);
    for (int index = 0; index < 3; index++) {
        works[index] = (struct work){ .run = counted_run, .payload = &counted[index] };
        pool_submit(pool, &works[index]);
    }
    wait_for(&counted[0].start_count, 1);
    assert_int_equal(pthread_create(&opener, NULL, open_later, &gate), 0);
    pool_stop(pool);
    assert_true(atomic_load(&gate));
    pthread_join(opener, NULL);
    assert_int_equal(atomic_load(&counted[0].run_count), 1);
    assert_int_equal(atomic_load(&counted[1].run_count), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pool_never_runs_a_work_twice_at_once),
        cmocka_unit_test(test_pool_runs_again_what_was_submitted_while_it_ran),
        cmocka_unit_test(test_pool_stop_waits_for_what_runs_and_drops_the_rest),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
