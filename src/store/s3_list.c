/*
 * s3_list - ListObjectsV2 over any number of objects, a page in memory at a time
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/text.h"
#include "s3_page.h"
#include "s3_store.h"

struct s3_listing {
    struct s3_store *store;
    char *prefix;      /* with the store's own in front */
    const char *after; /* relative; may be NULL */
    store_each_fn *each;
    void *payload;
    char *token; /* of the next page; NULL: go on behind LAST */
    char *last;  /* the last key seen, in full; NULL before the first page without AFTER */
};

static void s3_listing_release(struct s3_listing *listing)
{
    free(listing->prefix);
    free(listing->token);
    free(listing->last);
}

static void s3_list_restart(void *payload)
{
    s3_page_restart(payload);
}

static rc s3_list_feed(void *payload, struct bytes bytes, struct error *err)
{
    return s3_page_feed(payload, bytes, err);
}

static rc s3_list_fetch(const struct s3_listing *listing, struct s3_page *page, struct error *err)
{
    struct sigv4_field query[SIGV4_FIELD_COUNT_MAX];
    size_t count = 0;
    query[count++] = (struct sigv4_field){ "list-type", "2" };
    query[count++] = (struct sigv4_field){ "max-keys", "1000" };
    query[count++] = (struct sigv4_field){ "encoding-type", "url" };
    query[count++] = (struct sigv4_field){ "prefix", listing->prefix };
    if (listing->token != NULL)
        query[count++] = (struct sigv4_field){ "continuation-token", listing->token };
    else if (listing->last != NULL)
        query[count++] = (struct sigv4_field){ "start-after", listing->last };

    struct s3_request request = {
        .method = "GET",
        .kind = S3_KIND_LIST,
        .query = query,
        .query_count = count,
        .sink = { .write = s3_list_feed, .payload = page },
        .restart = s3_list_restart,
    };
    auto_s3_answer struct s3_answer answer = S3_ANSWER_INIT;
    TRY(s3_request_run(listing->store, &request, &answer, err));
    TRY_AS(err, s3_page_finish(page, err), "list '%s'", listing->store->base.name);
    return RC_OK;
}

static rc s3_list_show(
    const struct s3_listing *listing, const struct s3_page *page, size_t index, struct error *err)
{
    const char *full = s3_page_key(page, index);
    const char *key = text_after_prefix(full, listing->store->prefix);
    if (key == NULL || !text_has_prefix(full, listing->prefix))
        FAIL(err, RC_CORRUPT, "list '%s': the answer holds '%.200s', which was not asked for",
            listing->store->base.name, full);
    /* "prefix/" itself is a placeholder of web consoles; the probe is our own. */
    if (key[0] == '\0' || text_equal(key, S3_PROBE_KEY))
        return RC_OK;
    /* Some servers take no notice of start-after. */
    if (listing->after != NULL && strcmp(key, listing->after) <= 0)
        return RC_OK;
    struct store_object object = {
        .key = key,
        .size = page->items[index].size,
        .modified_ms = page->items[index].modified_ms,
    };
    return listing->each(listing->payload, &object, err);
}

/* Make sure that the next request goes on where this page ended, or the listing would never end. */
static rc s3_list_advance(struct s3_listing *listing, struct s3_page *page, struct error *err)
{
    if (page->count > 0) {
        const char *first = s3_page_key(page, 0);
        if (listing->last != NULL && strcmp(first, listing->last) <= 0 && listing->token != NULL)
            FAIL(err, RC_CORRUPT, "list '%s': a page begins with '%.200s', which came before",
                listing->store->base.name, first);
        free(listing->last);
        listing->last = text_copy(s3_page_key(page, page->count - 1));
    }
    bool is_same = text_equal(page->next_token, listing->token);
    if (page->is_truncated && is_same && (page->next_token != NULL || page->count == 0))
        FAIL(err, RC_CORRUPT, "list '%s': the server does not get on with its pages",
            listing->store->base.name);
    free(listing->token);
    listing->token = TAKE(page->next_token);
    return RC_OK;
}

static rc s3_list_page(struct s3_listing *listing, bool *ret_more, struct error *err)
{
    auto_s3_page struct s3_page page = S3_PAGE_INIT;

    TRY(s3_list_fetch(listing, &page, err));
    TRY(s3_list_advance(listing, &page, err));
    *ret_more = page.is_truncated;
    for (size_t index = 0; index < page.count; index++)
        TRY(s3_list_show(listing, &page, index, err));
    return RC_OK;
}

rc s3_list(struct store *base, const char *prefix, const char *after, store_each_fn *each,
    void *payload, struct error *err)
{
    struct s3_store *store = s3_store_from(base);
    struct s3_listing listing = {
        .store = store,
        .prefix = text_format("%s%s", store->prefix, prefix),
        .after = after,
        .each = each,
        .payload = payload,
        .last = after != NULL ? text_format("%s%s", store->prefix, after) : NULL,
    };
    rc listed = RC_OK;
    for (bool has_more = true; has_more && listed == RC_OK;)
        listed = s3_list_page(&listing, &has_more, err);
    s3_listing_release(&listing);
    return listed;
}
