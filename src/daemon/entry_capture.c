/*
 * entry_capture - one round of capturing: what is committed becomes segments in the spool
 *
 * The watch is armed before the database is looked at: a commit before that is captured now, a
 * later one wakes the watcher. So between two rounds nothing happens unless something was written.
 */
#include "entry_priv.h"

#include <errno.h>
#include <sys/resource.h>

#include "base/clock.h"
#include "base/log.h"

enum {
    ENTRY_SETTLE_MS = 1000, /* after the last commit of a burst: move the pin on, checkpoint */
    ENTRY_READER_RETRY_MS = 1000, /* a foreign reader kept the log from being reset */
    ENTRY_RESET_RETRY_MS = 50,    /* the application was too fast for a reset */
    ENTRY_LOG_GROWTH_FACTOR = 4,  /* the log may grow to this many times the checkpoint threshold */
    ENTRY_ROUND_MS_MIN = 10,
    ENTRY_BUSY_RETRY_MS = 20,
    ENTRY_BUSY_QUIET_COUNT = 50, /* about a second: then it is told, and tried more rarely */
    ENTRY_BUSY_RETRY_MAX_MS = 1000,
    ENTRY_LOOK_FIRST_MS = 5,
    ENTRY_LOOK_MAX_MS = 10 * 1000,
    ENTRY_MERGE_PAUSE_MS = 10, /* between two slices of a merge: half of a core at most */
    ENTRY_POISON_RETRY_MS = 50,
    ENTRY_POISON_TELL_MS = 60 * 1000,
    ENTRY_REOPEN_FIRST_MS = 250,
    ENTRY_REOPEN_MAX_MS = 30 * 1000,
};

struct entry_round {
    uint64_t number;
    bool was_written; /* the log, since the round before */
    int64_t began_ms; /* monotonic */
    int64_t began_ns; /* monotonic */
    int64_t began_wall_ms;
    struct capture_sync_report sync;
    struct capture_maintain_report maintain;
    uint64_t txid; /* captured at its end */
    struct entry_window window;
    struct entry_merge merge;
    bool let_go; /* it failed for want of room, and the log must not be held any longer */
};

static rc entry_round_run(
    struct entry *entry, struct capture *capture, struct entry_round *round, struct error *err)
{
    int64_t wall_ms = clock_wall_ms();

    entry_window_close(entry, capture, wall_ms, &round->window);
    TRY(capture_sync(capture, wall_ms, &round->sync, err));
    entry_note_position(entry, capture_position(capture));
    rc maintained = capture_maintain(
        capture, clock_monotonic_ms(), entry_window_time_ms(entry, wall_ms), &round->maintain, err);
    entry_note_position(entry, capture_position(capture));
    round->txid = capture_position(capture)->txid;
    if (maintained == RC_OK)
        entry_spool_merge(entry, capture, &round->merge);
    return maintained;
}

/*
 * What has happened before we were there may have done harm that we cannot see: that is said as an
 * error also when it is healed.
 */
static void entry_round_log_poison(struct entry *entry, const struct entry_round *round)
{
    const struct capture_poison *poison = &round->maintain.poison;
    bool healed = poison->state == CAPTURE_POISON_HEALED;

    if (poison->state == CAPTURE_POISON_NONE)
        return;
    if (!healed && entry->poison_told_ms > 0 &&
        clock_monotonic_ms() - entry->poison_told_ms < ENTRY_POISON_TELL_MS)
        return;
    entry->poison_told_ms = healed ? 0 : clock_monotonic_ms();
    log_event(LOG_ERROR, healed ? "log healed" : "log poisoned", "db", entry->config->path,
        "log_frames", log_u64(poison->log_frames), "claimed_frames",
        log_u64(poison->claimed_frames), "txid", log_u64(round->txid), "meaning",
        "SQLite's WAL-reset bug struck before seawal held the log "
        "(sqlite.org/wal.html#walresetbug): no commit is lost, but those who wrote since then may "
        "have changed stale pages",
        "remedy",
        healed ? "run PRAGMA integrity_check; restore an earlier txid where it fails; update the "
                 "application's SQLite to 3.51.3 or later"
               : "end the transaction or checkpoint that is in progress, or restart the "
                 "application; seawal must go on running meanwhile",
        NULL);
}

static void entry_round_log(const struct entry *entry, const struct entry_round *round)
{
    if (round->sync.resynced)
        log_event(LOG_WARN, "resynced", "db", entry->config->path, "pages",
            log_u64(round->sync.resync_page_count), NULL);
    if (round->sync.transaction_count > 0)
        log_event(LOG_DEBUG, "captured", "db", entry->config->path, "transactions",
            log_u64(round->sync.transaction_count), "frames", log_u64(round->sync.frame_count),
            "bytes", log_u64(round->sync.stored_size), NULL);
    if (round->maintain.reset_tried || round->maintain.truncated ||
        round->maintain.write_lock_hold_ns > 0)
        log_event(LOG_DEBUG, "checkpoint", "db", entry->config->path, "reset",
            round->maintain.reset_done ? "yes" : "no", "reader_in_the_way",
            round->maintain.reader_in_the_way ? "yes" : "no", "write_lock_us",
            log_i64(round->maintain.write_lock_hold_ns / 1000), "cut",
            round->maintain.truncated ? "yes" : "no", "began_ms", log_i64(round->began_wall_ms),
            NULL);
}

