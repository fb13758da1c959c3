/* test_url - taken apart exactly, refused with a reason, and never repeated in an error */
#include "base/url.h"

#include "base/alloc.h"
#include "base/text.h"
#include "harness/check.h"

#include <stdlib.h>

struct expected {
    const char *text;
    const char *scheme;
    const char *user;
    const char *password;
    const char *host;
    const char *path;
};

static void check_text(const char *what, const char *found, const char *expected)
{
    if (!text_equal(found, expected))
        fail_msg("%s is '%s', expected '%s'", what, found == NULL ? "(null)" : found,
            expected == NULL ? "(null)" : expected);
}

static void urls_come_apart(void **state)
{
    (void)state;
    const struct expected rows[] = {
        { "s3://bucket/a/b", "s3", NULL, NULL, "bucket", "/a/b" },
        { "S3://Bucket", "s3", NULL, NULL, "Bucket", "" },
        { "file:///var/lib/x", "file", NULL, NULL, "", "/var/lib/x" },
        { "file:///with space/%41%2fb", "file", NULL, NULL, "", "/with space/A/b" },
        { "http://127.0.0.1:9000", "http", NULL, NULL, "127.0.0.1:9000", "" },
        { "http://[::1]:9000/x", "http", NULL, NULL, "[::1]:9000", "/x" },
        { "http://[fe80::1]", "http", NULL, NULL, "[fe80::1]", "" },
        { "sftp://me@host:22/p", "sftp", "me", NULL, "host:22", "/p" },
        { "sftp://me:s%40cret@host/", "sftp", "me", "s@cret", "host", "/" },
        { "sftp://me:a@b@host/", "sftp", "me", "a@b", "host", "/" },
        { "sftp://:@host/", "sftp", "", "", "host", "/" },
        { "a+b-c.1://h/a+b", "a+b-c.1", NULL, NULL, "h", "/a+b" },
        { "s3://b/key:with@odd=signs", "s3", NULL, NULL, "b", "/key:with@odd=signs" },
        { "s3://b?x=1", "s3", NULL, NULL, "b", "" },
        { "s3://b/\xc3\xa9", "s3", NULL, NULL, "b", "/\xc3\xa9" },
    };

    for (size_t i = 0; i < array_count(rows); i++) {
        auto_url struct url url = URL_INIT;
        struct error err;
        CHECK_OK(url_parse(&url, rows[i].text, &err));
        check_text("scheme", url.scheme, rows[i].scheme);
        check_text("user", url.user, rows[i].user);
        check_text("password", url.password, rows[i].password);
        check_text("host", url.host, rows[i].host);
        check_text("path", url.path, rows[i].path);
    }
}

static void parameters_are_found_by_name(void **state)
{
    (void)state;
    auto_url struct url url = URL_INIT;
    struct error err;

    CHECK_OK(url_parse(&url,
        "s3://b/p?endpoint=http%3A%2F%2Fh%3A1&flag&empty=&a%26b=c%3Dd=e+f&url=http://x/?y", &err));
    assert_int_equal(url.param_count, 5);
    check_text("endpoint", url_param(&url, "endpoint"), "http://h:1");
    check_text("flag", url_param(&url, "flag"), "");
    check_text("empty", url_param(&url, "empty"), "");
    check_text("a&b", url_param(&url, "a&b"), "c=d=e+f");
    check_text("url", url_param(&url, "url"), "http://x/?y");
    assert_null(url_param(&url, "Endpoint"));
    assert_null(url_param(&url, ""));
}

