/*
 * s3_server - an S3 server inside the test, which misbehaves when asked
 *
 *   s3_server_start();
 *   ... replicate to s3_server_url() ...
 *   s3_server_misbehave(S3_LOSE);   the next request is carried out, and its answer lost
 *
 * It speaks HTTP/1.1 over a socket of the loopback, to libcurl as it is. It needs no thread: the
 * linker's --wrap lets it work whenever the product's http.c waits for an answer (curl_multi_poll).
 * So a request costs a few system calls, and the same run makes the same requests. Several threads
 * may wait at once.
 */
#ifndef SEAWAL_TESTS_HARNESS_S3_SERVER_H
#define SEAWAL_TESTS_HARNESS_S3_SERVER_H

#include <stddef.h>

enum s3_way {
    S3_HONEST,
    S3_REFUSE,     /* connections are closed and refused */
    S3_RESET,      /* the connection is reset; nothing was done */
    S3_LOSE,       /* done, and the connection is reset instead of an answer */
    S3_LOSE_ONCE,  /* the same, but when it is sent again the server is honest */
    S3_CUT,        /* done, and the connection ends in the middle of the answer */
    S3_FAIL,       /* 500; nothing was done */
    S3_FAIL_AFTER, /* done, and 500 */
    S3_SLOW_DOWN,  /* 503 SlowDown, with a time to wait; nothing was done */
    S3_DENY,       /* 403; nothing was done */
    S3_PORTAL,     /* 200 and a page of HTML, of something that is no S3 server; nothing was done */
    S3_EMPTY,      /* 200 and nothing; nothing was done */
    S3_WRONG, /* done; a byte of a segment is another, of all else comes a half, and another ETag */
    S3_TWICE, /* done twice, as a proxy does that tries again; the second answer comes */
    S3_REPEAT, /* done; the answer comes twice, one behind the other */
    S3_STALE,  /* a listing does not show what was put last */
    S3_GHOST,  /* a listing shows what was removed */
    S3_WAY_COUNT,
};

/* An empty bucket; credentials for it are put into the environment. */
void s3_server_start(void);
void s3_server_stop(void);

/* Of a replica in the bucket; borrowed until the server stops. */
const char *s3_server_url(void);

/* How it treats all requests from now on. */
void s3_server_misbehave(enum s3_way way);

/* Connections that the other side has closed are closed. */
void s3_server_tidy(void);

/* As of s3_bucket.h. */
size_t s3_server_overwritten(void);
size_t s3_server_unfinished(void);

#endif
