/*
 * maintain - carry out what checkpoint_policy decides
 */
#include "capture_priv.h"

#include "base/fs.h"
#include "codec/digest.h"

#include <assert.h>

enum {
    RESET_WRITE_LOCK_WAIT_MS = 10, /* a writer in the middle of a commit is soon done */
    RESET_REMAINDER_FRAMES = 300,
    RESET_REMAINDER_FACTOR_MAX = 5,
};

void capture_note_pin(struct capture *capture)
{
    capture->pinned = log_place_of(&capture->captured);
}

static uint64_t maintain_log_size(const struct capture *capture)
{
    struct stat status;

    if (fs_stat(&status, database_log_path(capture->database), NULL) != RC_OK)
        return 0; /* gone: the next sync finds out and says so */
    return (uint64_t)status.st_size;
}

static void maintain_facts(
    struct capture *capture, int64_t monotonic_ms, struct checkpoint_facts *ret)
{
    const struct wal_index_header *header = &capture->captured;
    struct pin_state pin;

    pin_state_read(capture->database, &pin);
    assert(pin.held);
    uint32_t unpinned = header->frame_count;
    if (log_place_same_log(&capture->pinned, header) &&
        capture->pinned.frame_count <= header->frame_count)
        unpinned = header->frame_count - capture->pinned.frame_count;
    *ret = (struct checkpoint_facts){
        .now_ms = monotonic_ms,
        .pin_in_slot_zero = pin.in_slot_zero,
        .unpinned_frames = unpinned,
        .log_frame_count = header->frame_count,
        .log_used_size = (uint64_t)header->frame_count * header->page_size,
        .log_file_size = maintain_log_size(capture),
    };
}

static rc maintain_advance(struct capture *capture, const struct checkpoint_facts *facts,
    struct capture_maintain_report *report, struct error *err)
{
    struct pin_client client = capture_pin_client(capture);

    checkpoint_note_advance(&capture->history, facts->now_ms);
    TRY(pin_advance(capture->database, &client, err));
    capture_note_pin(capture);
    report->advanced = true;

    /* From this length on the application tries a checkpoint at every commit. */
    if (facts->log_frame_count >= capture->limits.reset_frame_count)
        TRY(pin_backfill(capture->database, &client, err));
    return RC_OK;
}

static void maintain_note_hold(struct capture_maintain_report *report, int64_t hold_ns)
{
    if (hold_ns > report->write_lock_hold_ns)
        report->write_lock_hold_ns = hold_ns;
}

static struct reset_limits maintain_limits(const struct capture *capture)
{
    return (struct reset_limits){
        .write_lock_budget_ms = capture->write_lock_budget_ms,
        .write_lock_wait_ms = RESET_WRITE_LOCK_WAIT_MS,
        .remainder_frames = RESET_REMAINDER_FRAMES,
        .holds = capture->write_lock_holds,
    };
}

static rc maintain_reset(struct capture *capture, bool is_quiet,
    const struct checkpoint_facts *facts, struct capture_maintain_report *report, struct error *err)
{
    struct pin_client client = capture_pin_client(capture);
    struct reset_report reset = { 0 };
    struct reset_limits limits = maintain_limits(capture);

    unsigned urgency = checkpoint_urgency(facts, &capture->limits, &capture->history);

    limits.is_quiet = is_quiet;
    limits.write_lock_budget_ms *= urgency;
    limits.remainder_frames *=
        urgency < RESET_REMAINDER_FACTOR_MAX ? urgency : RESET_REMAINDER_FACTOR_MAX;
    report->reset_tried = true;
    rc result = pin_reset(capture->database, &client, &limits, &reset, err);
    if (facts->log_used_size >= capture->limits.truncate_size)
        checkpoint_note_urgent(
            &capture->history, result == RC_OK && reset.done, reset.reader_in_the_way);
    if (is_quiet)
        checkpoint_note_quiet(&capture->history, facts->now_ms, result == RC_OK && reset.done);
    else
        checkpoint_note_reset(&capture->history, facts->now_ms, result == RC_OK && reset.done,
            reset.reader_in_the_way);
    report->reset_done = report->reset_done || reset.done;
    report->reader_in_the_way = reset.reader_in_the_way;
    if (reset.reader_in_the_way)
        report->reader_pid = database_reader_pid(capture->database);
    maintain_note_hold(report, reset.write_lock_hold_ns);
    if (result != RC_OK)
        return result;
    capture_note_pin(capture);
    report->advanced = true;
    return RC_OK;
}

