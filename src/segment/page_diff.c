/*
 * page_diff - see page_diff_priv.h for the format
 *
 * Speed matters here: every captured frame passes through page_diff_encode(). Equal bytes are
 * passed eight at a time, and the base is indexed only when a run of at least DIFF_SEARCH_MIN bytes
 * differs.
 */
#include "page_diff_priv.h"

#include <assert.h>

enum {
    DIFF_GAP_MIN = 6,     /* equal bytes that end a run of different ones: less does not pay */
    DIFF_SEARCH_MIN = 16, /* shorter runs are literals without a search for where they came from */
    DIFF_COPY_MIN = 10,   /* shorter copies cost more than literals */
    DIFF_WORD = 8,
    DIFF_INDEX_STRIDE = 4, /* a range of DIFF_COPY_MIN + 1 bytes holds such a word; few collide */
    DIFF_SLOT_COUNT_MIN = 256,
    DIFF_SLOT_EMPTY = 0xffff,
    DIFF_HEAD_COPY = 1,
    DIFF_HEAD_LAST = 2,
    DIFF_HEAD_SHIFT = 2,
};
_Static_assert(PAGE_SIZE_MAX - DIFF_WORD < DIFF_SLOT_EMPTY, "no word begins at the empty mark");
_Static_assert(PAGE_SIZE_MIN % DIFF_WORD == 0, "pages are whole words");
_Static_assert(3 * VARINT_SIZE_MAX <= PAGE_DIFF_SLACK, "one operation fits behind a full column");

struct diff {
    const uint8_t *page;
    const uint8_t *base;
    size_t page_size;
    size_t size_max; /* of both columns together */

    uint8_t *operations;
    uint8_t *operation_next;
    uint8_t *last_head; /* first byte of the newest operation's head */
    uint8_t *literals;
    size_t literal_size;

    size_t told;            /* bytes of the page that the operations so far give */
    ptrdiff_t displacement; /* of the newest copy */

    uint16_t *slots;
    unsigned slot_shift;
    bool is_indexed;
};

static inline uint64_t diff_word(const uint8_t *p)
{
    uint64_t word;
    memcpy(&word, p, sizeof word);
    return word;
}

/* How many bytes at the lower addresses of two words agree, from their XOR, which is not 0. */
static inline size_t diff_equal_bytes(uint64_t difference)
{
    return (size_t)(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? __builtin_ctzll(difference)
                                                              : __builtin_clzll(difference)) /
           8;
}

static inline bool diff_has_zero_byte(uint64_t word)
{
    return ((word - UINT64_C(0x0101010101010101)) & ~word & UINT64_C(0x8080808080808080)) != 0;
}

/* Page numbers and lengths below 2^21 are all there is: a short loop, inlined. */
static inline uint8_t *diff_put_varint(uint8_t *p, uint32_t value)
{
    while (value >= 0x80) {
        *p++ = (uint8_t)(value | 0x80);
        value >>= 7;
    }
    *p++ = (uint8_t)value;
    return p;
}

/* How many bytes at LEFT and RIGHT agree, at most SIZE. */
static inline size_t diff_common_size(const uint8_t *left, const uint8_t *right, size_t size)
{
    size_t common = 0;
    for (; common + DIFF_WORD <= size; common += DIFF_WORD) {
        uint64_t difference = diff_word(left + common) ^ diff_word(right + common);
        if (difference != 0)
            return common + diff_equal_bytes(difference);
    }
    while (common < size && left[common] == right[common])
        common++;
    return common;
}

/* The end of the run of different bytes that begins at START: DIFF_GAP_MIN equal ones follow it. */
static size_t diff_run_end(const struct diff *diff, size_t start)
{
    size_t end = start + 1;
    size_t position = start + 1;

    while (position < diff->page_size && position - end < DIFF_GAP_MIN) {
        if (position + DIFF_WORD <= diff->page_size) {
            uint64_t difference =
                diff_word(diff->page + position) ^ diff_word(diff->base + position);
            if (!diff_has_zero_byte(difference)) {
                position += DIFF_WORD;
                end = position;
                continue;
            }
        }
        if (diff->page[position] != diff->base[position])
            end = position + 1;
        position++;
    }
    return end;
}

static inline uint32_t diff_slot_of(const struct diff *diff, uint64_t word)
{
    return (uint32_t)((word * UINT64_C(0x9E3779B97F4A7C15)) >> diff->slot_shift);
}

