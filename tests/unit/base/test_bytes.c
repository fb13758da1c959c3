/* test_bytes - slices, and a cursor that never reads past the end */
#include "base/bytes.h"

#include "base/alloc.h"
#include "harness/check.h"

#define BYTES(literal) bytes_of(literal, sizeof(literal) - 1)

static void part_beyond(void *payload)
{
    (void)payload;
    bytes_part(BYTES("abc"), 2, 2);
}

static void part_wrapping(void *payload)
{
    (void)payload;
    bytes_part(BYTES("abc"), 2, SIZE_MAX);
}

static void parts_lie_inside(void **state)
{
    (void)state;
    struct bytes slice = BYTES("abcdef");

    assert_true(bytes_equal(bytes_part(slice, 2, 3), BYTES("cde")));
    assert_int_equal(bytes_part(slice, 6, 0).size, 0);
    assert_int_equal(bytes_part(bytes_of(NULL, 0), 0, 0).size, 0);
    assert_true(check_aborts(part_beyond, NULL));
    assert_true(check_aborts(part_wrapping, NULL));
}

static void equality_looks_at_every_byte(void **state)
{
    (void)state;
    assert_true(bytes_equal(bytes_of(NULL, 0), BYTES("")));
    assert_true(bytes_equal(BYTES("a\0b"), BYTES("a\0b")));
    assert_false(bytes_equal(BYTES("a\0b"), BYTES("a\0c")));
    assert_false(bytes_equal(BYTES("ab"), BYTES("abc")));
}

static void zero_is_seen_at_every_place(void **state)
{
    (void)state;
    uint8_t page[1024] = { 0 };

    assert_true(bytes_are_zero(bytes_of(NULL, 0)));
    assert_true(bytes_are_zero(bytes_of(page, sizeof page)));
    for (size_t i = 0; i < sizeof page; i++) {
        page[i] = 1;
        assert_false(bytes_are_zero(bytes_of(page, sizeof page)));
        assert_true(bytes_are_zero(bytes_of(page, i)));
        page[i] = 0;
    }
}

static void integers_come_back_in_order(void **state)
{
    (void)state;
    struct cursor cursor = cursor_over(BYTES("\xfe\1\2\xf3\4\5\6\xf7\10\11\12\13\14\15\16tail"));

    assert_int_equal(cursor_u8(&cursor), 0xfe);
    assert_int_equal(cursor_be16(&cursor), 0x0102);
    assert_int_equal(cursor_be32(&cursor), 0xf3040506);
    assert_true(cursor_be64(&cursor) == UINT64_C(0xf708090a0b0c0d0e));
    assert_true(bytes_equal(cursor_bytes(&cursor, 4), BYTES("tail")));
    assert_true(cursor_is_spent(&cursor));
}

static void a_read_past_the_end_fails_for_good(void **state)
{
    (void)state;
    for (size_t size = 0; size < 8; size++) {
        auto_free uint8_t *exact = mem_copy("\xff\xff\xff\xff\xff\xff\xff\xff", size);
        struct cursor cursor = cursor_over(bytes_of(exact, size));

        assert_true(cursor_be64(&cursor) == 0);
        assert_true(cursor.failed);
        assert_int_equal(cursor_u8(&cursor), 0);
        assert_int_equal(cursor_be16(&cursor), 0);
        assert_int_equal(cursor_be32(&cursor), 0);
        assert_true(cursor_varint(&cursor) == 0);
        assert_int_equal(cursor_bytes(&cursor, 0).size, 0);
        assert_false(cursor_is_spent(&cursor));
    }
}

static void bytes_of_an_impossible_size_are_refused(void **state)
{
    (void)state;
    struct cursor cursor = cursor_over(BYTES("abc"));
    struct bytes taken = cursor_bytes(&cursor, SIZE_MAX);

    assert_true(cursor.failed);
    assert_int_equal(taken.size, 0);
    assert_null(taken.data);
}

