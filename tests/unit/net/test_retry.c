/* retry - how often, how long, and what the last error says */
#include "net/retry.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/cancel.h"
#include "base/clock.h"
#include "harness/check.h"

struct script {
    const rc *answers; /* the last one repeats */
    size_t answer_count;
    unsigned call_count;
    int64_t retry_after_ms;
    bool at_once;
    bool final;
    int64_t remaining_ms_last;
};

static rc play(void *payload, struct retry_attempt *attempt, struct error *err)
{
    struct script *script = payload;
    assert_int_equal(attempt->index, script->call_count);
    assert_true(attempt->remaining_ms > 0);
    size_t index = script->call_count++;
    rc answer = script->answers[index < script->answer_count ? index : script->answer_count - 1];
    script->remaining_ms_last = attempt->remaining_ms;
    attempt->retry_after_ms = script->retry_after_ms;
    attempt->at_once = script->at_once;
    attempt->final = script->final;
    if (answer == RC_OK)
        return RC_OK;
    FAIL(err, answer, "cause %zu", index);
}

static const struct retry_policy quick = {
    .deadline_ms = 120000, .pause_ms = 1, .pause_ms_max = 4
};

static void success_is_success(void **state)
{
    (void)state;
    const rc answers[] = { RC_OK };
    struct script script = { .answers = answers, .answer_count = 1 };
    struct error err = { .text = "untouched" };
    CHECK_OK(retry_run(&quick, play, &script, &err));
    assert_int_equal(script.call_count, 1);
    assert_string_equal(err.text, "untouched");
}

static void only_what_may_pass_is_tried_again(void **state)
{
    (void)state;
    for (int code = RC_OK + 1; code < RC_COUNT; code++) {
        const rc answers[] = { (rc)code, RC_OK };
        struct script script = { .answers = answers, .answer_count = 2 };
        struct error err = { 0 };
        bool is_transient = rc_is_transient((rc)code);
        CHECK_RC(retry_run(&quick, play, &script, &err), is_transient ? RC_OK : (rc)code);
        assert_int_equal(script.call_count, is_transient ? 2 : 1);
        if (!is_transient)
            assert_string_equal(err.text, "cause 0");
    }
}

static void the_error_names_attempts_and_the_first_cause(void **state)
{
    (void)state;
    const rc answers[] = { RC_NET, RC_BUSY, RC_DENIED };
    struct script script = { .answers = answers, .answer_count = 3 };
    struct error err = { 0 };
    CHECK_RC(retry_run(&quick, play, &script, &err), RC_DENIED);
    assert_string_equal(err.text, "after 3 attempts (the first: cause 0): cause 2");
    assert_int_equal(err.code, RC_DENIED);
}

static void attempts_can_be_limited(void **state)
{
    (void)state;
    const rc answers[] = { RC_NET };
    struct retry_policy policy = quick;
    struct script script = { .answers = answers, .answer_count = 1 };
    struct error err = { 0 };
    policy.attempts_max = 4;
    CHECK_RC(retry_run(&policy, play, &script, &err), RC_NET);
    assert_int_equal(script.call_count, 4);
    assert_string_equal(err.text, "after 4 attempts (the first: cause 0): cause 3");
}

static void the_deadline_ends_it(void **state)
{
    (void)state;
    const rc answers[] = { RC_NET };
    struct retry_policy policy = { .deadline_ms = 1000, .pause_ms = 20, .pause_ms_max = 20 };
    struct script script = { .answers = answers, .answer_count = 1 };
    struct error err = { 0 };
    CHECK_RC(retry_run(&policy, play, &script, &err), RC_NET);
    assert_in_range(script.call_count, 2, 101);
    assert_true(script.remaining_ms_last < 1000);
    assert_non_null(strstr(err.text, "attempts, out of time (the first: cause 0): cause "));
}

static void retry_after_is_waited_for(void **state)
{
    (void)state;
    const rc answers[] = { RC_NET, RC_OK };
    struct script script = { .answers = answers, .answer_count = 2, .retry_after_ms = 150 };
    struct error err = { 0 };
    int64_t started_ms = clock_monotonic_ms();
    CHECK_OK(retry_run(&quick, play, &script, &err));
    assert_in_range(clock_monotonic_ms() - started_ms, 149, 120000);
}