/* The last place of a word wins; earlier places of the same word are mostly padding. */
static void diff_index_base(struct diff *diff)
{
    size_t slot_count = diff->page_size / 4;
    if (slot_count < DIFF_SLOT_COUNT_MIN)
        slot_count = DIFF_SLOT_COUNT_MIN;

    diff->slot_shift = 64 - (unsigned)__builtin_ctzll(slot_count);
    memset(diff->slots, 0xff, slot_count * sizeof diff->slots[0]);
    for (size_t place = 0; place + DIFF_WORD <= diff->page_size; place += DIFF_INDEX_STRIDE)
        diff->slots[diff_slot_of(diff, diff_word(diff->base + place))] = (uint16_t)place;
    diff->is_indexed = true;
}

static inline size_t diff_size(const struct diff *diff)
{
    return (size_t)(diff->operation_next - diff->operations) + diff->literal_size;
}

static void diff_put_head(struct diff *diff, size_t start, size_t size, unsigned copy_flag)
{
    assert(start >= diff->told);

    diff->operation_next = diff_put_varint(diff->operation_next, (uint32_t)(start - diff->told));
    diff->last_head = diff->operation_next;
    diff->operation_next =
        diff_put_varint(diff->operation_next, (uint32_t)size << DIFF_HEAD_SHIFT | copy_flag);
    diff->told = start + size;
}

static void diff_put_literal(struct diff *diff, size_t start, size_t size)
{
    diff_put_head(diff, start, size, 0);
    memcpy(diff->literals + diff->literal_size, diff->page + start, size);
    diff->literal_size += size;
}

static void diff_put_copy(struct diff *diff, size_t start, size_t size, ptrdiff_t displacement)
{
    diff_put_head(diff, start, size, DIFF_HEAD_COPY);
    diff->operation_next = diff_put_varint(
        diff->operation_next, (uint32_t)zigzag_encode(displacement - diff->displacement));
    diff->displacement = displacement;
}

/*
 * Where in the base the word at PLACE of the page stands: as far away as in the newest copy, since
 * cells move together, else where the index says. False when it is not found.
 */
static inline bool diff_find(const struct diff *diff, size_t place, size_t *ret)
{
    uint64_t word = diff_word(diff->page + place);

    ptrdiff_t again = (ptrdiff_t)place + diff->displacement;
    if (diff->displacement != 0 && again >= 0 && (size_t)again + DIFF_WORD <= diff->page_size &&
        diff_word(diff->base + again) == word) {
        *ret = (size_t)again;
        return true;
    }
    uint16_t found = diff->slots[diff_slot_of(diff, word)];
    if (word == 0 || found == DIFF_SLOT_EMPTY || diff_word(diff->base + found) != word)
        return false;
    *ret = found;
    return true;
}

struct diff_match {
    size_t start; /* in the page */
    size_t from;  /* in the base */
    size_t size;
};

/* The match around PLACE, grown both ways but not before FLOOR; size 0 when it is too short. */
static inline struct diff_match diff_match_at(const struct diff *diff, size_t place, size_t floor)
{
    struct diff_match match = { .start = place };

    if (place + DIFF_WORD > diff->page_size || !diff_find(diff, place, &match.from))
        return match;

    size_t rest = diff->page_size - (place > match.from ? place : match.from);
    match.size = diff_common_size(diff->page + place, diff->base + match.from, rest);
    while (match.start > floor && match.from > 0 &&
           diff->page[match.start - 1] == diff->base[match.from - 1]) {
        match.start--;
        match.from--;
        match.size++;
    }
    if (match.size < DIFF_COPY_MIN)
        match.size = 0;
    return match;
}

/* Tell the bytes [start, end) by copies where they pay; false when the difference grows too large.
 */
static bool diff_search(struct diff *diff, size_t start, size_t end)
{
    if (!diff->is_indexed)
        diff_index_base(diff);

    size_t literal_start = start;
    for (size_t place = start; place < end;) {
        struct diff_match match = diff_match_at(diff, place, literal_start);
        if (match.size == 0) {
            place++;
            if (diff_size(diff) + (place - literal_start) > diff->size_max)
                return false;
            continue;
        }
        if (match.start > literal_start)
            diff_put_literal(diff, literal_start, match.start - literal_start);
        diff_put_copy(
            diff, match.start, match.size, (ptrdiff_t)match.from - (ptrdiff_t)match.start);
        place = literal_start = match.start + match.size;
        if (diff_size(diff) > diff->size_max)
            return false;
    }
    if (literal_start < end)
        diff_put_literal(diff, literal_start, end - literal_start);
    return true;
}

