/*
 * progress - a bar on a terminal's standard error while a restore runs
 */
#include "progress.h"

#include "base/clock.h"
#include "base/duration.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { PROGRESS_BAR_WIDTH = 30, PROGRESS_ESTIMATE_AFTER_MS = 2000 };

void progress_begin(struct progress *progress)
{
    *progress = (struct progress){
        .is_terminal = isatty(STDERR_FILENO) != 0,
        .started_ms = clock_monotonic_ms(),
    };
}

static const char *progress_phase(enum restore_phase phase)
{
    switch (phase) {
    case RESTORE_PHASE_SNAPSHOT:
        return "snapshot";
    case RESTORE_PHASE_LOG:
        return "log";
    case RESTORE_PHASE_SYNC:
        return "sync to disk";
    case RESTORE_PHASE_CHECK:
        return "integrity check";
    }
    return "";
}

/* What is left at the pace so far; empty while it would be a guess. */
static void progress_estimate(
    char out[INSTANT_TEXT_SIZE], const struct progress *progress, double share)
{
    int64_t elapsed_ms = clock_monotonic_ms() - progress->started_ms;

    out[0] = '\0';
    if (elapsed_ms < PROGRESS_ESTIMATE_AFTER_MS || share <= 0 || share >= 1)
        return;
    int64_t left_ms = (int64_t)((double)elapsed_ms * (1 - share) / share);
    duration_format_ms(out, left_ms - left_ms % 1000);
}

void progress_show(void *payload, const struct restore_progress *state)
{
    struct progress *progress = payload;

    if (!progress->is_terminal)
        return;
    double share =
        state->total_size == 0 ? 1 : (double)state->done_size / (double)state->total_size;
    if (share > 1)
        share = 1;
    char bar[PROGRESS_BAR_WIDTH + 1];
    size_t filled = (size_t)(share * PROGRESS_BAR_WIDTH);
    memset(bar, ' ', PROGRESS_BAR_WIDTH);
    memset(bar, '=', filled);
    bar[PROGRESS_BAR_WIDTH] = '\0';

    char left[INSTANT_TEXT_SIZE];
    progress_estimate(left, progress, share);
    fprintf(stderr, "\r\033[K[%s] %3.0f%%  %.1f MB  %s%s%s", bar, share * 100,
        (double)state->done_size / 1e6, progress_phase(state->phase), left[0] != '\0' ? "  " : "",
        left);
    if (state->phase == RESTORE_PHASE_LOG)
        fprintf(stderr, "  txid %" PRIu64, state->txid);
    fflush(stderr);
    progress->shown = true;
}

void progress_end(struct progress *progress)
{
    if (progress->shown)
        fprintf(stderr, "\r\033[K");
    progress->shown = false;
}
