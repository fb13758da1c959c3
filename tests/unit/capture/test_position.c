/*
 * position: the file says exactly what was written, and not one bit of it can change unseen.
 */
#include "../../../src/capture/position_priv.h"

#include "base/alloc.h"
#include "codec/digest.h"
#include "harness/check.h"
#include "harness/scratch.h"

#include <string.h>

static const struct position_file sample = {
    .position = {
        .database_id = { { 0xa0, 0xa1, 0xa2, 0xa3, 0xa4, 0xa5, 0xa6, 0xa7, 0xa8, 0xa9, 0xaa, 0xab,
            0xac, 0xad, 0xae, 0xaf } },
        .timeline = 3,
        .txid = UINT64_C(0x1122334455667788),
        .digest = UINT64_C(0xfedcba9876543210),
        .page_count = 12345,
        .page_size = 4096,
        .time_ms = 1790000000123,
    },
    .place = { { 1, 0xffffffff }, 7, 8, { 0x80000000, 9 } },
    .origin_txid = 42,
    .file = { 2049, 131072, 1700000000000000001 },
    .machine = UINT64_C(0x0badcafe0badcafe),
    .must_depart = true,
};

static void check_equal(const struct position_file *left, const struct position_file *right)
{
    assert_memory_equal(&left->position.database_id, &right->position.database_id, 16);
    assert_int_equal(left->position.timeline, right->position.timeline);
    assert_int_equal(left->position.txid, right->position.txid);
    assert_int_equal(left->position.digest, right->position.digest);
    assert_int_equal(left->position.page_count, right->position.page_count);
    assert_int_equal(left->position.page_size, right->position.page_size);
    assert_int_equal(left->position.time_ms, right->position.time_ms);
    assert_memory_equal(&left->place, &right->place, sizeof left->place);
    assert_int_equal(left->origin_txid, right->origin_txid);
    assert_int_equal(left->file.device, right->file.device);
    assert_int_equal(left->file.inode, right->file.inode);
    assert_int_equal(left->file.birth_ns, right->file.birth_ns);
    assert_int_equal(left->machine, right->machine);
    assert_int_equal(left->must_depart, right->must_depart);
}

static void a_position_comes_back_as_it_was_written(void **unused)
{
    (void)unused;
    auto_scratch struct scratch scratch = scratch_new();
    auto_free char *path = scratch_path(&scratch, "position");
    struct position_file read = { 0 };
    struct error err = { 0 };

    CHECK_RC(position_file_read(&read, path, &err), RC_NOT_FOUND);
    CHECK_OK(position_file_write(path, &sample, &err));
    CHECK_OK(position_file_read(&read, path, &err));
    check_equal(&read, &sample);

    struct position_file next = sample;
    next.position.txid++;
    CHECK_OK(position_file_write(path, &next, &err));
    CHECK_OK(position_file_read(&read, path, &err));
    check_equal(&read, &next);
    assert_int_equal(scratch_name_count(&scratch), 1);
}

static void no_bit_of_a_position_can_change(void **unused)
{
    (void)unused;
    uint8_t good[POSITION_FILE_SIZE];
    struct position_file read = { 0 };
    struct error err = { 0 };

    position_file_encode(good, &sample);
    CHECK_OK(position_file_decode(&read, bytes_of(good, sizeof good), &err));
    for (size_t bit = 0; bit < sizeof good * 8; bit++) {
        uint8_t bad[POSITION_FILE_SIZE];
        memcpy(bad, good, sizeof bad);
        bad[bit / 8] ^= (uint8_t)(1u << bit % 8);
        CHECK_RC(position_file_decode(&read, bytes_of(bad, sizeof bad), &err), RC_CORRUPT);
    }
    for (size_t size = 0; size < sizeof good; size++)
        CHECK_RC(position_file_decode(&read, bytes_of(good, size), &err), RC_CORRUPT);
}

/* The same checksum over bytes that are said to be something else. */
static void a_position_that_cannot_be_is_refused(void **unused)
{
    (void)unused;
    enum { AT_MAGIC = 7, AT_PAGE_SIZE = 8 + 16 + 4, AT_TXID = AT_PAGE_SIZE + 12 };
    static const struct {
        size_t place;
        uint64_t value;
        size_t size;
        rc wanted;
    } rows[] = {
        { AT_MAGIC, '2', 1, RC_UNSUPPORTED },
        { AT_PAGE_SIZE, 256, 4, RC_CORRUPT },
        { AT_PAGE_SIZE, 131072, 4, RC_CORRUPT },
        { AT_PAGE_SIZE, 65536, 4, RC_OK },
        { AT_TXID, 0, 8, RC_CORRUPT },
    };

    for (size_t index = 0; index < array_count(rows); index++) {
        uint8_t bytes[POSITION_FILE_SIZE];
        uint8_t value[8];
        struct position_file read = { 0 };
        struct error err = { 0 };

        position_file_encode(bytes, &sample);
        put_be64(value, rows[index].value);
        memcpy(bytes + rows[index].place, value + 8 - rows[index].size, rows[index].size);
        put_be64(bytes + sizeof bytes - 8, bytes_digest(bytes_of(bytes, sizeof bytes - 8)));
        CHECK_RC(
            position_file_decode(&read, bytes_of(bytes, sizeof bytes), &err), rows[index].wanted);
    }
}

static void a_file_that_is_not_there_has_no_mark(void **unused)
{
    (void)unused;
    auto_scratch struct scratch scratch = scratch_new();
    auto_free char *path = scratch_path(&scratch, "app.db");
    struct file_mark mark = { 0 };
    struct error err = { 0 };

    CHECK_RC(file_mark_read(&mark, path, &err), RC_NOT_FOUND);
    CHECK_SAYS(err, path);
    scratch_write(&scratch, "app.db", bytes_of("", 0));
    CHECK_OK(file_mark_read(&mark, path, &err));
    assert_true(mark.inode != 0);
}

static void a_file_is_known_by_inode_and_birth(void **unused)
{
    (void)unused;
    struct file_mark mark = { .device = 1, .inode = 2, .birth_ns = 3 };
    struct file_mark moved = { .device = 9, .inode = 2, .birth_ns = 3 };
    struct file_mark reborn = { .device = 1, .inode = 2, .birth_ns = 4 };
    struct file_mark other = { .device = 1, .inode = 5, .birth_ns = 3 };
    struct file_mark unborn = { .device = 1, .inode = 2 };
    struct file_mark unborn_moved = { .device = 9, .inode = 2 };

    assert_true(file_mark_same(&mark, &mark));
    assert_true(file_mark_same(&mark, &moved));
    assert_false(file_mark_same(&mark, &reborn));
    assert_false(file_mark_same(&mark, &other));
    assert_true(file_mark_same(&mark, &unborn));
    assert_true(file_mark_same(&unborn, &mark));
    assert_false(file_mark_same(&mark, &unborn_moved));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_position_comes_back_as_it_was_written),
        cmocka_unit_test(no_bit_of_a_position_can_change),
        cmocka_unit_test(a_position_that_cannot_be_is_refused),
        cmocka_unit_test(a_file_that_is_not_there_has_no_mark),
        cmocka_unit_test(a_file_is_known_by_inode_and_birth),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
