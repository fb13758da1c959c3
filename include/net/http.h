/*
 * http - one request over libcurl
 *
 *   struct http_client *client = http_client_new(&options);
 *   TRY(http_client_run(client, &request, &response, err));
 *
 * A client keeps a few connections open and may be used by several threads at once. A request has a
 * total deadline, a limit for connecting, one for crawling transfers, and a cancel token that is
 * looked at several times a second. Redirects are answers, never followed. Any answer of the
 * server, whatever its status, is RC_OK here: what it means is the caller's to say.
 */
#ifndef SEAWAL_NET_HTTP_H
#define SEAWAL_NET_HTTP_H

#include "base/buf.h"
#include "base/cancel.h"
#include "base/error.h"
#include "base/stream.h"

#include <stdbool.h>
#include <stdint.h>

struct http_client;

/* Zero means the default. Strings are copied. */
struct http_client_options {
    const char *ca_file; /* PEM bundle instead of the system's; NULL: the system's */
    bool skip_verify;
    int64_t connect_timeout_ms; /* 10 s */
    int64_t stall_timeout_ms;   /* nearly no bytes moved for this long; 30 s */
};

struct http_client *http_client_new(const struct http_client_options *options);

/* No request may be running. */
void http_client_free(struct http_client *client);

enum {
    HTTP_HEADERS_SIZE_MAX = 64 << 10,
    HTTP_ERROR_BODY_SIZE_MAX = 64 << 10,
    HTTP_REQUEST_HEADER_COUNT_MAX = 24,
};

struct http_field {
    const char *name;
    const char *value;
};

struct http_request {
    const char *method;
    const char *url;
    const struct http_field *headers;
    size_t header_count;
    struct bytes body;   /* sent when HAS_BODY, with its Content-Length, streamed from here */
    bool has_body;       /* a body of 0 bytes is one as well */
    struct sink sink;    /* gets the body of 2xx answers in order; write NULL: it is dropped */
    int64_t deadline_ms; /* from now on, for everything; must be set */
    struct cancel *cancel;
};

struct http_response {
    int status;              /* 0: there was no answer */
    struct buf headers;      /* "name: value\n", names in lower case; only of the final answer */
    struct buf error_body;   /* of answers other than 2xx; what exceeds the limit is dropped */
    uint64_t received_bytes; /* of the 2xx body */
};

#define HTTP_RESPONSE_INIT                                                                         \
    ((struct http_response){ .headers = BUF_INIT(HTTP_HEADERS_SIZE_MAX),                           \
        .error_body = BUF_INIT(HTTP_ERROR_BODY_SIZE_MAX) })
#define auto_http_response __attribute__((cleanup(http_response_release)))
void http_response_release(struct http_response *response);

/*
 * RC_NET: not reached, timed out, broken off, body shorter than announced. RC_DENIED: the server's
 * certificate is not trusted. RC_CANCELLED. RC_USAGE: the URL or the CA file cannot be used. A
 * failing sink ends the request and its rc is returned. RESPONSE is cleared first and may be
 * reused.
 */
must_use rc http_client_run(struct http_client *client, const struct http_request *request,
    struct http_response *response, struct error *err);

/* The value of header NAME (lower case), borrowed from RESPONSE and ended by '\n'; false if absent.
 */
bool http_response_header(
    const struct http_response *response, const char *name, struct bytes *ret_value);

/* The same as owned text, or NULL. */
char *http_response_header_text(const struct http_response *response, const char *name);

/* The Date header in seconds since the epoch; false if absent or malformed. */
bool http_response_date(const struct http_response *response, int64_t *ret_s);

/* Retry-After as milliseconds from now: seconds or a date (compared with Date); 0 if absent. */
int64_t http_response_retry_after_ms(const struct http_response *response);

#endif
