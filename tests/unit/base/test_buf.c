/* test_buf - growth up to the limit and not a byte further */
#include "base/buf.h"

#include "base/alloc.h"
#include "harness/check.h"

static void append_stops_at_the_limit_and_changes_nothing(void **state)
{
    (void)state;
    struct error err;
    auto_buf struct buf buf = BUF_INIT(10);

    CHECK_OK(buf_append(&buf, bytes_of_text("0123456"), &err));
    CHECK_RC(buf_append(&buf, bytes_of_text("789a"), &err), RC_CORRUPT);
    CHECK_SAYS(err, "at most 10");
    assert_int_equal(buf.size, 7);
    CHECK_OK(buf_append(&buf, bytes_of_text("789"), &err));
    assert_memory_equal(buf.data, "0123456789", 10);
    CHECK_OK(buf_append(&buf, bytes_of(NULL, 0), &err));
    CHECK_RC(buf_append(&buf, bytes_of_text("x"), &err), RC_CORRUPT);
}

static void append_of_an_impossible_size_does_not_wrap(void **state)
{
    (void)state;
    struct error err;
    auto_buf struct buf buf = BUF_INIT(SIZE_MAX);

    buf_put_u8(&buf, 1);
    CHECK_RC(buf_append(&buf, bytes_of("", SIZE_MAX), &err), RC_CORRUPT);
    assert_int_equal(buf.size, 1);
}

static void put_beyond(void *payload)
{
    buf_put(payload, bytes_of_text("12345"));
}

static void reserve_beyond(void *payload)
{
    buf_reserve(payload, 5);
}

static void drop_beyond(void *payload)
{
    buf_drop_front(payload, 1);
}

static void our_own_bytes_beyond_the_limit_end_the_process(void **state)
{
    (void)state;
    auto_buf struct buf buf = BUF_INIT(4);

    assert_true(check_aborts(put_beyond, &buf));
    assert_true(check_aborts(reserve_beyond, &buf));
    assert_true(check_aborts(drop_beyond, &buf));
}

static void capacity_never_passes_the_limit(void **state)
{
    (void)state;
    auto_buf struct buf buf = BUF_INIT(1000);

    for (int i = 0; i < 1000; i++) {
        buf_put_u8(&buf, (uint8_t)i);
        assert_true(buf.capacity <= 1000);
    }
    for (int i = 0; i < 1000; i++)
        assert_int_equal(buf.data[i], (uint8_t)i);
}

static void integers_are_big_endian(void **state)
{
    (void)state;
    auto_buf struct buf buf = BUF_INIT(64);

    buf_put_u8(&buf, 0xfe);
    buf_put_be16(&buf, 0x0102);
    buf_put_be32(&buf, 0x03040506);
    buf_put_be64(&buf, UINT64_C(0x0708090a0b0c0d0e));
    buf_put_varint(&buf, 300);
    assert_int_equal(buf.size, 17);
    assert_memory_equal(buf.data, "\xfe\1\2\3\4\5\6\7\10\11\12\13\14\15\16\xac\2", 17);
}

static void text_is_taken_whole_even_at_the_limit(void **state)
{
    (void)state;
    auto_buf struct buf buf = BUF_INIT(6);

    buf_put_text(&buf, "ab");
    buf_put_format(&buf, "%d-%c", 42, 'z');
    assert_int_equal(buf.size, 6);
    auto_free char *text = buf_take_text(&buf);
    assert_string_equal(text, "ab42-z");
    assert_int_equal(buf.size, 0);
    assert_null(buf.data);

    auto_free char *empty = buf_take_text(&buf);
    assert_string_equal(empty, "");
    buf_put_text(&buf, "again");
    assert_int_equal(buf.size, 5);
}

static void clear_keeps_memory_and_drop_front_keeps_the_rest(void **state)
{
    (void)state;
    auto_buf struct buf buf = BUF_INIT(100);

    buf_put_text(&buf, "0123456789");
    const uint8_t *data = buf.data;
    buf_drop_front(&buf, 4);
    assert_int_equal(buf.size, 6);
    assert_memory_equal(buf.data, "456789", 6);
    buf_drop_front(&buf, 0);
    buf_drop_front(&buf, 6);
    assert_int_equal(buf.size, 0);
    buf_put_text(&buf, "x");
    buf_clear(&buf);
    assert_int_equal(buf.size, 0);
    assert_ptr_equal(buf.data, data);
}

static void release_may_be_called_twice_and_keeps_the_limit(void **state)
{
    (void)state;
    struct error err;
    struct buf buf = BUF_INIT(3);

    buf_put_text(&buf, "abc");
    buf_release(&buf);
    buf_release(&buf);
    CHECK_OK(buf_append(&buf, bytes_of_text("abc"), &err));
    CHECK_RC(buf_append(&buf, bytes_of_text("d"), &err), RC_CORRUPT);
    buf_release(&buf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(append_stops_at_the_limit_and_changes_nothing),
        cmocka_unit_test(append_of_an_impossible_size_does_not_wrap),
        cmocka_unit_test(our_own_bytes_beyond_the_limit_end_the_process),
        cmocka_unit_test(capacity_never_passes_the_limit),
        cmocka_unit_test(integers_are_big_endian),
        cmocka_unit_test(text_is_taken_whole_even_at_the_limit),
        cmocka_unit_test(clear_keeps_memory_and_drop_front_keeps_the_rest),
        cmocka_unit_test(release_may_be_called_twice_and_keeps_the_limit),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
