/*
 * digest - of a page and of a database
 *
 * The digest of a page is XXH64 of its bytes with the page number as seed; 0 is never a digest (a
 * computed 0 becomes 1) and stands for "not known". The digest of a database is the sum modulo 2^64
 * of the digests of its pages, the lock page (the one that holds byte 2^30) left out: replacing one
 * page costs one subtraction and one addition. XXH64: xxhash.com, specification 0.1.1.
 *
 * These find damage and mistakes, not forgery.
 */
#ifndef SEAWAL_CODEC_DIGEST_H
#define SEAWAL_CODEC_DIGEST_H

#include "base/bytes.h"

#include <stdint.h>

enum { PAGE_DIGEST_UNKNOWN = 0 };

uint64_t page_digest(uint32_t pgno, struct bytes page);

/* XXH64 with seed 0: the checksum of stored bytes in segments and local files. */
uint64_t bytes_digest(struct bytes bytes);

/* DATABASE after a page of digest BEFORE became one of digest AFTER; 0: the page is not there. */
static inline uint64_t database_digest_replace(uint64_t database, uint64_t before, uint64_t after)
{
    return database - before + after;
}

/* The number of the page that SQLite never uses: it holds the locking bytes at 2^30. */
static inline uint32_t lock_page_of(uint32_t page_size)
{
    return (uint32_t)((UINT32_C(1) << 30) / page_size + 1);
}

#endif