static int64_t smaller_ms(int64_t left, int64_t right)
{
    return left < right ? left : right;
}

/*
 * At the rate of the last round, which took in all that was written in ELAPSED_MS, how long until
 * the log has grown to what a reset should keep it under. A long log slows the application's own
 * reads.
 */
static int64_t entry_round_growth_ms(
    const struct entry *entry, const struct entry_round *round, int64_t elapsed_ms)
{
    uint64_t room = entry->config->min_checkpoint_page_count * ENTRY_LOG_GROWTH_FACTOR;

    if (round->sync.frame_count == 0 || room > INT32_MAX || elapsed_ms > INT32_MAX)
        return INT32_MAX;
    int64_t growth_ms = elapsed_ms * (int64_t)room / (int64_t)round->sync.frame_count;
    return growth_ms > ENTRY_ROUND_MS_MIN ? growth_ms : ENTRY_ROUND_MS_MIN;
}

/*
 * A reset that failed is tried again although nothing more is written, also when this round was too
 * soon for a try.
 */
static bool entry_round_leaves_reset(const struct entry *entry, const struct entry_round *round)
{
    if (round->maintain.reset_tried)
        return !round->maintain.reset_done;
    return entry->reset_pending && !round->maintain.pin_in_slot_zero &&
           round->sync.log_frame_count >= entry->config->min_checkpoint_page_count;
}

/*
 * A commit ends in shared memory, which tells nobody: the last write to the log may have woken us
 * before it, by as long as a sync of the disk takes. So after a write without a commit one looks
 * again, ever more rarely; a transaction that was rolled back costs a handful of looks.
 */
static void entry_round_expect(struct entry *entry, const struct entry_round *round)
{
    if (round->sync.transaction_count > 0)
        entry->look_ms = 0;
    else if (round->was_written)
        entry->look_ms = ENTRY_LOOK_FIRST_MS;
    else if (entry->look_ms < ENTRY_LOOK_MAX_MS)
        entry->look_ms *= 2;
    else
        entry->look_ms = 0;
}

static int64_t entry_merge_wait_ms(int64_t due_ms)
{
    int64_t wait_ms = due_ms - clock_monotonic_ms();

    return wait_ms > ENTRY_MERGE_PAUSE_MS ? wait_ms : ENTRY_MERGE_PAUSE_MS;
}

/* When to look again although nobody woke us. */
static int64_t entry_round_next_ms(
    const struct entry *entry, const struct entry_round *round, bool armed)
{
    int64_t check_ms = entry->config->check_interval_ms;
    int64_t poll_ms = entry->config->sync_interval_ms;
    int64_t next_ms = check_ms > 0 ? check_ms : INT32_MAX;

    if (round->sync.transaction_count > 0)
        next_ms = smaller_ms(next_ms, ENTRY_SETTLE_MS);
    if (round->maintain.poison.state == CAPTURE_POISON_BUSY || round->maintain.may_be_struck)
        next_ms = smaller_ms(next_ms, ENTRY_POISON_RETRY_MS);
    if (entry->reset_pending)
        next_ms = smaller_ms(next_ms, ENTRY_READER_RETRY_MS);
    if (round->maintain.reset_tried && !round->maintain.reset_done &&
        !round->maintain.reader_in_the_way)
        next_ms = smaller_ms(next_ms, ENTRY_RESET_RETRY_MS);
    if (entry->look_ms > 0)
        next_ms = smaller_ms(next_ms, entry->look_ms);
    if (round->merge.report.due_ms > 0)
        next_ms = smaller_ms(next_ms, entry_merge_wait_ms(round->merge.report.due_ms));
    if (round->window.next_ms > 0)
        next_ms = smaller_ms(next_ms, round->window.next_ms);
    if (!armed)
        next_ms = smaller_ms(next_ms, poll_ms > 0 ? poll_ms : ENTRY_BUSY_RETRY_MS);
    return next_ms;
}

