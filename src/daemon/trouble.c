/* trouble - see trouble_priv.h */
#include "trouble_priv.h"

#include <stdbool.h>
#include <stddef.h>

#include "base/clock.h"
#include "base/duration.h"
#include "base/log.h"

enum { TROUBLE_TELL_INTERVAL_MS = 60 * 1000 };

/* What lasts although nobody must act (a file that will appear, a lock) is a warning. */
static enum log_level trouble_level(rc code)
{
    return code == RC_NOT_FOUND || code == RC_BUSY ? LOG_WARN : LOG_ERROR;
}

void trouble_init(
    struct trouble *trouble, const char *what, struct metrics *metrics, enum metric_id failing)
{
    *trouble = (struct trouble){
        .what = what,
        .metrics = metrics,
        .failing = failing,
        .failures = METRIC_FAILURES_OPEN + (failing - METRIC_FAILING_OPEN),
    };
}

void trouble_note(
    struct trouble *trouble, const char *path, const struct error *err, int64_t retry_ms)
{
    int64_t now_ms = clock_monotonic_ms();
    bool news = trouble->code != err->code;

    if (trouble->code == RC_OK)
        trouble->since_ms = now_ms;
    trouble->code = err->code;
    trouble->count++;
    metrics_set(trouble->metrics, trouble->failing, 1);
    metrics_add(trouble->metrics, trouble->failures, 1);
    if (!news && now_ms - trouble->told_ms < TROUBLE_TELL_INTERVAL_MS)
        return;

    char retry[INSTANT_TEXT_SIZE];
    duration_format_ms(retry, retry_ms < 0 ? 0 : retry_ms);
    trouble->told_ms = now_ms;
    log_error(trouble_level(err->code), err, "failed", "what", trouble->what, "db", path,
        "failures", log_u64(trouble->count), "retry_in", retry_ms < 0 ? NULL : retry, NULL);
}

void trouble_clear(struct trouble *trouble, const char *path)
{
    if (trouble->code == RC_OK)
        return;

    char lasted[INSTANT_TEXT_SIZE];
    duration_format_ms(lasted, clock_monotonic_ms() - trouble->since_ms);
    log_event(LOG_INFO, "works again", "what", trouble->what, "db", path, "failures",
        log_u64(trouble->count), "lasted", lasted, NULL);
    metrics_set(trouble->metrics, trouble->failing, 0);
    trouble_init(trouble, trouble->what, trouble->metrics, trouble->failing);
}

int64_t trouble_backoff_ms(const struct trouble *trouble, int64_t first_ms, int64_t max_ms)
{
    int64_t wait_ms = first_ms;

    for (uint64_t failure = 1; failure < trouble->count && wait_ms < max_ms; failure++)
        wait_ms *= 2;
    return wait_ms < max_ms ? wait_ms : max_ms;
}
