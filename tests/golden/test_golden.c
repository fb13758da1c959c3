/*
 * golden: what was written by version 1 is read by this version, and means the same
 *
 *   test_golden FOLDER
 */
#include "base/alloc.h"
#include "base/fs.h"
#include "base/path.h"
#include "codec/digest.h"
#include "harness/check.h"
#include "history.h"

#include <stdlib.h>

static const char *golden_folder;

static void golden_read(const char *name, struct memory_object *ret)
{
    struct error err = { 0 };
    auto_free char *path = path_join(golden_folder, name);
    CHECK_OK(fs_read_file(&ret->bytes, path, &err));
}

static void check_identity(const struct segment_identity *identity, enum segment_kind kind)
{
    assert_int_equal(identity->kind, kind);
    assert_memory_equal(identity->database_id.bytes, "0123456789abcdef", DATABASE_ID_SIZE);
    assert_int_equal(identity->timeline, 7);
    assert_int_equal(identity->page_size, 512);
}

/* A digest over all pages that does not come from the segment itself. */
static uint64_t content_digest(const struct history *history)
{
    return bytes_digest(bytes_of(history->pages, (size_t)history->page_count * history->page_size));
}

static void the_snapshot_restores(void **state)
{
    (void)state;
    struct error err = { 0 };
    auto_memory_object struct memory_object object = MEMORY_OBJECT_INIT;
    auto_history struct history history = { 0 };

    golden_read("v1-snapshot.seg", &object);
    CHECK_OK(history_restore(&history, &object, &err));
    assert_int_equal(history.page_size, 512);
    assert_int_equal(history.page_count, 10);
    assert_int_equal(history.txid, 1);
    assert_int_equal(history.time_ms, INT64_C(1790000000000));
    assert_int_equal(history.digest, UINT64_C(0x755401aef9b28106));
    assert_int_equal(content_digest(&history), UINT64_C(0xc1eadf2ab3d6f598));
}

static void the_snapshot_says_what_it_is(void **state)
{
    (void)state;
    struct error err = { 0 };
    auto_memory_object struct memory_object object = MEMORY_OBJECT_INIT;
    struct segment_reader *reader;

    golden_read("v1-snapshot.seg", &object);
    CHECK_OK(segment_reader_open(&reader, memory_object_source(&object), &err));
    const struct segment_identity *identity = segment_reader_identity(reader);
    check_identity(identity, SEGMENT_SNAPSHOT);
    assert_int_equal(identity->min_txid, 1);
    assert_int_equal(segment_reader_summary(reader)->frame_count, 10);
    assert_int_equal(segment_reader_summary(reader)->stored_size, object.bytes.size);
    segment_reader_free(reader);
}

static void the_log_replays_on_the_snapshot(void **state)
{
    (void)state;
    struct error err = { 0 };
    auto_memory_object struct memory_object snapshot = MEMORY_OBJECT_INIT;
    auto_memory_object struct memory_object log = MEMORY_OBJECT_INIT;
    auto_history struct history history = { 0 };

    golden_read("v1-snapshot.seg", &snapshot);
    golden_read("v1-log.seg", &log);
    CHECK_OK(history_restore(&history, &snapshot, &err));
    CHECK_OK(history_replay(&history, &log, &err));
    assert_int_equal(history.txid, 13);
    assert_int_equal(history.page_count, 12);
    assert_int_equal(history.digest, UINT64_C(0xa9f5960bc72af516));
    assert_int_equal(content_digest(&history), UINT64_C(0x4f0afddc00152c6f));
}

static void the_log_says_what_it_is(void **state)
{
    (void)state;
    struct error err = { 0 };
    auto_memory_object struct memory_object object = MEMORY_OBJECT_INIT;
    struct segment_reader *reader;

    golden_read("v1-log.seg", &object);
    CHECK_OK(segment_reader_open(&reader, memory_object_source(&object), &err));
    const struct segment_summary *summary = segment_reader_summary(reader);
    check_identity(segment_reader_identity(reader), SEGMENT_LOG);
    assert_int_equal(segment_reader_identity(reader)->min_txid, 2);
    assert_int_equal(segment_reader_identity(reader)->parent_page_count, 10);
    assert_int_equal(segment_reader_identity(reader)->parent_digest, UINT64_C(0x755401aef9b28106));
    assert_int_equal(summary->max_txid, 13);
    assert_int_equal(summary->place.salt[0], 11);
    assert_int_equal(summary->place.salt[1], 12);
    assert_int_equal(summary->place.frame_count, 13);
    assert_int_equal(summary->place.checksum[0], 14);
    assert_int_equal(summary->place.checksum[1], 15);
    assert_int_equal(summary->frame_count, 30);
    segment_reader_free(reader);
}

