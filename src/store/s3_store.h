/*
 * s3_store - what the files of the S3 driver share
 *
 *   s3_request.c    one request: address, signature, exchange, what the answer means; and its retry
 *   s3_list.c       ListObjectsV2 pages
 *   s3_put.c        one object in one request, with the promise of STORE_PUT_NEW
 *   s3_multipart.c  objects in parts
 *   s3_remove.c     DeleteObjects, or one by one
 *   s3_store.c      reading, options, the ops table
 *
 * Marks. Every object we write carries x-amz-meta-seawal-put with a random mark of the call that
 * wrote it. When an answer got lost, or a conditional request lost against somebody, reading the
 * mark back tells our own success from another writer's object. (libcurl may send a request twice
 * by itself when a kept connection dies, so even a first refusal is looked at.)
 */
#ifndef SEAWAL_STORE_S3_STORE_H
#define SEAWAL_STORE_S3_STORE_H

#include <pthread.h>
#include <stdatomic.h>

#include "net/credentials.h"
#include "net/http.h"
#include "net/retry.h"
#include "net/sigv4.h"
#include "store_driver.h"

enum s3_conditional { S3_CONDITIONAL_UNKNOWN, S3_CONDITIONAL_YES, S3_CONDITIONAL_NO };

struct s3_store {
    struct store base;
    char *bucket;
    char *prefix; /* "" or with a slash at the end */
    bool is_https;
    char *endpoint_host; /* "host[:port]"; NULL: Amazon's, made of the region */
    char *endpoint_path; /* "" or "/path" before everything else */
    bool is_path_style;
    struct credentials credentials;
    struct http_client *client;
    struct cancel *cancel; /* borrowed; may be NULL */
    int64_t deadline_ms;

    _Atomic int64_t skew_s;   /* the server's clock minus ours, once it complained */
    _Atomic int conditional;  /* enum s3_conditional */
    atomic_bool has_no_batch; /* DeleteObjects is not offered */
    atomic_bool has_no_conditional_complete;
    pthread_mutex_t mu;
    char *region; /* guarded by mu; corrected when the server names another one */
};

struct s3_store *s3_store_from(struct store *store);

enum s3_kind { S3_KIND_PUT, S3_KIND_GET, S3_KIND_LIST, S3_KIND_REMOVE };

struct s3_request {
    const char *method;
    enum s3_kind kind;
    const char *key; /* relative to the prefix; NULL: the bucket */
    const struct sigv4_field *query;
    size_t query_count;
    const struct http_field *headers; /* x-amz-* ones are signed */
    size_t header_count;
    struct bytes body;
    bool has_body;
    const char *body_sha256; /* hex; NULL: computed for each attempt */
    struct sink sink;
    void (*restart)(
        void *payload);     /* called with the sink's payload before each attempt; or NULL */
    uint64_t expected_size; /* of the answer's body, for the deadline; 0: small */
    bool is_uncancelled;    /* the clean-up after a cancel must not be cancelled */
};

enum { S3_CODE_SIZE = 64, S3_MESSAGE_SIZE = 256 };

struct s3_answer {
    struct http_response http;
    char code[S3_CODE_SIZE]; /* of the error document; "" */
};

#define S3_ANSWER_INIT ((struct s3_answer){ .http = HTTP_RESPONSE_INIT })
#define auto_s3_answer __attribute__((cleanup(s3_answer_release)))
void s3_answer_release(struct s3_answer *answer);

/*
 * One exchange. RC_OK is a 2xx. ATTEMPT gives the time that is left and takes Retry-After, and
 * "again at once" after the region or the clock was corrected.
 */
must_use rc s3_request_send(struct s3_store *store, const struct s3_request *request,
    struct retry_attempt *attempt, struct s3_answer *answer, struct error *err);

/* The same within the retry loop. */
must_use rc s3_request_run(struct s3_store *store, const struct s3_request *request,
    struct s3_answer *answer, struct error *err);

/* The policy for one call that moves SIZE bytes: slow lines get a second for each 64 KiB. */
struct retry_policy s3_policy(const struct s3_store *store, uint64_t size);

/*
 * What an answer means: by the code of the error document where there is one, else by the status. A
 * 404 that does not come from an S3 server is never RC_NOT_FOUND. *RET_HINT is "" or begins with ";
 * ". Pure.
 */
rc s3_answer_meaning(int status, const char *code, bool has_body, const char **ret_hint);

/*
 * Fill ERR for an error document that came with STATUS (Complete may fail within a 200). DOCUMENT
 * may be anything; CODE has S3_CODE_SIZE bytes.
 */
rc s3_answer_explain(int status, struct bytes document, char *code, struct error *err);

/* TEXT into SIZE bytes, cut where it must be, and without control characters: fit for a log line.
 */
void s3_copy_text(char *out, size_t size, const char *text);

/* A fresh mark: 16 hex digits. */
enum { S3_MARK_SIZE = 17 };
#define S3_MARK_HEADER "x-amz-meta-seawal-put"
void s3_mark_make(char out[S3_MARK_SIZE]);

/* Whose object is under KEY: RC_OK ours (it carries MARK), RC_EXISTS another's, RC_NOT_FOUND none.
 */
must_use rc s3_mark_check(struct s3_store *store, const char *key, const char *mark,
    struct retry_attempt *attempt, struct error *err);

must_use rc s3_put(struct store *base, const char *key, struct bytes body, enum store_put_mode mode,
    struct error *err);
must_use rc s3_has_conditional_put(struct store *base, bool *ret, struct error *err);

/* The object by which conditional writes are tried out; listings do not show it. */
#define S3_PROBE_KEY ".seawal-probe"

must_use rc s3_upload_begin(struct store_upload **ret, struct store *base, const char *key,
    uint64_t size_hint, struct error *err);
must_use rc s3_upload_write(struct store_upload *base, struct bytes bytes, struct error *err);
must_use rc s3_upload_commit(struct store_upload *base, struct error *err);
void s3_upload_abort(struct store_upload *base);

/* The part size for an object of about SIZE_HINT bytes; RC_USAGE beyond S3's 5 TiB. Pure. */
must_use rc s3_part_size(uint64_t *ret, uint64_t size_hint, struct error *err);

must_use rc s3_list(struct store *base, const char *prefix, const char *after, store_each_fn *each,
    void *payload, struct error *err);
must_use rc s3_remove(
    struct store *base, const char *const *keys, size_t key_count, struct error *err);

#endif
