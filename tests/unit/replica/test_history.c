/*
 * history: what people and programs are told
 */
#include "model.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/text.h"

static void history_tells_windows_of_every_timeline(void **state)
{
    struct error err;
    struct model *model = model_new(107, 512);
    (void)state;

    model_snapshot(model);
    model_run(model, 40, false);
    uint64_t first_end = model->txid;
    int64_t first_end_ms = model->now_ms;
    model_branch(model, 20);
    model_run(model, 10, false);

    auto_history struct history history = HISTORY_INIT;
    CHECK_OK(history_read(&history, model->replica, &err));
    assert_int_equal(history.timeline_count, 2);
    assert_int_equal(history.gap_count, 0);
    const struct history_timeline *first = &history.timelines[0];
    assert_int_equal(first->info.timeline, 1);
    assert_int_equal(first->snapshot_count, 1);
    assert_int_equal(first->snapshots[0].usable_txid, 1);
    assert_int_equal(first->window_count, 1);
    assert_int_equal(first->windows[0].first_txid, 1);
    assert_int_equal(first->windows[0].last_txid, first_end);
    assert_int_equal(first->windows[0].first_ms, model->versions[1].time_ms);
    assert_int_equal(first->windows[0].last_ms, first_end_ms);
    assert_true(first->segment_count > 1);
    const struct history_timeline *second = &history.timelines[1];
    assert_int_equal(second->info.parent_txid, 20);
    assert_int_equal(second->window_count, 1);
    assert_int_equal(second->windows[0].first_txid, 21);
    assert_int_equal(second->windows[0].last_txid, 30);
    assert_int_equal(second->windows[0].last_ms, model->versions[30].time_ms);
    model_free(model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(history_tells_windows_of_every_timeline),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
