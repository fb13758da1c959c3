/* s3_page - listings of S3, whole, cut and forged */
#include "s3_page.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/text.h"
#include "harness/check.h"

#define TOP   "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
#define OPEN  TOP "<ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">"
#define CLOSE "</ListBucketResult>"
#define END   "<IsTruncated>false</IsTruncated>" CLOSE

static rc decode(struct s3_page *page, const char *text, size_t step, struct error *err)
{
    struct bytes rest = bytes_of_text(text);
    s3_page_restart(page);
    while (rest.size > 0) {
        size_t size = step < rest.size ? step : rest.size;
        TRY(s3_page_feed(page, bytes_part(rest, 0, size), err));
        rest = bytes_part(rest, size, rest.size - size);
    }
    return s3_page_finish(page, err);
}

static void listings_of_several_servers_are_read(void **state)
{
    static const char amazon[] = OPEN
        "<Name>b</Name><Prefix>p/</Prefix><NextContinuationToken>1ueG+/=</NextContinuationToken>"
        "<KeyCount>2</KeyCount><MaxKeys>2</MaxKeys><EncodingType>url</EncodingType>"
        "<IsTruncated>true</IsTruncated>"
        "<Contents><Key>p/a+b%2Bc</Key><LastModified>2026-11-21T10:00:00.000Z</LastModified>"
        "<ETag>&quot;x&quot;</ETag><ChecksumAlgorithm>CRC32</ChecksumAlgorithm><Size>7</Size>"
        "<StorageClass>STANDARD</StorageClass></Contents>"
        "<Contents><Key>p/%C3%A4%0A</Key><Size>18446744073709551615</Size></Contents>" CLOSE;
    (void)state;
    for (size_t step = 1; step < 50; step++) {
        struct error err;
        auto_s3_page struct s3_page page = S3_PAGE_INIT;
        CHECK_OK(decode(&page, amazon, step, &err));
        assert_int_equal(page.count, 2);
        assert_string_equal(s3_page_key(&page, 0), "p/a b+c");
        assert_string_equal(s3_page_key(&page, 1), "p/\xc3\xa4\n");
        assert_int_equal(page.items[0].size, 7);
        assert_int_equal(page.items[0].modified_ms, INT64_C(1795255200000));
        assert_true(page.items[1].size == UINT64_MAX);
        assert_int_equal(page.items[1].modified_ms, 0);
        assert_true(page.is_truncated);
        assert_string_equal(page.next_token, "1ueG+/=");
    }
}

static void keys_are_taken_literally_without_encoding(void **state)
{
    struct error err;
    auto_s3_page struct s3_page page = S3_PAGE_INIT;
    (void)state;
    CHECK_OK(decode(&page,
        "<s3:ListBucketResult xmlns:s3=\"x\"><s3:Contents><s3:Key>a%20b+&lt;</s3:Key>"
        "<s3:Size>0</s3:Size></s3:Contents><s3:IsTruncated>false</s3:IsTruncated>"
        "</s3:ListBucketResult>",
        1000, &err));
    assert_string_equal(s3_page_key(&page, 0), "a%20b+<");
    assert_false(page.is_truncated);
    assert_null(page.next_token);
}

static void an_empty_listing_is_a_listing(void **state)
{
    struct error err;
    auto_s3_page struct s3_page page = S3_PAGE_INIT;
    (void)state;
    CHECK_OK(decode(&page, OPEN END, 1000, &err));
    assert_int_equal(page.count, 0);
    /* And the object can be used again. */
    CHECK_OK(decode(&page, OPEN "<Contents><Key>k</Key></Contents>" END, 1000, &err));
    assert_int_equal(page.count, 1);
}

