/* dir: the folder where capture and replica meet */
#include "segment/dir.h"

#include "base/alloc.h"
#include "base/text.h"
#include "harness/check.h"
#include "harness/scratch.h"
#include "history.h"

#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

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

/* In either folder, and what stands where a segment would. */
static void foreign_folders_are_corrupt(void **state)
{
    (void)state;
    static const char *const places[] = { "spool/notes", "spool/1/notes", "spool/1/1" };

    for (size_t index = 0; index < array_count(places); index++) {
        struct error err = { 0 };
        auto_scratch struct scratch scratch = scratch_new();
        auto_free char *folder = scratch_path(&scratch, "spool");
        auto_free char *foreign = scratch_path(&scratch, places[index]);
        auto_segment_list struct segment_list list = SEGMENT_LIST_INIT;

        CHECK_OK(segment_dir_prepare(folder, &err));
        assert_int_equal(mkdir(foreign, 0700), 0);
        CHECK_RC(segment_dir_list_spool(&list, folder, &err), RC_CORRUPT);
        CHECK_SAYS(err, "is a folder among segments");
    }
}

static void a_file_where_the_folder_belongs_is_refused(void **state)
{
    (void)state;
    struct error err = { 0 };
    auto_scratch struct scratch scratch = scratch_new();

    scratch_write(&scratch, "1", bytes_of_text("?"));
    assert_true(segment_dir_prepare(scratch.folder, &err) != RC_OK);
    CHECK_SAYS(err, "1");
}

/* A segment whose file is gone when it is looked at was removed meanwhile; else it is an error. */
static void what_cannot_be_looked_at_is_told_from_what_is_gone(void **state)
{
    (void)state;
    static const char name[] = "0000000000000002-0000000000000003-0000000001000.seg";
    struct error err = { 0 };
    auto_scratch struct scratch scratch = scratch_new();
    auto_free char *link = scratch_path(&scratch, name);
    auto_segment_list struct segment_list list = SEGMENT_LIST_INIT;

    assert_int_equal(symlink("nowhere", link), 0);
    CHECK_OK(segment_dir_list(&list, scratch.folder, &err));
    assert_int_equal(list.count, 0);
    assert_int_equal(unlink(link), 0);
    assert_int_equal(symlink(name, link), 0);
    CHECK_RC(segment_dir_list(&list, scratch.folder, &err), RC_IO);
    CHECK_SAYS(err, name);
}

/* Cut after it was opened: no reader may take what is not there for what is. */
static void a_segment_that_was_cut_is_an_error(void **state)
{
    (void)state;
    struct error err = { 0 };
    auto_scratch struct scratch scratch = scratch_new();
    auto_buf struct buf out = BUF_INIT(100);
    struct segment_name name = { 2, 3, 1000 };
    struct segment_file file;

    add_segment(scratch.folder, 2, 3, "a segment");
    CHECK_OK(segment_dir_open(&file, scratch.folder, &name, &err));
    auto_free char *path =
        scratch_path(&scratch, "0000000000000002-0000000000000003-0000000001000.seg");
    assert_int_equal(truncate(path, 3), 0);
    CHECK_RC(file.source.read(file.source.payload, 0, 9, &out, &err), RC_CORRUPT);
    assert_int_equal(out.size, 0);
    segment_dir_close(&file);
    segment_dir_close(&file); /* harmless */
}

/* The same range twice, from two times: the list is in order all the same. */
static void segments_of_one_range_are_all_listed(void **state)
{
    (void)state;
    struct error err = { 0 };
    auto_scratch struct scratch scratch = scratch_new();
    auto_free char *folder = scratch_path(&scratch, "spool");
    auto_free char *merged = segment_dir_merged(folder);
    auto_segment_list struct segment_list list = SEGMENT_LIST_INIT;

    CHECK_OK(segment_dir_prepare(folder, &err));
    for (unsigned time = 1; time <= 3; time++) {
        auto_free char *name = text_format("1/%016x-%016x-%013u.seg", 2u, 9u, time);
        scratch_write(&(struct scratch){ .folder = folder }, name, bytes_of_text("segment"));
    }
    for (uint64_t max_txid = 3; max_txid <= 8; max_txid++)
        add_segment(max_txid % 2 == 0 ? folder : merged, 2, max_txid, "segment");
    CHECK_OK(segment_dir_list_spool(&list, folder, &err));
    assert_int_equal(list.count, 9);
    for (size_t index = 1; index < list.count; index++)
        assert_true(list.entries[index].name.max_txid <= list.entries[index - 1].name.max_txid);
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
        cmocka_unit_test(foreign_folders_are_corrupt),
        cmocka_unit_test(a_file_where_the_folder_belongs_is_refused),
        cmocka_unit_test(what_cannot_be_looked_at_is_told_from_what_is_gone),
        cmocka_unit_test(a_segment_that_was_cut_is_an_error),
        cmocka_unit_test(segments_of_one_range_are_all_listed),
        cmocka_unit_test(a_written_segment_opens_and_is_removed),
    };
    return cmocka_run_group_tests_name("segment/dir", tests, NULL, NULL);
}
