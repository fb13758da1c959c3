/*
 * entry_reader - a foreign reader that keeps the log from beginning again is named
 *
 * Nothing is lost by it, but the log grows until it ends, whatever anybody does. Forgotten
 * transactions of an idle connection are the usual cause, and nothing else shows them.
 */
#include "entry_priv.h"

#include "base/clock.h"
#include "base/duration.h"
#include "base/log.h"

#include <stdio.h>
#include <string.h>

enum {
    READER_TELL_AFTER_MS = 5 * 1000,
    READER_TELL_AGAIN_MS = 5 * 60 * 1000,
    READER_NAME_SIZE = 32, /* the kernel has 16 */
};

/* "?" where the kernel does not tell. */
static void reader_name(char out[READER_NAME_SIZE], int64_t pid)
{
    char path[64];

    snprintf(out, READER_NAME_SIZE, "?");
    if (pid == 0)
        return;
    snprintf(path, sizeof path, "/proc/%lld/comm", (long long)pid);
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return;
    if (fgets(out, READER_NAME_SIZE, file) != NULL)
        out[strcspn(out, "\n")] = '\0';
    fclose(file);
}

static void reader_tell(
    const struct entry *entry, const struct capture_maintain_report *maintain, int64_t age_ms)
{
    char since[INSTANT_TEXT_SIZE];
    char age[INSTANT_TEXT_SIZE];
    char name[READER_NAME_SIZE];

    instant_format_ms(since, clock_wall_ms() - age_ms);
    duration_format_ms(age, age_ms / 1000 * 1000);
    reader_name(name, maintain->reader_pid);
    log_event(LOG_WARN, "long reader", "db", entry->config->path, "since", since, "age", age, "pid",
        log_i64(maintain->reader_pid), "process", name, "log_size",
        log_u64(maintain->log_file_size), "meaning",
        "a transaction that only reads has been open all that time; until it ends the log grows",
        NULL);
}

void entry_tell_reader(struct entry *entry, const struct capture_maintain_report *maintain)
{
    int64_t now_ms = clock_monotonic_ms();
    int64_t since_ms = metrics_get(&entry->metrics, METRIC_READER_SINCE);
    int64_t told_ms = entry->reader_told_ms;

    if (since_ms == 0 && told_ms != 0)
        log_event(LOG_INFO, "long reader ended", "db", entry->config->path, NULL);
    if (since_ms == 0)
        entry->reader_told_ms = 0;
    if (since_ms == 0 || !maintain->reader_in_the_way || now_ms - since_ms < READER_TELL_AFTER_MS ||
        (told_ms != 0 && now_ms - told_ms < READER_TELL_AGAIN_MS))
        return;
    entry->reader_told_ms = now_ms;
    reader_tell(entry, maintain, now_ms - since_ms);
}
