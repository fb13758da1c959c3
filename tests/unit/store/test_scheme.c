/* scheme - what is a replica URL, and what is said about the rest */
#include "store/scheme.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/text.h"
#include "harness/check.h"
#include "harness/scratch.h"

static const struct store_options keys = { .access_key_id = "id", .secret_access_key = "secret" };

static void good_urls_are_good(void **state)
{
    static const char *const urls[] = {
        "/backups/app",
        "./backups",
        "backups/app",
        "../x",
        "file:///backups/app",
        "FILE:///backups/a%20b",
        "file://localhost/x",
        "s3://bucket",
        "s3://bucket/",
        "s3://my.bucket-1/a/b/",
        "s3://bucket/p?endpoint=http://127.0.0.1:9000&region=eu-central-1&path-style=true",
        "S3://bucket/p?ca-file=/etc/ca.pem&skip-verify=false&profile=work",
        "a:b",
    };
    (void)state;
    for (size_t index = 0; index < array_count(urls); index++) {
        struct error err;
        CHECK_OK(store_check_url(urls[index], &err));
    }
}

static void bad_urls_are_told_why(void **state)
{
    static const struct {
        const char *url;
        const char *said;
    } cases[] = {
        { "", "is empty" },
        { "sftp://host/path",
            "scheme 'sftp' is not known; known are file:///path, s3://bucket/prefix" },
        { "s3:bucket/x", "write s3://bucket/prefix" },
        { "file:/x", "write file:///path" },
        { "file://backups/app", "names no host" },
        { "file:///x?region=y", "no parameters" },
        { "file://", "needs a path" },
        { "s3://", "bucket '' must be" },
        { "s3://ab/x", "bucket 'ab' must be" },
        { "s3://localhost:9000/bucket", "endpoint=http://localhost:9000" },
        { "s3://id:secret@bucket/x", "credentials do not belong into a URL" },
        { "s3://bucket/x?regoin=y", "'regoin' is not known; known are endpoint, region" },
        { "s3://bucket/x?path-style=maybe", "path-style is 'maybe'; must be true or false" },
        { "s3://bucket/a//b", "without empty" },
        { "s3://bucket/a/../b", "without empty" },
    };
    (void)state;
    for (size_t index = 0; index < array_count(cases); index++) {
        struct error err = { 0 };
        struct store *store = NULL;
        CHECK_RC(store_check_url(cases[index].url, &err), RC_USAGE);
        if (strstr(err.text, cases[index].said) == NULL)
            fail_msg("'%s': '%s'", cases[index].url, err.text);
        assert_null(strstr(err.text, "secret@"));
        CHECK_RC(store_open(&store, cases[index].url, &keys, &err), RC_USAGE);
        assert_null(store);
    }
}

static void check_name(const char *url, const char *expected)
{
    struct error err;
    struct store *store = NULL;
    CHECK_OK(store_open(&store, url, &keys, &err));
    assert_string_equal(store_name(store), expected);
    store_free(store);
}

static void names_are_absolute_and_plain(void **state)
{
    (void)state;
    auto_scratch struct scratch scratch = scratch_new();
    assert_int_equal(chdir(scratch.folder), 0);
    auto_free char *here = text_format("file://%s/sub/x", scratch.folder);
    check_name("/backups/app", "file:///backups/app");
    check_name("/backups/app///", "file:///backups/app");
    check_name("/", "file:///");
    check_name("file:///backups/a%20b", "file:///backups/a b");
    check_name("sub/x", here);
    check_name("./sub/x/", here);
    check_name("s3://bucket", "s3://bucket");
    check_name("s3://bucket/", "s3://bucket");
    check_name("s3://bucket//a/b//?region=x", "s3://bucket/a/b");
    store_free(NULL);
}

static void bad_settings_are_refused_before_the_network(void **state)
{
    (void)state;
    static const char *const urls[] = {
        "s3://bucket/p?endpoint=ftp://x",
        "s3://bucket/p?endpoint=http://",
        "s3://bucket/p?endpoint=http://u:p@h",
        "s3://bucket/p?endpoint=http://h?x=y",
    };
    for (size_t index = 0; index < array_count(urls); index++) {
        struct error err;
        struct store *store = NULL;
        rc opened = store_open(&store, urls[index], &keys, &err);
        if (opened != RC_USAGE)
            fail_msg("%s: %s", urls[index], rc_name(opened));
    }
}

int main(void)
{
    const struct CMUnitTest claims[] = {
        cmocka_unit_test(good_urls_are_good),
        cmocka_unit_test(bad_urls_are_told_why),
        cmocka_unit_test(names_are_absolute_and_plain),
        cmocka_unit_test(bad_settings_are_refused_before_the_network),
    };
    return cmocka_run_group_tests_name("scheme", claims, NULL, NULL);
}
