/* test_text - numbers out of text that nobody vouches for */
#include "base/text.h"

#include "base/alloc.h"
#include "harness/check.h"

static void comparing(void **state)
{
    (void)state;
    assert_true(text_equal(NULL, NULL));
    assert_false(text_equal(NULL, ""));
    assert_false(text_equal("", NULL));
    assert_true(text_equal("a", "a"));
    assert_false(text_equal("a", "A"));
    assert_true(text_has_prefix("abc", ""));
    assert_true(text_has_prefix("abc", "abc"));
    assert_false(text_has_prefix("abc", "abcd"));
    assert_true(text_has_suffix("abc", ""));
    assert_true(text_has_suffix("abc", "bc"));
    assert_false(text_has_suffix("bc", "abc"));
    assert_false(text_has_suffix("abcx", "abc"));
    assert_string_equal(text_after_prefix("s3://b", "s3://"), "b");
    assert_null(text_after_prefix("s3:/b", "s3://"));
}

static void formatting_has_no_limit(void **state)
{
    (void)state;
    char wide[3000];

    memset(wide, 'w', sizeof wide - 1);
    wide[sizeof wide - 1] = '\0';
    auto_free char *text = text_format("%s-%d", wide, 5);
    assert_int_equal(strlen(text), 3001);
    assert_string_equal(text + 2999, "-5");
}

static void whole_numbers_are_read_to_the_maximum(void **state)
{
    (void)state;
    struct error err;
    uint64_t value = 77;

    CHECK_OK(text_parse_u64(&value, "0", 0, &err));
    assert_true(value == 0);
    CHECK_OK(text_parse_u64(&value, "18446744073709551615", UINT64_MAX, &err));
    assert_true(value == UINT64_MAX);
    CHECK_OK(text_parse_u64(&value, "0000000000000000000000000042", 42, &err));
    assert_true(value == 42);

    const char *const bad[] = { "", " ", "-1", "-0", "+1", "1 ", " 1", "1.0", "1e3", "0x10", "abc",
        "1a", "18446744073709551616", "99999999999999999999", "1\n", "١" };
    for (size_t i = 0; i < array_count(bad); i++) {
        value = 77;
        CHECK_RC(text_parse_u64(&value, bad[i], UINT64_MAX, &err), RC_USAGE);
        assert_true(value == 77);
    }
    CHECK_RC(text_parse_u64(&value, "11", 10, &err), RC_USAGE);
    CHECK_SAYS(err, "from 0 to 10");
}

static void hex_is_exact_and_lower_case(void **state)
{
    (void)state;
    uint64_t value = 77;

    assert_true(text_parse_hex64(&value, "00000000deadbeef", 16));
    assert_true(value == 0xdeadbeef);
    assert_true(text_parse_hex64(&value, "ffffffffffffffff", 16));
    assert_true(value == UINT64_MAX);
    assert_true(text_parse_hex64(&value, "0a-more", 2));
    assert_true(value == 10);
    value = 77;
    assert_false(text_parse_hex64(&value, "", 1));
    assert_false(text_parse_hex64(&value, "abc", 4));
    assert_false(text_parse_hex64(&value, "DEADBEEF", 8));
    assert_false(text_parse_hex64(&value, "0x12", 4));
    assert_false(text_parse_hex64(&value, "-123", 4));
    assert_false(text_parse_hex64(&value, "12g4", 4));
    assert_false(text_parse_hex64(&value, "12:4", 4));
    assert_false(text_parse_hex64(&value, "12`4", 4));
    assert_false(text_parse_hex64(&value, "12/4", 4));
    assert_true(value == 77);
}

static void digits_are_exact(void **state)
{
    (void)state;
    uint64_t value = 77;

    assert_true(text_parse_digits(&value, "9999999999999999999", 19));
    assert_true(value == UINT64_C(9999999999999999999));
    assert_true(text_parse_digits(&value, "0012.seg", 4));
    assert_true(value == 12);
    value = 77;
    assert_false(text_parse_digits(&value, "12", 3));
    assert_false(text_parse_digits(&value, "1a3", 3));
    assert_false(text_parse_digits(&value, " 12", 3));
    assert_false(text_parse_digits(&value, "-12", 3));
    assert_true(value == 77);
}

static void too_many_digits(void *payload)
{
    text_parse_digits(payload, "12345678901234567890", 20);
}

