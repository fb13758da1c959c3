/* page_set: members once, ascending, whether groups are arrays or bitmaps */
#include "history.h"
#include "segment/page_set.h"

#include "base/alloc.h"
#include "harness/check.h"

#include <stdlib.h>

struct expectation {
    const uint8_t *is_member;
    uint32_t next;
    uint64_t count;
};

static rc expect_member(void *payload, uint32_t pgno, struct error *err)
{
    struct expectation *expectation = payload;

    (void)err;
    for (; expectation->next < pgno; expectation->next++)
        assert_int_equal(expectation->is_member[expectation->next], 0);
    assert_int_equal(expectation->is_member[pgno], 1);
    expectation->next = pgno + 1;
    expectation->count++;
    return RC_OK;
}

static void check_set(uint32_t limit, uint32_t add_count)
{
    struct error err = { 0 };
    struct noise noise = { limit };
    auto_page_set struct page_set set = PAGE_SET_INIT;
    auto_free uint8_t *is_member = mem_new((size_t)limit + 1);
    struct expectation expectation = { .is_member = is_member };

    for (uint32_t index = 0; index < add_count; index++) {
        uint32_t pgno = 1 + noise_below(&noise, limit);
        page_set_add(&set, pgno);
        is_member[pgno] = 1;
    }
    CHECK_OK(page_set_each(&set, expect_member, &expectation, &err));
    for (; expectation.next <= limit; expectation.next++)
        assert_int_equal(is_member[expectation.next], 0);
    assert_int_equal(set.count, expectation.count);

    uint64_t count = 0;
    uint32_t before = 0;
    for (uint32_t pgno = page_set_after(&set, 0); pgno != 0; pgno = page_set_after(&set, pgno)) {
        assert_true(pgno > before);
        assert_int_equal(is_member[pgno], 1);
        before = pgno;
        count++;
    }
    assert_int_equal(count, set.count);
    for (uint32_t pgno = 1; pgno <= limit; pgno += 1 + pgno / 1000)
        assert_int_equal(page_set_has(&set, pgno), is_member[pgno]);
}

static void sparse_groups_hold_their_members(void **state)
{
    (void)state;
    check_set(3000000, 5000);
}

static void dense_groups_hold_their_members(void **state)
{
    (void)state;
    check_set(150000, 400000);
}

static void both_ends_of_the_range_are_members(void **state)
{
    (void)state;
    auto_page_set struct page_set set = PAGE_SET_INIT;
    page_set_add(&set, UINT32_MAX);
    page_set_add(&set, 1);
    page_set_add(&set, UINT32_MAX);
    assert_int_equal(set.count, 2);
    assert_int_equal(set.group_count, 2);
    assert_int_equal(page_set_after(&set, 0), 1);
    assert_int_equal(page_set_after(&set, 1), UINT32_MAX);
    assert_int_equal(page_set_after(&set, UINT32_MAX), 0);
}

static rc refuse(void *payload, uint32_t pgno, struct error *err)
{
    uint32_t *seen = payload;
    *seen = pgno;
    FAIL(err, RC_CANCELLED, "enough");
}

static void a_refusal_stops_the_walk(void **state)
{
    (void)state;
    struct error err = { 0 };
    uint32_t seen = 0;
    auto_page_set struct page_set set = PAGE_SET_INIT;
    page_set_add(&set, 9);
    page_set_add(&set, 5);
    CHECK_RC(page_set_each(&set, refuse, &seen, &err), RC_CANCELLED);
    assert_int_equal(seen, 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sparse_groups_hold_their_members),
        cmocka_unit_test(dense_groups_hold_their_members),
        cmocka_unit_test(both_ends_of_the_range_are_members),
        cmocka_unit_test(a_refusal_stops_the_walk),
    };
    return cmocka_run_group_tests_name("segment/page_set", tests, NULL, NULL);
}
