/*
 * replica: looking, making, claiming, storing
 */
#include "model.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fs.h"
#include "base/text.h"

static void nothing_there_is_an_answer(void **state)
{
    struct error err;
    struct store *store = NULL;
    char folder[] = "/tmp/seawal-replica-XXXXXX";
    (void)state;

    assert_non_null(mkdtemp(folder));
    struct store_options none = { 0 };
    CHECK_OK(store_open(&store, folder, &none, &err));
    struct replica *replica = replica_new(store);
    struct replica_info info;
    CHECK_RC(replica_inspect(replica, &info, &err), RC_NOT_FOUND);
    struct restore_plan plan;
    struct restore_target newest = { .kind = RESTORE_NEWEST };
    CHECK_RC(restore_plan_make(&plan, replica, &newest, &err), RC_NOT_FOUND);
    struct history history;
    CHECK_RC(history_read(&history, replica, &err), RC_NOT_FOUND);
    replica_free(replica);
    store_free(store);
    rmdir(folder);
}

static void creating_twice_is_refused(void **state)
{
    struct error err;
    struct model *model = model_new(101, 1024);
    (void)state;

    struct replica_create_options create = { .page_size = 4096, .writer = "late", .time_ms = 5 };
    struct database_id id;
    CHECK_RC(replica_create(model->replica, &create, &id, &err), RC_EXISTS);
    struct replica_info info;
    CHECK_OK(replica_inspect(model->replica, &info, &err));
    assert_memory_equal(&info.database_id, &model->id, sizeof model->id);
    assert_int_equal(info.page_size, 1024);
    assert_int_equal(info.newest_timeline.timeline, 1);
    assert_string_equal(info.newest_timeline.writer, "test");
    assert_true(info.newest_timeline.own_snapshot);
    assert_int_equal(info.position.txid, 0);
    assert_int_equal(info.object_count, 0);
    model_free(model);
}

static void inspect_tells_the_newest_position(void **state)
{
    struct error err;
    struct replica_info info;
    struct model *model = model_new(102, 512);
    (void)state;

    model_snapshot(model);
    CHECK_OK(replica_inspect(model->replica, &info, &err));
    model_check_position(&info.position, model, 1);
    assert_int_equal(info.newest_snapshot_txid, 1);
    assert_int_equal(info.log_size_since_snapshot, 0);
    for (unsigned i = 0; i < 10; i++) {
        model_run(model, 6, true);
        CHECK_OK(replica_inspect(model->replica, &info, &err));
        model_check_position(&info.position, model, model->txid);
    }
    assert_true(info.newest_snapshot_txid > 1);

    uint64_t end = model->txid;
    model_branch(model, end);
    CHECK_OK(replica_inspect(model->replica, &info, &err));
    assert_int_equal(info.newest_timeline.timeline, 2);
    assert_int_equal(info.newest_timeline.parent_timeline, 1);
    assert_int_equal(info.newest_timeline.parent_txid, end);
    assert_int_equal(info.newest_timeline.parent_digest, model->versions[end].digest);
    model_check_position(&info.position, model, end);
    model_run(model, 3, false);
    CHECK_OK(replica_inspect(model->replica, &info, &err));
    assert_int_equal(info.position.timeline, 2);
    model_check_position(&info.position, model, model->txid);
    model_free(model);
}

/* An unfinished snapshot does not count; the one before it does. */
static void an_incomplete_snapshot_is_passed_over(void **state)
{
    struct error err;
    struct replica_info info;
    struct model *model = model_new(103, 512);
    (void)state;

    model_snapshot(model);
    model_run(model, 5, false);
    uint64_t stored = model->txid;
    model_snapshot_begin(model);
    model_commit(model);
    while (model_snapshot_step(model))
        ;
    model_snapshot_end(model); /* usable from a transaction on that is not stored yet */
    CHECK_OK(replica_inspect(model->replica, &info, &err));
    model_check_position(&info.position, model, stored);
    assert_int_equal(info.newest_snapshot_txid, 1);
    model_store_segment(model);
    CHECK_OK(replica_inspect(model->replica, &info, &err));
    model_check_position(&info.position, model, model->txid);
    assert_int_equal(info.newest_snapshot_txid, stored);
    model_free(model);
}

struct claimer {
    struct replica *replica;
    uint32_t timelines[8];
};

static void *claim_thread(void *payload)
{
    struct claimer *claimer = payload;

    for (size_t i = 0; i < array_count(claimer->timelines); i++) {
        struct replica_claim_options claim = { .page_size = 512, .writer = "racer", .time_ms = 1 };
        if (replica_claim_timeline(claimer->replica, &claim, &claimer->timelines[i], NULL) != RC_OK)
            claimer->timelines[i] = 0;
    }
    return NULL;
}

