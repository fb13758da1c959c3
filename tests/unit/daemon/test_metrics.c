/* metrics: the table is whole, and the text is what Prometheus reads, however it is asked for */
#include "metrics_text_priv.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "harness/check.h"

enum { TEXT_SIZE_MAX = 8 << 20, THREAD_COUNT = 4, ADDITIONS = 100000 };

/* The whole text, read in pieces of PIECE bytes. Owned. */
static char *text_of(const struct metrics_registry *registry, size_t piece)
{
    struct metrics_text *text = metrics_text_new(registry);
    char *all = mem_new(TEXT_SIZE_MAX);
    size_t size = 0;

    for (;;) {
        assert_true(size + piece < TEXT_SIZE_MAX);
        size_t count = metrics_text_read(text, all + size, piece);
        if (count == 0)
            break;
        assert_true(count <= piece);
        size += count;
    }
    metrics_text_free(text);
    return all;
}

static void check_has_line(const char *text, const char *line)
{
    size_t size = strlen(line);

    for (const char *at = strstr(text, line); at != NULL; at = strstr(at + 1, line))
        if ((at == text || at[-1] == '\n') && at[size] == '\n')
            return;
    fail_msg("no line '%s' in:\n%s", line, text);
}

static size_t count_of(const char *text, const char *words)
{
    size_t count = 0;

    for (const char *at = strstr(text, words); at != NULL; at = strstr(at + 1, words))
        count++;
    return count;
}

/* What the format asks of the table: one head for a family, whose rows are neighbours and differ.
 */
static void table_is_whole(void **state)
{
    (void)state;
    for (size_t index = 0; index < METRIC_COUNT; index++) {
        const struct metric_spec *spec = &metric_specs[index];
        assert_non_null(spec->family);
        assert_true(strspn(spec->family, "abcdefghijklmnopqrstuvwxyz_") == strlen(spec->family));
        bool begins = index == 0 || strcmp(spec->family, metric_specs[index - 1].family) != 0;
        if (begins != (spec->help != NULL))
            fail_msg("%s: help belongs to the first row and to no other", spec->family);
        for (size_t before = 0; before < index; before++) {
            if (strcmp(spec->family, metric_specs[before].family) != 0)
                continue;
            assert_false(begins);
            assert_int_equal(spec->type, metric_specs[before].type);
            assert_string_not_equal(spec->label, metric_specs[before].label);
        }
    }
}

static void numbers_become_text(void **state)
{
    struct metrics one = { 0 };
    struct metrics other = { 0 };
    struct metrics_registry registry = METRICS_REGISTRY_INIT;

    (void)state;
    metrics_registry_add(&registry, "/a.db", &one, NULL, NULL);
    metrics_registry_add(&registry, "/b.db", &other, NULL, NULL);
    metrics_set(&one, METRIC_TXID, 4711);
    metrics_set(&one, METRIC_LAST_UPLOAD, 1795271689007);
    metrics_add(&other, METRIC_SYNC_TIME, 1000000000);
    metrics_add(&other, METRIC_SYNC_TIME, 999);
    metrics_add(&other, METRIC_FAILURES_UPLOAD, 3);
    metrics_set(&other, METRIC_TXID, INT64_MAX);
    auto_free char *text = text_of(&registry, 512);

    check_has_line(text, "# TYPE litestream_txid gauge");
    check_has_line(text, "litestream_txid{db=\"/a.db\"} 4711");
    check_has_line(text, "litestream_txid{db=\"/b.db\"} 9223372036854775807");
    check_has_line(text, "seawal_last_upload_timestamp_seconds{db=\"/a.db\"} 1795271689.007");
    check_has_line(text, "# TYPE litestream_sync_seconds counter");
    check_has_line(text, "litestream_sync_seconds{db=\"/b.db\"} 1.000000999");
    check_has_line(text, "seawal_failures_total{db=\"/b.db\",work=\"upload\"} 3");
    check_has_line(text, "seawal_failures_total{db=\"/a.db\",work=\"upload\"} 0");
    check_has_line(text, "seawal_databases 2");
    assert_int_equal(count_of(text, "{db=\"/a.db\""),
        METRIC_COUNT + METRIC_HISTOGRAM_COUNT * (HISTOGRAM_BUCKET_COUNT + 2));
    assert_int_equal(count_of(text, "# HELP seawal_failures_total "), 1);
    assert_int_equal(count_of(text, "# HELP "), count_of(text, "# TYPE "));
    metrics_registry_release(&registry);
}

