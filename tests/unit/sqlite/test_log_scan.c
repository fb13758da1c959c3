/* Committed frames in order: from the start, from a place, across chunks, and never across a
 * foreign sign. */
#include "base/alloc.h"
#include "base/fs.h"
#include "base/text.h"
#include "harness/check.h"
#include "wal_fixture.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static rc scan_to(
    struct log_scan *scan, const struct wal_index_header *header, uint32_t frame, struct error *err)
{
    struct log_frame_header ignored;
    struct bytes page;

    while (scan->frame < frame)
        TRY(log_scan_next(scan, header, &ignored, &page, err));
    return RC_OK;
}

/* Change a byte of the log, which only another process may do in life. */
static void damage_log(struct wal_fixture *fixture, uint64_t offset, uint8_t flip)
{
    struct error err = { 0 };
    uint8_t byte;
    int fd = -1;

    CHECK_OK(fs_open(&fd, database_log_path(fixture->database), O_RDWR, 0, &err));
    CHECK_OK(fs_read_exact(fd, &byte, 1, offset, &err));
    byte ^= flip;
    CHECK_OK(fs_write_at(fd, bytes_of(&byte, 1), offset, &err));
    close(fd);
}

static uint64_t offset_of(const struct wal_index_header *header, uint32_t frame)
{
    return 32 + (uint64_t)(frame - 1) * (header->page_size + 24);
}

static void frames_come_in_order_with_their_commits(void **state)
{
    struct wal_fixture fixture;
    auto_log_scan struct log_scan scan = LOG_SCAN_INIT;
    struct log_frame_header frame;
    struct bytes page;
    struct error err = { 0 };
    uint32_t commit_count = 0;
    uint32_t last_page_count = 0;

    (void)state;
    wal_fixture_open(&fixture, 0);
    wal_fixture_insert(&fixture, 200, 3000); /* more than one chunk */
    wal_fixture_open_database(&fixture);
    struct wal_index_header header = wal_fixture_header(&fixture);
    assert_true((uint64_t)header.frame_count * header.page_size > 1024 * 1024);

    CHECK_OK(log_scan_begin(&scan, fixture.database, &err));
    for (uint32_t i = 1; i <= header.frame_count; i++) {
        uint8_t *expected = mem_new(header.page_size);
        CHECK_OK(log_scan_next(&scan, &header, &frame, &page, &err));
        assert_int_equal(scan.frame, i);
        assert_int_equal(page.size, header.page_size);
        CHECK_OK(database_read_frame(fixture.database, i, expected, &err));
        assert_memory_equal(page.data, expected, page.size);
        commit_count += frame.commit_page_count != 0;
        last_page_count = frame.commit_page_count;
        free(expected);
    }
    assert_int_equal(commit_count, 201); /* the table and the rows */
    assert_int_equal(last_page_count, header.page_count);
    assert_int_equal(scan.checksum[0], header.frame_checksum[0]);
    assert_int_equal(scan.checksum[1], header.frame_checksum[1]);
    CHECK_RC(log_scan_next(&scan, &header, &frame, &page, &err), RC_NOT_FOUND);
    wal_fixture_close(&fixture);
}

