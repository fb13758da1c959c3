/*
 * checkpoint_policy - pure decisions about the pin and the log
 */
#include "checkpoint_policy_priv.h"

#include <assert.h>

enum {
    ADVANCE_FRAME_COUNT = 250,    /* a hand-over costs some 50 us */
    ADVANCE_INTERVAL_MS = 1000,   /* a quiet log is left with the pin at its end */
    QUIET_INTERVAL_MS = 200,      /* between tries that fail: each costs some flushes of the disk */
    RESET_LOCK_FACTOR = 4,        /* this many times as long is worth the write lock */
    RESET_INTERVAL_MS = 100,      /* at most this often, however fast the log grows */
    RESET_BACKOFF_MS = 50,        /* for a reader in the way: doubles every time ... */
    RESET_BACKOFF_MS_MAX = 5000,  /* ... up to here: the log falls this soon after a reader ends */
    KEEP_FRACTION = 4,            /* a log that is written again at once is not cut to nothing */
    TRUNCATE_INTERVAL_MS = 10000, /* the file system's work is not free either */
    URGENCY_MAX = 10,
};

uint64_t checkpoint_keep_size(const struct checkpoint_limits *limits)
{
    return limits->truncate_size / KEEP_FRACTION;
}

/* The next writer restarts the log; there is nothing left to do for a reset. */
static bool checkpoint_is_reset(const struct checkpoint_facts *facts)
{
    return facts->pin_in_slot_zero && facts->unpinned_frames == 0;
}

static enum checkpoint_choice checkpoint_choose_reset(const struct checkpoint_facts *facts,
    const struct checkpoint_limits *limits, const struct checkpoint_history *history)
{
    uint64_t frames = facts->log_frame_count;

    if (frames == 0 || checkpoint_is_reset(facts))
        return CHECKPOINT_NOTHING;
    if (frames >= (uint64_t)limits->reset_frame_count * RESET_LOCK_FACTOR ||
        facts->log_used_size >= limits->truncate_size)
        return facts->now_ms >= history->next_reset_ms ? CHECKPOINT_RESET : CHECKPOINT_NOTHING;
    if (frames < limits->reset_frame_count || facts->now_ms < history->next_quiet_ms)
        return CHECKPOINT_NOTHING;
    return CHECKPOINT_QUIET_RESET;
}

static bool checkpoint_wants_advance(
    const struct checkpoint_facts *facts, const struct checkpoint_history *history)
{
    if (facts->unpinned_frames == 0)
        return false;
    return facts->pin_in_slot_zero || facts->unpinned_frames >= ADVANCE_FRAME_COUNT ||
           facts->now_ms - history->last_advance_ms >= ADVANCE_INTERVAL_MS;
}

enum checkpoint_choice checkpoint_choose(const struct checkpoint_facts *facts,
    const struct checkpoint_limits *limits, const struct checkpoint_history *history)
{
    assert(limits->reset_frame_count > 0);
    assert(limits->truncate_size > 0);

    if (facts->log_file_size >= limits->truncate_size &&
        facts->log_used_size <= checkpoint_keep_size(limits) &&
        facts->now_ms >= history->next_truncate_ms)
        return CHECKPOINT_TRUNCATE;
    enum checkpoint_choice reset = checkpoint_choose_reset(facts, limits, history);
    if (reset != CHECKPOINT_NOTHING)
        return reset;
    return checkpoint_wants_advance(facts, history) ? CHECKPOINT_ADVANCE : CHECKPOINT_NOTHING;
}

unsigned checkpoint_urgency(const struct checkpoint_facts *facts,
    const struct checkpoint_limits *limits, const struct checkpoint_history *history)
{
    unsigned urgency = 1;

    if (facts->log_used_size < limits->truncate_size)
        return urgency;
    for (unsigned n = 0; n < history->urgent_count && urgency < URGENCY_MAX; n++)
        urgency *= 2;
    return urgency < URGENCY_MAX ? urgency : URGENCY_MAX;
}

void checkpoint_note_urgent(struct checkpoint_history *history, bool done, bool is_blocked)
{
    if (done)
        history->urgent_count = 0;
    else if (!is_blocked && history->urgent_count < URGENCY_MAX)
        history->urgent_count++;
}

void checkpoint_note_advance(struct checkpoint_history *history, int64_t now_ms)
{
    history->last_advance_ms = now_ms;
}

void checkpoint_note_quiet(struct checkpoint_history *history, int64_t now_ms, bool done)
{
    history->next_quiet_ms = now_ms + (done ? 0 : QUIET_INTERVAL_MS);
    history->last_advance_ms = now_ms; /* a reset hands over on its way */
    if (done)
        history->failure_count = 0;
}

void checkpoint_note_reset(
    struct checkpoint_history *history, int64_t now_ms, bool done, bool is_blocked)
{
    int64_t delay_ms = RESET_INTERVAL_MS;

    if (!is_blocked) {
        history->failure_count = 0;
    } else {
        delay_ms = RESET_BACKOFF_MS;
        for (unsigned n = 0; n < history->failure_count && delay_ms < RESET_BACKOFF_MS_MAX; n++)
            delay_ms *= 2;
        if (delay_ms > RESET_BACKOFF_MS_MAX)
            delay_ms = RESET_BACKOFF_MS_MAX;
        history->failure_count++;
    }
    history->next_reset_ms = now_ms + delay_ms;
    if (done)
        history->next_quiet_ms = now_ms;
    history->last_advance_ms = now_ms; /* a reset hands over on its way */
}

void checkpoint_note_truncate(struct checkpoint_history *history, int64_t now_ms)
{
    history->next_truncate_ms = now_ms + TRUNCATE_INTERVAL_MS;
}
