/*
 * test_deflate - what goes in comes out, zlib reads it, and damage is never taken for data
 *
 * Built once for each implementation; zlib itself is the second opinion for both.
 */
#include "codec/deflate.h"

#include "base/alloc.h"
#include "harness/check.h"

#include <zlib.h>

enum { CONTENT_SIZE = 300000 };

/* Bytes that deflate a little: runs among noise. */
static uint8_t *content_new(void)
{
    uint8_t *content = mem_new(CONTENT_SIZE);
    uint32_t noise = 12345;

    for (size_t i = 0; i < CONTENT_SIZE; i++) {
        noise = noise * 1664525 + 1013904223;
        content[i] = noise >> 28 < 4 ? (uint8_t)(noise >> 16) : (uint8_t)(i >> 9);
    }
    return content;
}

static void every_level_and_size_comes_back(void **state)
{
    (void)state;
    const size_t sizes[] = { 0, 1, 2, 100, 4096, 65535, 65536, CONTENT_SIZE };
    auto_free uint8_t *content = content_new();
    auto_free uint8_t *back = mem_new(CONTENT_SIZE + 1);
    struct inflater *inflater = inflater_new();
    struct error err;

    for (int level = 1; level <= 9; level++) {
        struct deflater *deflater = deflater_new(level);
        for (size_t i = 0; i < array_count(sizes); i++) {
            auto_buf struct buf out = BUF_INIT(deflate_bound(sizes[i]));
            size_t size = deflater_run(deflater, bytes_of(content, sizes[i]), &out);
            assert_int_equal(size, out.size);

            back[sizes[i]] = 0x5a;
            CHECK_OK(inflater_run(inflater, buf_bytes(&out), back, sizes[i], &err));
            assert_true(bytes_equal(bytes_of(back, sizes[i]), bytes_of(content, sizes[i])));
            assert_int_equal(back[sizes[i]], 0x5a);

            uLongf zlib_size = CONTENT_SIZE;
            assert_int_equal(uncompress(back, &zlib_size, out.data, out.size), Z_OK);
            assert_int_equal(zlib_size, sizes[i]);
            assert_true(bytes_equal(bytes_of(back, sizes[i]), bytes_of(content, sizes[i])));
        }
        deflater_free(deflater);
    }
    inflater_free(inflater);
}

static void noise_stays_within_the_bound(void **state)
{
    (void)state;
    enum { NOISE_SIZE = 100000 };
    auto_free uint8_t *noise = mem_new(NOISE_SIZE);
    uint64_t seed = 1;

    for (size_t i = 0; i < NOISE_SIZE; i++) {
        seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        noise[i] = (uint8_t)(seed >> 56);
    }
    struct deflater *deflater = deflater_new(9);
    auto_buf struct buf out = BUF_INIT(deflate_bound(NOISE_SIZE));
    deflater_run(deflater, bytes_of(noise, NOISE_SIZE), &out);
    assert_true(out.size > NOISE_SIZE && out.size <= deflate_bound(NOISE_SIZE));
    deflater_free(deflater);
}

static void output_is_appended(void **state)
{
    (void)state;
    auto_buf struct buf out = BUF_INIT(1000);
    struct deflater *deflater = deflater_new(6);
    struct inflater *inflater = inflater_new();
    struct error err;
    char back[4] = { 0 };

    buf_put_text(&out, "head");
    size_t first = deflater_run(deflater, bytes_of_text("abc"), &out);
    size_t second = deflater_run(deflater, bytes_of_text("xyz"), &out);
    assert_int_equal(out.size, 4 + first + second);
    assert_memory_equal(out.data, "head", 4);
    CHECK_OK(inflater_run(inflater, bytes_part(buf_bytes(&out), 4, first), back, 3, &err));
    assert_string_equal(back, "abc");
    CHECK_OK(inflater_run(inflater, bytes_part(buf_bytes(&out), 4 + first, second), back, 3, &err));
    assert_string_equal(back, "xyz");
    deflater_free(deflater);
    inflater_free(inflater);
}

static void sizes_must_be_exact(void **state)
{
    (void)state;
    auto_buf struct buf out = BUF_INIT(1000);
    struct deflater *deflater = deflater_new(6);
    struct inflater *inflater = inflater_new();
    struct error err;
    uint8_t back[16] = { 0 };

    deflater_run(deflater, bytes_of_text("0123456789"), &out);
    CHECK_RC(inflater_run(inflater, buf_bytes(&out), back, 9, &err), RC_CORRUPT);
    assert_int_equal(back[9], 0);
    CHECK_RC(inflater_run(inflater, buf_bytes(&out), back, 11, &err), RC_CORRUPT);
    CHECK_RC(inflater_run(inflater, buf_bytes(&out), back, 0, &err), RC_CORRUPT);
    CHECK_RC(inflater_run(inflater, bytes_of(NULL, 0), back, 0, &err), RC_CORRUPT);
    CHECK_RC(inflater_run(inflater, bytes_of(NULL, 0), back, 10, &err), RC_CORRUPT);
    for (size_t size = 0; size < out.size; size++) {
        auto_free uint8_t *cut = mem_copy(out.data, size);
        CHECK_RC(inflater_run(inflater, bytes_of(cut, size), back, 10, &err), RC_CORRUPT);
    }
    buf_put_u8(&out, 0);
    CHECK_RC(inflater_run(inflater, buf_bytes(&out), back, 10, &err), RC_CORRUPT);
    CHECK_SAYS(err, "ends after");
    out.size--;
    CHECK_OK(inflater_run(inflater, buf_bytes(&out), back, 10, &err));
    deflater_free(deflater);
    inflater_free(inflater);
}

