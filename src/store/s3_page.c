/*
 * s3_page - one page of ListObjectsV2, decoded from its XML as it arrives
 *
 * Only <ListBucketResult> with an <IsTruncated> is a listing: anything else that came with a 200 (a
 * captive portal, a proxy's error page) must not read as "certainly empty".
 */
#include "s3_page.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/duration.h"
#include "base/text.h"

enum {
    S3_PAGE_COUNT_MAX = 10000, /* we ask for 1,000 */
    S3_PAGE_KEYS_SIZE_MAX = 16 << 20,
    S3_PAGE_COUNT_FIRST = 64,
};

#define ROOT "ListBucketResult"

void s3_page_release(struct s3_page *page)
{
    s3_xml_free(page->xml);
    buf_release(&page->keys);
    free(page->items);
    free(page->next_token);
    *page = S3_PAGE_INIT;
}

static rc s3_page_take_key(struct s3_page *page, const char *text, struct error *err)
{
    if (page->has_key)
        FAIL(err, RC_CORRUPT, "an object in the listing has two keys");
    page->has_key = true;
    page->item.key_offset = page->keys.size;
    return buf_append(&page->keys, bytes_of(text, strlen(text) + 1), err);
}

static rc s3_page_take_item(struct s3_page *page, struct error *err)
{
    if (!page->has_key)
        FAIL(err, RC_CORRUPT, "an object in the listing has no key");
    if (page->count == S3_PAGE_COUNT_MAX)
        FAIL(err, RC_CORRUPT, "a page of the listing has more than %d objects", S3_PAGE_COUNT_MAX);
    if (page->count == page->capacity) {
        page->capacity = page->capacity == 0 ? S3_PAGE_COUNT_FIRST : page->capacity * 2;
        page->items = mem_resize(page->items, page->capacity * sizeof *page->items);
    }
    page->items[page->count++] = page->item;
    page->item = (struct s3_page_item){ 0 };
    page->has_key = false;
    return RC_OK;
}

static rc s3_page_take_end(struct s3_page *page, const char *text, struct error *err)
{
    page->is_truncated = text_equal(text, "true");
    if (!page->is_truncated && !text_equal(text, "false"))
        FAIL(err, RC_CORRUPT, "IsTruncated is '%.20s'; must be true or false", text);
    page->has_end = true;
    return RC_OK;
}

static rc s3_page_take(void *payload, const char *path, const char *text, struct error *err)
{
    struct s3_page *page = payload;

    if (text_equal(path, ROOT "/Contents/Key"))
        return s3_page_take_key(page, text, err);
    if (text_equal(path, ROOT "/Contents/Size"))
        return text_parse_u64(&page->item.size, text, UINT64_MAX, err) == RC_OK
                   ? RC_OK
                   : error_wrap(err, RC_CORRUPT, "size of an object in the listing");
    if (text_equal(path, ROOT "/Contents"))
        return s3_page_take_item(page, err);
    if (text_equal(path, ROOT "/IsTruncated"))
        return s3_page_take_end(page, text, err);
    /* The time is informative only: one that we cannot read is 0. */
    if (text_equal(path, ROOT "/Contents/LastModified"))
        (void)!instant_parse_ms(&page->item.modified_ms, text, NULL);
    if (text_equal(path, ROOT "/EncodingType"))
        page->is_url_encoded = text_equal(text, "url");
    if (text_equal(path, ROOT "/NextContinuationToken") && text[0] != '\0') {
        free(page->next_token);
        page->next_token = text_copy(text);
    }
    return RC_OK;
}

void s3_page_restart(struct s3_page *page)
{
    s3_page_release(page);
    page->keys = BUF_INIT(S3_PAGE_KEYS_SIZE_MAX);
    page->xml = s3_xml_new(s3_page_take, page);
}

rc s3_page_feed(struct s3_page *page, struct bytes bytes, struct error *err)
{
    assert(page->xml != NULL);
    TRY_AS(err, s3_xml_feed(page->xml, bytes, err), "listing");
    return RC_OK;
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* Percent-decoding in place, '+' is a space (a plus itself comes as %2B); false when malformed. */
static bool s3_page_unescape(char *key)
{
    char *out = key;
    for (const char *in = key; *in != '\0'; in++) {
        if (*in != '%') {
            *out++ = (char)(*in == '+' ? ' ' : *in);
            continue;
        }
        int high = hex_value(in[1]);
        int low = high < 0 ? -1 : hex_value(in[2]);
        if (low < 0 || high + low == 0)
            return false;
        *out++ = (char)(high << 4 | low);
        in += 2;
    }
    *out = '\0';
    return true;
}

rc s3_page_finish(struct s3_page *page, struct error *err)
{
    assert(page->xml != NULL);

    TRY_AS(err, s3_xml_finish(page->xml, err), "listing");
    if (!page->has_end)
        FAIL(err, RC_CORRUPT, "the answer is XML, but not an S3 listing; check endpoint");
    for (size_t index = 0; index < page->count; index++) {
        char *key = (char *)page->keys.data + page->items[index].key_offset;
        if (page->is_url_encoded && !s3_page_unescape(key))
            FAIL(err, RC_CORRUPT, "key '%.200s' in the listing is not percent-encoded", key);
        if (index > 0 && strcmp(s3_page_key(page, index - 1), key) >= 0)
            FAIL(err, RC_CORRUPT, "the store lists '%.200s' after '%.200s'; must be ascending", key,
                s3_page_key(page, index - 1));
    }
    return RC_OK;
}