static void nothing_else_reads_as_a_listing(void **state)
{
    static const char *const texts[] = {
        "",
        " ",
        "<html><body>Welcome</body></html>",
        "<Error><Code>AccessDenied</Code></Error>",
        OPEN CLOSE,
        OPEN "<IsTruncated>false</IsTruncated>",
        OPEN "<IsTruncated>maybe</IsTruncated>" CLOSE,
        OPEN "<IsTruncated></IsTruncated>" CLOSE,
        TOP "<!DOCTYPE x [<!ENTITY a \"b\">]><ListBucketResult>" END,
        OPEN "<Contents><Size>1</Size></Contents>" END,
        OPEN "<Contents><Key>a</Key><Key>b</Key></Contents>" END,
        OPEN "<Contents><Key>a</Key><Size>x</Size></Contents>" END,
        OPEN "<Contents><Key>a</Key><Size>-1</Size></Contents>" END,
        OPEN "<Contents><Key>b</Key></Contents><Contents><Key>a</Key></Contents>" END,
        OPEN "<Contents><Key>a</Key></Contents><Contents><Key>a</Key></Contents>" END,
        OPEN "<EncodingType>url</EncodingType><Contents><Key>%4</Key></Contents>" END,
        OPEN "<EncodingType>url</EncodingType><Contents><Key>%zz</Key></Contents>" END,
        OPEN "<EncodingType>url</EncodingType><Contents><Key>a%00</Key></Contents>" END,
        OPEN END "trailing",
        "<x>" OPEN END "</x>",
    };
    (void)state;
    for (size_t index = 0; index < array_count(texts); index++) {
        struct error err = { 0 };
        auto_s3_page struct s3_page page = S3_PAGE_INIT;
        rc decoded = decode(&page, texts[index], 7, &err);
        if (decoded != RC_CORRUPT)
            fail_msg("'%s': %s", texts[index], rc_name(decoded));
        assert_true(err.text[0] != '\0');
    }
}

static void every_cut_is_noticed(void **state)
{
    static const char whole[] = OPEN "<Contents><Key>k</Key><Size>1</Size></Contents>" END;
    (void)state;
    for (size_t size = 0; size < sizeof whole - 1; size++) {
        struct error err;
        auto_s3_page struct s3_page page = S3_PAGE_INIT;
        auto_free char *cut = text_format("%.*s", (int)size, whole);
        CHECK_RC(decode(&page, cut, 1000, &err), RC_CORRUPT);
    }
}

static void what_grows_has_an_end(void **state)
{
    struct error err;
    auto_s3_page struct s3_page page = S3_PAGE_INIT;
    (void)state;

    auto_buf struct buf deep = BUF_INIT(1 << 20);
    for (int depth = 0; depth < 1000; depth++)
        buf_put_text(&deep, "<a>");
    auto_free char *deep_text = buf_take_text(&deep);
    CHECK_RC(decode(&page, deep_text, 1000, &err), RC_CORRUPT);
    assert_non_null(strstr(err.text, "too deep"));

    auto_buf struct buf wide = BUF_INIT(1 << 20);
    buf_put_text(&wide, OPEN "<Contents><Key>");
    for (int size = 0; size < 20000; size++)
        buf_put_text(&wide, "k");
    auto_free char *wide_text = buf_take_text(&wide);
    CHECK_RC(decode(&page, wide_text, 1000, &err), RC_CORRUPT);
    assert_non_null(strstr(err.text, "too long"));

    auto_buf struct buf many = BUF_INIT(4 << 20);
    buf_put_text(&many, OPEN);
    for (int index = 0; index < 10001; index++)
        buf_put_format(&many, "<Contents><Key>%08d</Key></Contents>", index);
    auto_free char *many_text = buf_take_text(&many);
    CHECK_RC(decode(&page, many_text, 100000, &err), RC_CORRUPT);
    assert_non_null(strstr(err.text, "more than 10000 objects"));
}

int main(void)
{
    const struct CMUnitTest claims[] = {
        cmocka_unit_test(listings_of_several_servers_are_read),
        cmocka_unit_test(keys_are_taken_literally_without_encoding),
        cmocka_unit_test(an_empty_listing_is_a_listing),
        cmocka_unit_test(nothing_else_reads_as_a_listing),
        cmocka_unit_test(every_cut_is_noticed),
        cmocka_unit_test(what_grows_has_an_end),
    };
    return cmocka_run_group_tests_name("s3_page", claims, NULL, NULL);
}
