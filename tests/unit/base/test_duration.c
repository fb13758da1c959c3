/* test_duration - spans and instants, the right ones and every wrong one we could think of */
#include "base/duration.h"

#include "base/alloc.h"
#include "harness/check.h"

#include <stdlib.h>
#include <time.h>

struct span {
    const char *text;
    int64_t ms;
};

static void spans_are_read(void **state)
{
    (void)state;
    const struct span spans[] = {
        { "0", 0 },
        { "0s", 0 },
        { "500ms", 500 },
        { "1s", 1000 },
        { "1.5s", 1500 },
        { "0.001s", 1 },
        { "1m30s", 90000 },
        { "24h", 86400000 },
        { "7d", 604800000 },
        { "1y", INT64_C(31536000000) },
        { "1y2d", INT64_C(31708800000) },
        { "0.5y", INT64_C(15768000000) },
        { "100y", INT64_C(3153600000000) },
        { "1d2h3m4s5ms", 93784005 },
        { "1h0.5m", 3630000 },
        { "007s", 7000 },
        { "36525d", INT64_C(3155760000000) },
        { "3155760000000ms", INT64_C(3155760000000) },
    };

    for (size_t i = 0; i < array_count(spans); i++) {
        struct error err;
        int64_t ms = -1;
        CHECK_OK(duration_parse_ms(&ms, spans[i].text, &err));
        assert_true(ms == spans[i].ms);
    }
}

static void malformed_spans_are_refused(void **state)
{
    (void)state;
    const char *const bad[] = { "", " ", "1", "00", "10", "-1s", "+1s", "s", "ms", "1 s", " 1s",
        "1s ", "1S", "1M", "1w", "1Y", "101y", "0.00000001y", "0.123456789y", "1us", "1sec", "1min",
        "1m30", "30s1m", "1m1m", "1s1s", "1ms1s", "1.s", ".5s", "1..5s", "1.5.5s", "0.5ms",
        "0.0001s", "1e3s", "0x10s", "1,5s", "1s\n", "1.0000000000s", "36526d", "36525d1ms",
        "3155760000001ms", "99999999999999999999999d", "9223372036854775808ms",
        "9223372036854775807d", "d", "1d2", "inf", "nan", "∞s" };

    for (size_t i = 0; i < array_count(bad); i++) {
        struct error err;
        int64_t ms = 77;
        rc result = duration_parse_ms(&ms, bad[i], &err);
        if (result != RC_USAGE)
            fail_msg("'%s' was taken for %lld ms", bad[i], (long long)ms);
        assert_true(ms == 77);
        CHECK_SAYS(err, "1m30s");
    }
}

static void spans_are_written_as_they_are_read(void **state)
{
    (void)state;
    const struct span spans[] = {
        { "0s", 0 },
        { "1ms", 1 },
        { "1m30s", 90000 },
        { "1d", 86400000 },
        { "7d", 604800000 },
        { "1d1h", 90000000 },
        { "1s500ms", 1500 },
        { "-1m30s", -90000 },
        { "106751991167d7h12m55s807ms", INT64_MAX },
        { "-106751991167d7h12m55s808ms", INT64_MIN },
    };
    char text[INSTANT_TEXT_SIZE];

    for (size_t i = 0; i < array_count(spans); i++) {
        duration_format_ms(text, spans[i].ms);
        assert_string_equal(text, spans[i].text);
    }
    for (int64_t ms = 1; ms < INT64_C(3155760000000); ms = ms * 3 + 1) {
        struct error err;
        int64_t back;
        duration_format_ms(text, ms);
        CHECK_OK(duration_parse_ms(&back, text, &err));
        assert_true(back == ms);
    }
}

static void instants_are_read(void **state)
{
    (void)state;
    const struct span instants[] = {
        { "1970-01-01T00:00:00Z", 0 },
        { "1970-01-01 00:00:00", 0 },
        { "1970-01-01t00:00:00z", 0 },
        { "2026-11-21T10:00:00Z", INT64_C(1795255200000) },
        { "2026-11-21 10:00:00", INT64_C(1795255200000) },
        { "2026-11-21 10:00:00Z", INT64_C(1795255200000) },
        { "2026-11-21T10:00:00.5Z", INT64_C(1795255200500) },
        { "2026-11-21 10:00:00.123", INT64_C(1795255200123) },
        { "2026-11-21T10:00:00.123999999999Z", INT64_C(1795255200123) },
        { "2026-11-21T10:00:00+02:00", INT64_C(1795248000000) },
        { "2026-11-21T10:00:00-05:30", INT64_C(1795275000000) },
        { "2026-11-21T10:00:00-00:00", INT64_C(1795255200000) },
        { "2000-02-29T23:59:59.999Z", INT64_C(951868799999) },
        { "2024-02-29 00:00:00", INT64_C(1709164800000) },
        { "1969-12-31T23:59:59.999Z", -1 },
        { "1970-01-01T00:00:00+00:01", -60000 },
        { "0000-01-01T00:00:00Z", INT64_C(-62167219200000) },
        { "9999-12-31T23:59:59.999Z", INT64_C(253402300799999) },
    };

    for (size_t i = 0; i < array_count(instants); i++) {
        struct error err;
        int64_t ms = 77;
        CHECK_OK(instant_parse_ms(&ms, instants[i].text, &err));
        if (ms != instants[i].ms)
            fail_msg("'%s' is %lld", instants[i].text, (long long)ms);
    }
}

