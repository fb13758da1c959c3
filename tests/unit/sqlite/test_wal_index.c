/* The WAL-index: its header, and its hash tables against a plain scan of the log. */
#include "base/alloc.h"
#include "base/fs.h"
#include "base/text.h"
#include "harness/check.h"
#include "sqlite/wal_format.h"
#include "wal_fixture.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The page number of each frame of the log, by reading the file. */
static uint32_t *read_pgnos(struct wal_fixture *fixture, const struct wal_index_header *header)
{
    uint32_t *pgnos = mem_new_array(header->frame_count + 1, sizeof *pgnos);
    struct error err = { 0 };
    int fd = -1;

    CHECK_OK(fs_open(&fd, database_log_path(fixture->database), O_RDONLY, 0, &err));
    for (uint32_t frame = 1; frame <= header->frame_count; frame++) {
        uint8_t raw[4];
        CHECK_OK(
            fs_read_exact(fd, raw, sizeof raw, wal_frame_offset(header->page_size, frame), &err));
        pgnos[frame] = get_be32(raw);
    }
    close(fd);
    return pgnos;
}

static void check_bound(struct wal_fixture *fixture, const struct wal_index_header *header,
    const uint32_t *pgnos, uint32_t bound)
{
    uint32_t pgno_max = header->page_count + 3;
    uint32_t *expected = mem_new_array(pgno_max + 1, sizeof *expected);
    struct error err = { 0 };

    for (uint32_t frame = 1; frame <= bound; frame++)
        expected[pgnos[frame]] = frame;
    for (uint32_t pgno = 1; pgno <= pgno_max; pgno++) {
        uint32_t found = UINT32_MAX;
        CHECK_OK(database_find_frame(fixture->database, pgno, bound, &found, &err));
        if (found != expected[pgno])
            fail_msg("page %u up to frame %u: found %u, is %u", pgno, bound, found, expected[pgno]);
    }
    free(expected);
}

static void lookup_equals_a_scan_across_regions(void **state)
{
    struct wal_fixture fixture;

    (void)state;
    wal_fixture_open(&fixture, 512);
    other_process_run(&fixture.app,
        "WITH n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<9000) "
        "INSERT INTO t SELECT i, randomblob(400) FROM n");
    for (unsigned i = 0; i < 8; i++) {
        char *sql = text_format(
            "UPDATE t SET v=randomblob(380) WHERE (id*2654435761)%%1000 < 90 AND id>%u", i * 900);
        other_process_run(&fixture.app, sql);
        free(sql);
    }
    wal_fixture_open_database(&fixture);
    struct wal_index_header header = wal_fixture_header(&fixture);
    assert_true(header.frame_count > 4062 + 2 * 4096); /* the fourth region has some */

    uint32_t *pgnos = read_pgnos(&fixture, &header);
    uint32_t bounds[] = { 1, 2, 100, 4061, 4062, 4063, 4064, 8157, 8158, 8159, 12254, 12255,
        header.frame_count - 1, header.frame_count };
    for (size_t i = 0; i < array_count(bounds); i++)
        check_bound(&fixture, &header, pgnos, bounds[i]);
    free(pgnos);
    wal_fixture_close(&fixture);
}

static void the_header_says_what_sqlite_committed(void **state)
{
    struct wal_fixture fixture;

    (void)state;
    wal_fixture_open(&fixture, 1024);
    wal_fixture_open_database(&fixture);
    struct wal_index_header before = wal_fixture_header(&fixture);
    assert_int_equal(before.page_size, 1024);

    other_process_run(&fixture.app, "BEGIN");
    other_process_run(&fixture.app, "PRAGMA cache_size=1");
    other_process_run(&fixture.app, "INSERT INTO t VALUES(1, randomblob(100000))");
    struct wal_index_header open = wal_fixture_header(&fixture);
    assert_memory_equal(&open, &before, sizeof open); /* spilled, not committed */

    other_process_run(&fixture.app, "COMMIT");
    struct wal_index_header after = wal_fixture_header(&fixture);
    assert_true(after.frame_count > before.frame_count + 90);
    assert_int_equal(after.change_counter, before.change_counter + 1);
    long pages = other_process_number(&fixture.app, "PRAGMA page_count");
    assert_int_equal(after.page_count, pages);
    wal_fixture_close(&fixture);
}

static void an_empty_log_has_page_size_and_count_from_the_file(void **state)
{
    struct wal_fixture fixture;

    (void)state;
    wal_fixture_open(&fixture, 2048);
    wal_fixture_insert(&fixture, 5, 3000);
    long pages = other_process_number(&fixture.app, "PRAGMA page_count");
    other_process_stop(&fixture.app); /* the last to close checkpoints and removes the log */
    wal_fixture_open_database(&fixture);

    struct wal_index_header header = wal_fixture_header(&fixture);
    assert_int_equal(header.frame_count, 0);
    assert_int_equal(header.page_size, 2048);
    assert_int_equal(header.page_count, pages);
    wal_fixture_close(&fixture);
}

/* What a writer that dies between the two copies leaves. */
static void a_half_changed_index_is_repaired_by_reading(void **state)
{
    struct wal_fixture fixture;
    struct error err = { 0 };

    (void)state;
    wal_fixture_open(&fixture, 0);
    wal_fixture_insert(&fixture, 5, 100);
    wal_fixture_open_database(&fixture);
    struct wal_index_header before = wal_fixture_header(&fixture);

    /* Another process, because closing -shm here would drop our locks. */
    char *command = text_format(
        "printf '\\377' | dd of='%s-shm' bs=1 seek=64 conv=notrunc 2>/dev/null", fixture.path);
    assert_int_equal(system(command), 0);
    free(command);

    struct wal_index_header after;
    CHECK_OK(database_log_header(fixture.database, &after, &err));
    assert_int_equal(after.frame_count, before.frame_count);
    assert_int_equal(after.page_count, before.page_count);
    assert_int_equal(after.frame_checksum[0], before.frame_checksum[0]);
    assert_int_equal(after.change_counter, 0); /* recovery counts anew */
    wal_fixture_close(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lookup_equals_a_scan_across_regions),
        cmocka_unit_test(the_header_says_what_sqlite_committed),
        cmocka_unit_test(an_empty_log_has_page_size_and_count_from_the_file),
        cmocka_unit_test(a_half_changed_index_is_repaired_by_reading),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