/* The same transactions as the log's. */
static void the_merged_segment_gives_what_the_log_gives(void **state)
{
    (void)state;
    struct error err = { 0 };
    auto_memory_object struct memory_object snapshot = MEMORY_OBJECT_INIT;
    auto_memory_object struct memory_object merged = MEMORY_OBJECT_INIT;
    auto_history struct history history = { 0 };

    golden_read("v1-snapshot.seg", &snapshot);
    golden_read("v1-merged.seg", &merged);
    CHECK_OK(history_restore(&history, &snapshot, &err));
    CHECK_OK(history_merge(&history, &merged, &err));
    assert_int_equal(history.txid, 13);
    assert_int_equal(history.page_count, 12);
    assert_int_equal(history.digest, UINT64_C(0xa9f5960bc72af516));
    assert_int_equal(content_digest(&history), UINT64_C(0x4f0afddc00152c6f));
}

static void the_merged_segment_says_what_it_is(void **state)
{
    (void)state;
    struct error err = { 0 };
    auto_memory_object struct memory_object object = MEMORY_OBJECT_INIT;
    struct segment_reader *reader;

    golden_read("v1-merged.seg", &object);
    CHECK_OK(segment_reader_open(&reader, memory_object_source(&object), &err));
    const struct segment_identity *identity = segment_reader_identity(reader);
    check_identity(identity, SEGMENT_MERGED);
    assert_int_equal(identity->min_txid, 2);
    assert_int_equal(identity->parent_page_count, 10);
    assert_int_equal(identity->parent_digest, UINT64_C(0x755401aef9b28106));
    assert_int_equal(segment_reader_summary(reader)->max_txid, 13);
    assert_int_equal(segment_reader_summary(reader)->frame_count, 11);
    segment_reader_free(reader);
}

/* The compressor may differ, so bytes may; everything that they mean may not. */
static void what_is_written_today_has_the_same_shape(void **state)
{
    (void)state;
    struct error err = { 0 };
    auto_memory_object struct memory_object golden = MEMORY_OBJECT_INIT;
    auto_memory_object struct memory_object today = MEMORY_OBJECT_INIT;
    auto_history struct history history = history_new(1, 512, 10);
    struct history_plan plan = { .transaction_count = 12, .frames_max = 5, .may_resize = true };
    struct segment_reader *old;
    struct segment_reader *new;

    golden_read("v1-log.seg", &golden);
    history_write_log(&history, &plan, &today, NULL);
    CHECK_OK(segment_reader_open(&old, memory_object_source(&golden), &err));
    CHECK_OK(segment_reader_open(&new, memory_object_source(&today), &err));
    struct segment_summary old_summary = *segment_reader_summary(old);
    struct segment_summary new_summary = *segment_reader_summary(new);
    assert_int_equal(old_summary.digest, new_summary.digest);
    assert_int_equal(old_summary.max_txid, new_summary.max_txid);
    assert_int_equal(old_summary.page_count, new_summary.page_count);
    assert_int_equal(old_summary.first_time_ms, new_summary.first_time_ms);
    assert_int_equal(old_summary.last_time_ms, new_summary.last_time_ms);
    assert_int_equal(old_summary.frame_count, new_summary.frame_count);
    assert_memory_equal(golden.bytes.data, today.bytes.data, 72); /* the header */
    segment_reader_free(old);
    segment_reader_free(new);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_snapshot_says_what_it_is),
        cmocka_unit_test(the_snapshot_restores),
        cmocka_unit_test(the_log_says_what_it_is),
        cmocka_unit_test(the_log_replays_on_the_snapshot),
        cmocka_unit_test(the_merged_segment_says_what_it_is),
        cmocka_unit_test(the_merged_segment_gives_what_the_log_gives),
        cmocka_unit_test(what_is_written_today_has_the_same_shape),
    };
    if (argc != 2)
        return 2;
    golden_folder = argv[1];
    return cmocka_run_group_tests_name("golden", tests, NULL, NULL);
}
