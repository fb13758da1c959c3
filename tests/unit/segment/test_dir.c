/* dir: the folder where capture and replica meet */
#include "segment/dir.h"

#include "base/alloc.h"
#include "harness/check.h"
#include "harness/scratch.h"
#include "history.h"

#include <stdlib.h>

static void add_segment(const char *folder, uint64_t min_txid, uint64_t max_txid, const char *text)
{
    struct error err = { 0 };
    auto_pending_file struct pending_file file = PENDING_FILE_INIT;
    struct segment_name name = { min_txid, max_txid, 1000 };

    CHECK_OK(segment_dir_begin(&file, folder, &err));
    struct sink sink = pending_file_sink(&file);
    CHECK_OK(sink.write(sink.payload, bytes_of_text(text), &err));
    CHECK_OK(segment_dir_commit(&file, folder, &name, &err));
}

static void segments_are_listed_in_order(void **state)
{
    (void)state;
    struct error err = { 0 };
    auto_scratch struct scratch scratch = scratch_new();
    auto_free char *folder = scratch_path(&scratch, "spool");
    auto_segment_list struct segment_list list = SEGMENT_LIST_INIT;

    CHECK_OK(segment_dir_prepare(folder, &err));
    add_segment(folder, 20, 21, "later");
    add_segment(folder, 2, 9, "first");
    add_segment(folder, 10, 19, "middle one");
    CHECK_OK(segment_dir_list(&list, folder, &err));
    assert_int_equal(list.count, 3);
    assert_int_equal(list.entries[0].name.min_txid, 2);
    assert_int_equal(list.entries[1].name.min_txid, 10);
    assert_int_equal(list.entries[1].size, 10);
    assert_int_equal(list.entries[2].name.max_txid, 21);
}

static void an_uncommitted_segment_leaves_nothing(void **state)
{
    (void)state;
    struct error err = { 0 };
    auto_scratch struct scratch scratch = scratch_new();
    auto_segment_list struct segment_list list = SEGMENT_LIST_INIT;
    struct pending_file file = PENDING_FILE_INIT;

    CHECK_OK(segment_dir_begin(&file, scratch.folder, &err));
    assert_int_equal(scratch_name_count(&scratch), 1);
    CHECK_OK(segment_dir_list(&list, scratch.folder, &err));
    assert_int_equal(list.count, 0);
    pending_file_abort(&file);
    assert_int_equal(scratch_name_count(&scratch), 0);
}

static void a_committed_name_is_never_replaced(void **state)
{
    (void)state;
    struct error err = { 0 };
    auto_scratch struct scratch scratch = scratch_new();
    auto_pending_file struct pending_file file = PENDING_FILE_INIT;
    struct segment_name name = { 2, 3, 1000 };

    add_segment(scratch.folder, 2, 3, "kept");
    CHECK_OK(segment_dir_begin(&file, scratch.folder, &err));
    CHECK_RC(segment_dir_commit(&file, scratch.folder, &name, &err), RC_EXISTS);
    assert_true(scratch_holds(
        &scratch, "0000000000000002-0000000000000003-0000000001000.seg", bytes_of_text("kept")));
}

static void check_entry(
    const struct segment_entry *entry, uint64_t min_txid, bool is_merged, bool is_covered)
{
    assert_int_equal(entry->name.min_txid, min_txid);
    assert_int_equal(entry->is_merged, is_merged);
    assert_int_equal(entry->is_covered, is_covered);
}

/* Without the covered ones, a spool is every transaction once. */
static void merged_segments_stand_before_what_they_cover(void **state)
{
    (void)state;
    struct error err = { 0 };
    auto_scratch struct scratch scratch = scratch_new();
    auto_free char *folder = scratch_path(&scratch, "spool");
    auto_free char *merged = segment_dir_merged(folder);
    auto_segment_list struct segment_list list = SEGMENT_LIST_INIT;

    CHECK_OK(segment_dir_prepare(folder, &err));
    add_segment(folder, 30, 39, "level 0");
    add_segment(folder, 40, 49, "level 0");
    add_segment(folder, 50, 59, "level 0");
    add_segment(merged, 10, 29, "older merged");
    add_segment(merged, 10, 49, "merged");
    CHECK_OK(segment_dir_list_spool(&list, folder, &err));
    assert_int_equal(list.count, 5);
    check_entry(&list.entries[0], 10, true, false);
    check_entry(&list.entries[1], 10, true, true);
    check_entry(&list.entries[2], 30, false, true);
    check_entry(&list.entries[3], 40, false, true);
    check_entry(&list.entries[4], 50, false, false);
    CHECK_OK(segment_dir_list(&list, folder, &err));
    assert_int_equal(list.count, 3);
    CHECK_OK(segment_dir_list(&list, merged, &err));
    assert_int_equal(list.count, 2);
}

