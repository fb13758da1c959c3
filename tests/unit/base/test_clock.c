/* test_clock - the clocks agree with the system's and with each other */
#include "base/clock.h"

#include "harness/check.h"

#include <time.h>

static void the_wall_clock_is_the_system_s(void **state)
{
    (void)state;
    int64_t before = (int64_t)time(NULL) * 1000;
    int64_t wall = clock_wall_ms();

    /* time() may lag by a tick. */
    assert_true(wall >= before - 1000 && wall < before + 60000);
}

static void monotonic_clocks_agree_and_do_not_go_back(void **state)
{
    (void)state;
    int64_t last_ns = clock_monotonic_ns();

    for (int i = 0; i < 1000; i++) {
        int64_t ms = clock_monotonic_ms();
        int64_t ns = clock_monotonic_ns();
        assert_true(ns >= last_ns);
        assert_true(ms <= ns / 1000000 && ms >= last_ns / 1000000);
        last_ns = ns;
    }
}

static void a_pause_lasts_and_uses_no_processor(void **state)
{
    (void)state;
    int64_t cpu_before = clock_cpu_ms();
    int64_t before_ns = clock_monotonic_ns();

    clock_pause_us(1100000);
    assert_true(clock_monotonic_ns() - before_ns >= 1100000000);
    assert_true(clock_cpu_ms() - cpu_before < 500);
    clock_pause_us(0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_wall_clock_is_the_system_s),
        cmocka_unit_test(monotonic_clocks_agree_and_do_not_go_back),
        cmocka_unit_test(a_pause_lasts_and_uses_no_processor),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