static void racing_claims_get_different_timelines(void **state)
{
    struct error err;
    struct model *model = model_new(104, 512);
    struct claimer claimers[4];
    pthread_t threads[array_count(claimers)];
    bool is_seen[2 + 4 * 8] = { false };
    (void)state;

    for (size_t i = 0; i < array_count(claimers); i++) {
        claimers[i] = (struct claimer){ .replica = model->replica };
        assert_int_equal(pthread_create(&threads[i], NULL, claim_thread, &claimers[i]), 0);
    }
    for (size_t i = 0; i < array_count(claimers); i++) {
        pthread_join(threads[i], NULL);
        for (size_t k = 0; k < array_count(claimers[i].timelines); k++) {
            uint32_t timeline = claimers[i].timelines[k];
            assert_in_range(timeline, 2, array_count(is_seen) - 1);
            assert_false(is_seen[timeline]);
            is_seen[timeline] = true;
        }
    }
    struct replica_timeline successor;
    CHECK_OK(replica_successor(model->replica, 1, &successor, &err));
    assert_int_equal(successor.timeline, 2);
    assert_string_equal(successor.writer, "racer");
    CHECK_OK(replica_successor(model->replica, array_count(is_seen) - 1, &successor, &err));
    assert_int_equal(successor.timeline, 0);
    model_free(model);
}

static void a_claim_names_who_made_it(void **state)
{
    struct replica_timeline timeline = { .timeline = 26, .time_ms = 1795255200000 };
    char text[REPLICA_CLAIM_TEXT_SIZE];
    (void)state;

    snprintf(timeline.writer, sizeof timeline.writer, "web-2/4711/00ff");
    replica_claim_describe(text, &timeline);
    assert_string_equal(text,
        "timeline 0000001a, claimed by host 'web-2', process 4711, at 2026-11-21T10:00:00.000Z");
    snprintf(timeline.writer, sizeof timeline.writer, "a person");
    replica_claim_describe(text, &timeline);
    assert_string_equal(
        text, "timeline 0000001a, claimed by 'a person' at 2026-11-21T10:00:00.000Z");
}

static rc bytes_read(
    void *payload, uint64_t offset, uint64_t size, struct buf *out, struct error *err)
{
    const struct bytes *bytes = payload;

    return buf_append(out, bytes_part(*bytes, offset, size), err);
}

static void the_same_segment_twice_is_fine_and_another_is_not(void **state)
{
    static const size_t sizes[] = { 100, 3 << 20, 9 << 20 };
    struct error err;
    struct model *model = model_new(105, 512);
    (void)state;

    for (size_t i = 0; i < array_count(sizes); i++) {
        auto_free uint8_t *data = mem_new(sizes[i]);
        memset(data, 'a', sizes[i]);
        struct bytes bytes = bytes_of(data, sizes[i]);
        struct source source = { .read = bytes_read, .payload = &bytes, .size = sizes[i] };
        struct replica_segment segment = {
            .timeline = 1,
            .level = (unsigned)i,
            .name = { .min_txid = i + 2, .max_txid = i + 2, .time_ms = 1 },
        };
        CHECK_OK(replica_put_segment(model->replica, &segment, &source, &err));
        CHECK_OK(replica_put_segment(model->replica, &segment, &source, &err));
        size_t places[] = { 0, sizes[i] / 2, sizes[i] - 1 };
        for (size_t k = 0; k < array_count(places); k++) {
            data[places[k]] = 'b';
            CHECK_RC(replica_put_segment(model->replica, &segment, &source, &err), RC_MISMATCH);
            assert_non_null(strstr(err.text, "another process"));
            data[places[k]] = 'a';
        }
        source.size--;
        CHECK_RC(replica_put_segment(model->replica, &segment, &source, &err), RC_MISMATCH);
        auto_buf struct buf stored = BUF_INIT(16 << 20);
        char key[REPLICA_KEY_SIZE];
        struct restore_object object = {
            .timeline = 1,
            .kind = segment.level == 0 ? SEGMENT_LOG : SEGMENT_MERGED,
            .level = segment.level,
            .name = segment.name,
        };
        restore_object_key(key, &object);
        CHECK_OK(store_get(model->store, key, 0, 0, &stored, &err));
        assert_true(bytes_equal(buf_bytes(&stored), bytes));
    }
    model_free(model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_there_is_an_answer),
        cmocka_unit_test(creating_twice_is_refused),
        cmocka_unit_test(inspect_tells_the_newest_position),
        cmocka_unit_test(an_incomplete_snapshot_is_passed_over),
        cmocka_unit_test(racing_claims_get_different_timelines),
        cmocka_unit_test(a_claim_names_who_made_it),
        cmocka_unit_test(the_same_segment_twice_is_fine_and_another_is_not),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