static void a_retry_after_beyond_the_deadline_is_not_waited_for(void **state)
{
    (void)state;
    const rc answers[] = { RC_NET, RC_OK };
    struct script script = { .answers = answers, .answer_count = 2, .retry_after_ms = 600000 };
    struct error err = { 0 };
    int64_t started_ms = clock_monotonic_ms();
    CHECK_RC(retry_run(&quick, play, &script, &err), RC_NET);
    assert_true(clock_monotonic_ms() - started_ms < 120000);
    assert_int_equal(script.call_count, 1);
    assert_string_equal(err.text, "out of time: cause 0");
}

static void a_removed_cause_is_tried_at_once_but_not_for_ever(void **state)
{
    (void)state;
    const rc answers[] = { RC_DENIED };
    struct script script = { .answers = answers, .answer_count = 1, .at_once = true };
    struct error err = { 0 };
    CHECK_RC(retry_run(&quick, play, &script, &err), RC_DENIED);
    assert_int_equal(script.call_count, 4);
}

static void a_final_failure_is_final(void **state)
{
    (void)state;
    const rc answers[] = { RC_NET };
    struct script script = { .answers = answers, .answer_count = 1, .final = true };
    struct error err = { 0 };
    CHECK_RC(retry_run(&quick, play, &script, &err), RC_NET);
    assert_int_equal(script.call_count, 1);
}

static void *cancel_soon(void *payload)
{
    (void)cancel_wait_ms(NULL, 50);
    cancel_now(payload);
    return NULL;
}

static void a_cancel_ends_the_pause(void **state)
{
    (void)state;
    const rc answers[] = { RC_NET };
    struct cancel *cancel = cancel_new();
    struct retry_policy policy = { .deadline_ms = 1200000, .cancel = cancel };
    struct script script = { .answers = answers, .answer_count = 1, .retry_after_ms = 600000 };
    struct error err = { 0 };
    pthread_t thread;
    int64_t started_ms = clock_monotonic_ms();
    assert_int_equal(pthread_create(&thread, NULL, cancel_soon, cancel), 0);
    CHECK_RC(retry_run(&policy, play, &script, &err), RC_CANCELLED);
    assert_true(clock_monotonic_ms() - started_ms < 120000);
    assert_string_equal(err.text, "cancelled: cause 0");
    pthread_join(thread, NULL);
    CHECK_RC(retry_run(&policy, play, &script, &err), RC_CANCELLED);
    assert_int_equal(script.call_count, 1);
    cancel_free(cancel);
}

static void pauses_double_up_to_the_limit_and_jitter_by_half(void **state)
{
    (void)state;
    static const int64_t steps_ms[] = { 100, 200, 400, 800, 1600, 3200, 5000, 5000, 5000 };
    const struct retry_policy policy = { 0 };
    for (unsigned index = 0; index < array_count(steps_ms); index++) {
        int64_t half_ms = steps_ms[index] / 2;
        assert_int_equal(retry_pause_ms(&policy, index + 1, 0), half_ms);
        assert_int_equal(retry_pause_ms(&policy, index + 1, (uint32_t)half_ms), steps_ms[index]);
        assert_int_equal(retry_pause_ms(&policy, index + 1, (uint32_t)half_ms + 1), half_ms);
    }
    assert_int_equal(retry_pause_ms(&policy, 4000000000u, 0), 2500);
}

int main(void)
{
    const struct CMUnitTest claims[] = {
        cmocka_unit_test(success_is_success),
        cmocka_unit_test(only_what_may_pass_is_tried_again),
        cmocka_unit_test(the_error_names_attempts_and_the_first_cause),
        cmocka_unit_test(attempts_can_be_limited),
        cmocka_unit_test(the_deadline_ends_it),
        cmocka_unit_test(retry_after_is_waited_for),
        cmocka_unit_test(a_retry_after_beyond_the_deadline_is_not_waited_for),
        cmocka_unit_test(a_removed_cause_is_tried_at_once_but_not_for_ever),
        cmocka_unit_test(a_final_failure_is_final),
        cmocka_unit_test(a_cancel_ends_the_pause),
        cmocka_unit_test(pauses_double_up_to_the_limit_and_jitter_by_half),
    };
    return cmocka_run_group_tests_name("retry", claims, NULL, NULL);
}
