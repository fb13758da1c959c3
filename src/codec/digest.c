/* digest - of a page and of stored bytes, over XXH64 */
#include "codec/digest.h"

#include <xxhash.h>

uint64_t page_digest(uint32_t pgno, struct bytes page)
{
    uint64_t digest = XXH64(page.data, page.size, pgno);

    return digest == PAGE_DIGEST_UNKNOWN ? 1 : digest;
}

uint64_t bytes_digest(struct bytes bytes)
{
    return XXH64(bytes.data, bytes.size, 0);
}
