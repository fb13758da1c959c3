/*
 * checkpoint_policy - when the pin moves and when the log is reset; facts in, decision out
 *
 *   advance    the pin stands where the newest capture is, so that the application's own
 * checkpoints can copy behind us. At once when the pin is in slot 0 and the log has frames again,
 *              since slot 0 stops every checkpoint.
 *   quiet reset  the log is long enough that it is worth a try without the write lock, which a
 *              pause of the application of some flushes of the disk lets succeed
 *   reset      the log has grown to several times that: worth the write lock for a moment; with
 *              back-off when a foreign reader or a busy lock was in the way
 *   truncate   the file is larger than it should stay, and most of it is behind the log's end
 */
#ifndef SEAWAL_CAPTURE_CHECKPOINT_POLICY_PRIV_H
#define SEAWAL_CAPTURE_CHECKPOINT_POLICY_PRIV_H

#include <stdbool.h>
#include <stdint.h>

enum checkpoint_choice {
    CHECKPOINT_NOTHING,
    CHECKPOINT_ADVANCE,
    CHECKPOINT_QUIET_RESET,
    CHECKPOINT_RESET,
    CHECKPOINT_TRUNCATE,
    CHECKPOINT_CHOICE_COUNT,
};

struct checkpoint_limits {
    uint32_t reset_frame_count;
    uint64_t truncate_size;
};

/* What was tried before; kept by the caller, changed by checkpoint_note_*(). */
struct checkpoint_history {
    int64_t last_advance_ms;
    int64_t next_quiet_ms;
    int64_t next_reset_ms;
    int64_t next_truncate_ms;
    unsigned failure_count; /* resets in a row that a reader did not let come to an end */
    unsigned urgent_count;  /* the same beyond truncate_size, without a reader in the way */
};

struct checkpoint_facts {
    int64_t now_ms;           /* monotonic */
    bool pin_in_slot_zero;    /* certainly */
    uint32_t unpinned_frames; /* captured frames behind the place where the pin stands */
    uint32_t log_frame_count;
    uint64_t log_used_size; /* by its committed frames */
    uint64_t log_file_size;
};

/* The caller has just captured what was committed. */
enum checkpoint_choice checkpoint_choose(const struct checkpoint_facts *facts,
    const struct checkpoint_limits *limits, const struct checkpoint_history *history);

/*
 * How many times as long the write lock may be held as usual. An application that never pauses, on
 * a disk whose flushes take longer than the budget, would let the log grow until the disk is full:
 * so beyond truncate_size each reset that fails doubles it, up to ten times.
 */
unsigned checkpoint_urgency(const struct checkpoint_facts *facts,
    const struct checkpoint_limits *limits, const struct checkpoint_history *history);

/* What the file is cut to. */
uint64_t checkpoint_keep_size(const struct checkpoint_limits *limits);

void checkpoint_note_advance(struct checkpoint_history *history, int64_t now_ms);
void checkpoint_note_quiet(struct checkpoint_history *history, int64_t now_ms, bool done);
void checkpoint_note_reset(
    struct checkpoint_history *history, int64_t now_ms, bool done, bool is_blocked);
/* Beside checkpoint_note_reset(), for a log that was beyond truncate_size. */
void checkpoint_note_urgent(struct checkpoint_history *history, bool done, bool is_blocked);
void checkpoint_note_truncate(struct checkpoint_history *history, int64_t now_ms);

#endif