static void histograms_add_up(void **state)
{
    struct metrics metrics = { 0 };
    struct metrics_registry registry = METRICS_REGISTRY_INIT;
    struct histogram *holds = &metrics.histograms[METRIC_WRITE_LOCK_HOLDS];

    (void)state;
    metrics_registry_add(&registry, "/a", &metrics, NULL, NULL);
    histogram_note(holds, 900);
    histogram_note(holds, 3000000);
    histogram_note(holds, 3000001);
    histogram_note(holds, 60000000000);
    auto_free char *text = text_of(&registry, 100);

    check_has_line(text, "# TYPE seawal_write_lock_hold_seconds histogram");
    check_has_line(text, "seawal_write_lock_hold_seconds_bucket{db=\"/a\",le=\"0.000001\"} 1");
    check_has_line(text, "seawal_write_lock_hold_seconds_bucket{db=\"/a\",le=\"0.002000\"} 1");
    check_has_line(text, "seawal_write_lock_hold_seconds_bucket{db=\"/a\",le=\"0.005000\"} 3");
    check_has_line(text, "seawal_write_lock_hold_seconds_bucket{db=\"/a\",le=\"10.000000\"} 3");
    check_has_line(text, "seawal_write_lock_hold_seconds_bucket{db=\"/a\",le=\"+Inf\"} 4");
    check_has_line(text, "seawal_write_lock_hold_seconds_count{db=\"/a\"} 4");
    check_has_line(text, "seawal_write_lock_hold_seconds_sum{db=\"/a\"} 60.006000901");
    assert_int_equal(count_of(text, "_bucket{"), HISTOGRAM_BUCKET_COUNT);
    metrics_registry_release(&registry);
}

/* Pieces of any size make the same text, and many databases no longer line. */
static void pieces_make_the_same_text(void **state)
{
    enum { DATABASE_COUNT = 50 };
    struct metrics metrics[DATABASE_COUNT] = { 0 };
    struct metrics_registry registry = METRICS_REGISTRY_INIT;

    (void)state;
    for (int index = 0; index < DATABASE_COUNT; index++) {
        char path[32];
        snprintf(path, sizeof path, "/data/%d.db", index);
        metrics_set(&metrics[index], METRIC_TXID, index);
        metrics_registry_add(&registry, path, &metrics[index], NULL, NULL);
    }
    auto_free char *whole = text_of(&registry, 1 << 20);
    for (size_t piece = 1; piece < 5000; piece = piece * 3 + 1) {
        auto_free char *text = text_of(&registry, piece);
        /* All but the last line, which is the CPU time. */
        size_t size = (size_t)(strstr(whole, "\nprocess_cpu_seconds_total ") - whole);
        assert_memory_equal(text, whole, size);
    }
    metrics_registry_release(&registry);
}

static void nothing_configured_is_a_text_too(void **state)
{
    struct metrics_registry registry = METRICS_REGISTRY_INIT;

    (void)state;
    auto_free char *text = text_of(&registry, 100);
    check_has_line(text, "seawal_databases 0");
    assert_null(strstr(text, "{"));
    metrics_registry_release(&registry);
}

/* A moment is told as its age, 0 as none, one that has not come yet as none as well. */
static void moments_are_told_as_ages(void **state)
{
    struct metrics metrics = { 0 };
    struct metrics_registry registry = METRICS_REGISTRY_INIT;

    (void)state;
    metrics_registry_add(&registry, "/a", &metrics, NULL, NULL);
    metrics_set(&metrics, METRIC_BEHIND_SINCE, clock_monotonic_ms() + 60 * 60 * 1000);
    metrics_set(&metrics, METRIC_READER_SINCE, clock_monotonic_ms() - 7000);
    auto_free char *text = text_of(&registry, 4096);
    check_has_line(text, "seawal_lag_seconds{db=\"/a\"} 0.000");
    const char *age = strstr(text, "\nseawal_long_reader_seconds{db=\"/a\"} ");
    assert_non_null(age);
    double seconds = strtod(strstr(age, "} ") + 2, NULL);
    assert_true(seconds >= 7 && seconds < 7 + 600);

    metrics_set(&metrics, METRIC_READER_SINCE, 0);
    auto_free char *after = text_of(&registry, 4096);
    check_has_line(after, "seawal_long_reader_seconds{db=\"/a\"} 0.000");
    metrics_registry_release(&registry);
}

