/* What the first bytes of a file say about it, field by field. */
#include "../../../src/sqlite/database_header_priv.h"

#include "base/alloc.h"
#include "harness/check.h"

static void make_sample(uint8_t sample[DATABASE_HEADER_SAMPLE_SIZE])
{
    memset(sample, 0, DATABASE_HEADER_SAMPLE_SIZE);
    memcpy(sample, "SQLite format 3", 16);
    put_be16(sample + 16, 4096);
    sample[18] = 2;
    sample[19] = 2;
    sample[100] = 13;
}

static enum database_file_kind judge(const uint8_t *sample)
{
    return database_header_judge(bytes_of(sample, DATABASE_HEADER_SAMPLE_SIZE), 8192);
}

static void each_field_decides_what_it_should(void **state)
{
    static const struct {
        size_t offset;
        uint8_t value;
        enum database_file_kind kind;
    } cases[] = {
        { 0, 's', DATABASE_FILE_FOREIGN },
        { 15, 1, DATABASE_FILE_FOREIGN },
        { 16, 0x11, DATABASE_FILE_FOREIGN }, /* no power of two */
        { 16, 0, DATABASE_FILE_FOREIGN },
        { 18, 1, DATABASE_FILE_FUTURE }, /* one without the other */
        { 19, 1, DATABASE_FILE_FUTURE },
        { 19, 3, DATABASE_FILE_FUTURE },
        { 72, 1, DATABASE_FILE_ENCRYPTED },
        { 91, 1, DATABASE_FILE_ENCRYPTED },
        { 92, 1, DATABASE_FILE_WAL },
        { 100, 5, DATABASE_FILE_WAL },
        { 100, 6, DATABASE_FILE_ENCRYPTED },
    };

    (void)state;
    for (size_t i = 0; i < array_count(cases); i++) {
        uint8_t sample[DATABASE_HEADER_SAMPLE_SIZE];

        make_sample(sample);
        assert_int_equal(judge(sample), DATABASE_FILE_WAL);
        sample[cases[i].offset] = cases[i].value;
        assert_int_equal(judge(sample), cases[i].kind);
    }
}

static void both_versions_at_one_are_a_rollback_journal(void **state)
{
    uint8_t sample[DATABASE_HEADER_SAMPLE_SIZE];

    (void)state;
    make_sample(sample);
    sample[18] = 1;
    sample[19] = 1;
    assert_int_equal(judge(sample), DATABASE_FILE_ROLLBACK);
    assert_int_equal(
        database_header_judge(bytes_of(sample, sizeof sample), 0), DATABASE_FILE_EMPTY);
}

static void page_sizes_are_powers_of_two_and_one_is_the_largest(void **state)
{
    uint8_t sample[DATABASE_HEADER_SAMPLE_SIZE];

    (void)state;
    make_sample(sample);
    for (uint32_t page_size = 512; page_size <= 32768; page_size *= 2) {
        put_be16(sample + 16, (uint16_t)page_size);
        assert_int_equal(database_header_page_size(bytes_of(sample, sizeof sample)), page_size);
    }
    put_be16(sample + 16, 1);
    assert_int_equal(database_header_page_size(bytes_of(sample, sizeof sample)), 65536);
    put_be16(sample + 16, 256);
    assert_int_equal(database_header_page_size(bytes_of(sample, sizeof sample)), 0);
}

static void the_writer_is_told(void **state)
{
    uint8_t sample[DATABASE_HEADER_SAMPLE_SIZE];
    struct bytes bytes = bytes_of(sample, sizeof sample);

    (void)state;
    make_sample(sample);
    assert_int_equal(database_header_writer_version(bytes), 0);
    put_be32(sample + 96, 3040001);
    assert_int_equal(database_header_writer_version(bytes), 3040001);
    put_be32(sample + 96, 999999999);
    assert_int_equal(database_header_writer_version(bytes), 999999999);
    put_be32(sample + 96, 1000000000); /* no such number */
    assert_int_equal(database_header_writer_version(bytes), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_writer_is_told),
        cmocka_unit_test(each_field_decides_what_it_should),
        cmocka_unit_test(both_versions_at_one_are_a_rollback_journal),
        cmocka_unit_test(page_sizes_are_powers_of_two_and_one_is_the_largest),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
