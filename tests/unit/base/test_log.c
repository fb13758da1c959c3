/* test_log - lines as they arrive: a datagram socket stands for standard error, one write each */
#include "base/log.h"

#include "base/alloc.h"
#include "base/duration.h"
#include "base/text.h"
#include "harness/check.h"

#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

enum { LINE_SIZE_MAX = 4096 };

static int stderr_saved;
static int reader;

static int begin_capture(void **state)
{
    int ends[2];

    (void)state;
    if (socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, ends) != 0)
        return -1;
    stderr_saved = dup(STDERR_FILENO);
    dup2(ends[0], STDERR_FILENO);
    close(ends[0]);
    reader = ends[1];
    log_set_level(LOG_INFO);
    log_set_format(LOG_FORMAT_TEXT);
    return 0;
}

static int end_capture(void **state)
{
    (void)state;
    dup2(stderr_saved, STDERR_FILENO);
    close(stderr_saved);
    close(reader);
    return 0;
}

/* The next line as it was written, in a buffer that the next call reuses; NULL when there is none.
 */
static const char *next_line(void)
{
    static char line[LINE_SIZE_MAX * 4];
    ssize_t size = recv(reader, line, sizeof line - 1, MSG_DONTWAIT);

    if (size < 0)
        return NULL;
    assert_true(size <= LINE_SIZE_MAX);
    line[size] = '\0';
    assert_int_equal(strlen(line), size);
    assert_ptr_equal(strchr(line, '\n'), line + size - 1);
    return line;
}

/* What follows the time, which is checked to be one. */
static const char *next_fields(void)
{
    const char *line = next_line();
    assert_non_null(line);

    bool is_json = line[0] == '{';
    const char *time = text_after_prefix(line, is_json ? "{\"time\":\"" : "time=");
    assert_non_null(time);
    char instant[25];
    memcpy(instant, time, 24);
    instant[24] = '\0';
    struct error err;
    int64_t ms;
    CHECK_OK(instant_parse_ms(&ms, instant, &err));
    return time + 25;
}

static void pairs_are_written_in_order(void **state)
{
    (void)state;
    log_event(LOG_INFO, "segment stored", "db", "/d/app.db", "txid", log_u64(UINT64_MAX), "lag",
        log_i64(INT64_MIN), "none", NULL, "last", "x", NULL);
    assert_string_equal(next_fields(),
        "level=info event=\"segment stored\" db=/d/app.db txid=18446744073709551615 "
        "lag=-9223372036854775808 last=x\n");
    assert_null(next_line());
}

static void values_are_quoted_when_they_must_be(void **state)
{
    (void)state;
    const struct {
        const char *value;
        const char *written;
    } rows[] = {
        { "plain/path-1.db", "plain/path-1.db" },
        { "", "\"\"" },
        { "a b", "\"a b\"" },
        { "a=b", "\"a=b\"" },
        { "say \"hi\"", "\"say \\\"hi\\\"\"" },
        { "back\\slash", "\"back\\\\slash\"" },
        { "two\nlines", "\"two\\nlines\"" },
        { "tab\t", "\"tab\\t\"" },
        { "\x1b[31m", "\"\\u001b[31m\"" },
        { "\x7f", "\"\\u007f\"" },
        { "caf\xc3\xa9", "\"caf\xc3\xa9\"" },
        { "\xf0\x9f\x90\x8b", "\"\xf0\x9f\x90\x8b\"" },
        { "\xc2\x85", "\"\\u0085\"" },
        { "\xe2\x80\xa8", "\"\\u2028\"" },
        { "\xff", "\"\\ufffd\"" },
        { "\x80x", "\"\\ufffdx\"" },
        { "\xc3", "\"\\ufffd\"" },
        { "\xc3(", "\"\\ufffd(\"" },
        { "\xc0\xaf", "\"\\ufffd\\ufffd\"" },
        { "\xe0\x80\xaf", "\"\\ufffd\\ufffd\\ufffd\"" },
        { "\xed\xa0\x80", "\"\\ufffd\\ufffd\\ufffd\"" },
        { "\xf4\x90\x80\x80", "\"\\ufffd\\ufffd\\ufffd\\ufffd\"" },
        { "\xf0\x82\x82\xac", "\"\\ufffd\\ufffd\\ufffd\\ufffd\"" },
        { "\xf8\x88\x80\x80\x80", "\"\\ufffd\\ufffd\\ufffd\\ufffd\\ufffd\"" },
    };

    for (size_t i = 0; i < array_count(rows); i++) {
        auto_free char *text = text_format("level=info event=e v=%s\n", rows[i].written);
        log_event(LOG_INFO, "e", "v", rows[i].value, NULL);
        assert_string_equal(next_fields(), text);
    }
    log_set_format(LOG_FORMAT_JSON);
    for (size_t i = 2; i < array_count(rows); i++) {
        auto_free char *json =
            text_format("\"level\":\"info\",\"event\":\"e\",\"v\":%s}\n", rows[i].written);
        log_event(LOG_INFO, "e", "v", rows[i].value, NULL);
        assert_string_equal(next_fields() + 1, json);
    }
}

