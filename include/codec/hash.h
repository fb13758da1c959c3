/*
 * hash - the cryptographic hashes that S3 asks for, over OpenSSL
 */
#ifndef SEAWAL_CODEC_HASH_H
#define SEAWAL_CODEC_HASH_H

#include "base/bytes.h"

enum { SHA256_SIZE = 32, MD5_SIZE = 16 };

void hash_sha256(uint8_t out[SHA256_SIZE], struct bytes in);
void hash_hmac_sha256(uint8_t out[SHA256_SIZE], struct bytes key, struct bytes in);
void hash_md5(uint8_t out[MD5_SIZE], struct bytes in);

/* Standard base64 with padding; owned text. */
char *base64_encode(struct bytes in);

/* Unpredictable bytes from OpenSSL's generator; aborts when the system has none. */
void random_fill(void *out, size_t size);

#endif