static void a_scan_continues_at_any_place(void **state)
{
    struct wal_fixture fixture;
    auto_log_scan struct log_scan whole = LOG_SCAN_INIT;
    struct error err = { 0 };

    (void)state;
    wal_fixture_open(&fixture, 512);
    wal_fixture_insert(&fixture, 30, 600);
    wal_fixture_open_database(&fixture);
    struct wal_index_header header = wal_fixture_header(&fixture);

    CHECK_OK(log_scan_begin(&whole, fixture.database, &err));
    for (uint32_t place = 0; place <= header.frame_count; place++) {
        auto_log_scan struct log_scan scan = LOG_SCAN_INIT;

        CHECK_OK(scan_to(&whole, &header, place, &err));
        CHECK_OK(
            log_scan_begin_at(&scan, fixture.database, whole.salt, place, whole.checksum, &err));
        CHECK_OK(scan_to(&scan, &header, header.frame_count, &err));
        assert_int_equal(scan.checksum[0], header.frame_checksum[0]);

        uint32_t wrong[2] = { whole.checksum[0] ^ 1, whole.checksum[1] };
        log_scan_release(&scan);
        CHECK_RC(log_scan_begin_at(&scan, fixture.database, whole.salt, place, wrong, &err),
            RC_MISMATCH);
    }

    uint32_t salt[2] = { header.salt[0] ^ 1, header.salt[1] };
    auto_log_scan struct log_scan scan = LOG_SCAN_INIT;
    CHECK_RC(
        log_scan_begin_at(&scan, fixture.database, salt, 1, whole.checksum, &err), RC_MISMATCH);
    CHECK_RC(log_scan_begin_at(&scan, fixture.database, header.salt, header.frame_count + 1,
                 header.frame_checksum, &err),
        RC_MISMATCH);
    wal_fixture_close(&fixture);
}

static void a_changed_frame_is_a_mismatch_at_that_frame(void **state)
{
    struct wal_fixture fixture;
    struct error err = { 0 };

    (void)state;
    wal_fixture_open(&fixture, 512);
    wal_fixture_insert(&fixture, 10, 600);
    wal_fixture_open_database(&fixture);
    struct wal_index_header header = wal_fixture_header(&fixture);

    for (uint32_t frame = 1; frame <= header.frame_count; frame++) {
        uint64_t places[] = { 0, 5, 9, 17, 24, 24 + 511 };
        for (size_t i = 0; i < array_count(places); i++) {
            auto_log_scan struct log_scan scan = LOG_SCAN_INIT;
            uint64_t offset = offset_of(&header, frame) + places[i];

            damage_log(&fixture, offset, 0x10);
            CHECK_OK(log_scan_begin(&scan, fixture.database, &err));
            CHECK_RC(scan_to(&scan, &header, header.frame_count, &err), RC_MISMATCH);
            assert_int_equal(scan.frame, frame - 1);
            damage_log(&fixture, offset, 0x10);
        }
    }
    wal_fixture_close(&fixture);
}

static void a_header_that_promises_another_checksum_is_a_mismatch(void **state)
{
    struct wal_fixture fixture;
    auto_log_scan struct log_scan scan = LOG_SCAN_INIT;
    struct error err = { 0 };

    (void)state;
    wal_fixture_open(&fixture, 0);
    wal_fixture_open_database(&fixture);
    struct wal_index_header header = wal_fixture_header(&fixture);
    CHECK_OK(log_scan_begin(&scan, fixture.database, &err));
    header.frame_checksum[1] ^= 1;
    CHECK_RC(scan_to(&scan, &header, header.frame_count, &err), RC_MISMATCH);
    wal_fixture_close(&fixture);
}

/* Salts and checksum of FRAME become zeros, as older SQLite leaves them. */
static void unfinish_frame(struct wal_fixture *fixture, uint64_t offset)
{
    static const uint8_t zeros[16];
    struct error err = { 0 };
    int fd = -1;

    CHECK_OK(fs_open(&fd, database_log_path(fixture->database), O_RDWR, 0, &err));
    CHECK_OK(fs_write_at(fd, bytes_of(zeros, sizeof zeros), offset + 8, &err));
    close(fd);
}

