/* test_background - a call in another thread is waited for as long as was asked, and answers */
#include "base/background.h"

#include "base/clock.h"
#include "harness/check.h"

#include <stdatomic.h>

static rc wait_for_leave(void *payload, struct error *err)
{
    atomic_bool *may_end = payload;

    while (!atomic_load(may_end))
        clock_pause_us(100);
    FAIL(err, RC_NO_SPACE, "as it was told");
}

static rc do_nothing(void *payload, struct error *err)
{
    (void)err;
    *(pthread_t *)payload = pthread_self();
    return RC_OK;
}

static void a_wait_ends_at_its_deadline_and_the_answer_comes_later(void **state)
{
    (void)state;
    struct background background;
    struct error err = { 0 };
    atomic_bool may_end;

    atomic_init(&may_end, false);
    background_start(&background, wait_for_leave, &may_end);
    assert_false(background_wait(&background, 0));
    int64_t until_ns = clock_monotonic_ns() + 3000000;
    assert_false(background_wait(&background, until_ns));
    assert_true(clock_monotonic_ns() >= until_ns);
    atomic_store(&may_end, true);
    assert_true(background_wait(&background, clock_monotonic_ns() + INT64_C(60000000000)));
    CHECK_RC(background_finish(&background, &err), RC_NO_SPACE);
    CHECK_SAYS(err, "as it was told");
}

static void it_is_finished_without_a_wait_and_used_again(void **state)
{
    (void)state;
    struct background background;
    struct error err = { 0 };

    for (unsigned i = 0; i < 100; i++) {
        pthread_t thread = pthread_self();
        background_start(&background, do_nothing, &thread);
        CHECK_OK(background_finish(&background, &err));
        assert_false(pthread_equal(thread, pthread_self()));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_wait_ends_at_its_deadline_and_the_answer_comes_later),
        cmocka_unit_test(it_is_finished_without_a_wait_and_used_again),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