static void malformed_instants_are_refused(void **state)
{
    (void)state;
    const char *const bad[] = { "", "now", "0", "1795255200", "2026", "2026-11-21",
        "2026-11-21T10:00:00", "2026-11-21T10:00Z", "2026-11-21 10:00", "2026-11-21T10Z",
        "2026-1-21T10:00:00Z", "26-11-21T10:00:00Z", "2026-11-21T1:00:00Z", "2026/11/21 10:00:00",
        "2026-00-21T10:00:00Z", "2026-13-21T10:00:00Z", "2026-11-00T10:00:00Z",
        "2026-11-31T10:00:00Z", "2026-02-29T10:00:00Z", "1900-02-29T10:00:00Z",
        "2100-02-29T10:00:00Z", "2024-02-30T10:00:00Z", "2026-04-31T10:00:00Z",
        "2026-11-21T24:00:00Z", "2026-11-21T10:60:00Z", "2026-11-21T10:00:60Z",
        "2026-11-21T10:00:00.Z", "2026-11-21T10:00:00,5Z", "2026-11-21 10:00:00.",
        "2026-11-21T10:00:00+0200", "2026-11-21T10:00:00+02", "2026-11-21T10:00:00+24:00",
        "2026-11-21T10:00:00+02:60", "2026-11-21T10:00:00 +02:00", "2026-11-21T10:00:00ZZ",
        "2026-11-21T10:00:00Z ", " 2026-11-21T10:00:00Z", "2026-11-21  10:00:00",
        "2026-11-21_10:00:00Z", "+2026-11-21T10:00:00Z", "-026-11-21T10:00:00Z",
        "2026-11-21T10:00:00UTC", "2026-11-21T10:00:00+", "2026-11-21T-1:00:00Z",
        "12026-11-21T10:00:00Z", "2026-11-21T10:00:00Z\n", "２026-11-21T10:00:00Z" };

    for (size_t i = 0; i < array_count(bad); i++) {
        struct error err;
        int64_t ms = 77;
        rc result = instant_parse_ms(&ms, bad[i], &err);
        if (result != RC_USAGE)
            fail_msg("'%s' was taken for %lld", bad[i], (long long)ms);
        assert_true(ms == 77);
        CHECK_SAYS(err, "2026-11-21T10:00:00Z");
        CHECK_SAYS(err, "2026-11-21 10:00:00'");
    }
}

static void every_cut_of_an_instant_is_refused(void **state)
{
    (void)state;
    const char whole[] = "2026-11-21T10:00:00.123+02:00";

    for (size_t size = 0; size < sizeof whole - 1; size++) {
        auto_free char *cut = mem_new(size + 1);
        struct error err;
        int64_t ms;
        memcpy(cut, whole, size);
        CHECK_RC(instant_parse_ms(&ms, cut, &err), RC_USAGE);
    }
}

/* The C library's own calendar is the second opinion, a day at a time over four centuries. */
static void the_calendar_is_the_c_library_s(void **state)
{
    (void)state;
    setenv("TZ", "America/New_York", 1);
    for (int64_t day = -100000; day < 100000; day++) {
        time_t seconds = (time_t)(day * 86400 + 3599);
        struct tm parts;
        char expected[40];
        char text[INSTANT_TEXT_SIZE];
        struct error err;
        int64_t ms;

        gmtime_r(&seconds, &parts);
        strftime(expected, sizeof expected, "%Y-%m-%dT%H:%M:%S.000Z", &parts);
        instant_format_ms(text, (int64_t)seconds * 1000);
        assert_string_equal(text, expected);
        CHECK_OK(instant_parse_ms(&ms, text, &err));
        assert_true(ms == (int64_t)seconds * 1000);
    }
}

static void instants_are_written_at_the_edges(void **state)
{
    (void)state;
    const struct span instants[] = {
        { "1970-01-01T00:00:00.000Z", 0 },
        { "1969-12-31T23:59:59.999Z", -1 },
        { "2026-11-21T10:00:00.007Z", INT64_C(1795255200007) },
        { "292278994-08-17T07:12:55.807Z", INT64_MAX },
        { "-292275055-05-16T16:47:04.192Z", INT64_MIN },
    };
    char text[INSTANT_TEXT_SIZE];

    for (size_t i = 0; i < array_count(instants); i++) {
        instant_format_ms(text, instants[i].ms);
        assert_string_equal(text, instants[i].text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(spans_are_read),
        cmocka_unit_test(malformed_spans_are_refused),
        cmocka_unit_test(spans_are_written_as_they_are_read),
        cmocka_unit_test(instants_are_read),
        cmocka_unit_test(malformed_instants_are_refused),
        cmocka_unit_test(every_cut_of_an_instant_is_refused),
        cmocka_unit_test(the_calendar_is_the_c_library_s),
        cmocka_unit_test(instants_are_written_at_the_edges),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
