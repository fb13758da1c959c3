/* packing: smaller where it pays, never larger, and random bytes are not even tried */
#include "history.h"
#include "packing_priv.h"

#include "base/alloc.h"
#include "harness/check.h"

#include <stdlib.h>

static struct noise noise = { 99 };

static void fill_text(uint8_t *out, size_t size)
{
    static const char letters[] = "etaoin shrdlu\n";
    for (size_t index = 0; index < size; index++)
        out[index] = (uint8_t)letters[noise_below(&noise, sizeof letters - 1)];
}

static void check_packing(struct bytes raw, enum segment_encoding expected)
{
    struct error err = { 0 };
    struct packer packer;
    auto_buf struct buf out = BUF_INIT(pack_bound(raw.size) + 3);
    auto_free uint8_t *back = mem_new(raw.size + 1);
    struct inflater *inflater = inflater_new();

    packer_init(&packer);
    buf_put(&out, bytes_of("abc", 3)); /* pack() appends */
    enum segment_encoding encoding = pack(&packer, raw, &out);
    assert_int_equal(encoding, expected);
    assert_true(out.size - 3 <= raw.size);
    struct bytes stored = bytes_part(buf_bytes(&out), 3, out.size - 3);
    CHECK_OK(unpack(inflater, encoding, stored, back, raw.size, &err));
    assert_int_equal(memcmp(back, raw.data, raw.size), 0);
    CHECK_RC(unpack(inflater, encoding, stored, back, raw.size + 1, &err), RC_CORRUPT);
    inflater_free(inflater);
    packer_release(&packer);
}

static void text_of_every_size_is_deflated(void **state)
{
    (void)state;
    static const size_t sizes[] = { 200, 4096, 65536, 160 << 10, (160 << 10) + 1, 256 << 10 };
    auto_free uint8_t *raw = mem_new(256 << 10);
    fill_text(raw, 256 << 10);
    for (size_t index = 0; index < array_count(sizes); index++)
        check_packing(bytes_of(raw, sizes[index]), ENCODING_ZLIB);
}

static void what_gains_nothing_is_stored(void **state)
{
    (void)state;
    auto_free uint8_t *raw = mem_new(65536);
    noise_fill(&noise, raw, 65536);
    static const size_t sizes[] = { 1, 15, 16, 100, 255, 256, 4096, 65536 };
    for (size_t index = 0; index < array_count(sizes); index++)
        check_packing(bytes_of(raw, sizes[index]), ENCODING_STORED);
}

static void random_pages_are_dense_and_others_are_not(void **state)
{
    (void)state;
    auto_free uint8_t *page = mem_new(65536);
    for (uint32_t size = PAGE_SIZE_MIN; size <= PAGE_SIZE_MAX; size *= 2) {
        noise_fill(&noise, page, size);
        assert_true(bytes_are_dense(bytes_of(page, size)));
        for (size_t index = 0; index < size; index++)
            page[index] = (uint8_t)(page[index] % 64 + '0'); /* as base64 */
        assert_false(bytes_are_dense(bytes_of(page, size)));
        memset(page, 0, size);
        assert_false(bytes_are_dense(bytes_of(page, size)));
    }
}

static void unknown_encodings_are_unsupported(void **state)
{
    (void)state;
    struct error err = { 0 };
    uint8_t out[4];
    CHECK_RC(unpack(NULL, 2, bytes_of("abcd", 4), out, 4, &err), RC_UNSUPPORTED);
    CHECK_RC(unpack(NULL, 15, bytes_of("abcd", 4), out, 4, &err), RC_UNSUPPORTED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_of_every_size_is_deflated),
        cmocka_unit_test(what_gains_nothing_is_stored),
        cmocka_unit_test(random_pages_are_dense_and_others_are_not),
        cmocka_unit_test(unknown_encodings_are_unsupported),
    };
    return cmocka_run_group_tests_name("segment/packing", tests, NULL, NULL);
}
