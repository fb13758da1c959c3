/* test_digest - XXH64 as the world knows it, and sums that come out the same */
#include "codec/digest.h"

#include "base/alloc.h"
#include "harness/check.h"

/* The test vectors of the reference implementation: pseudo-random bytes, with and without a seed.
 */
static void digests_are_xxh64(void **state)
{
    (void)state;
    const uint32_t seed = 0x9e3779b1;
    uint64_t generator = seed;
    uint8_t bytes[222];

    for (size_t i = 0; i < sizeof bytes; i++) {
        bytes[i] = (uint8_t)(generator >> 56);
        generator *= UINT64_C(0x9e3779b185ebca8d);
    }
    assert_true(bytes_digest(bytes_of(NULL, 0)) == UINT64_C(0xef46db3751d8e999));
    assert_true(bytes_digest(bytes_of_text("abc")) == UINT64_C(0x44bc2cf5ad770999));
    assert_true(bytes_digest(bytes_of(bytes, 1)) == UINT64_C(0xe934a84adb052768));
    assert_true(bytes_digest(bytes_of(bytes, 14)) == UINT64_C(0x8282dcc4994e35c8));
    assert_true(bytes_digest(bytes_of(bytes, 222)) == UINT64_C(0xb641ae8cb691c174));
    assert_true(page_digest(seed, bytes_of(bytes, 1)) == UINT64_C(0x5014607643a9b4c3));
    assert_true(page_digest(seed, bytes_of(bytes, 14)) == UINT64_C(0xc3bd6bf63deb6df0));
    assert_true(page_digest(seed, bytes_of(bytes, 222)) == UINT64_C(0x20cb8ab7ae10c14a));
}

static void place_and_every_bit_count(void **state)
{
    (void)state;
    uint8_t page[512] = { 0 };
    uint64_t digest = page_digest(7, bytes_of(page, sizeof page));

    assert_true(digest != page_digest(8, bytes_of(page, sizeof page)));
    for (size_t bit = 0; bit < sizeof page * 8; bit++) {
        page[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_true(page_digest(7, bytes_of(page, sizeof page)) != digest);
        page[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    assert_true(page_digest(7, bytes_of(page, sizeof page)) == digest);
}

static void a_replaced_page_equals_a_recomputed_database(void **state)
{
    (void)state;
    enum { PAGE_COUNT = 50 };
    uint64_t pages[PAGE_COUNT] = { 0 };
    uint64_t running = 0;
    uint8_t page[512] = { 0 };

    for (unsigned step = 0; step < 1000; step++) {
        unsigned i = step * 31 % PAGE_COUNT;
        page[0] = (uint8_t)step;
        uint64_t after =
            step % 7 == 0 ? PAGE_DIGEST_UNKNOWN : page_digest(i + 1, bytes_of(page, sizeof page));
        running = database_digest_replace(running, pages[i], after);
        pages[i] = after;
    }
    uint64_t sum = 0;
    for (unsigned i = 0; i < PAGE_COUNT; i++)
        sum += pages[i];
    assert_true(running == sum);
}

static void the_lock_page_holds_byte_2_to_the_30(void **state)
{
    (void)state;
    for (uint32_t page_size = 512; page_size <= 65536; page_size *= 2) {
        uint64_t first = (uint64_t)(lock_page_of(page_size) - 1) * page_size;
        assert_true(first <= UINT64_C(1) << 30 && first + page_size > UINT64_C(1) << 30);
    }
    assert_int_equal(lock_page_of(4096), 262145);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(digests_are_xxh64),
        cmocka_unit_test(place_and_every_bit_count),
        cmocka_unit_test(a_replaced_page_equals_a_recomputed_database),
        cmocka_unit_test(the_lock_page_holds_byte_2_to_the_30),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
