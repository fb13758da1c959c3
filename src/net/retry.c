/*
 * retry - the one loop that tries again
 */
#include "net/retry.h"

#include <assert.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "codec/hash.h"

enum {
    RETRY_DEADLINE_MS = 60 * 1000,
    RETRY_PAUSE_MS = 100,
    RETRY_PAUSE_MS_MAX = 5 * 1000,
    RETRY_SHIFT_MAX = 16,
    RETRY_AT_ONCE_MAX = 3, /* corrections of clock, region and the like in one call */
};

struct retry_state {
    const struct retry_policy *policy;
    int64_t deadline_at_ms;
    unsigned attempt_count;
    unsigned at_once_count;
    struct error first;
};

static int64_t or_default(int64_t value, int64_t fallback)
{
    return value > 0 ? value : fallback;
}

int64_t retry_pause_ms(const struct retry_policy *policy, unsigned index, uint32_t random)
{
    assert(index > 0);

    unsigned shift = index - 1 < RETRY_SHIFT_MAX ? index - 1 : RETRY_SHIFT_MAX;
    int64_t pause_ms_max = or_default(policy->pause_ms_max, RETRY_PAUSE_MS_MAX);
    int64_t step_ms = or_default(policy->pause_ms, RETRY_PAUSE_MS);
    step_ms = step_ms > pause_ms_max >> shift ? pause_ms_max : step_ms << shift;
    int64_t half_ms = step_ms / 2;
    return half_ms + (int64_t)(random % (uint64_t)(step_ms - half_ms + 1));
}

/* Wrap what the last attempt said with what the loop knows. A single attempt needs little comment.
 */
static rc retry_give_up(const struct retry_state *state, bool is_late, struct error *last)
{
    const char *late = is_late ? ", out of time" : "";

    if (state->attempt_count == 1)
        return is_late ? error_wrap(last, last->code, "out of time") : last->code;
    if (strcmp(state->first.text, last->text) == 0)
        return error_wrap(last, last->code, "after %u attempts%s", state->attempt_count, late);
    return error_wrap(last, last->code, "after %u attempts%s (the first: %.300s)",
        state->attempt_count, late, state->first.text);
}

/* RC_OK when another attempt is due after a pause that was waited for here. */
static rc retry_wait(
    struct retry_state *state, const struct retry_attempt *attempt, struct error *last)
{
    if (cancel_asked(state->policy->cancel))
        return error_wrap(last, RC_CANCELLED, "cancelled");
    if (attempt->at_once && state->at_once_count < RETRY_AT_ONCE_MAX) {
        state->at_once_count++;
        return RC_OK;
    }
    if (attempt->final || !rc_is_transient(last->code))
        return retry_give_up(state, false, last);
    if (state->policy->attempts_max > 0 && state->attempt_count >= state->policy->attempts_max)
        return retry_give_up(state, false, last);

    uint32_t random;
    random_fill(&random, sizeof random);
    int64_t pause_ms = retry_pause_ms(state->policy, state->attempt_count, random);
    if (pause_ms < attempt->retry_after_ms)
        pause_ms = attempt->retry_after_ms;
    if (pause_ms >= state->deadline_at_ms - clock_monotonic_ms())
        return retry_give_up(state, true, last);
    if (cancel_wait_ms(state->policy->cancel, pause_ms))
        return error_wrap(last, RC_CANCELLED, "cancelled");
    return RC_OK;
}

rc retry_run(
    const struct retry_policy *policy, retry_fn *attempt_fn, void *payload, struct error *err)
{
    assert(policy != NULL);
    assert(attempt_fn != NULL);

    struct retry_state state = {
        .policy = policy,
        .deadline_at_ms = clock_monotonic_ms() + or_default(policy->deadline_ms, RETRY_DEADLINE_MS),
    };
    struct error last = { 0 };
    for (;;) {
        if (cancel_asked(policy->cancel))
            FAIL(err, RC_CANCELLED, "cancelled");
        struct retry_attempt attempt = {
            .index = state.attempt_count++,
            .remaining_ms = state.deadline_at_ms - clock_monotonic_ms(),
        };
        if (attempt.remaining_ms < 1)
            attempt.remaining_ms = 1;
        rc done = attempt_fn(payload, &attempt, &last);
        if (done == RC_OK)
            return RC_OK;
        if (state.attempt_count == 1)
            state.first = last;

        rc waited = retry_wait(&state, &attempt, &last);
        if (waited != RC_OK) {
            last.code = waited;
            return error_copy(err, &last);
        }
    }
}