/*
 * Another distance into a run gives the same bytes, and some bits of the header say nothing; what
 * must never happen is success with other bytes.
 */
static void a_flipped_bit_never_gives_other_bytes(void **state)
{
    (void)state;
    enum { SIZE = 2000 };
    auto_free uint8_t *content = content_new();
    auto_free uint8_t *back = mem_new(SIZE);
    auto_buf struct buf out = BUF_INIT(deflate_bound(SIZE));
    struct deflater *deflater = deflater_new(6);
    struct inflater *inflater = inflater_new();
    unsigned refused = 0;

    deflater_run(deflater, bytes_of(content, SIZE), &out);
    for (size_t bit = 0; bit < out.size * 8; bit++) {
        out.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
        rc result = inflater_run(inflater, buf_bytes(&out), back, SIZE, NULL);
        out.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_true(result == RC_OK || result == RC_CORRUPT);
        assert_true(result != RC_OK || memcmp(back, content, SIZE) == 0);
        refused += result == RC_CORRUPT;
    }
    assert_true(refused > out.size * 8 / 10 * 9);
    deflater_free(deflater);
    inflater_free(inflater);
}

static void streams_of_other_kinds_are_refused(void **state)
{
    (void)state;
    const struct {
        const char *data;
        size_t size;
    } rows[] = {
        { "\x03\x00", 2 },                                        /* raw deflate */
        { "\x1f\x8b\x08\0\0\0\0\0\0\3\3\0\0\0\0\0\0\0\0\0", 20 }, /* gzip */
        { "\x78\xbb\0\0\0\1\3\0\0\0\0\1", 12 },                   /* with a preset dictionary */
        { "\x78\x9c\x03\x00\x00\x00\x00\x02", 8 },                /* wrong checksum */
        { "\x78\x9d\x03\x00\x00\x00\x00\x01", 8 },                /* wrong header check */
    };
    struct inflater *inflater = inflater_new();
    struct error err;
    uint8_t back;

    for (size_t i = 0; i < array_count(rows); i++)
        CHECK_RC(inflater_run(inflater, bytes_of(rows[i].data, rows[i].size), &back, 0, &err),
            RC_CORRUPT);
    CHECK_OK(
        inflater_run(inflater, bytes_of("\x78\x9c\x03\x00\x00\x00\x00\x01", 8), &back, 0, &err));
    inflater_free(inflater);
}

static void a_bomb_is_stopped_at_the_size_asked(void **state)
{
    (void)state;
    auto_free uint8_t *zeros = mem_new(10 << 20);
    auto_buf struct buf out = BUF_INIT(deflate_bound(10 << 20));
    struct deflater *deflater = deflater_new(9);
    struct inflater *inflater = inflater_new();
    uint8_t back[65] = { 0 };
    struct error err;

    deflater_run(deflater, bytes_of(zeros, 10 << 20), &out);
    back[64] = 0x5a;
    CHECK_RC(inflater_run(inflater, buf_bytes(&out), back, 64, &err), RC_CORRUPT);
    assert_int_equal(back[64], 0x5a);
    deflater_free(deflater);
    inflater_free(inflater);
}

static void no_room(void *payload)
{
    struct buf small = BUF_INIT(deflate_bound(10) - 1);

    deflater_run(payload, bytes_of_text("0123456789"), &small);
}

static void room_for_the_bound_is_required(void **state)
{
    (void)state;
    struct deflater *deflater = deflater_new(1);

    assert_true(check_aborts(no_room, deflater));
    deflater_free(deflater);
    deflater_free(NULL);
    inflater_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_level_and_size_comes_back),
        cmocka_unit_test(noise_stays_within_the_bound),
        cmocka_unit_test(output_is_appended),
        cmocka_unit_test(sizes_must_be_exact),
        cmocka_unit_test(a_flipped_bit_never_gives_other_bytes),
        cmocka_unit_test(streams_of_other_kinds_are_refused),
        cmocka_unit_test(a_bomb_is_stopped_at_the_size_asked),
        cmocka_unit_test(room_for_the_bound_is_required),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