bool page_diff_encode(struct page_diff_index *index, struct bytes page, struct bytes base,
    uint8_t *operations, uint8_t *literals, struct page_diff_sizes *ret)
{
    assert(page.size == base.size);
    assert(page.size >= PAGE_SIZE_MIN && page.size <= PAGE_SIZE_MAX);

    struct diff diff = {
        .page = page.data,
        .base = base.data,
        .page_size = page.size,
        .size_max = page.size / 4 * 3,
        .operations = operations,
        .operation_next = operations,
        .literals = literals,
        .slots = index->slots,
    };

    for (;;) {
        size_t start = diff.told + diff_common_size(diff.page + diff.told, diff.base + diff.told,
                                       diff.page_size - diff.told);
        if (start == diff.page_size)
            break;
        size_t end = diff_run_end(&diff, start);
        if (end - start < DIFF_SEARCH_MIN)
            diff_put_literal(&diff, start, end - start);
        else if (!diff_search(&diff, start, end))
            return false;
        if (diff_size(&diff) > diff.size_max)
            return false;
    }

    if (diff.last_head == NULL)
        diff_put_head(&diff, 0, 0, 0);
    *diff.last_head |= DIFF_HEAD_LAST;
    ret->operations = (size_t)(diff.operation_next - diff.operations);
    ret->literals = diff.literal_size;
    return true;
}

struct diff_operation {
    size_t skip;
    size_t size;
    size_t from; /* in the base, when it copies */
    bool is_copy;
    bool is_last;
};

/*
 * The next operation of a difference that has told TOLD bytes of the page, checked against
 * PAGE_SIZE. DISPLACEMENT is that of the copy before it.
 */
static rc diff_operation_decode(struct diff_operation *ret, struct cursor *cursor, size_t told,
    int64_t *displacement, struct bytes base, struct error *err)
{
    size_t page_size = base.size;
    struct diff_operation operation = { 0 };

    operation.skip = cursor_varint32(cursor);
    uint32_t head = cursor_varint32(cursor);
    operation.is_copy = (head & DIFF_HEAD_COPY) != 0;
    operation.is_last = (head & DIFF_HEAD_LAST) != 0;
    operation.size = head >> DIFF_HEAD_SHIFT;
    uint64_t change = operation.is_copy ? cursor_varint32(cursor) : 0;

    if (cursor->failed)
        FAIL(err, RC_CORRUPT, "difference is cut off");
    if (operation.skip > page_size - told)
        FAIL(err, RC_CORRUPT, "difference skips behind the page");
    size_t start = told + operation.skip;
    if (operation.size > page_size - start)
        FAIL(err, RC_CORRUPT, "difference writes behind the page");
    if (operation.size == 0 && (operation.is_copy || !operation.is_last || start != 0))
        FAIL(err, RC_CORRUPT, "difference holds an empty operation");

    if (operation.is_copy) {
        *displacement += zigzag_decode(change);
        int64_t from = (int64_t)start + *displacement;
        if (from < 0 || from > (int64_t)(page_size - operation.size))
            FAIL(err, RC_CORRUPT, "difference copies from outside the page");
        operation.from = (size_t)from;
    }
    *ret = operation;
    return RC_OK;
}

rc page_diff_measure(
    struct page_diff_sizes *ret, struct bytes operations, uint32_t page_size, struct error *err)
{
    struct cursor cursor = cursor_over(operations);
    struct bytes page = bytes_of(NULL, page_size); /* only its size is looked at */
    struct diff_operation operation = { 0 };
    int64_t displacement = 0;
    size_t told = 0;
    size_t literal_size = 0;

    while (!operation.is_last) {
        TRY(diff_operation_decode(&operation, &cursor, told, &displacement, page, err));
        told += operation.skip + operation.size;
        if (!operation.is_copy)
            literal_size += operation.size;
    }
    *ret = (struct page_diff_sizes){
        .operations = operations.size - cursor.rest.size,
        .literals = literal_size,
    };
    return RC_OK;
}

rc page_diff_apply(struct bytes operations, struct bytes literals, struct bytes base, uint8_t *out,
    struct error *err)
{
    struct cursor cursor = cursor_over(operations);
    struct cursor literal_cursor = cursor_over(literals);
    struct diff_operation operation = { 0 };
    int64_t displacement = 0;
    size_t told = 0;

    while (!operation.is_last) {
        TRY(diff_operation_decode(&operation, &cursor, told, &displacement, base, err));
        memcpy(out + told, base.data + told, operation.skip);
        told += operation.skip;
        struct bytes from = operation.is_copy ? bytes_part(base, operation.from, operation.size)
                                              : cursor_bytes(&literal_cursor, operation.size);
        if (literal_cursor.failed)
            FAIL(err, RC_CORRUPT, "difference needs more literals than there are");
        if (from.size > 0)
            memcpy(out + told, from.data, from.size);
        told += from.size;
    }
    memcpy(out + told, base.data + told, base.size - told);

    if (!cursor_is_spent(&cursor) || !cursor_is_spent(&literal_cursor))
        FAIL(err, RC_CORRUPT, "difference leaves bytes over");
    return RC_OK;
}
