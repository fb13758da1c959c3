/* metrics_text - see metrics_text_priv.h */
#include "metrics_text_priv.h"

#include <assert.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/text.h"

enum {
    METRICS_LINE_SIZE_MAX =
        2 * 1024 * 1024, /* a histogram: 26 times the longest label and a little */
    METRICS_LINE_COUNT = METRIC_COUNT + METRIC_HISTOGRAM_COUNT, /* kinds; the process's are last */
    NS_PER_US = 1000,
    MS_PER_S = 1000,
    NS_PER_S = 1000 * 1000 * 1000,
};

struct metrics_text {
    const struct metrics_registry *registry;
    size_t metric; /* of the next line; from METRIC_COUNT on the histograms */
    size_t member;
    bool ended;
    struct buf line; /* made and not read yet */
    size_t line_read;
};

struct metrics_text *metrics_text_new(const struct metrics_registry *registry)
{
    struct metrics_text *text = mem_new(sizeof *text);

    text->registry = registry;
    text->line = BUF_INIT(METRICS_LINE_SIZE_MAX);
    for (size_t index = 0; index < registry->member_count; index++)
        if (registry->members[index].refresh != NULL)
            registry->members[index].refresh(registry->members[index].payload);
    return text;
}

void metrics_text_free(struct metrics_text *text)
{
    if (text == NULL)
        return;
    buf_release(&text->line);
    free(text);
}

static void metrics_put_head(
    struct buf *line, const char *family, const char *help, const char *type)
{
    buf_put_format(line, "# HELP %s %s\n# TYPE %s %s\n", family, help, family, type);
}

static const char *metric_type_name(enum metric_type type)
{
    return type == METRIC_COUNTER ? "counter" : "gauge";
}

static void metrics_put_value(struct buf *line, enum metric_unit unit, int64_t value)
{
    switch (unit) {
    case METRIC_PLAIN:
        buf_put_format(line, "%" PRId64 "\n", value);
        return;
    case METRIC_SINCE_MS:
        value = value == 0 ? 0 : clock_monotonic_ms() - value;
        value = value < 0 ? 0 : value;
        /* fall through */
    case METRIC_MS:
        buf_put_format(line, "%" PRId64 ".%03" PRId64 "\n", value / MS_PER_S, value % MS_PER_S);
        return;
    case METRIC_NS:
        buf_put_format(line, "%" PRId64 ".%09" PRId64 "\n", value / NS_PER_S, value % NS_PER_S);
        return;
    }
    abort(); /* no other unit */
}

/* The line of one number of one database, below its family's head where that begins. */
static void metrics_text_number(struct metrics_text *text)
{
    const struct metric_spec *spec = &metric_specs[text->metric];
    const struct metrics_member *member = &text->registry->members[text->member];
    bool begins =
        text->metric == 0 || !text_equal(spec->family, metric_specs[text->metric - 1].family);

    if (begins && text->member == 0)
        metrics_put_head(&text->line, spec->family, spec->help, metric_type_name(spec->type));
    buf_put_format(&text->line, "%s{%s", spec->family, member->label);
    if (spec->label != NULL)
        buf_put_format(&text->line, ",%s", spec->label);
    buf_put_text(&text->line, "} ");
    metrics_put_value(
        &text->line, spec->unit, metrics_get(member->metrics, (enum metric_id)text->metric));
    text->member++;
}

/* All lines of one histogram of one database: what was not longer than each bound, and all. */
static void metrics_text_histogram(struct metrics_text *text)
{
    size_t id = text->metric - METRIC_COUNT;
    const struct metric_histogram_spec *spec = &metric_histogram_specs[id];
    const struct metrics_member *member = &text->registry->members[text->member];
    struct buf *line = &text->line;
    struct histogram histogram;
    uint64_t below = 0;

    histogram_read(&member->metrics->histograms[id], &histogram);
    if (text->member == 0)
        metrics_put_head(line, spec->family, spec->help, "histogram");
    for (unsigned bucket = 0; bucket + 1 < HISTOGRAM_BUCKET_COUNT; bucket++) {
        uint64_t bound_ns = histogram_bound_ns(bucket);

        below += histogram.counts[bucket];
        buf_put_format(line, "%s_bucket{%s,le=\"%" PRIu64 ".%06" PRIu64 "\"} %" PRIu64 "\n",
            spec->family, member->label, bound_ns / NS_PER_S, bound_ns % NS_PER_S / NS_PER_US,
            below);
    }
    buf_put_format(line, "%s_bucket{%s,le=\"+Inf\"} %" PRIu64 "\n", spec->family, member->label,
        histogram.count);
    buf_put_format(line, "%s_sum{%s} ", spec->family, member->label);
    metrics_put_value(line, METRIC_NS, (int64_t)histogram.sum_ns);
    buf_put_format(
        line, "%s_count{%s} %" PRIu64 "\n", spec->family, member->label, histogram.count);
    text->member++;
}

static void metrics_text_process(struct metrics_text *text)
{
    metrics_put_head(&text->line, "seawal_databases", "Databases that are configured.", "gauge");
    buf_put_format(&text->line, "seawal_databases %zu\n", text->registry->member_count);
    metrics_put_head(&text->line, "process_cpu_seconds_total",
        "CPU time spent by this process, in user and system mode.", "counter");
    buf_put_text(&text->line, "process_cpu_seconds_total ");
    metrics_put_value(&text->line, METRIC_MS, clock_cpu_ms());
    text->ended = true;
}

/* False: that was all. */
static bool metrics_text_next(struct metrics_text *text)
{
    if (text->ended)
        return false;
    buf_clear(&text->line);
    text->line_read = 0;
    if (text->member == text->registry->member_count) {
        text->member = 0;
        text->metric = text->registry->member_count == 0 ? METRICS_LINE_COUNT : text->metric + 1;
    }
    if (text->metric < METRIC_COUNT)
        metrics_text_number(text);
    else if (text->metric < METRICS_LINE_COUNT)
        metrics_text_histogram(text);
    else
        metrics_text_process(text);
    return true;
}

size_t metrics_text_read(struct metrics_text *text, char *out, size_t size)
{
    size_t done = 0;

    assert(size > 0);
    while (done < size) {
        size_t count = text->line.size - text->line_read;

        if (count == 0 && !metrics_text_next(text))
            break;
        count = text->line.size - text->line_read;
        count = count < size - done ? count : size - done;
        memcpy(out + done, text->line.data + text->line_read, count);
        text->line_read += count;
        done += count;
    }
    return done;
}