/* Prometheus refuses a scrape as a whole for one byte that is not UTF-8, or one open quote. */
static void any_path_is_a_label(void **state)
{
    static const struct {
        const char *path;
        const char *line;
    } rows[] = {
        { "/a b.db", "litestream_txid{db=\"/a b.db\"} 0" },
        { "/a\"b\\c\nd", "litestream_txid{db=\"/a\\\"b\\\\c\\nd\"} 0" },
        { "/gr\xc3\xbc\xc3\x9f.db", "litestream_txid{db=\"/gr\xc3\xbc\xc3\x9f.db\"} 0" },
        { "/\xff\xc3", "litestream_txid{db=\"/\xef\xbf\xbd\xef\xbf\xbd\"} 0" },
    };

    (void)state;
    for (size_t index = 0; index < array_count(rows); index++) {
        struct metrics metrics = { 0 };
        struct metrics_registry registry = METRICS_REGISTRY_INIT;

        metrics_registry_add(&registry, rows[index].path, &metrics, NULL, NULL);
        auto_free char *text = text_of(&registry, 4096);
        check_has_line(text, rows[index].line);
        metrics_registry_release(&registry);
    }
}

static void very_long_path_is_cut(void **state)
{
    struct metrics metrics = { 0 };
    struct metrics_registry registry = METRICS_REGISTRY_INIT;
    auto_free char *path = mem_new(100001);

    (void)state;
    memset(path, '\xff', 100000);
    metrics_registry_add(&registry, path, &metrics, NULL, NULL);
    auto_free char *text = text_of(&registry, 1000);
    check_has_line(text, "seawal_databases 1");
    metrics_registry_release(&registry);
}

static void count_refresh(void *payload)
{
    metrics_add(payload, METRIC_PUTS, 1);
}

static void each_scrape_refreshes_once(void **state)
{
    struct metrics metrics = { 0 };
    struct metrics_registry registry = METRICS_REGISTRY_INIT;

    (void)state;
    metrics_registry_add(&registry, "/a", &metrics, count_refresh, &metrics);
    free(text_of(&registry, 7));
    auto_free char *text = text_of(&registry, 7);
    check_has_line(text, "seawal_store_requests_total{db=\"/a\",verb=\"put\"} 2");
    metrics_registry_release(&registry);
}

static void *add_many(void *payload)
{
    for (int count = 0; count < ADDITIONS; count++)
        metrics_add(payload, METRIC_SYNCS, 1);
    return NULL;
}

/* Nothing is lost when several works count at once while somebody scrapes. */
static void threads_count_together(void **state)
{
    struct metrics metrics = { 0 };
    struct metrics_registry registry = METRICS_REGISTRY_INIT;
    pthread_t threads[THREAD_COUNT];

    (void)state;
    metrics_registry_add(&registry, "/a", &metrics, NULL, NULL);
    for (int index = 0; index < THREAD_COUNT; index++)
        assert_int_equal(pthread_create(&threads[index], NULL, add_many, &metrics), 0);
    for (int count = 0; count < 20; count++)
        free(text_of(&registry, 100));
    for (int index = 0; index < THREAD_COUNT; index++)
        pthread_join(threads[index], NULL);
    assert_int_equal(metrics_get(&metrics, METRIC_SYNCS), THREAD_COUNT * ADDITIONS);
    metrics_registry_release(&registry);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(table_is_whole),
        cmocka_unit_test(numbers_become_text),
        cmocka_unit_test(histograms_add_up),
        cmocka_unit_test(pieces_make_the_same_text),
        cmocka_unit_test(nothing_configured_is_a_text_too),
        cmocka_unit_test(moments_are_told_as_ages),
        cmocka_unit_test(any_path_is_a_label),
        cmocka_unit_test(very_long_path_is_cut),
        cmocka_unit_test(each_scrape_refreshes_once),
        cmocka_unit_test(threads_count_together),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
