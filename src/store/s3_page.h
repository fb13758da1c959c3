/*
 * s3_page - one page of ListObjectsV2, decoded from its XML as it arrives
 */
#ifndef SEAWAL_STORE_S3_PAGE_H
#define SEAWAL_STORE_S3_PAGE_H

#include "base/buf.h"
#include "base/error.h"
#include "s3_xml.h"

#include <stdbool.h>
#include <stdint.h>

struct s3_page_item {
    size_t key_offset; /* into keys */
    uint64_t size;
    int64_t modified_ms;
};

struct s3_page {
    struct buf keys; /* NUL-terminated; as the server knows them, unescaped by s3_page_finish() */
    struct s3_page_item *items;
    size_t count;
    size_t capacity;
    char *next_token; /* NULL: none was given */
    bool is_truncated;

    /* Of the decoder. */
    struct s3_xml *xml;
    struct s3_page_item item; /* of the Contents element that is open */
    bool has_key;
    bool has_end; /* IsTruncated was seen */
    bool is_url_encoded;
};

/* Begins anew with an empty page; what was there is released. */
void s3_page_restart(struct s3_page *page);
must_use rc s3_page_feed(struct s3_page *page, struct bytes bytes, struct error *err);

/* RC_CORRUPT when the document is not a whole listing, has malformed keys, or keys out of order. */
must_use rc s3_page_finish(struct s3_page *page, struct error *err);
void s3_page_release(struct s3_page *page);

static inline const char *s3_page_key(const struct s3_page *page, size_t index)
{
    return (const char *)page->keys.data + page->items[index].key_offset;
}

#define S3_PAGE_INIT ((struct s3_page){ 0 })
#define auto_s3_page __attribute__((cleanup(s3_page_release)))

#endif
