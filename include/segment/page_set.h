/*
 * page_set - which page numbers were seen, in about two bytes a page
 *
 * Page numbers are split into 65,536 groups of 65,536. A group is a sorted array of its members'
 * lower halves while it has few, and a bitmap from GROUP_ARRAY_MAX on, so it never takes more than
 * 8 KiB: a bit a page of the database at most, 3 MiB for 100 GB of 4 KiB pages.
 *
 * Not thread-safe.
 */
#ifndef SEAWAL_SEGMENT_PAGE_SET_H
#define SEAWAL_SEGMENT_PAGE_SET_H

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct page_group;

struct page_set {
    struct page_group *groups; /* ascending by upper half */
    size_t group_count;
    size_t group_capacity;
    uint64_t count; /* members */
};
#define PAGE_SET_INIT ((struct page_set){ 0 })
#define auto_page_set __attribute__((cleanup(page_set_release)))

void page_set_release(struct page_set *set);
void page_set_add(struct page_set *set, uint32_t pgno);
bool page_set_has(const struct page_set *set, uint32_t pgno);

/* The smallest member above PGNO; 0 when there is none. */
uint32_t page_set_after(const struct page_set *set, uint32_t pgno);

/* Called for each member, ascending; a non-OK answer stops and is returned. */
typedef rc page_set_fn(void *payload, uint32_t pgno, struct error *err);
must_use rc page_set_each(
    const struct page_set *set, page_set_fn *each, void *payload, struct error *err);

#endif
