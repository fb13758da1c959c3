/* s3_answer - what statuses and codes of S3 mean, and the sizes of parts */
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "harness/check.h"
#include "s3_store.h"

static void codes_mean_what_they_must(void **state)
{
    static const struct {
        int status;
        const char *code;
        bool has_body;
        rc meaning;
    } cases[] = {
        { 403, "SignatureDoesNotMatch", true, RC_DENIED },
        { 403, "AccessDenied", true, RC_DENIED },
        { 403, "QuotaExceeded", true, RC_NO_SPACE },
        { 403, "", false, RC_DENIED },
        { 401, "", true, RC_DENIED },
        { 404, "NoSuchKey", true, RC_NOT_FOUND },
        { 404, "NoSuchBucket", true, RC_USAGE },
        { 404, "NoSuchUpload", true, RC_MISMATCH },
        /* Only S3 itself, or an answer without room for a reason, may say that an object is not
           there. */
        { 404, "", true, RC_USAGE },
        { 404, "SomethingElse", true, RC_USAGE },
        { 404, "", false, RC_NOT_FOUND },
        { 412, "PreconditionFailed", true, RC_EXISTS },
        { 412, "", false, RC_EXISTS },
        { 409, "ConditionalRequestConflict", true, RC_NET },
        { 409, "OperationAborted", true, RC_NET },
        { 416, "InvalidRange", true, RC_MISMATCH },
        { 416, "", true, RC_MISMATCH },
        { 429, "", true, RC_NET },
        { 500, "InternalError", true, RC_NET },
        { 500, "", true, RC_NET },
        { 501, "NotImplemented", true, RC_UNSUPPORTED },
        { 405, "", true, RC_UNSUPPORTED },
        { 503, "SlowDown", true, RC_NET },
        { 504, "", true, RC_NET },
        { 507, "", true, RC_NO_SPACE },
        { 400, "RequestTimeout", true, RC_NET },
        { 400, "ExpiredToken", true, RC_DENIED },
        { 400, "InvalidArgument", true, RC_IO },
        { 301, "PermanentRedirect", true, RC_USAGE },
        { 302, "", true, RC_USAGE },
    };
    (void)state;
    for (size_t index = 0; index < array_count(cases); index++) {
        const char *hint = NULL;
        rc meaning =
            s3_answer_meaning(cases[index].status, cases[index].code, cases[index].has_body, &hint);
        if (meaning != cases[index].meaning)
            fail_msg("%d '%s': %s", cases[index].status, cases[index].code, rc_name(meaning));
        assert_true(hint[0] == '\0' || strncmp(hint, "; ", 2) == 0);
    }
}

static void documents_are_put_into_words(void **state)
{
    (void)state;
    struct error err = { 0 };
    char code[S3_CODE_SIZE];
    rc meaning = s3_answer_explain(403,
        bytes_of_text("<?xml version='1.0'?><Error><Code>SignatureDoesNotMatch</Code>"
                      "<Message>The\nsignature &amp; so on</Message></Error>"),
        code, &err);
    assert_int_equal(meaning, RC_DENIED);
    assert_string_equal(code, "SignatureDoesNotMatch");
    assert_string_equal(err.text,
        "the server answered 403 SignatureDoesNotMatch: The signature & so on; check the secret "
        "access key");

    meaning = s3_answer_explain(502, bytes_of_text("<html>Bad gateway"), code, &err);
    assert_int_equal(meaning, RC_NET);
    assert_string_equal(code, "");
    assert_string_equal(err.text, "the server answered 502");
}

static void parts_are_as_large_as_they_must_be(void **state)
{
    static const uint64_t hints[] = { 0, 1, UINT64_C(5) << 20, UINT64_C(1) << 30,
        UINT64_C(40) << 30, UINT64_C(60) << 30, UINT64_C(1) << 40, UINT64_C(5) << 40 };
    struct error err;
    uint64_t size;
    (void)state;
    for (size_t index = 0; index < array_count(hints); index++) {
        CHECK_OK(s3_part_size(&size, hints[index], &err));
        assert_true(size >= UINT64_C(5) << 20);
        assert_true(size * 9000 >= hints[index]);
        assert_true(size == UINT64_C(5) << 20 || (size - (1 << 20)) * 9000 <= hints[index]);
    }
    CHECK_RC(s3_part_size(&size, (UINT64_C(5) << 40) + 1, &err), RC_USAGE);
}

static void marks_differ(void **state)
{
    (void)state;
    char first[S3_MARK_SIZE];
    char second[S3_MARK_SIZE];
    s3_mark_make(first);
    s3_mark_make(second);
    assert_int_equal(strlen(first), S3_MARK_SIZE - 1);
    assert_string_not_equal(first, second);
}

int main(void)
{
    const struct CMUnitTest claims[] = {
        cmocka_unit_test(codes_mean_what_they_must),
        cmocka_unit_test(documents_are_put_into_words),
        cmocka_unit_test(parts_are_as_large_as_they_must_be),
        cmocka_unit_test(marks_differ),
    };
    return cmocka_run_group_tests_name("s3_answer", claims, NULL, NULL);
}
