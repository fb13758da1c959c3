/*
 * kept_pages - see kept_pages_priv.h
 */
#include "kept_pages_priv.h"

#include "base/bytes.h"
#include "base/fs.h"
#include "codec/digest.h"

#include <assert.h>
#include <unistd.h>

enum { KEPT_ALIGNMENT = 65536, KEPT_DIGEST_SIZE = 8 };

void kept_pages_init(
    struct kept_pages *kept, const char *folder, uint32_t page_size, uint32_t page_count)
{
    *kept = (struct kept_pages){
        .fd = -1,
        .folder = folder,
        .page_size = page_size,
        .page_count = page_count,
        .pages = PAGE_SET_INIT,
    };
}

void kept_pages_release(struct kept_pages *kept)
{
    if (kept->fd >= 0)
        close(kept->fd);
    kept->fd = -1;
    page_set_release(&kept->pages);
}

bool kept_pages_has(const struct kept_pages *kept, uint32_t pgno)
{
    return page_set_has(&kept->pages, pgno);
}

static uint64_t kept_digest_offset(uint32_t pgno)
{
    return (uint64_t)pgno * KEPT_DIGEST_SIZE;
}

static uint64_t kept_page_offset(const struct kept_pages *kept, uint32_t pgno)
{
    uint64_t digests = kept_digest_offset(kept->page_count) + KEPT_DIGEST_SIZE;
    uint64_t pages = (digests + KEPT_ALIGNMENT - 1) / KEPT_ALIGNMENT * KEPT_ALIGNMENT;

    return pages + (uint64_t)(pgno - 1) * kept->page_size;
}

rc kept_pages_put(
    struct kept_pages *kept, uint32_t pgno, const uint8_t *page, uint64_t digest, struct error *err)
{
    uint8_t stored[KEPT_DIGEST_SIZE];

    assert(pgno > 0);
    assert(pgno <= kept->page_count);
    assert(!kept_pages_has(kept, pgno));

    if (kept->fd < 0)
        TRY(fs_open_unnamed(&kept->fd, kept->folder, err));
    put_be64(stored, digest);
    TRY(fs_write_at(kept->fd, bytes_of(stored, sizeof stored), kept_digest_offset(pgno), err));
    TRY(fs_write_at(kept->fd, bytes_of(page, kept->page_size), kept_page_offset(kept, pgno), err));
    page_set_add(&kept->pages, pgno);
    return RC_OK;
}

rc kept_pages_get(const struct kept_pages *kept, uint32_t pgno, uint8_t *out, uint64_t *ret_digest,
    struct error *err)
{
    uint8_t stored[KEPT_DIGEST_SIZE];

    assert(kept_pages_has(kept, pgno));
    TRY(fs_read_exact(kept->fd, stored, sizeof stored, kept_digest_offset(pgno), err));
    TRY(fs_read_exact(kept->fd, out, kept->page_size, kept_page_offset(kept, pgno), err));
    *ret_digest = get_be64(stored);
    if (page_digest(pgno, bytes_of(out, kept->page_size)) != *ret_digest)
        FAIL(err, RC_CORRUPT, "the kept image of page %u is not what was kept", pgno);
    return RC_OK;
}
