/* Any bytes as a replica URL: a store that can be named, or RC_USAGE with a reason. */
#include "base/alloc.h"
#include "base/url.h"
#include "store/scheme.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct store_options keys = { .access_key_id = "id",
        .secret_access_key = "secret" };
    auto_free char *text = mem_new(size + 1);
    struct error err = { 0 };
    struct store *store = NULL;

    if (size > 0)
        memcpy(text, data, size);
    auto_url struct url url = URL_INIT;
    rc parsed = url_parse(&url, text, &err);
    assert(parsed == RC_OK || parsed == RC_USAGE);

    rc checked = store_check_url(text, &err);
    assert(checked == RC_OK || checked == RC_USAGE);
    rc opened = store_open(&store, text, &keys, &err);
    if (checked != RC_OK)
        assert(opened == checked);
    if (opened == RC_OK)
        assert(strstr(store_name(store), "://") != NULL);
    else
        assert(err.text[0] != '\0');
    store_free(store);
    return 0;
}
