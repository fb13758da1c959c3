/*
 * chain: a timeline with its parents, from names alone
 */
#include "harness/check.h"

#include "base/alloc.h"
#include "names.h"

static void impossible_parents_are_refused(void **state)
{
    struct error err;
    auto_catalog struct catalog catalog = CATALOG_INIT;
    auto_chain struct chain chain = CHAIN_INIT;
    (void)state;

    names_claim(&catalog, 2, 1, 9, false);
    CHECK_RC(chain_build(&chain, &catalog, 0, &err), RC_CORRUPT);
    names_claim(&catalog, 1, 0, 0, true);
    names_claim(&catalog, 3, 2, 8, false);
    CHECK_OK(chain_build(&chain, &catalog, catalog_find(&catalog, 2), &err));
    chain_release(&chain);
    CHECK_RC(chain_build(&chain, &catalog, catalog_find(&catalog, 3), &err), RC_CORRUPT);
}

static void segments_need_a_claimed_timeline(void **state)
{
    struct error err;
    auto_catalog struct catalog catalog = { .has_header = true };
    (void)state;

    CHECK_OK(catalog_check(&catalog, &err));
    names_add_log(&catalog, 7, 2, 3);
    CHECK_RC(catalog_check(&catalog, &err), RC_CORRUPT);
    names_claim(&catalog, 7, 0, 0, true);
    CHECK_OK(catalog_check(&catalog, &err));
    catalog.has_header = false;
    CHECK_RC(catalog_check(&catalog, &err), RC_CORRUPT);
}

static void a_transaction_belongs_to_the_span_that_made_it(void **state)
{
    struct error err;
    auto_catalog struct catalog catalog = CATALOG_INIT;
    auto_chain struct chain chain = CHAIN_INIT;
    (void)state;

    names_claim(&catalog, 1, 0, 0, true);
    names_claim(&catalog, 2, 1, 9, false);
    names_claim(&catalog, 3, 2, 12, false);
    names_claim(&catalog, 4, 3, 12, false); /* behind one that has nothing of its own */
    names_claim(&catalog, 5, 4, 20, true);
    CHECK_OK(chain_build(&chain, &catalog, catalog_find(&catalog, 5), &err));
    static const struct {
        size_t first;
        uint64_t txid;
        size_t span;
    } all[] = { { 0, 9, 0 }, { 0, 10, 1 }, { 0, 12, 1 }, { 0, 13, 3 }, { 1, 12, 1 }, { 2, 13, 3 },
        { 0, 20, 3 }, { 4, 25, 4 }, { 4, 21, 4 } };
    for (size_t i = 0; i < array_count(all); i++)
        assert_int_equal(chain_span_of(&chain, all[i].first, all[i].txid), all[i].span);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(impossible_parents_are_refused),
        cmocka_unit_test(segments_need_a_claimed_timeline),
        cmocka_unit_test(a_transaction_belongs_to_the_span_that_made_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
