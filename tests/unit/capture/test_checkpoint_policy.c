/*
 * checkpoint_policy: every decision, from facts alone.
 */
#include "../../../src/capture/checkpoint_policy_priv.h"

#include "base/alloc.h"
#include "harness/check.h"

static const struct checkpoint_limits limits = { .reset_frame_count = 1000,
    .truncate_size = 1 << 20 };

struct policy_case {
    const char *name;
    struct checkpoint_facts facts;
    struct checkpoint_history history;
    enum checkpoint_choice expected;
};

static const struct policy_case cases[] = {
    { "nothing new, short log", { 5000, false, 0, 500, 32000, 4096 }, { 0 }, CHECKPOINT_NOTHING },
    { "empty log", { 5000, true, 0, 0, 0, 0 }, { 0 }, CHECKPOINT_NOTHING },
    { "a few frames just after the last advance", { 5000, false, 10, 10, 640, 4096 },
        { .last_advance_ms = 4500 }, CHECKPOINT_NOTHING },
    { "a few frames a second later", { 5000, false, 10, 10, 640, 4096 },
        { .last_advance_ms = 4000 }, CHECKPOINT_ADVANCE },
    { "many frames at once", { 5000, false, 250, 250, 16000, 4096 }, { .last_advance_ms = 5000 },
        CHECKPOINT_ADVANCE },
    { "slot 0 stops every checkpoint", { 5000, true, 1, 1, 64, 4096 }, { .last_advance_ms = 5000 },
        CHECKPOINT_ADVANCE },
    { "one frame short of a reset", { 5000, false, 0, 999, 63936, 4096 }, { 0 },
        CHECKPOINT_NOTHING },
    { "long enough to try", { 5000, false, 0, 1000, 64000, 4096 }, { 0 }, CHECKPOINT_QUIET_RESET },
    { "tried a moment ago", { 5000, false, 0, 1000, 64000, 4096 }, { .next_quiet_ms = 5001 },
        CHECKPOINT_NOTHING },
    { "not worth the write lock yet", { 5000, false, 0, 3999, 255936, 4096 }, { 0 },
        CHECKPOINT_QUIET_RESET },
    { "worth the write lock", { 5000, false, 0, 4000, 256000, 4096 }, { .next_quiet_ms = 5001 },
        CHECKPOINT_RESET },
    { "paced", { 5000, false, 0, 4000, 256000, 4096 }, { .next_reset_ms = 5001 },
        CHECKPOINT_NOTHING },
    { "paced, but frames are worth an advance", { 5000, false, 300, 4000, 256000, 4096 },
        { .next_reset_ms = 5001, .last_advance_ms = 5000 }, CHECKPOINT_ADVANCE },
    { "was reset, nobody wrote since", { 5000, true, 0, 1000, 64000, 4096 }, { 0 },
        CHECKPOINT_NOTHING },
    { "was reset, and the file is large", { 5000, true, 0, 5000, 1 << 20, 1 << 20 }, { 0 },
        CHECKPOINT_NOTHING },
    { "few frames in a large file", { 5000, false, 0, 3, 4096, 1 << 20 }, { 0 },
        CHECKPOINT_TRUNCATE },
    { "few frames in a file just not large", { 5000, false, 0, 3, 4096, (1 << 20) - 1 }, { 0 },
        CHECKPOINT_NOTHING },
    { "frames in a quarter of it", { 5000, false, 0, 64, 1 << 18, 1 << 20 }, { 0 },
        CHECKPOINT_TRUNCATE },
    { "frames in more than a quarter of it", { 5000, false, 0, 65, (1 << 18) + 1, 1 << 20 }, { 0 },
        CHECKPOINT_NOTHING },
    { "few large frames that fill it", { 5000, false, 0, 900, 1 << 20, 1 << 20 }, { 0 },
        CHECKPOINT_RESET },
    { "truncated a moment ago", { 5000, false, 0, 3, 4096, 1 << 20 }, { .next_truncate_ms = 5001 },
        CHECKPOINT_NOTHING },
    { "no frames in a large file", { 5000, false, 0, 0, 0, 1 << 20 }, { 0 }, CHECKPOINT_TRUNCATE },
};

static void each_case_is_decided_as_written(void **unused)
{
    (void)unused;
    for (size_t index = 0; index < sizeof cases / sizeof cases[0]; index++) {
        enum checkpoint_choice choice =
            checkpoint_choose(&cases[index].facts, &limits, &cases[index].history);
        if (choice != cases[index].expected)
            fail_msg(
                "%s: %d, expected %d", cases[index].name, (int)choice, (int)cases[index].expected);
    }
}

static void a_reader_makes_it_back_off_and_nobody_else(void **unused)
{
    (void)unused;
    static const int64_t expected[] = { 50, 100, 200, 400, 800, 1600, 3200, 5000, 5000, 5000 };
    struct checkpoint_history history = { 0 };

    for (size_t index = 0; index < sizeof expected / sizeof expected[0]; index++) {
        checkpoint_note_reset(&history, 1000, false, true);
        assert_int_equal(history.next_reset_ms, 1000 + expected[index]);
    }
    for (unsigned n = 0; n < 1000; n++)
        checkpoint_note_reset(&history, 1000, false, true);
    assert_int_equal(history.next_reset_ms, 6000);

    checkpoint_note_reset(&history, 2000, true, false);
    assert_int_equal(history.next_reset_ms, 2100);
    assert_int_equal(history.failure_count, 0);
    assert_int_equal(history.last_advance_ms, 2000);
    for (unsigned n = 0; n < 10; n++)
        checkpoint_note_reset(&history, 3000, false, false);
    assert_int_equal(history.next_reset_ms, 3100);
}

static void a_quiet_try_that_fails_is_paced(void **unused)
{
    (void)unused;
    struct checkpoint_history history = { .failure_count = 3 };

    checkpoint_note_quiet(&history, 1000, false);
    assert_int_equal(history.next_quiet_ms, 1200);
    assert_int_equal(history.failure_count, 3);
    checkpoint_note_quiet(&history, 2000, true);
    assert_int_equal(history.next_quiet_ms, 2000);
    assert_int_equal(history.failure_count, 0);
}

/* Only beyond the size, only by steps, and the first reset that comes to an end takes it back. */
static void a_log_that_grows_past_its_size_is_held_ever_longer(void **unused)
{
    (void)unused;
    static const unsigned expected[] = { 1, 2, 4, 8, 10, 10 };
    struct checkpoint_history history = { 0 };
    struct checkpoint_facts large = { .log_used_size = 1 << 20 };
    struct checkpoint_facts small = { .log_used_size = (1 << 20) - 1 };

    for (size_t index = 0; index < array_count(expected); index++) {
        assert_int_equal(checkpoint_urgency(&large, &limits, &history), expected[index]);
        assert_int_equal(checkpoint_urgency(&small, &limits, &history), 1);
        checkpoint_note_urgent(&history, false, true); /* a reader's fault */
        checkpoint_note_urgent(&history, false, false);
    }
    checkpoint_note_urgent(&history, true, false);
    assert_int_equal(checkpoint_urgency(&large, &limits, &history), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_case_is_decided_as_written),
        cmocka_unit_test(a_reader_makes_it_back_off_and_nobody_else),
        cmocka_unit_test(a_quiet_try_that_fails_is_paced),
        cmocka_unit_test(a_log_that_grows_past_its_size_is_held_ever_longer),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
