/*
 * sigv4 - AWS Signature Version 4 for S3, as a pure function
 *
 *   canonical request = method \n path \n query \n each "header:value\n" \n names \n payload hash
 *   string to sign    = AWS4-HMAC-SHA256 \n date \n scope \n hex(sha256(canonical request))
 *   key               = HMAC chain over "AWS4"+secret, day, region, service, "aws4_request"
 */
#include "net/sigv4.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "base/text.h"
#include "base/url.h"
#include "codec/hash.h"

enum {
    SIGV4_DAY_SIZE = 8,
    SIGV4_TEXT_SIZE_MAX = 64 << 10,
};

void sigv4_date(char out[SIGV4_DATE_SIZE], int64_t time_s)
{
    time_t seconds = (time_t)time_s;
    struct tm parts;
    gmtime_r(&seconds, &parts);
    strftime(out, SIGV4_DATE_SIZE, "%Y%m%dT%H%M%SZ", &parts);
}

void sigv4_sha256(char out[SIGV4_SHA256_TEXT_SIZE], struct bytes body)
{
    uint8_t hash[SHA256_SIZE];
    hash_sha256(hash, body);
    text_put_hex(out, hash, sizeof hash);
}

static int sigv4_field_compare(const void *left, const void *right)
{
    const struct sigv4_field *a = left;
    const struct sigv4_field *b = right;
    int by_name = strcmp(a->name, b->name);
    return by_name != 0 ? by_name : strcmp(a->value, b->value);
}

/* Our parameter names need no escaping to sort right: they are ASCII letters, digits and '-'. */
static void sigv4_sort(struct sigv4_field *out, const struct sigv4_field *fields, size_t count)
{
    assert(count <= SIGV4_FIELD_COUNT_MAX);
    for (size_t index = 0; index < count; index++)
        out[index] = fields[index];
    if (count > 1)
        qsort(out, count, sizeof *out, sigv4_field_compare);
}

char *sigv4_query(const struct sigv4_field *query, size_t count)
{
    struct sigv4_field sorted[SIGV4_FIELD_COUNT_MAX];
    sigv4_sort(sorted, query, count);

    auto_buf struct buf text = BUF_INIT(SIGV4_TEXT_SIZE_MAX);
    for (size_t index = 0; index < count; index++) {
        auto_free char *name = url_escape(sorted[index].name, 0);
        auto_free char *value = url_escape(sorted[index].value, 0);
        buf_put_format(&text, "%s%s=%s", index > 0 ? "&" : "", name, value);
    }
    return buf_take_text(&text);
}

/* A header's value without outer blanks and with inner runs of blanks as one. */
static void sigv4_put_value(struct buf *out, const char *value)
{
    while (*value == ' ')
        value++;
    for (; *value != '\0'; value++) {
        bool is_spare = *value == ' ' && (value[1] == ' ' || value[1] == '\0');
        if (!is_spare)
            buf_put_u8(out, (uint8_t)*value);
    }
}

static void sigv4_put_names(struct buf *out, const struct sigv4_field *sorted, size_t count)
{
    for (size_t index = 0; index < count; index++)
        buf_put_format(out, "%s%s", index > 0 ? ";" : "", sorted[index].name);
}

static void sigv4_canonical_hash(char out[SIGV4_SHA256_TEXT_SIZE],
    const struct sigv4_request *request, const struct sigv4_field *sorted)
{
    auto_buf struct buf text = BUF_INIT(SIGV4_TEXT_SIZE_MAX);
    auto_free char *query = sigv4_query(request->query, request->query_count);

    buf_put_format(&text, "%s\n%s\n%s\n", request->method, request->path, query);
    for (size_t index = 0; index < request->header_count; index++) {
        buf_put_format(&text, "%s:", sorted[index].name);
        sigv4_put_value(&text, sorted[index].value);
        buf_put_text(&text, "\n");
    }
    buf_put_text(&text, "\n");
    sigv4_put_names(&text, sorted, request->header_count);
    buf_put_format(&text, "\n%s", request->payload_sha256);
    sigv4_sha256(out, buf_bytes(&text));
}

static void sigv4_signing_key(
    uint8_t out[SHA256_SIZE], const struct sigv4_key *key, const char *day)
{
    auto_free char *secret = text_format("AWS4%s", key->secret_access_key);
    uint8_t step[SHA256_SIZE];

    hash_hmac_sha256(step, bytes_of_text(secret), bytes_of(day, SIGV4_DAY_SIZE));
    hash_hmac_sha256(out, bytes_of(step, sizeof step), bytes_of_text(key->region));
    hash_hmac_sha256(step, bytes_of(out, SHA256_SIZE), bytes_of_text(key->service));
    hash_hmac_sha256(out, bytes_of(step, sizeof step), bytes_of_text("aws4_request"));
}

char *sigv4_authorization(
    const struct sigv4_request *request, const struct sigv4_key *key, const char *date)
{
    assert(request->path[0] == '/');
    assert(request->header_count > 0);
    assert(strlen(date) == SIGV4_DATE_SIZE - 1);

    struct sigv4_field sorted[SIGV4_FIELD_COUNT_MAX];
    sigv4_sort(sorted, request->headers, request->header_count);
    char hash[SIGV4_SHA256_TEXT_SIZE];
    sigv4_canonical_hash(hash, request, sorted);

    auto_free char *scope =
        text_format("%.*s/%s/%s/aws4_request", SIGV4_DAY_SIZE, date, key->region, key->service);
    auto_free char *to_sign = text_format("AWS4-HMAC-SHA256\n%s\n%s\n%s", date, scope, hash);
    uint8_t signing_key[SHA256_SIZE];
    uint8_t signature[SHA256_SIZE];
    char signature_text[SIGV4_SHA256_TEXT_SIZE];
    sigv4_signing_key(signing_key, key, date);
    hash_hmac_sha256(signature, bytes_of(signing_key, sizeof signing_key), bytes_of_text(to_sign));
    text_put_hex(signature_text, signature, sizeof signature);

    auto_buf struct buf names = BUF_INIT(SIGV4_TEXT_SIZE_MAX);
    sigv4_put_names(&names, sorted, request->header_count);
    auto_free char *names_text = buf_take_text(&names);
    return text_format("AWS4-HMAC-SHA256 Credential=%s/%s, SignedHeaders=%s, Signature=%s",
        key->access_key_id, scope, names_text, signature_text);
}
