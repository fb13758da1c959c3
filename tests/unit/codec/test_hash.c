/* test_hash - known answers: FIPS 180-2, RFC 4231, RFC 1321, RFC 4648 */
#include "codec/hash.h"

#include "base/alloc.h"
#include "base/text.h"
#include "harness/check.h"

static void check_hex(const uint8_t *found, size_t size, const char *expected)
{
    char hex[2 * SHA256_SIZE + 1];

    text_put_hex(hex, found, size);
    assert_string_equal(hex, expected);
}

static void sha256_answers(void **state)
{
    (void)state;
    uint8_t out[SHA256_SIZE];
    auto_free uint8_t *million = mem_new(1000000);

    hash_sha256(out, bytes_of(NULL, 0));
    check_hex(out, sizeof out, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    hash_sha256(out, bytes_of_text("abc"));
    check_hex(out, sizeof out, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    hash_sha256(out, bytes_of_text("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"));
    check_hex(out, sizeof out, "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
    memset(million, 'a', 1000000);
    hash_sha256(out, bytes_of(million, 1000000));
    check_hex(out, sizeof out, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

static void hmac_answers(void **state)
{
    (void)state;
    uint8_t out[SHA256_SIZE];
    uint8_t key[131];

    memset(key, 0x0b, 20);
    hash_hmac_sha256(out, bytes_of(key, 20), bytes_of_text("Hi There"));
    check_hex(out, sizeof out, "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
    hash_hmac_sha256(out, bytes_of_text("Jefe"), bytes_of_text("what do ya want for nothing?"));
    check_hex(out, sizeof out, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    memset(key, 0xaa, sizeof key);
    hash_hmac_sha256(out, bytes_of(key, sizeof key),
        bytes_of_text("Test Using Larger Than Block-Size Key - Hash Key First"));
    check_hex(out, sizeof out, "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
    hash_hmac_sha256(out, bytes_of(NULL, 0), bytes_of(NULL, 0));
    check_hex(out, sizeof out, "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad");
}

static void md5_answers(void **state)
{
    (void)state;
    uint8_t out[MD5_SIZE];

    hash_md5(out, bytes_of(NULL, 0));
    check_hex(out, sizeof out, "d41d8cd98f00b204e9800998ecf8427e");
    hash_md5(out, bytes_of_text("message digest"));
    check_hex(out, sizeof out, "f96b697d7cb7938d525a2f31aaf161d0");
}

static void base64_answers(void **state)
{
    (void)state;
    const char *const rows[][2] = {
        { "", "" },
        { "f", "Zg==" },
        { "fo", "Zm8=" },
        { "foo", "Zm9v" },
        { "foob", "Zm9vYg==" },
        { "fooba", "Zm9vYmE=" },
        { "foobar", "Zm9vYmFy" },
        { "\xfb\xff\xbf", "+/+/" },
    };

    for (size_t i = 0; i < array_count(rows); i++) {
        auto_free char *encoded = base64_encode(bytes_of_text(rows[i][0]));
        assert_string_equal(encoded, rows[i][1]);
    }
    auto_free char *nothing = base64_encode(bytes_of(NULL, 0));
    assert_string_equal(nothing, "");
    uint8_t block[600] = { 0 };
    auto_free char *block_text = base64_encode(bytes_of(block, sizeof block));
    assert_int_equal(strlen(block_text), 800);
    assert_int_equal(strspn(block_text, "A"), 800);
}

static void random_bytes_differ_and_stay_inside(void **state)
{
    (void)state;
    uint8_t first[34] = { 0 };
    uint8_t second[34] = { 0 };

    random_fill(first + 1, 32);
    random_fill(second + 1, 32);
    assert_memory_not_equal(first, second, sizeof first);
    assert_int_equal(first[0] | first[33] | second[0] | second[33], 0);
    random_fill(first, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sha256_answers),
        cmocka_unit_test(hmac_answers),
        cmocka_unit_test(md5_answers),
        cmocka_unit_test(base64_answers),
        cmocka_unit_test(random_bytes_differ_and_stay_inside),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
