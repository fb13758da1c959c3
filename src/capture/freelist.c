/*
 * freelist - whether a page is free, so that its content means nothing to SQLite
 *
 * sqlite.org/fileformat2.html, section 1.5: page 1 names the first trunk page at offset 32; a trunk
 * page holds the number of the next one, a count, and so many numbers of leaf pages. SQLite neither
 * reads nor writes leaf pages; a checkpoint may leave out an image of one that we have shipped.
 */
#include "capture_priv.h"

#include "base/alloc.h"
#include "base/bytes.h"
#include "codec/digest.h"

#include <assert.h>

enum { FREELIST_FIRST_OFFSET = 32, FREELIST_TRUNK_HEADER_SIZE = 8 };

/* The leaves of one trunk page, bounds checked: what does not fit is not there. */
static bool freelist_trunk_has(struct bytes trunk, uint32_t pgno)
{
    uint32_t count = get_be32(trunk.data + 4);
    uint32_t count_max = (uint32_t)((trunk.size - FREELIST_TRUNK_HEADER_SIZE) / 4);

    if (count > count_max)
        count = count_max;
    for (uint32_t index = 0; index < count; index++) {
        if (get_be32(trunk.data + FREELIST_TRUNK_HEADER_SIZE + 4 * (size_t)index) == pgno)
            return true;
    }
    return false;
}

rc freelist_has(struct capture *capture, uint32_t pgno, bool *ret, struct error *err)
{
    const struct log_place *place = capture_place(capture);
    const struct capture_position *position = capture_now(capture);
    auto_free uint8_t *page = mem_new(position->page_size);

    *ret = false;
    TRY(image_read_known(capture, place, 1, page, err));
    uint32_t trunk = get_be32(page + FREELIST_FIRST_OFFSET);

    /* Every trunk page is visited once in a list that is right; one that is not ends here too. */
    for (uint32_t count = 0; trunk != 0 && count < position->page_count && !*ret; count++) {
        if (trunk > position->page_count ||
            digest_map_page(capture->folder.map, trunk) == PAGE_DIGEST_UNKNOWN)
            FAIL(err, RC_CORRUPT, "the list of free pages names page %u", trunk);
        TRY(image_read_known(capture, place, trunk, page, err));
        *ret = freelist_trunk_has(bytes_of(page, position->page_size), pgno);
        trunk = get_be32(page);
    }
    return RC_OK;
}
