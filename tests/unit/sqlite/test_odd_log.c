/*
 * Logs and indexes as no SQLite leaves them, or only one that died: each is told from a good one
 *
 * The index is changed in our own mapping of it and put back, since closing the file here would
 * drop our locks; the log is changed in its file, which is free of that.
 */
#include "base/alloc.h"
#include "base/fs.h"
#include "database_priv.h"
#include "harness/check.h"
#include "wal_fixture.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

/* Places in the WAL-index, as SQLite's file format document has them. */
enum {
    COPY_SIZE = 48,
    SUMMED_SIZE = 40,
    AT_VERSION = 0,
    AT_PAGE_SIZE = 14,
    AT_PAGE_COUNT = 20,
    AT_SALT = 32,
    AT_CHECKSUM = 40,
    AT_HASH = 16384,
    REGION_SIZE = 32768,
};

struct odd {
    struct wal_fixture fixture;
    struct wal_index_header header; /* as it was */
    uint8_t *region;                /* the first one, as it is mapped */
    uint8_t saved[REGION_SIZE];
};

static void odd_open(struct odd *odd)
{
    wal_fixture_open(&odd->fixture, 512);
    wal_fixture_insert(&odd->fixture, 10, 600);
    wal_fixture_open_database(&odd->fixture);
    odd->header = wal_fixture_header(&odd->fixture);
    odd->region = (uint8_t *)(uintptr_t)odd->fixture.database->regions[0];
    memcpy(odd->saved, odd->region, REGION_SIZE);
}

static void odd_restore(struct odd *odd)
{
    memcpy(odd->region, odd->saved, REGION_SIZE);
}

static void odd_close(struct odd *odd)
{
    odd_restore(odd);
    wal_fixture_close(&odd->fixture);
}

/* SIZE bytes at PLACE of both copies of the header, whose checksum is right afterwards. */
static void odd_put_header(struct odd *odd, size_t place, const void *bytes, size_t size)
{
    uint32_t checksum[2] = { 0, 0 };

    memcpy(odd->region + place, bytes, size);
    wal_checksum(
        __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__, bytes_of(odd->region, SUMMED_SIZE), checksum);
    memcpy(odd->region + AT_CHECKSUM, checksum, sizeof checksum);
    memcpy(odd->region + COPY_SIZE, odd->region, COPY_SIZE);
}

static void odd_write_log(struct odd *odd, uint64_t offset, const void *bytes, size_t size)
{
    struct error err = { 0 };
    int fd = -1;

    CHECK_OK(fs_open(&fd, database_log_path(odd->fixture.database), O_RDWR, 0, &err));
    CHECK_OK(fs_write_at(fd, bytes_of(bytes, size), offset, &err));
    close(fd);
}

static rc odd_scan(struct odd *odd, const struct wal_index_header *header, struct error *err)
{
    auto_log_scan struct log_scan scan = LOG_SCAN_INIT;
    struct log_frame_header frame;
    struct bytes page;
    rc result = log_scan_begin(&scan, odd->fixture.database, err);

    while (result == RC_OK)
        result = log_scan_next(&scan, header, &frame, &page, err);
    return result == RC_NOT_FOUND ? RC_OK : result;
}

static void an_index_of_another_version_is_left_alone(void **state)
{
    struct odd odd;
    struct wal_index_header header;
    struct error err = { 0 };
    uint32_t version = 3007001;

    (void)state;
    odd_open(&odd);
    odd_put_header(&odd, AT_VERSION, &version, sizeof version);
    CHECK_RC(database_log_header(odd.fixture.database, &header, &err), RC_UNSUPPORTED);
    CHECK_SAYS(err, "3007001");
    odd_close(&odd);
}

/* Both copies are equal and neither is whole: somebody is writing, so it is looked at again. */
static void a_wrong_checksum_is_a_change_in_progress(void **state)
{
    struct odd odd;
    struct wal_index_header header;
    struct error err = { 0 };

    (void)state;
    odd_open(&odd);
    for (size_t place = AT_CHECKSUM; place < COPY_SIZE; place += 4) {
        odd.region[place] ^= 1;
        odd.region[COPY_SIZE + place] ^= 1;
        CHECK_RC(wal_index_header_try(odd.fixture.database, &header, &err), RC_BUSY);
        CHECK_RC(wal_index_disclaim(odd.fixture.database, &err), RC_BUSY);
        odd_restore(&odd);
    }
    CHECK_OK(wal_index_header_try(odd.fixture.database, &header, &err));
    assert_int_equal(header.frame_count, odd.header.frame_count);
    assert_int_equal(header.salt[1], odd.header.salt[1]);
    odd_close(&odd);
}

