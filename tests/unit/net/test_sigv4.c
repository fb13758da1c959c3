/* sigv4 - the examples of the Amazon S3 API reference, to the last hex digit */
#include "net/sigv4.h"

#include <stdlib.h>

#include "base/alloc.h"
#include "harness/check.h"

/* "Signature Calculations for the Authorization Header", bucket and key of the reference. */
static const struct sigv4_key example_key = {
    .access_key_id = "AKIAIOSFODNN7EXAMPLE",
    .secret_access_key = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
    .region = "us-east-1",
    .service = "s3",
};

#define EXAMPLE_DATE "20130524T000000Z"
#define EXAMPLE_HOST "examplebucket.s3.amazonaws.com"
#define EXAMPLE_START                                                                              \
    "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request, "        \
    "SignedHeaders="

static void check_authorization(const struct sigv4_request *request, const char *expected)
{
    auto_free char *authorization = sigv4_authorization(request, &example_key, EXAMPLE_DATE);
    assert_string_equal(authorization, expected);
}

static void get_object_of_the_reference(void **state)
{
    (void)state;
    const struct sigv4_field headers[] = {
        { "host", EXAMPLE_HOST },
        { "range", "bytes=0-9" },
        { "x-amz-content-sha256", SIGV4_EMPTY_SHA256 },
        { "x-amz-date", EXAMPLE_DATE },
    };
    const struct sigv4_request request = {
        .method = "GET",
        .path = "/test.txt",
        .headers = headers,
        .header_count = array_count(headers),
        .payload_sha256 = SIGV4_EMPTY_SHA256,
    };
    check_authorization(&request,
        EXAMPLE_START "host;range;x-amz-content-sha256;x-amz-date, "
                      "Signature=f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41");
}

static void put_object_of_the_reference(void **state)
{
    (void)state;
    char hash[SIGV4_SHA256_TEXT_SIZE];
    sigv4_sha256(hash, bytes_of_text("Welcome to Amazon S3."));
    assert_string_equal(hash, "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072");

    /* Not in order, as callers may give them. */
    const struct sigv4_field headers[] = {
        { "x-amz-storage-class", "REDUCED_REDUNDANCY" },
        { "host", EXAMPLE_HOST },
        { "x-amz-date", EXAMPLE_DATE },
        { "x-amz-content-sha256", hash },
        { "date", "Fri, 24 May 2013 00:00:00 GMT" },
    };
    const struct sigv4_request request = {
        .method = "PUT",
        .path = "/test%24file.text",
        .headers = headers,
        .header_count = array_count(headers),
        .payload_sha256 = hash,
    };
    check_authorization(&request,
        EXAMPLE_START "date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class, "
                      "Signature=98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd");
}

static void check_bucket_example(
    const struct sigv4_field *query, size_t query_count, const char *expected)
{
    const struct sigv4_field headers[] = {
        { "host", EXAMPLE_HOST },
        { "x-amz-content-sha256", SIGV4_EMPTY_SHA256 },
        { "x-amz-date", EXAMPLE_DATE },
    };
    const struct sigv4_request request = {
        .method = "GET",
        .path = "/",
        .query = query,
        .query_count = query_count,
        .headers = headers,
        .header_count = array_count(headers),
        .payload_sha256 = SIGV4_EMPTY_SHA256,
    };
    check_authorization(&request, expected);
}

static void get_bucket_lifecycle_of_the_reference(void **state)
{
    (void)state;
    const struct sigv4_field query[] = { { "lifecycle", "" } };
    check_bucket_example(query, array_count(query),
        EXAMPLE_START "host;x-amz-content-sha256;x-amz-date, "
                      "Signature=fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543");
}

static void list_objects_of_the_reference(void **state)
{
    (void)state;
    const struct sigv4_field query[] = { { "prefix", "J" }, { "max-keys", "2" } };
    check_bucket_example(query, array_count(query),
        EXAMPLE_START "host;x-amz-content-sha256;x-amz-date, "
                      "Signature=34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7");
}

static void queries_are_sorted_and_escaped(void **state)
{
    (void)state;
    const struct sigv4_field query[] = {
        { "uploadId", "2~a/b+c=" },
        { "partNumber", "10" },
        { "prefix", "a b&\xc3\xa4" },
        { "delete", "" },
    };
    auto_free char *text = sigv4_query(query, array_count(query));
    assert_string_equal(
        text, "delete=&partNumber=10&prefix=a%20b%26%C3%A4&uploadId=2~a%2Fb%2Bc%3D");
    auto_free char *nothing = sigv4_query(NULL, 0);
    assert_string_equal(nothing, "");
}

static void blanks_in_values_do_not_matter(void **state)
{
    (void)state;
    const struct sigv4_field plain[] = { { "host", "h" }, { "x-amz-meta-a", "b c" } };
    const struct sigv4_field padded[] = { { "host", "h" }, { "x-amz-meta-a", "  b   c " } };
    struct sigv4_request request = {
        .method = "GET",
        .path = "/",
        .headers = plain,
        .header_count = 2,
        .payload_sha256 = SIGV4_EMPTY_SHA256,
    };
    auto_free char *expected = sigv4_authorization(&request, &example_key, EXAMPLE_DATE);
    request.headers = padded;
    check_authorization(&request, expected);
}

static void dates_are_utc(void **state)
{
    (void)state;
    char date[SIGV4_DATE_SIZE];
    sigv4_date(date, 1369353600);
    assert_string_equal(date, EXAMPLE_DATE);
    sigv4_date(date, 0);
    assert_string_equal(date, "19700101T000000Z");
    sigv4_date(date, 1709210096);
    assert_string_equal(date, "20240229T123456Z");
}

static void the_hash_of_nothing_is_the_constant(void **state)
{
    (void)state;
    char hash[SIGV4_SHA256_TEXT_SIZE];
    sigv4_sha256(hash, bytes_of(NULL, 0));
    assert_string_equal(hash, SIGV4_EMPTY_SHA256);
}

int main(void)
{
    const struct CMUnitTest claims[] = {
        cmocka_unit_test(get_object_of_the_reference),
        cmocka_unit_test(put_object_of_the_reference),
        cmocka_unit_test(get_bucket_lifecycle_of_the_reference),
        cmocka_unit_test(list_objects_of_the_reference),
        cmocka_unit_test(queries_are_sorted_and_escaped),
        cmocka_unit_test(blanks_in_values_do_not_matter),
        cmocka_unit_test(dates_are_utc),
        cmocka_unit_test(the_hash_of_nothing_is_the_constant),
    };
    return cmocka_run_group_tests_name("sigv4", claims, NULL, NULL);
}
