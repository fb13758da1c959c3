/* page_diff: every difference rebuilds its page, and no bytes make the decoder leave its bounds */
#include "history.h"
#include "page_diff_priv.h"

#include "base/alloc.h"
#include "harness/check.h"

#include <stdlib.h>

static struct page_diff_index diff_index;

struct pair {
    uint8_t base[PAGE_SIZE_MAX];
    uint8_t page[PAGE_SIZE_MAX];
    uint8_t out[PAGE_SIZE_MAX];
    uint8_t operations[PAGE_SIZE_MAX + PAGE_DIFF_SLACK];
    uint8_t literals[PAGE_SIZE_MAX + PAGE_DIFF_SLACK];
    struct page_diff_sizes sizes;
    size_t page_size;
};

static bool pair_encode(struct pair *pair)
{
    return page_diff_encode(&diff_index, bytes_of(pair->page, pair->page_size),
        bytes_of(pair->base, pair->page_size), pair->operations, pair->literals, &pair->sizes);
}

static rc pair_apply(struct pair *pair, struct error *err)
{
    memset(pair->out, 0xee, pair->page_size);
    return page_diff_apply(bytes_of(pair->operations, pair->sizes.operations),
        bytes_of(pair->literals, pair->sizes.literals), bytes_of(pair->base, pair->page_size),
        pair->out, err);
}

static void check_pair(struct pair *pair)
{
    struct error err = { 0 };
    struct page_diff_sizes measured;

    if (!pair_encode(pair))
        return;
    assert_true(pair->sizes.operations + pair->sizes.literals <= pair->page_size * 3 / 4);
    /* What follows the operations must not matter: they end by themselves. */
    CHECK_OK(page_diff_measure(&measured, bytes_of(pair->operations, sizeof pair->operations),
        (uint32_t)pair->page_size, &err));
    assert_int_equal(measured.operations, pair->sizes.operations);
    assert_int_equal(measured.literals, pair->sizes.literals);
    CHECK_OK(pair_apply(pair, &err));
    assert_memory_equal(pair->out, pair->page, pair->page_size);
}

static void edited_pages_of_every_size_come_back(void **state)
{
    (void)state;
    auto_free struct pair *pair = mem_new(sizeof *pair);
    struct noise noise = { 42 };

    for (uint32_t size = PAGE_SIZE_MIN; size <= PAGE_SIZE_MAX; size *= 2) {
        pair->page_size = size;
        memset(pair->page, 0, size);
        for (unsigned round = 0; round < 300; round++) {
            memcpy(pair->base, pair->page, size);
            for (unsigned edit = noise_below(&noise, 4); edit < 4; edit++)
                history_edit_page(&noise, pair->page, size);
            check_pair(pair);
        }
    }
}

static void single_byte_changes_at_every_place_come_back(void **state)
{
    (void)state;
    auto_free struct pair *pair = mem_new(sizeof *pair);
    struct noise noise = { 43 };

    pair->page_size = 512;
    noise_fill(&noise, pair->base, 512);
    for (size_t place = 0; place < 512; place++) {
        memcpy(pair->page, pair->base, 512);
        pair->page[place] ^= 0x40;
        check_pair(pair);
        assert_int_equal(pair->sizes.literals, 1);
    }
}

static void equal_pages_take_two_bytes(void **state)
{
    (void)state;
    auto_free struct pair *pair = mem_new(sizeof *pair);

    pair->page_size = 4096;
    check_pair(pair);
    assert_int_equal(pair->sizes.operations, 2);
    assert_int_equal(pair->sizes.literals, 0);
}

static void moved_cells_are_copied(void **state)
{
    (void)state;
    auto_free struct pair *pair = mem_new(sizeof *pair);
    struct noise noise = { 44 };

    pair->page_size = 4096;
    noise_fill(&noise, pair->base, 4096);
    memcpy(pair->page, pair->base, 4096);
    memmove(pair->page + 1000, pair->base + 1100, 2000);
    check_pair(pair);
    assert_true(pair->sizes.literals < 16);
    assert_true(pair->sizes.operations < 32);
}

