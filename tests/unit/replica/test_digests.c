/*
 * digests: those of all pages, at every transaction
 */
#include "model.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/text.h"

struct digest_check {
    const struct model *model;
    const struct model_version *version;
    uint32_t next;
    uint64_t sum;
};

static rc digest_each(void *payload, uint32_t pgno, uint64_t digest, struct error *err)
{
    struct digest_check *check = payload;
    (void)err;

    assert_int_equal(pgno, check->next);
    check->next++;
    check->sum += digest;
    return RC_OK;
}

static void page_digests_add_up_at_every_transaction(void **state)
{
    struct error err;
    struct model *model = model_new(106, 512);
    (void)state;

    model_snapshot(model);
    model_run(model, 60, true);
    for (uint64_t txid = 1; txid <= model->txid; txid++) {
        struct replica_position position = model_position(model, txid);
        struct digest_check check = {
            .model = model,
            .version = &model->versions[txid],
            .next = 1,
        };
        CHECK_OK(replica_each_page_digest(
            model->replica, &position, model->folder, digest_each, &check, &err));
        assert_int_equal(check.next, check.version->page_count + 1);
        assert_int_equal(check.sum, check.version->digest);
    }
    struct replica_position wrong = model_position(model, model->txid);
    wrong.digest++;
    struct digest_check none = { .model = model };
    CHECK_RC(
        replica_each_page_digest(model->replica, &wrong, model->folder, digest_each, &none, &err),
        RC_MISMATCH);
    wrong = model_position(model, model->txid);
    wrong.txid++;
    CHECK_RC(
        replica_each_page_digest(model->replica, &wrong, model->folder, digest_each, &none, &err),
        RC_NOT_FOUND);
    assert_int_equal(none.next, 0);
    model_free(model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(page_digests_add_up_at_every_transaction),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
