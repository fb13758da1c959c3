/* Which files this process has open as databases. */
#include "../../../src/sqlite/inode_claim_priv.h"

#include "harness/check.h"

static void a_file_has_one_owner_at_a_time(void **state)
{
    struct inode_claim first = INODE_CLAIM_INIT;
    struct inode_claim second = INODE_CLAIM_INIT;
    struct inode_claim third = INODE_CLAIM_INIT;

    (void)state;
    assert_false(inode_is_claimed(1, 2));
    assert_true(inode_claim_take(&first, 1, 2));
    assert_true(inode_is_claimed(1, 2));
    assert_false(inode_is_claimed(2, 1));
    assert_false(inode_claim_take(&second, 1, 2));
    assert_true(inode_claim_take(&second, 2, 2)); /* another device */
    assert_true(inode_claim_take(&third, 1, 3));  /* another inode */

    inode_claim_drop(&second); /* from the middle of the list */
    assert_false(inode_is_claimed(2, 2));
    assert_true(inode_is_claimed(1, 2));
    assert_true(inode_is_claimed(1, 3));
    inode_claim_drop(&first);
    inode_claim_drop(&first);
    inode_claim_drop(&third);
    assert_false(inode_is_claimed(1, 2));
    assert_true(inode_claim_take(&second, 1, 2));
    inode_claim_drop(&second);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file_has_one_owner_at_a_time),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