static void pages_without_likeness_are_refused(void **state)
{
    (void)state;
    auto_free struct pair *pair = mem_new(sizeof *pair);
    struct noise noise = { 45 };

    pair->page_size = 4096;
    noise_fill(&noise, pair->base, 4096);
    noise_fill(&noise, pair->page, 4096);
    assert_false(pair_encode(pair));
}

/* Run under the sanitizers this shows that no operation reads or writes outside of its pages. */
static void damaged_operations_stay_inside_the_page(void **state)
{
    (void)state;
    auto_free struct pair *pair = mem_new(sizeof *pair);
    struct noise noise = { 46 };
    unsigned refused = 0;

    pair->page_size = 1024;
    for (unsigned round = 0; round < 20000; round++) {
        noise_fill(&noise, pair->base, 64);
        memcpy(pair->page, pair->base, 1024);
        memmove(pair->page + 100, pair->page + 120, 500);
        noise_fill(&noise, pair->page + 20, 4);
        if (!pair_encode(pair))
            continue;
        size_t place = noise_below(&noise, (uint32_t)pair->sizes.operations);
        pair->operations[place] = (uint8_t)noise_next(&noise);
        struct error err = { 0 };
        rc result = pair_apply(pair, &err);
        assert_true(result == RC_OK || result == RC_CORRUPT);
        refused += result == RC_CORRUPT;
    }
    assert_true(refused > 1000);
}

struct malformed {
    const char *what;
    uint8_t operations[12];
    size_t size;
    size_t literal_size;
};

static void malformed_differences_are_corrupt(void **state)
{
    (void)state;
    static const struct malformed table[] = {
        { "nothing", { 0 }, 0, 0 },
        { "no last operation", { 1, 1 << 2 }, 2, 1 },
        { "skip behind the page", { 0x80, 0x20, 2 }, 3, 0 },
        { "literal behind the page", { 0xff, 0x03, 2 << 2 | 2 }, 3, 2 },
        { "copy of nothing", { 0, 3, 0 }, 3, 0 },
        { "nothing behind a skip", { 1, 2 }, 2, 0 },
        { "nothing that is not last", { 0, 0, 0, 2 }, 4, 0 },
        { "copy from before the page", { 0, 1 << 2 | 3, 1 }, 3, 0 },
        { "copy from behind the page", { 0, 0x83, 0x08, 0x82, 0x20 }, 5, 0 },
        { "too few literals", { 0, 2 << 2 | 2 }, 2, 1 },
        { "too many literals", { 0, 2 << 2 | 2 }, 2, 3 },
        { "bytes behind the last operation", { 0, 1 << 2 | 2, 0 }, 3, 1 },
        { "a number that is not minimal", { 0x80, 0x00, 2 }, 3, 0 },
    };
    uint8_t base[512] = { 0 };
    uint8_t out[512];
    uint8_t literals[8] = { 0 };

    for (size_t index = 0; index < array_count(table); index++) {
        struct error err = { 0 };
        rc result = page_diff_apply(bytes_of(table[index].operations, table[index].size),
            bytes_of(literals, table[index].literal_size), bytes_of(base, sizeof base), out, &err);
        if (result != RC_CORRUPT)
            fail_msg("%s: %s", table[index].what, rc_name(result));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(edited_pages_of_every_size_come_back),
        cmocka_unit_test(single_byte_changes_at_every_place_come_back),
        cmocka_unit_test(equal_pages_take_two_bytes),
        cmocka_unit_test(moved_cells_are_copied),
        cmocka_unit_test(pages_without_likeness_are_refused),
        cmocka_unit_test(damaged_operations_stay_inside_the_page),
        cmocka_unit_test(malformed_differences_are_corrupt),
    };
    return cmocka_run_group_tests_name("segment/page_diff", tests, NULL, NULL);
}
