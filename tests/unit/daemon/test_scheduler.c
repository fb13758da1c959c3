/* scheduler: jobs run when due, in order, never before, and an earlier wish wins */
#include "scheduler_priv.h"

#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/clock.h"

enum { JOB_COUNT = 500 };

static atomic_int runs[JOB_COUNT];

static void note_run(void *payload)
{
    atomic_fetch_add((atomic_int *)payload, 1);
}

static void wait_for_run(int index)
{
    for (int try = 0; try < 60000 && atomic_load(&runs[index]) == 0; try++)
        clock_pause_us(1000);
    assert_int_equal(atomic_load(&runs[index]), 1);
}

static void test_scheduler_submits_exactly_what_is_due(void **state)
{
    (void)state;
    struct scheduler *scheduler = NULL;
    struct pool *pool = NULL;
    struct job *jobs = calloc(JOB_COUNT, sizeof *jobs);
    uint32_t seed = 12345;

    assert_int_equal(scheduler_new(&scheduler, NULL), RC_OK);
    assert_int_equal(pool_start(&pool, "test", 1, NULL), RC_OK);
    for (int index = 0; index < JOB_COUNT; index++) {
        jobs[index] = (struct job){
            .pool = pool,
            .work = { .run = note_run, .payload = &runs[index] },
        };
        seed = seed * 1664525 + 1013904223;
        scheduler_at(scheduler, &jobs[index], 1000 + seed % 1000);
    }
    for (int64_t now_ms = 999; now_ms <= 2000; now_ms += 7) {
        int64_t wait_ms = scheduler_run_due(scheduler, now_ms);
        int64_t next_ms = -1;
        for (int index = 0; index < JOB_COUNT; index++) {
            if (jobs[index].heap_place == 0)
                continue;
            assert_true(jobs[index].due_ms > now_ms);
            if (next_ms < 0 || jobs[index].due_ms - now_ms < next_ms)
                next_ms = jobs[index].due_ms - now_ms;
        }
        assert_int_equal(wait_ms, next_ms);
    }
    for (int index = 0; index < JOB_COUNT; index++)
        wait_for_run(index);
    pool_stop(pool);
    scheduler_free(scheduler);
    free(jobs);
}

static void test_scheduler_earlier_wish_wins_and_wakes(void **state)
{
    (void)state;
    struct scheduler *scheduler = NULL;
    struct pool *pool = NULL;
    atomic_int ran = 0;

    assert_int_equal(scheduler_new(&scheduler, NULL), RC_OK);
    assert_int_equal(pool_start(&pool, "test", 1, NULL), RC_OK);
    struct job job = { .pool = pool, .work = { .run = note_run, .payload = &ran } };

    scheduler_at(scheduler, &job, 5000);
    assert_int_equal(scheduler_run_due(scheduler, 0), 5000);
    struct pollfd polled = { .fd = scheduler_fd(scheduler), .events = POLLIN };
    assert_int_equal(poll(&polled, 1, 0), 0);

    scheduler_at(scheduler, &job, 9000);
    assert_int_equal(poll(&polled, 1, 0), 1);
    assert_int_equal(scheduler_run_due(scheduler, 0), 5000);
    scheduler_at(scheduler, &job, 100);
    assert_int_equal(poll(&polled, 1, 0), 1);
    assert_int_equal(scheduler_run_due(scheduler, 99), 1);
    assert_int_equal(scheduler_run_due(scheduler, 100), -1);
    for (int try = 0; try < 60000 && atomic_load(&ran) == 0; try++)
        clock_pause_us(1000);
    assert_int_equal(atomic_load(&ran), 1);
    pool_stop(pool);
    scheduler_free(scheduler);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_scheduler_submits_exactly_what_is_due),
        cmocka_unit_test(test_scheduler_earlier_wish_wins_and_wakes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