static void something_left_is_not_spent(void **state)
{
    (void)state;
    struct cursor cursor = cursor_over(BYTES("ab"));

    cursor_u8(&cursor);
    assert_false(cursor_is_spent(&cursor));
    assert_false(cursor.failed);
    struct cursor empty = cursor_over(bytes_of(NULL, 0));
    assert_int_equal(cursor_bytes(&empty, 0).size, 0);
    assert_true(cursor_is_spent(&empty));
}

static void varints_round_trip_at_every_width(void **state)
{
    (void)state;
    for (unsigned bit = 0; bit <= 64; bit++) {
        for (int around = -1; around <= 1; around++) {
            uint64_t value = (bit == 64 ? 0 : UINT64_C(1) << bit) + (uint64_t)around;
            uint8_t encoded[VARINT_SIZE_MAX];
            size_t size = put_varint(encoded, value);
            assert_true(size <= VARINT_SIZE_MAX);

            struct cursor cursor = cursor_over(bytes_of(encoded, size));
            assert_true(cursor_varint(&cursor) == value);
            assert_true(cursor_is_spent(&cursor));

            cursor = cursor_over(bytes_of(encoded, size));
            assert_int_equal(cursor_varint32(&cursor), value <= UINT32_MAX ? value : 0);
            assert_int_equal(cursor.failed, value > UINT32_MAX);

            cursor = cursor_over(bytes_of(encoded, size - 1));
            assert_true(cursor_varint(&cursor) == 0);
            assert_true(cursor.failed);
        }
    }
}

static void varints_have_one_encoding(void **state)
{
    (void)state;
    const struct bytes bad[] = {
        BYTES(""),
        BYTES("\x80"),
        BYTES("\x80\x00"),
        BYTES("\xff\x00"),
        BYTES("\x81\x80\x00"),
        BYTES("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02"),
        BYTES("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x81\x00"),
        BYTES("\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01"),
        BYTES("\x80\x80\x80\x80\x80\x80\x80\x80\x80\x00"),
    };
    for (size_t i = 0; i < array_count(bad); i++) {
        struct cursor cursor = cursor_over(bad[i]);
        assert_true(cursor_varint(&cursor) == 0);
        assert_true(cursor.failed);
    }

    struct cursor largest = cursor_over(BYTES("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"));
    assert_true(cursor_varint(&largest) == UINT64_MAX);
    struct cursor wide = cursor_over(BYTES("\xff\xff\xff\xff\x1f"));
    assert_int_equal(cursor_varint32(&wide), 0);
    assert_true(wide.failed);
    struct cursor narrow = cursor_over(BYTES("\xff\xff\xff\xff\x0f"));
    assert_int_equal(cursor_varint32(&narrow), UINT32_MAX);
    assert_false(narrow.failed);
}

static void zigzag_keeps_small_numbers_small(void **state)
{
    (void)state;
    const int64_t values[] = { 0, -1, 1, -2, 2, INT64_MAX, INT64_MIN };

    for (size_t i = 0; i < array_count(values); i++)
        assert_true(zigzag_decode(zigzag_encode(values[i])) == values[i]);
    for (size_t i = 0; i < 5; i++)
        assert_true(zigzag_encode(values[i]) == i);
    assert_true(zigzag_encode(INT64_MIN) == UINT64_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parts_lie_inside),
        cmocka_unit_test(equality_looks_at_every_byte),
        cmocka_unit_test(zero_is_seen_at_every_place),
        cmocka_unit_test(integers_come_back_in_order),
        cmocka_unit_test(a_read_past_the_end_fails_for_good),
        cmocka_unit_test(bytes_of_an_impossible_size_are_refused),
        cmocka_unit_test(something_left_is_not_spent),
        cmocka_unit_test(varints_round_trip_at_every_width),
        cmocka_unit_test(varints_have_one_encoding),
        cmocka_unit_test(zigzag_keeps_small_numbers_small),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