static void more_digits_than_a_number_holds_are_a_mistake_of_ours(void **state)
{
    (void)state;
    uint64_t value;

    assert_true(check_aborts(too_many_digits, &value));
}

static void sizes_are_read(void **state)
{
    (void)state;
    const struct {
        const char *text;
        uint64_t bytes;
    } rows[] = {
        { "0", 0 },
        { "4096", 4096 },
        { "10B", 10 },
        { "10MB", 10000000 },
        { "512 KiB", 524288 },
        { "1.5GiB", UINT64_C(1610612736) },
        { "1.5kb", 1500 },
        { "2kib", 2048 },
        { "0.5KB", 500 },
        { "0.0001KB", 0 },
        { "1.999999999KiB", 2047 },
        { "3TB", UINT64_C(3000000000000) },
        { "16383PiB", UINT64_C(16383) << 50 },
        { "18446744073709551615", UINT64_MAX },
    };

    for (size_t i = 0; i < array_count(rows); i++) {
        struct error err;
        uint64_t bytes = 77;
        CHECK_OK(text_parse_size(&bytes, rows[i].text, &err));
        if (bytes != rows[i].bytes)
            fail_msg("'%s' is %llu", rows[i].text, (unsigned long long)bytes);
    }
}

static void malformed_sizes_are_refused(void **state)
{
    (void)state;
    const char *const bad[] = { "", " ", "MB", "-1", "-1MB", "+1MB", "1K", "1M", "1G", "1 ",
        "1  MB", " 1MB", "1MB ", "1MBs", "1.5", "1.5B", "1.MB", ".5MB", "1..5MB", "1,5MB",
        "1.0000000000MB", "1e6", "0x10", "1XB", "1 KI", "16384PiB", "18446744073709551616",
        "18446744073709551615KB", "18446744073709.6MB", "16383.9999999999PiB", "ten" };

    for (size_t i = 0; i < array_count(bad); i++) {
        struct error err;
        uint64_t bytes = 77;
        rc result = text_parse_size(&bytes, bad[i], &err);
        if (result != RC_USAGE)
            fail_msg("'%s' was taken for %llu", bad[i], (unsigned long long)bytes);
        assert_true(bytes == 77);
    }
}

static void hex_is_written(void **state)
{
    (void)state;
    char out[9];

    text_put_hex(out, "\x00\x9a\xff\x10", 4);
    assert_string_equal(out, "009aff10");
    text_put_hex(out, NULL, 0);
    assert_string_equal(out, "");
}

/* Unicode table 3-7: what is too long, half, a surrogate or beyond the last character is none. */
static void utf8_is_well_formed_or_nothing(void **state)
{
    static const struct {
        const char *text;
        size_t count;
        uint32_t character;
    } rows[] = { { "a", 1, 'a' }, { "\xc3\xbc", 2, 0xfc }, { "\xe2\x82\xac", 3, 0x20ac },
        { "\xf4\x8f\xbf\xbf", 4, 0x10ffff }, { "\x80", 0, 0 }, { "\xc3", 0, 0 }, { "\xc3(", 0, 0 },
        { "\xc0\xaf", 0, 0 }, { "\xe0\x80\xaf", 0, 0 }, { "\xed\xa0\x80", 0, 0 },
        { "\xf4\x90\x80\x80", 0, 0 }, { "\xf5\x80\x80\x80", 0, 0 } };

    (void)state;
    for (size_t i = 0; i < array_count(rows); i++) {
        uint32_t character = 0;
        size_t size = strlen(rows[i].text);
        assert_int_equal(
            text_utf8_next(&character, (const uint8_t *)rows[i].text, size), rows[i].count);
        assert_int_equal(character, rows[i].character);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(comparing),
        cmocka_unit_test(formatting_has_no_limit),
        cmocka_unit_test(whole_numbers_are_read_to_the_maximum),
        cmocka_unit_test(hex_is_exact_and_lower_case),
        cmocka_unit_test(digits_are_exact),
        cmocka_unit_test(more_digits_than_a_number_holds_are_a_mistake_of_ours),
        cmocka_unit_test(sizes_are_read),
        cmocka_unit_test(malformed_sizes_are_refused),
        cmocka_unit_test(hex_is_written),
        cmocka_unit_test(utf8_is_well_formed_or_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