static void numbers_stay_numbers_in_json(void **state)
{
    (void)state;
    log_set_format(LOG_FORMAT_JSON);
    log_event(
        LOG_WARN, "e", "n", log_u64(5), "m", log_i64(-5), "t", "5", "z", NULL, "empty", "", NULL);
    assert_string_equal(next_fields(),
        ",\"level\":\"warn\",\"event\":\"e\",\"n\":5,\"m\":-5,\"t\":\"5\",\"empty\":\"\"}\n");
}

static void errors_carry_code_errno_and_text(void **state)
{
    (void)state;
    struct error err;

    error_set(&err, RC_DENIED, EACCES, "f", 1, "open '%s'", "x");
    log_error(LOG_ERROR, &err, "cannot go on", "db", "d", NULL);
    auto_free char *expected =
        text_format("level=error event=\"cannot go on\" db=d code=denied errno=%d "
                    "error=\"open 'x': Permission denied\"\n",
            EACCES);
    assert_string_equal(next_fields(), expected);
    error_set(&err, RC_CORRUPT, 0, "f", 1, "bad");
    log_error(LOG_WARN, &err, "e", NULL);
    assert_string_equal(next_fields(), "level=warn event=e code=corrupt error=bad\n");
}

static void levels_are_a_threshold(void **state)
{
    (void)state;
    struct error err = { .code = RC_IO };
    const char *const names[LOG_LEVEL_COUNT] = { "debug", "info", "warn", "error" };

    for (int threshold = 0; threshold < LOG_LEVEL_COUNT; threshold++) {
        enum log_level level = LOG_LEVEL_COUNT;
        CHECK_OK(log_level_parse(&level, names[threshold], &err));
        log_set_level(level);
        assert_int_equal(log_level_now(), threshold);
        for (int i = 0; i < LOG_LEVEL_COUNT; i++) {
            log_event((enum log_level)i, "e", NULL);
            assert_int_equal(next_line() != NULL, i >= threshold);
            log_error((enum log_level)i, &(struct error){ .code = RC_IO }, "e", NULL);
            assert_int_equal(next_line() != NULL, i >= threshold);
        }
    }
    const char *const bad[] = { "", "INFO", "Info", "warning", "trace", " info", "info ", "0" };
    for (size_t i = 0; i < array_count(bad); i++) {
        enum log_level level = LOG_LEVEL_COUNT;
        CHECK_RC(log_level_parse(&level, bad[i], &err), RC_USAGE);
        assert_int_equal(level, LOG_LEVEL_COUNT);
    }
}

static void long_values_are_cut_and_the_line_stays_whole(void **state)
{
    (void)state;
    char value[5000];

    memset(value, 'v', sizeof value - 1);
    value[sizeof value - 1] = '\0';
    log_event(LOG_INFO, "e", "a", value, "b", "x", NULL);
    const char *fields = next_fields();
    assert_non_null(strstr(fields, "vvv...\" b=x\n"));
    assert_true(strlen(fields) < 1100);

    value[1024] = '\0';
    log_event(LOG_INFO, "e", "a", value, NULL);
    assert_null(strstr(next_fields(), "..."));
}

static void what_does_not_fit_is_left_out_whole(void **state)
{
    (void)state;
    char value[1025];

    /* Each byte is escaped to six. */
    memset(value, '\x01', sizeof value - 1);
    value[sizeof value - 1] = '\0';
    for (int format = 0; format < 2; format++) {
        log_set_format(format == 0 ? LOG_FORMAT_TEXT : LOG_FORMAT_JSON);
        log_event(LOG_INFO, "e", "a", value, "b", "x", NULL);
        assert_string_equal(next_fields() + format,
            format == 0 ? "level=info event=e b=x cut=true\n"
                        : "\"level\":\"info\",\"event\":\"e\",\"b\":\"x\",\"cut\":true}\n");
    }
    /* Sizes around the brim: never more than a line, never less than an object. */
    memset(value, 'v', sizeof value - 1);
    for (size_t size = 800; size <= 1024; size++) {
        value[size] = '\0';
        log_event(LOG_INFO, "e", "a", value, "b", value, "c", value, "d", value, NULL);
        const char *line = next_line();
        size_t end = strlen(line);
        assert_string_equal(line + end - 2, "}\n");
        assert_true(line[end - 3] == '"' || strstr(line, ",\"cut\":true}") != NULL);
        value[size] = 'v';
    }
}

static void a_lost_line_disturbs_nobody(void **state)
{
    (void)state;
    close(STDERR_FILENO);
    errno = ENOSPC;
    log_event(LOG_INFO, "e", NULL);
    assert_int_equal(errno, ENOSPC);
}

int main(void)
{
#define LOG_TEST(name) cmocka_unit_test_setup_teardown(name, begin_capture, end_capture)
    const struct CMUnitTest tests[] = {
        LOG_TEST(pairs_are_written_in_order),
        LOG_TEST(values_are_quoted_when_they_must_be),
        LOG_TEST(numbers_stay_numbers_in_json),
        LOG_TEST(errors_carry_code_errno_and_text),
        LOG_TEST(levels_are_a_threshold),
        LOG_TEST(long_values_are_cut_and_the_line_stays_whole),
        LOG_TEST(what_does_not_fit_is_left_out_whole),
        LOG_TEST(a_lost_line_disturbs_nobody),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
