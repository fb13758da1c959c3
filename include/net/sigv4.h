/*
 * sigv4 - AWS Signature Version 4 for S3, as a pure function
 *
 * "Authenticating Requests: Using the Authorization Header" in the Amazon S3 API reference. Every
 * header given is signed; give host and x-amz-* only, since what proxies may rewrite must not be
 * signed.
 */
#ifndef SEAWAL_NET_SIGV4_H
#define SEAWAL_NET_SIGV4_H

#include "base/bytes.h"

#include <stdint.h>

enum { SIGV4_DATE_SIZE = 17, SIGV4_SHA256_TEXT_SIZE = 65, SIGV4_FIELD_COUNT_MAX = 24 };

/* The payload hash of a request without a body. */
#define SIGV4_EMPTY_SHA256 "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

/* A header (lower-case name) or a query parameter (not escaped). */
struct sigv4_field {
    const char *name;
    const char *value;
};

struct sigv4_request {
    const char *method;
    const char *path; /* escaped as it goes over the wire, begins with '/' */
    const struct sigv4_field *query;
    size_t query_count;
    const struct sigv4_field *headers; /* must hold host and x-amz-date; any order */
    size_t header_count;
    const char *payload_sha256; /* hex */
};

struct sigv4_key {
    const char *access_key_id;
    const char *secret_access_key;
    const char *region;
    const char *service; /* "s3" */
};

/* "20130524T000000Z" for seconds since the epoch. */
void sigv4_date(char out[SIGV4_DATE_SIZE], int64_t time_s);

/* Lower-case hex of the SHA-256 of BODY. */
void sigv4_sha256(char out[SIGV4_SHA256_TEXT_SIZE], struct bytes body);

/* The canonical query string, sorted, which is also what must go over the wire. Owned. */
char *sigv4_query(const struct sigv4_field *query, size_t count);

/* The value of the Authorization header. DATE is that of x-amz-date. Owned. */
char *sigv4_authorization(
    const struct sigv4_request *request, const struct sigv4_key *key, const char *date);

#endif