static void malformed_urls_are_refused_and_not_repeated(void **state)
{
    (void)state;
    const char *const bad[] = { "", "://", "s3", "s3:", "s3:/b", "s3//b", "//b/SECRET", "/p/SECRET",
        "1s://b", "-s://b", "s_3://b", "s 3://b", "s3://SECRET:x%@h/", "s3://b/%", "s3://b/%4",
        "s3://b/%4g", "s3://b/%g4", "s3://b/%00", "s3://b/a%00b", "s3://b/a#SECRET", "s3://b/\n",
        "s3://b/\x7f", "s3://b/\x01SECRET", "s3://b?", "s3://b?&", "s3://b?a=1&", "s3://b?a=1&&b=2",
        "s3://b?=1", "s3://b?a=1&a=SECRET", "s3://b?a=1&%61=2", "s3://b?%=1", "s3://b?a=%",
        "http://h:/", "http://h:0/", "http://h:65536/", "http://h:1:2/", "http://h:x/",
        "http://:80/", "http://[/", "http://[]/", "http://[::1/", "http://[::1]x/",
        "http://[::1]:/", "http://h%41/", "http://a b/", "http://::1/", "http://SECRET:SECRET@a b/",
        "http://h:-1/", "http://h:+1/" };

    for (size_t i = 0; i < array_count(bad); i++) {
        struct url url = URL_INIT;
        struct error err;
        if (url_parse(&url, bad[i], &err) != RC_USAGE)
            fail_msg("'%s' was taken for a url", bad[i]);
        assert_null(strstr(err.text, "SECRET"));
        assert_null(url.scheme);
        assert_int_equal(url.param_count, 0);
    }
}

static void more_than_the_limits_is_refused(void **state)
{
    (void)state;
    auto_url struct url url = URL_INIT;
    struct error err;
    char text[URL_SIZE_MAX + 2];

    memset(text, 'x', sizeof text);
    memcpy(text, "s3://b/", 7);
    text[URL_SIZE_MAX + 1] = '\0';
    CHECK_RC(url_parse(&url, text, &err), RC_USAGE);
    text[URL_SIZE_MAX] = '\0';
    CHECK_OK(url_parse(&url, text, &err));
    assert_int_equal(strlen(url.path), URL_SIZE_MAX - 6);

    auto_free char *many = text_copy("s3://b?p=1");
    for (int i = 1; i <= URL_PARAM_COUNT_MAX; i++) {
        auto_url struct url full = URL_INIT;
        CHECK_RC(url_parse(&full, many, &err), RC_OK);
        assert_int_equal(full.param_count, i);
        char *more = text_format("%s&p%d=1", many, i);
        free(many);
        many = more;
    }
    auto_url struct url over = URL_INIT;
    CHECK_RC(url_parse(&over, many, &err), RC_USAGE);
    CHECK_SAYS(err, "more than 32");
}

static void escaping_is_what_a_signature_wants(void **state)
{
    (void)state;
    const char all[] = "AZaz09-._~ /+=&?%#:@!$'()*,;[]\xc3\xa9\x01";
    auto_free char *escaped = url_escape(all, 0);
    auto_free char *path = url_escape("/a b/c+d", 1);
    auto_free char *empty = url_escape("", 0);

    assert_string_equal(
        escaped, "AZaz09-._~%20%2F%2B%3D%26%3F%25%23%3A%40%21%24%27%28%29%2A%2C%3B%5B%5D%C3%A9%01");
    assert_string_equal(path, "/a%20b/c%2Bd");
    assert_string_equal(empty, "");

    auto_free char *text = text_format("s3://b/%s", escaped);
    auto_url struct url url = URL_INIT;
    struct error err;
    CHECK_OK(url_parse(&url, text, &err));
    assert_string_equal(url.path + 1, all);
}

static void release_may_be_called_twice(void **state)
{
    (void)state;
    struct url url = URL_INIT;
    struct error err;

    url_release(&url);
    CHECK_OK(url_parse(&url, "s3://u:p@b/p?a=1", &err));
    url_release(&url);
    url_release(&url);
    assert_null(url.host);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(urls_come_apart),
        cmocka_unit_test(parameters_are_found_by_name),
        cmocka_unit_test(malformed_urls_are_refused_and_not_repeated),
        cmocka_unit_test(more_than_the_limits_is_refused),
        cmocka_unit_test(escaping_is_what_a_signature_wants),
        cmocka_unit_test(release_may_be_called_twice),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