static void committed_frames_without_a_checksum_are_taken(void **state)
{
    struct wal_fixture fixture;
    struct error err = { 0 };

    (void)state;
    wal_fixture_open(&fixture, 512);
    wal_fixture_insert(&fixture, 20, 600);
    wal_fixture_open_database(&fixture);
    struct wal_index_header header = wal_fixture_header(&fixture);
    uint32_t places[] = { 7, 8, 12, header.frame_count };
    for (size_t i = 0; i < array_count(places); i++)
        unfinish_frame(&fixture, offset_of(&header, places[i]));

    auto_log_scan struct log_scan scan = LOG_SCAN_INIT;
    CHECK_OK(log_scan_begin(&scan, fixture.database, &err));
    CHECK_OK(scan_to(&scan, &header, header.frame_count, &err));
    assert_int_equal(scan.unfinished_count, 4);
    assert_int_equal(scan.checksum[0], header.frame_checksum[0]); /* where SQLite goes on */

    /* And goes on: the next commit continues there, also for a scan that begins at the place. */
    wal_fixture_insert(&fixture, 1, 100);
    struct wal_index_header later = wal_fixture_header(&fixture);
    auto_log_scan struct log_scan next = LOG_SCAN_INIT;
    CHECK_OK(log_scan_begin_at(
        &next, fixture.database, header.salt, header.frame_count, header.frame_checksum, &err));
    CHECK_OK(scan_to(&next, &later, later.frame_count, &err));
    CHECK_OK(scan_to(&scan, &later, later.frame_count, &err));
    wal_fixture_close(&fixture);
}

static void a_zeroed_frame_of_another_page_is_not_taken(void **state)
{
    struct wal_fixture fixture;
    auto_log_scan struct log_scan scan = LOG_SCAN_INIT;
    struct error err = { 0 };

    (void)state;
    wal_fixture_open(&fixture, 512);
    wal_fixture_insert(&fixture, 10, 600);
    wal_fixture_open_database(&fixture);
    struct wal_index_header header = wal_fixture_header(&fixture);
    unfinish_frame(&fixture, offset_of(&header, 6));
    damage_log(&fixture, offset_of(&header, 6) + 3, 1); /* the page number */
    CHECK_OK(log_scan_begin(&scan, fixture.database, &err));
    CHECK_RC(scan_to(&scan, &header, header.frame_count, &err), RC_MISMATCH);
    assert_int_equal(scan.frame, 5);
    wal_fixture_close(&fixture);
}

static void a_restarted_log_is_a_mismatch_and_an_empty_one_is_not_found(void **state)
{
    struct wal_fixture fixture;
    auto_log_scan struct log_scan scan = LOG_SCAN_INIT;
    struct log_frame_header frame;
    struct bytes page;
    struct error err = { 0 };

    (void)state;
    wal_fixture_open(&fixture, 0);
    wal_fixture_insert(&fixture, 5, 100);
    wal_fixture_open_database(&fixture); /* nothing is pinned */
    CHECK_OK(log_scan_begin(&scan, fixture.database, &err));
    uint32_t salt[2] = { scan.salt[0], scan.salt[1] };
    uint32_t checksum[2] = { scan.checksum[0], scan.checksum[1] };

    other_process_run(&fixture.app, "PRAGMA wal_checkpoint(TRUNCATE)");
    auto_log_scan struct log_scan empty = LOG_SCAN_INIT;
    CHECK_RC(log_scan_begin(&empty, fixture.database, &err), RC_NOT_FOUND);
    wal_fixture_insert(&fixture, 5, 100);
    struct wal_index_header header = wal_fixture_header(&fixture);
    CHECK_RC(log_scan_next(&scan, &header, &frame, &page, &err), RC_MISMATCH);
    CHECK_RC(log_scan_begin_at(&empty, fixture.database, salt, 0, checksum, &err), RC_MISMATCH);
    wal_fixture_close(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(frames_come_in_order_with_their_commits),
        cmocka_unit_test(a_scan_continues_at_any_place),
        cmocka_unit_test(a_changed_frame_is_a_mismatch_at_that_frame),
        cmocka_unit_test(a_header_that_promises_another_checksum_is_a_mismatch),
        cmocka_unit_test(committed_frames_without_a_checksum_are_taken),
        cmocka_unit_test(a_zeroed_frame_of_another_page_is_not_taken),
        cmocka_unit_test(a_restarted_log_is_a_mismatch_and_an_empty_one_is_not_found),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