static void entry_capture_done(struct entry *entry, const struct entry_round *round, bool armed)
{
    int64_t now_ms = clock_monotonic_ms();

    trouble_clear(&entry->capture_trouble, entry->config->path);
    entry->busy_count = 0;
    entry_round_expect(entry, round);
    pthread_mutex_lock(&entry->mu);
    int64_t elapsed_ms = now_ms - entry->last_sync_ms;
    entry->last_sync_ms = now_ms;
    entry->sync_done = round->number;
    entry->uncaptured_since_ms = entry->log_written ? round->began_ms : 0;
    entry->in_slot_zero = round->maintain.pin_in_slot_zero;
    if (!entry->draining)
        entry_note_failure_locked(entry, &(struct error){ 0 });
    pthread_mutex_unlock(&entry->mu);

    entry->reset_pending = entry_round_leaves_reset(entry, round);
    entry_round_log(entry, round);
    entry_round_log_poison(entry, round);
    entry_window_tell(entry, &round->window);
    entry_spool_tell(entry, &round->merge);
    entry_measure_round(
        entry, &round->sync, &round->maintain, clock_monotonic_ns() - round->began_ns);
    entry_tell_reader(entry, &round->maintain);
    int64_t next_ms = smaller_ms(
        entry_round_next_ms(entry, round, armed), entry_round_growth_ms(entry, round, elapsed_ms));
    scheduler_at(entry->context->scheduler, &entry->capture_job, now_ms + next_ms);
}

/* What an operator can do about a limit is said with it. */
static void entry_explain_busy(struct error *err)
{
    struct rlimit limit;

    if (err->sys_errno == EMFILE && getrlimit(RLIMIT_NOFILE, &limit) == 0)
        (void)!error_wrap(err, err->code,
            "all %llu files that this process may open are open; raise LimitNOFILE (ulimit -n)",
            (unsigned long long)limit.rlim_cur);
    if (err->sys_errno == ENFILE)
        (void)!error_wrap(
            err, err->code, "the system's limit of open files is reached; raise fs.file-max");
}

/*
 * The index is being changed, or a checkpoint runs: that is over in milliseconds, and no news. What
 * lasts is, and a limit of open files at once, since it does not end by itself.
 */
static void entry_capture_busy(struct entry *entry, const struct error *err)
{
    bool is_limit = err->sys_errno == EMFILE || err->sys_errno == ENFILE;
    int64_t wait_ms = ENTRY_BUSY_RETRY_MS;

    entry->busy_count++;
    if (is_limit || entry->busy_count > ENTRY_BUSY_QUIET_COUNT) {
        struct error told = *err;
        entry_explain_busy(&told);
        metrics_add(&entry->metrics, METRIC_SYNC_ERRORS, 1);
        wait_ms = trouble_backoff_ms(
            &entry->capture_trouble, ENTRY_REOPEN_FIRST_MS, ENTRY_BUSY_RETRY_MAX_MS);
        trouble_note(&entry->capture_trouble, entry->config->path, &told, wait_ms);
    }
    scheduler_at(entry->context->scheduler, &entry->capture_job, clock_monotonic_ms() + wait_ms);
}

/*
 * Busy and a full disk leave the capture and its pin as they are; whatever else happened is
 * answered by opening again, where continuity is proved or the difference found by digest.
 */
static void entry_capture_failed(struct entry *entry, const struct error *err, bool let_go)
{
    if (err->code == RC_BUSY) {
        entry_capture_busy(entry, err);
        return;
    }
    entry->busy_count = 0;
    pthread_mutex_lock(&entry->mu);
    entry_note_failure_locked(entry, err);
    pthread_mutex_unlock(&entry->mu);

    metrics_add(&entry->metrics, METRIC_SYNC_ERRORS, 1);
    if (err->code == RC_NO_SPACE) {
        entry_spool_no_room(entry, err, let_go);
        return;
    }

    int64_t wait_ms =
        trouble_backoff_ms(&entry->capture_trouble, ENTRY_REOPEN_FIRST_MS, ENTRY_REOPEN_MAX_MS);
    trouble_note(&entry->capture_trouble, entry->config->path, err, wait_ms);
    entry_reopen(entry, err->code == RC_MISMATCH ? 0 : wait_ms);
}

void entry_capture_run(void *payload)
{
    struct entry *entry = payload;
    struct entry_round round = {
        .began_ms = clock_monotonic_ms(),
        .began_ns = clock_monotonic_ns(),
        .began_wall_ms = clock_wall_ms(),
    };
    struct error err = { 0 };

    pthread_mutex_lock(&entry->mu);
    round.number = ++entry->sync_begun;
    round.was_written = entry->log_written;
    entry->log_written = false;
    pthread_mutex_unlock(&entry->mu);

    pthread_mutex_lock(&entry->capture_mu);
    if (entry->capture == NULL) {
        pthread_mutex_unlock(&entry->capture_mu);
        return;
    }
    bool armed = watch_log_arm(entry->context->watch, &entry->target);
    rc captured = entry_round_run(entry, entry->capture, &round, &err);
    round.let_go = captured == RC_NO_SPACE && capture_let_go(entry->capture);
    pthread_mutex_unlock(&entry->capture_mu);

    /* Also when something failed after it: the next round may have nothing new to tell. */
    if (round.sync.segment_count > 0)
        scheduler_at(entry->context->scheduler, &entry->upload_job, 0);
    if (captured == RC_OK)
        entry_capture_done(entry, &round, armed);
    else
        entry_capture_failed(entry, &err, round.let_go);
}