static void what_the_index_leaves_out_comes_from_the_file(void **state)
{
    struct odd odd;
    struct wal_index_header header;
    struct error err = { 0 };
    uint16_t page_size = 0;
    uint32_t page_count = 0;

    (void)state;
    odd_open(&odd);
    odd_put_header(&odd, AT_PAGE_SIZE, &page_size, sizeof page_size);
    odd_put_header(&odd, AT_PAGE_COUNT, &page_count, sizeof page_count);
    CHECK_OK(database_log_header(odd.fixture.database, &header, &err));
    assert_int_equal(header.page_size, 512);
    assert_true(header.page_count > 0);
    page_size = 1024;
    odd_put_header(&odd, AT_PAGE_SIZE, &page_size, sizeof page_size);
    CHECK_RC(database_log_header(odd.fixture.database, &header, &err), RC_MISMATCH);
    CHECK_SAYS(err, "page size changed from 512 to 1024");
    odd_close(&odd);
}

/* A frame that cannot be there, a chain that never ends, a region that is not there. */
static void a_damaged_hash_table_is_damage(void **state)
{
    struct odd odd;
    struct error err = { 0 };
    uint32_t frame = 0;
    uint32_t pgno = 0;

    (void)state;
    odd_open(&odd);
    struct database *database = odd.fixture.database;
    memset(odd.region + AT_HASH, 0xff, REGION_SIZE - AT_HASH);
    CHECK_RC(database_find_frame(database, 1, odd.header.frame_count, &frame, &err), RC_CORRUPT);
    CHECK_SAYS(err, "names frame 65535 of 4062");
    for (size_t place = AT_HASH; place < REGION_SIZE; place += 2) {
        uint16_t one = 1;
        memcpy(odd.region + place, &one, sizeof one);
    }
    CHECK_RC(database_find_frame(database, 77, odd.header.frame_count, &frame, &err), RC_CORRUPT);
    CHECK_SAYS(err, "without an end");
    odd_restore(&odd);
    CHECK_RC(database_find_frame(database, 1, 100000, &frame, &err), RC_CORRUPT);
    CHECK_SAYS(err, "ends before frame 100000");
    rc code = wal_index_pgno_of(database, 100000, &pgno, &err);
    assert_true(code == RC_CORRUPT || (code == RC_OK && pgno == 0));
    odd_close(&odd);
}

/* Each salt, and the count, of the header that somebody scans with. */
static void a_scan_stops_where_its_header_is_of_another_log(void **state)
{
    struct odd odd;
    struct error err = { 0 };
    struct log_frame_header frame;
    struct bytes page;

    (void)state;
    odd_open(&odd);
    for (int salt = 0; salt < 2; salt++) {
        struct wal_index_header header = odd.header;
        header.salt[salt] ^= 1;
        CHECK_RC(odd_scan(&odd, &header, &err), RC_MISMATCH);
        CHECK_SAYS(err, "the log was restarted");
    }
    auto_log_scan struct log_scan scan = LOG_SCAN_INIT;
    struct wal_index_header fewer = odd.header;
    CHECK_OK(log_scan_begin(&scan, odd.fixture.database, &err));
    CHECK_OK(log_scan_next(&scan, &odd.header, &frame, &page, &err));
    fewer.frame_count = 0;
    CHECK_RC(log_scan_next(&scan, &fewer, &frame, &page, &err), RC_MISMATCH);
    CHECK_SAYS(err, "0 committed frames, 1 were read");
    struct wal_index_header more = odd.header;
    more.frame_count += 1000;
    CHECK_RC(odd_scan(&odd, &more, &err), RC_MISMATCH);
    CHECK_SAYS(err, "cut off");
    odd_close(&odd);
}

/* The place where a scan goes on is proved by every number of it. */
static void a_place_is_proved_by_every_number(void **state)
{
    struct odd odd;
    struct error err = { 0 };
    auto_log_scan struct log_scan scan = LOG_SCAN_INIT;
    uint32_t count;

    (void)state;
    odd_open(&odd);
    struct database *database = odd.fixture.database;
    count = odd.header.frame_count;
    uint64_t at = wal_frame_offset(512, count);
    for (size_t place = 8; place < WAL_FRAME_HEADER_SIZE; place += 4) {
        uint8_t byte = 0;
        int fd = -1;
        CHECK_OK(fs_open(&fd, database_log_path(database), O_RDWR, 0, &err));
        CHECK_OK(fs_read_exact(fd, &byte, 1, at + place, &err));
        close(fd);
        uint8_t other = byte ^ 1;
        odd_write_log(&odd, at + place, &other, 1);
        CHECK_RC(log_scan_begin_at(
                     &scan, database, odd.header.salt, count, odd.header.frame_checksum, &err),
            RC_MISMATCH);
        CHECK_SAYS(err, "is not the one that was captured");
        odd_write_log(&odd, at + place, &byte, 1);
    }
    CHECK_OK(log_scan_begin_at(
        &scan, database, odd.header.salt, count, odd.header.frame_checksum, &err));
    for (int salt = 0; salt < 2; salt++) {
        uint32_t other[2] = { odd.header.salt[0], odd.header.salt[1] };
        other[salt] ^= 1;
        CHECK_RC(log_scan_begin_at(&scan, database, other, count, odd.header.frame_checksum, &err),
            RC_MISMATCH);
        /* The index is of a later log than header and captured place. */
        uint8_t raw[4];
        put_be32(raw, other[salt]);
        odd_put_header(&odd, AT_SALT + 4 * (size_t)salt, raw, sizeof raw);
        CHECK_RC(log_scan_begin_at(
                     &scan, database, odd.header.salt, count, odd.header.frame_checksum, &err),
            RC_MISMATCH);
        CHECK_SAYS(err, "the log was restarted");
        odd_restore(&odd);
    }
    struct wal_header header;
    CHECK_OK(database_read_log_header(database, &header, &err));
    for (int word = 0; word < 2; word++) {
        uint32_t other[2] = { header.checksum[0], header.checksum[1] };
        other[word] ^= 1;
        CHECK_RC(log_scan_begin_at(&scan, database, header.salt, 0, other, &err), RC_MISMATCH);
    }
    odd_close(&odd);
}

