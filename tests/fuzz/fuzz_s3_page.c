/* Any bytes as a page of an S3 listing, fed in pieces: ordered keys or RC_CORRUPT, never more. */
#include "../../src/store/s3_page.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The first byte decides how large the pieces are. */
static rc feed(struct s3_page *page, const uint8_t *data, size_t size, struct error *err)
{
    if (size == 0)
        return s3_page_finish(page, err);
    size_t step = (size_t)data[0] + 1;
    struct bytes rest = bytes_of(data + 1, size - 1);
    while (rest.size > 0) {
        size_t part = step < rest.size ? step : rest.size;
        TRY(s3_page_feed(page, bytes_part(rest, 0, part), err));
        rest = bytes_part(rest, part, rest.size - part);
    }
    return s3_page_finish(page, err);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    auto_s3_page struct s3_page page = S3_PAGE_INIT;
    struct error err = { 0 };

    s3_page_restart(&page);
    rc result = feed(&page, data, size, &err);
    if (result != RC_OK) {
        assert(result == RC_CORRUPT);
        assert(err.text[0] != '\0');
        return 0;
    }
    for (size_t index = 1; index < page.count; index++)
        assert(strcmp(s3_page_key(&page, index - 1), s3_page_key(&page, index)) < 0);
    return 0;
}
