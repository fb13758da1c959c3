/* hash - the cryptographic hashes that S3 asks for, over OpenSSL */
#include "codec/hash.h"

#include "base/alloc.h"

#include <assert.h>
#include <limits.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>

/* A library without these hashes cannot serve us, and there is no caller who could do better. */
static void hash_must(int is_done, const char *what)
{
    if (is_done)
        return;
    fprintf(stderr, "seawal: OpenSSL refused %s\n", what);
    abort();
}

/* OpenSSL wants an address even for nothing. */
static const void *hash_address(struct bytes in)
{
    return in.size == 0 ? "" : (const void *)in.data;
}

static void hash_run(uint8_t *out, size_t out_size, const char *name, struct bytes in)
{
    size_t size = 0;

    /* "-fips": MD5 guards a transfer here and no secret, so a FIPS setting need not forbid it. */
    hash_must(EVP_Q_digest(NULL, name, "-fips", hash_address(in), in.size, out, &size) == 1, name);
    assert(size == out_size);
}

void hash_sha256(uint8_t out[SHA256_SIZE], struct bytes in)
{
    hash_run(out, SHA256_SIZE, "SHA256", in);
}

void hash_md5(uint8_t out[MD5_SIZE], struct bytes in)
{
    hash_run(out, MD5_SIZE, "MD5", in);
}

void hash_hmac_sha256(uint8_t out[SHA256_SIZE], struct bytes key, struct bytes in)
{
    unsigned size = 0;

    assert(key.size <= INT_MAX);
    const uint8_t *done =
        HMAC(EVP_sha256(), hash_address(key), (int)key.size, hash_address(in), in.size, out, &size);
    hash_must(done != NULL, "HMAC-SHA256");
    assert(size == SHA256_SIZE);
}

char *base64_encode(struct bytes in)
{
    assert(in.size <= INT_MAX / 4 * 3 - 3);

    char *text = mem_new((in.size + 2) / 3 * 4 + 1);
    EVP_EncodeBlock((unsigned char *)text, hash_address(in), (int)in.size);
    return text;
}

void random_fill(void *out, size_t size)
{
    assert(size <= INT_MAX);

    hash_must(RAND_bytes(out, (int)size) == 1, "random bytes");
}