/* A log's header with SALT[word] changed, or for pages of 1024 bytes, and a checksum that is right.
 */
static void odd_put_log_header(struct odd *odd, size_t place, uint32_t value)
{
    uint8_t raw[WAL_HEADER_SIZE];
    uint32_t checksum[2] = { 0, 0 };
    struct error err = { 0 };
    int fd = -1;

    CHECK_OK(fs_open(&fd, database_log_path(odd->fixture.database), O_RDONLY, 0, &err));
    CHECK_OK(fs_read_exact(fd, raw, sizeof raw, 0, &err));
    close(fd);
    put_be32(raw + place, value);
    wal_checksum((raw[3] & 1) != 0, bytes_of(raw, WAL_HEADER_SUMMED_SIZE), checksum);
    put_be32(raw + 24, checksum[0]);
    put_be32(raw + 28, checksum[1]);
    odd_write_log(odd, 0, raw, sizeof raw);
}

static void a_header_that_is_not_the_logs_is_a_mismatch(void **state)
{
    struct odd odd;
    struct error err = { 0 };
    uint8_t raw[WAL_HEADER_SIZE];
    int fd = -1;

    (void)state;
    odd_open(&odd);
    CHECK_OK(fs_open(&fd, database_log_path(odd.fixture.database), O_RDWR, 0, &err));
    CHECK_OK(fs_read_exact(fd, raw, sizeof raw, 0, &err));
    close(fd);

    for (int salt = 0; salt < 2; salt++) {
        odd_put_log_header(&odd, 16 + 4 * (size_t)salt, odd.header.salt[salt] ^ 1);
        CHECK_RC(odd_scan(&odd, &odd.header, &err), RC_MISMATCH);
        CHECK_SAYS(err, "not the one that its index describes");
        odd_write_log(&odd, 0, raw, sizeof raw);
    }
    odd_put_log_header(&odd, 8, 1024);
    CHECK_RC(odd_scan(&odd, &odd.header, &err), RC_MISMATCH);
    CHECK_SAYS(err, "page size of the log is 1024, of the database 512");
    odd_write_log(&odd, 0, "not a log", 9);
    CHECK_RC(odd_scan(&odd, &odd.header, &err), RC_MISMATCH);
    odd_write_log(&odd, 0, raw, sizeof raw);
    CHECK_OK(odd_scan(&odd, &odd.header, &err));
    odd_close(&odd);
}

/* A frame that SQLite left unfinished is taken on the index's word: of this log, and this far. */
static void an_unfinished_frame_needs_the_index_of_its_log(void **state)
{
    static const uint8_t zeros[16];
    struct odd odd;
    struct error err = { 0 };

    (void)state;
    odd_open(&odd);
    odd_write_log(&odd, wal_frame_offset(512, 6) + 8, zeros, sizeof zeros);
    CHECK_OK(odd_scan(&odd, &odd.header, &err));
    for (int what = 0; what < 3; what++) {
        auto_log_scan struct log_scan scan = LOG_SCAN_INIT;
        struct log_frame_header frame;
        struct bytes page;
        uint8_t salt[4];
        uint32_t count = 5;

        CHECK_OK(log_scan_begin(&scan, odd.fixture.database, &err));
        while (scan.frame < 5)
            CHECK_OK(log_scan_next(&scan, &odd.header, &frame, &page, &err));
        if (what < 2) {
            put_be32(salt, odd.header.salt[what] ^ 1);
            odd_put_header(&odd, AT_SALT + 4 * (size_t)what, salt, sizeof salt);
        } else {
            odd_put_header(&odd, 16, &count, sizeof count);
        }
        CHECK_RC(log_scan_next(&scan, &odd.header, &frame, &page, &err), RC_MISMATCH);
        CHECK_SAYS(err, "frame 6 does not continue the log");
        odd_restore(&odd);
    }
    odd_close(&odd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_index_of_another_version_is_left_alone),
        cmocka_unit_test(a_wrong_checksum_is_a_change_in_progress),
        cmocka_unit_test(what_the_index_leaves_out_comes_from_the_file),
        cmocka_unit_test(a_damaged_hash_table_is_damage),
        cmocka_unit_test(a_scan_stops_where_its_header_is_of_another_log),
        cmocka_unit_test(a_place_is_proved_by_every_number),
        cmocka_unit_test(a_header_that_is_not_the_logs_is_a_mismatch),
        cmocka_unit_test(an_unfinished_frame_needs_the_index_of_its_log),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