static rc maintain_truncate(struct capture *capture, const struct checkpoint_facts *facts,
    struct capture_maintain_report *report, struct error *err)
{
    struct reset_limits limits = maintain_limits(capture);
    struct cut_report cut;

    checkpoint_note_truncate(&capture->history, facts->now_ms);
    rc result =
        log_cut(capture->database, &limits, checkpoint_keep_size(&capture->limits), &cut, err);
    report->truncated = cut.file_size < facts->log_file_size;
    maintain_note_hold(report, cut.write_lock_hold_ns);
    return result;
}

static rc maintain_carry_out(struct capture *capture, enum checkpoint_choice choice,
    const struct checkpoint_facts *facts, struct capture_maintain_report *report, struct error *err)
{
    switch (choice) {
    case CHECKPOINT_NOTHING:
        return RC_OK;
    case CHECKPOINT_ADVANCE:
        return maintain_advance(capture, facts, report, err);
    case CHECKPOINT_QUIET_RESET:
        return maintain_reset(capture, true, facts, report, err);
    case CHECKPOINT_RESET:
        return maintain_reset(capture, false, facts, report, err);
    case CHECKPOINT_TRUNCATE:
        return maintain_truncate(capture, facts, report, err);
    case CHECKPOINT_CHOICE_COUNT:
        break;
    }
    assert(false);
    return RC_OK;
}

/* One decision carried out; RET is what it was. */
static rc maintain_step(struct capture *capture, int64_t monotonic_ms,
    struct capture_maintain_report *report, enum checkpoint_choice *ret, struct error *err)
{
    struct checkpoint_facts facts;

    maintain_facts(capture, monotonic_ms, &facts);
    *ret = checkpoint_choose(&facts, &capture->limits, &capture->history);

    /* A resync reads the whole database, and the write lock may be held: it is left to a sync. */
    capture->resync_barred = true;
    rc result = maintain_carry_out(capture, *ret, &facts, report, err);
    capture->resync_barred = false;
    result = settle_after(capture, result, err);

    if (*ret != CHECKPOINT_NOTHING)
        file_stamp_note(capture);

    /* Somebody was at the index or checkpoints; the policy asks again. */
    return result == RC_BUSY ? RC_OK : result;
}

rc capture_maintain(struct capture *capture, int64_t monotonic_ms, int64_t wall_ms,
    struct capture_maintain_report *ret, struct error *err)
{
    struct capture_maintain_report report = { 0 };
    enum checkpoint_choice choice = CHECKPOINT_NOTHING;
    struct wal_index_header header;

    if (capture->state != CAPTURE_FOLLOWING)
        FAIL(err, RC_MISMATCH, "capture has stopped; the database must be opened again");

    capture->wall_ms = wall_ms;
    TRY(capture_heal(capture, err));
    TRY(capture_follow(capture, &header, err));
    report.poison = capture->poison;
    report.may_be_struck = !capture->is_alone;
    if (capture->poison.state == CAPTURE_POISON_HEALED)
        capture->poison = (struct capture_poison){ 0 };

    /* In a poisoned log every checkpoint harms, and the pin where it stands lets none do anything.
     */
    if (report.poison.state != CAPTURE_POISON_BUSY)
        TRY(maintain_step(capture, monotonic_ms, &report, &choice, err));
    if (report.reset_done)
        TRY(maintain_step(capture, monotonic_ms, &report, &choice, err));
    struct pin_state pin;
    pin_state_read(capture->database, &pin);
    report.pin_in_slot_zero = pin.in_slot_zero;
    report.log_file_size = maintain_log_size(capture);
    *ret = report;
    return RC_OK;
}
