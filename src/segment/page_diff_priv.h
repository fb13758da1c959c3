/*
 * page_diff - a page as its difference from the image before it
 *
 * The bytes that equal the base at the same place are skipped; the rest is copied from elsewhere in
 * the base (a b-tree page moves its cells when it grows) or given literally. Two columns come out,
 * because they compress apart: operations and literals.
 *
 *   operation  skip, head [, displacement]
 *   skip       varint: bytes that are those of the base at the same place
 *   head       varint: length * 4 + 2 if this is the last operation + 1 if it copies
 *   displacement (copies only)
 *              zigzag varint: where in the base the copy begins, minus where it goes, minus the
 * same number of the copy before it (0 at first)
 *
 * Behind the last operation the page is that of the base. A length of 0 is allowed in one place: a
 * single literal operation that is the last, the difference of equal pages. So the operations of a
 * page end by themselves, and their literals are counted by them.
 */
#ifndef SEAWAL_SEGMENT_PAGE_DIFF_PRIV_H
#define SEAWAL_SEGMENT_PAGE_DIFF_PRIV_H

#include "base/bytes.h"
#include "base/error.h"
#include "segment/segment.h"

#include <stdbool.h>

/* Where words of the base are found again. Reused for many pages; no need to clear it. */
enum { PAGE_DIFF_SLOT_COUNT_MAX = PAGE_SIZE_MAX / 4 };
struct page_diff_index {
    uint16_t slots[PAGE_DIFF_SLOT_COUNT_MAX];
};

/* Room that each of the two outputs must have beyond the page size. */
enum { PAGE_DIFF_SLACK = 64 };

struct page_diff_sizes {
    size_t operations;
    size_t literals;
};

/*
 * PAGE against BASE, both of the same valid page size. OPERATIONS and LITERALS have room for
 * page size + PAGE_DIFF_SLACK bytes each. False when the two columns would take more than three
 * quarters of the page: then the page is better stored whole and the output means nothing.
 */
bool page_diff_encode(struct page_diff_index *index, struct bytes page, struct bytes base,
    uint8_t *operations, uint8_t *literals, struct page_diff_sizes *ret);

/*
 * The sizes of the difference that OPERATIONS begins with, fully checked against PAGE_SIZE but for
 * the literals themselves: RC_CORRUPT when it is not a difference.
 */
must_use rc page_diff_measure(
    struct page_diff_sizes *ret, struct bytes operations, uint32_t page_size, struct error *err);

/*
 * Rebuild the page into OUT, BASE.size bytes that do not overlap BASE. OPERATIONS and LITERALS are
 * exactly those of one difference: anything left over is RC_CORRUPT.
 */
must_use rc page_diff_apply(struct bytes operations, struct bytes literals, struct bytes base,
    uint8_t *out, struct error *err);

#endif
