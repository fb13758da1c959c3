/*
 * kept_pages - images of pages from before they changed, for somebody who reads the database slowly
 *
 * Whoever reads a database page by page as of one transaction, while capture goes on, has each page
 * kept here before its first change. An unnamed file in the state folder, sparse, so it takes what
 * is kept and nothing else:
 *
 *   offset  8 * pgno                    digest of the image
 *           pages_offset + pgno * page  the image
 */
#ifndef SEAWAL_CAPTURE_KEPT_PAGES_PRIV_H
#define SEAWAL_CAPTURE_KEPT_PAGES_PRIV_H

#include "base/error.h"
#include "segment/page_set.h"

#include <stdbool.h>
#include <stdint.h>

struct kept_pages {
    int fd; /* -1 until a page is kept */
    const char *folder;
    uint32_t page_size;
    uint32_t page_count; /* only page numbers up to here */
    struct page_set pages;
};

/* FOLDER is borrowed. */
void kept_pages_init(
    struct kept_pages *kept, const char *folder, uint32_t page_size, uint32_t page_count);
void kept_pages_release(struct kept_pages *kept);

bool kept_pages_has(const struct kept_pages *kept, uint32_t pgno);

/* PGNO is not kept yet. */
must_use rc kept_pages_put(struct kept_pages *kept, uint32_t pgno, const uint8_t *page,
    uint64_t digest, struct error *err);

/* What was put, RC_CORRUPT when the file does not give it back. */
must_use rc kept_pages_get(const struct kept_pages *kept, uint32_t pgno, uint8_t *out,
    uint64_t *ret_digest, struct error *err);

#endif