static void a_merged_segment_may_cover_exactly_one(void **state)
{
    (void)state;
    struct error err = { 0 };
    auto_scratch struct scratch scratch = scratch_new();
    auto_free char *folder = scratch_path(&scratch, "spool");
    auto_free char *merged = segment_dir_merged(folder);
    auto_segment_list struct segment_list list = SEGMENT_LIST_INIT;

    CHECK_OK(segment_dir_prepare(folder, &err));
    add_segment(folder, 30, 39, "level 0");
    add_segment(merged, 30, 39, "merged");
    CHECK_OK(segment_dir_list_spool(&list, folder, &err));
    assert_int_equal(list.count, 2);
    check_entry(&list.entries[0], 30, true, false);
    check_entry(&list.entries[1], 30, false, true);
}

static void a_spool_without_a_merged_folder_lists(void **state)
{
    (void)state;
    struct error err = { 0 };
    auto_scratch struct scratch scratch = scratch_new();
    auto_segment_list struct segment_list list = SEGMENT_LIST_INIT;

    add_segment(scratch.folder, 2, 9, "level 0");
    CHECK_OK(segment_dir_list_spool(&list, scratch.folder, &err));
    assert_int_equal(list.count, 1);
    check_entry(&list.entries[0], 2, false, false);
}

static void foreign_names_are_corrupt(void **state)
{
    (void)state;
    struct error err = { 0 };
    auto_scratch struct scratch scratch = scratch_new();
    auto_segment_list struct segment_list list = SEGMENT_LIST_INIT;

    scratch_write(&scratch, "notes.txt", bytes_of_text("?"));
    CHECK_RC(segment_dir_list(&list, scratch.folder, &err), RC_CORRUPT);
    assert_non_null(strstr(err.text, "notes.txt"));
}

static void a_written_segment_opens_and_is_removed(void **state)
{
    (void)state;
    struct error err = { 0 };
    auto_scratch struct scratch scratch = scratch_new();
    auto_history struct history history = history_new(3, 4096, 20);
    auto_memory_object struct memory_object object = MEMORY_OBJECT_INIT;
    struct segment_name name = { 1, 1, history.time_ms };
    auto_pending_file struct pending_file file = PENDING_FILE_INIT;

    history_write_snapshot(&history, &object);
    CHECK_OK(segment_dir_begin(&file, scratch.folder, &err));
    struct sink sink = pending_file_sink(&file);
    CHECK_OK(sink.write(sink.payload, buf_bytes(&object.bytes), &err));
    CHECK_OK(segment_dir_commit(&file, scratch.folder, &name, &err));

    struct segment_file opened;
    struct segment_reader *reader;
    CHECK_OK(segment_dir_open(&opened, scratch.folder, &name, &err));
    CHECK_OK(segment_reader_open(&reader, opened.source, &err));
    assert_int_equal(segment_reader_summary(reader)->digest, history.digest);
    segment_reader_free(reader);
    segment_dir_close(&opened);

    CHECK_OK(segment_dir_remove(scratch.folder, &name, &err));
    CHECK_OK(segment_dir_remove(scratch.folder, &name, &err));
    CHECK_RC(segment_dir_open(&opened, scratch.folder, &name, &err), RC_NOT_FOUND);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(segments_are_listed_in_order),
        cmocka_unit_test(an_uncommitted_segment_leaves_nothing),
        cmocka_unit_test(a_committed_name_is_never_replaced),
        cmocka_unit_test(merged_segments_stand_before_what_they_cover),
        cmocka_unit_test(a_merged_segment_may_cover_exactly_one),
        cmocka_unit_test(a_spool_without_a_merged_folder_lists),
        cmocka_unit_test(foreign_names_are_corrupt),
        cmocka_unit_test(a_written_segment_opens_and_is_removed),
    };
    return cmocka_run_group_tests_name("segment/dir", tests, NULL, NULL);
}
