/*
 * log_end: where the log of one timeline ends, whether it restores or not
 */
#include "model.h"

#include <stdio.h>
#include <unistd.h>

#include "base/alloc.h"

static void check_end(const struct model *model, uint32_t timeline, uint64_t txid)
{
    struct error err;
    struct replica_position end;

    CHECK_OK(replica_log_end(model->replica, timeline, &end, &err));
    assert_int_equal(end.txid, txid);
    if (txid != 0)
        model_check_position(&end, model, txid);
}

static void a_timeline_without_segments_has_no_end(void **state)
{
    struct model *model = model_new(501, 512);
    (void)state;

    check_end(model, 1, 0);
    check_end(model, 7, 0); /* nor one that nobody claimed */
    model_snapshot(model);
    check_end(model, 1, 0);
    model_free(model);
}

/* What restores is not asked: no snapshot is there, and later one that is newer than the log. */
static void the_newest_segment_ends_it(void **state)
{
    struct model *model = model_new(502, 512);
    (void)state;

    for (unsigned i = 0; i < 20; i++) {
        model_commit(model);
        model_commit(model);
        model_store_segment(model);
        check_end(model, 1, model->txid);
    }
    uint64_t stored = model->txid;
    model_commit(model);
    model_snapshot(model);
    check_end(model, 1, stored);
    model_store_segment(model);
    check_end(model, 1, stored + 1);
    model_free(model);
}

static void a_gap_before_it_does_not_matter(void **state)
{
    struct model *model = model_new(503, 512);
    (void)state;

    model_snapshot(model);
    for (unsigned i = 0; i < 8; i++) {
        model_commit(model);
        model_store_segment(model);
    }
    model_remove_logs(model, 4, 6);
    check_end(model, 1, model->txid);
    model_free(model);
}

static void a_merged_segment_counts(void **state)
{
    struct model *model = model_new(504, 512);
    (void)state;

    model_snapshot(model);
    for (unsigned i = 0; i < 10; i++)
        model_commit(model);
    model_store_segment(model);
    uint64_t first = model->txid + 1;
    for (unsigned i = 0; i < 10; i++) {
        model_commit(model);
        model_store_segment(model);
    }
    struct model_merge merge = { .level = 1, .first = first, .last = model->txid };
    model_store_merged(model, &merge);
    check_end(model, 1, model->txid);
    model_remove_logs(model, first, model->txid);
    check_end(model, 1, model->txid);
    /* One of a higher level that ends earlier is not the end. */
    struct model_merge higher = { .level = 2, .first = 2, .last = first + 3 };
    model_store_merged(model, &higher);
    check_end(model, 1, model->txid);
    model_free(model);
}

static void each_timeline_has_its_own(void **state)
{
    struct model *model = model_new(505, 512);
    (void)state;

    model_snapshot(model);
    model_run(model, 6, false);
    model_store_segment(model);
    uint64_t first = model->txid;
    model_branch(model, first);
    check_end(model, 1, first);
    check_end(model, 2, 0);
    model_run(model, 3, false);
    model_store_segment(model);
    check_end(model, 1, first);
    check_end(model, 2, model->txid);
    model_free(model);
}

static void a_name_that_lies_is_damage(void **state)
{
    struct error err;
    struct replica_position end = { .txid = 77 };
    struct model *model = model_new(506, 512);
    size_t count = 0;
    (void)state;

    model_snapshot(model);
    for (unsigned i = 0; i < 3; i++) {
        model_commit(model);
        model_store_segment(model);
    }
    char **paths = model_objects(model, "/0/", &count);
    assert_int_equal(count, 3);
    CHECK_OK(replica_log_end(model->replica, 1, &end, &err));
    auto_free char *aside = model_path(model, "aside");
    assert_int_equal(rename(paths[2], aside), 0);
    assert_int_equal(link(paths[1], paths[2]), 0);
    CHECK_RC(replica_log_end(model->replica, 1, &end, &err), RC_CORRUPT);

    assert_int_equal(unlink(paths[2]), 0);
    assert_int_equal(rename(aside, paths[2]), 0);
    CHECK_OK(replica_log_end(model->replica, 1, &end, &err));
    assert_int_equal(truncate(paths[2], 40), 0);
    CHECK_RC(replica_log_end(model->replica, 1, &end, &err), RC_CORRUPT);
    model_objects_free(paths, count);
    model_free(model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_timeline_without_segments_has_no_end),
        cmocka_unit_test(the_newest_segment_ends_it),
        cmocka_unit_test(a_gap_before_it_does_not_matter),
        cmocka_unit_test(a_merged_segment_counts),
        cmocka_unit_test(each_timeline_has_its_own),
        cmocka_unit_test(a_name_that_lies_is_damage),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
