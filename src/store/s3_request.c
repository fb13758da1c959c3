/*
 * s3_request - one request to an S3 server: address, signature, exchange, and what the answer means
 *
 * Signed are host and x-amz-* only, with the real SHA-256 of the body: proxies and S3-like servers
 * differ in what else they change or understand.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/text.h"
#include "codec/hash.h"
#include "s3_store.h"
#include "s3_xml.h"

enum {
    S3_DEADLINE_MS = 60 * 1000,
    S3_SLOW_BYTES_PER_S = 64 << 10,
    S3_HEADER_COUNT_MAX = HTTP_REQUEST_HEADER_COUNT_MAX,
};

/* What the codes of error documents mean for us, and what an operator can do. */
struct s3_code_meaning {
    const char *code;
    rc meaning;
    const char *hint;
};

static const struct s3_code_meaning s3_codes[] = {
    { "AccessDenied", RC_DENIED, "; check what the access key may do in this bucket" },
    { "AccountProblem", RC_DENIED, "" },
    { "AllAccessDisabled", RC_DENIED, "" },
    { "AuthorizationHeaderMalformed", RC_USAGE, "; check region" },
    { "BadDigest", RC_NET, "" },
    { "ConcurrentModification", RC_NET, "" },
    { "ConditionalRequestConflict", RC_NET, "" },
    { "EntityTooLarge", RC_UNSUPPORTED, "" },
    { "ExpiredToken", RC_DENIED, "; the session token has expired" },
    { "IllegalLocationConstraintException", RC_USAGE, "; check region" },
    { "IncompleteBody", RC_NET, "" },
    { "InsufficientCapacity", RC_NO_SPACE, "" },
    { "InternalError", RC_NET, "" },
    { "InvalidAccessKeyId", RC_DENIED, "; check the access key id" },
    { "InvalidBucketName", RC_USAGE, "" },
    { "InvalidRange", RC_MISMATCH, "" },
    { "InvalidToken", RC_DENIED, "; check the session token" },
    { "MethodNotAllowed", RC_UNSUPPORTED, "" },
    { "NoSuchBucket", RC_USAGE, "; create the bucket" },
    { "NoSuchKey", RC_NOT_FOUND, "" },
    { "NoSuchUpload", RC_MISMATCH, "" },
    { "NotImplemented", RC_UNSUPPORTED, "" },
    { "OperationAborted", RC_NET, "" },
    { "PermanentRedirect", RC_USAGE, "; check region and endpoint" },
    { "PreconditionFailed", RC_EXISTS, "" },
    { "QuotaExceeded", RC_NO_SPACE, "" },
    { "RequestTimeTooSkewed", RC_DENIED, "; set the clock" },
    { "RequestTimeout", RC_NET, "" },
    { "ServiceUnavailable", RC_NET, "" },
    { "SignatureDoesNotMatch", RC_DENIED, "; check the secret access key" },
    { "SlowDown", RC_NET, "" },
    { "TemporaryRedirect", RC_USAGE, "; check region and endpoint" },
    { "TokenRefreshRequired", RC_DENIED, "; the session token has expired" },
    { "UserSuspended", RC_DENIED, "" },
    { "XAmzContentSHA256Mismatch", RC_NET, "" },
};

static rc s3_status_meaning(int status, bool has_body, const char **ret_hint)
{
    *ret_hint = "";
    switch (status) {
    case 401:
    case 403:
        *ret_hint = "; check credentials and permissions";
        return RC_DENIED;
    case 404:
        /* The answer to HEAD has no body by definition; any other answer of S3 says what is
         * missing. */
        *ret_hint = has_body ? "; this is no S3 server's answer, check endpoint" : "";
        return has_body ? RC_USAGE : RC_NOT_FOUND;
    case 408:
    case 409:
    case 425:
    case 429:
        return RC_NET;
    case 405:
    case 501:
        return RC_UNSUPPORTED;
    case 412:
        return RC_EXISTS;
    case 416:
        return RC_MISMATCH;
    case 507:
        return RC_NO_SPACE;
    default:
        break;
    }
    if (status >= 300 && status < 400) {
        *ret_hint = "; redirects are not followed, check region and endpoint";
        return RC_USAGE;
    }
    return status >= 500 ? RC_NET : RC_IO;
}

rc s3_answer_meaning(int status, const char *code, bool has_body, const char **ret_hint)
{
    for (size_t index = 0; index < array_count(s3_codes); index++) {
        if (text_equal(s3_codes[index].code, code)) {
            *ret_hint = s3_codes[index].hint;
            return s3_codes[index].meaning;
        }
    }
    /* A 404 with some other code of S3's still says that something is missing, but not what. */
    return s3_status_meaning(status, has_body, ret_hint);
}

struct s3_error_document {
    char *code; /* S3_CODE_SIZE bytes */
    char message[S3_MESSAGE_SIZE];
    char region[S3_CODE_SIZE];
};

void s3_copy_text(char *out, size_t size, const char *text)
{
    size_t text_size = strnlen(text, size - 1);
    memcpy(out, text, text_size);
    out[text_size] = '\0';
    /* Into one log line it goes, whatever the server wrote. */
    for (char *p = out; *p != '\0'; p++)
        if ((unsigned char)*p < ' ')
            *p = ' ';
}

static rc s3_error_field(void *payload, const char *path, const char *text, struct error *err)
{
    struct s3_error_document *document = payload;
    (void)err;

    if (text_equal(path, "Error/Code"))
        s3_copy_text(document->code, S3_CODE_SIZE, text);
    if (text_equal(path, "Error/Message"))
        s3_copy_text(document->message, sizeof document->message, text);
    if (text_equal(path, "Error/Region"))
        s3_copy_text(document->region, sizeof document->region, text);
    return RC_OK;
}

/* An error that is no XML document is no news: the status speaks then. */
static void s3_error_parse(struct s3_error_document *document, struct bytes body)
{
    document->code[0] = '\0';
    if (body.size > 0)
        (void)!s3_xml_parse(body, s3_error_field, document, NULL);
}

static rc s3_error_report(
    int status, const struct s3_error_document *document, bool has_body, struct error *err)
{
    const char *hint;
    rc meaning = s3_answer_meaning(status, document->code, has_body, &hint);
    FAIL(err, meaning, "the server answered %d%s%s%s%s%s", status,
        document->code[0] != '\0' ? " " : "", document->code,
        document->message[0] != '\0' ? ": " : "", document->message, hint);
}

rc s3_answer_explain(int status, struct bytes body, char *code, struct error *err)
{
    struct s3_error_document document = { .code = code };
    s3_error_parse(&document, body);
    return s3_error_report(status, &document, true, err);
}

void s3_answer_release(struct s3_answer *answer)
{
    http_response_release(&answer->http);
}

struct retry_policy s3_policy(const struct s3_store *store, uint64_t size)
{
    int64_t deadline_ms = store->deadline_ms > 0 ? store->deadline_ms : S3_DEADLINE_MS;
    return (struct retry_policy){
        .deadline_ms = deadline_ms + (int64_t)(size / S3_SLOW_BYTES_PER_S * 1000),
        .cancel = store->cancel,
    };
}

static char *s3_region(struct s3_store *store)
{
    pthread_mutex_lock(&store->mu);
    char *region = text_copy(store->region);
    pthread_mutex_unlock(&store->mu);
    return region;
}

/* Where a request goes: the host as it is signed, and the path as it goes over the wire. */
struct s3_address {
    char *region;
    char *host;
    char *path;
    char *query;
    char *url;
};

static void s3_address_release(struct s3_address *address)
{
    free(address->region);
    free(address->host);
    free(address->path);
    free(address->query);
    free(address->url);
}

static void s3_address_make(
    struct s3_address *ret, struct s3_store *store, const struct s3_request *request)
{
    ret->region = s3_region(store);
    auto_free char *server = store->endpoint_host != NULL
                                 ? text_copy(store->endpoint_host)
                                 : text_format("s3.%s.amazonaws.com", ret->region);
    ret->host =
        store->is_path_style ? text_copy(server) : text_format("%s.%s", store->bucket, server);

    auto_free char *plain = text_format("%s%s%s/%s%s", store->endpoint_path,
        store->is_path_style ? "/" : "", store->is_path_style ? store->bucket : "",
        request->key != NULL ? store->prefix : "", request->key != NULL ? request->key : "");
    /* The bucket itself is "/bucket", not "/bucket/": old servers sign them differently. */
    size_t size = strlen(plain);
    if (request->key == NULL && size > 1)
        plain[size - 1] = '\0';
    ret->path = url_escape(plain, 1);
    ret->query = sigv4_query(request->query, request->query_count);
    ret->url = text_format("%s://%s%s%s%s", store->is_https ? "https" : "http", ret->host,
        ret->path, ret->query[0] != '\0' ? "?" : "", ret->query);
}

/* The headers of a request, signed. The values are owned by the caller of s3_sign(). */
struct s3_signed {
    struct http_field headers[S3_HEADER_COUNT_MAX];
    size_t header_count;
    char date[SIGV4_DATE_SIZE];
    char body_sha256[SIGV4_SHA256_TEXT_SIZE];
    char *authorization;
};

static void s3_add_header(struct s3_signed *ret, const char *name, const char *value)
{
    assert(ret->header_count < S3_HEADER_COUNT_MAX);
    ret->headers[ret->header_count++] = (struct http_field){ .name = name, .value = value };
}

static void s3_sign(struct s3_signed *ret, struct s3_store *store, const struct s3_request *request,
    const struct s3_address *address)
{
    sigv4_date(ret->date, clock_wall_ms() / 1000 + atomic_load(&store->skew_s));
    if (request->body_sha256 != NULL)
        memcpy(ret->body_sha256, request->body_sha256, sizeof ret->body_sha256);
    else
        sigv4_sha256(ret->body_sha256, request->body);

    s3_add_header(ret, "x-amz-date", ret->date);
    s3_add_header(ret, "x-amz-content-sha256", ret->body_sha256);
    if (store->credentials.session_token != NULL)
        s3_add_header(ret, "x-amz-security-token", store->credentials.session_token);
    for (size_t index = 0; index < request->header_count; index++)
        s3_add_header(ret, request->headers[index].name, request->headers[index].value);

    struct sigv4_field to_sign[SIGV4_FIELD_COUNT_MAX];
    size_t count = 0;
    to_sign[count++] = (struct sigv4_field){ .name = "host", .value = address->host };
    for (size_t index = 0; index < ret->header_count; index++)
        if (text_has_prefix(ret->headers[index].name, "x-amz-"))
            to_sign[count++] = (struct sigv4_field){ .name = ret->headers[index].name,
                .value = ret->headers[index].value };
    struct sigv4_request canonical = {
        .method = request->method,
        .path = address->path,
        .query = request->query,
        .query_count = request->query_count,
        .headers = to_sign,
        .header_count = count,
        .payload_sha256 = ret->body_sha256,
    };
    struct sigv4_key key = {
        .access_key_id = store->credentials.access_key_id,
        .secret_access_key = store->credentials.secret_access_key,
        .region = address->region,
        .service = "s3",
    };
    ret->authorization = sigv4_authorization(&canonical, &key, ret->date);
    s3_add_header(ret, "authorization", ret->authorization);
}

static void s3_count(
    struct s3_store *store, const struct s3_request *request, unsigned attempt_index)
{
    struct store_counters *counters = &store->base.counters;
    _Atomic uint64_t *const by_kind[] = {
        [S3_KIND_PUT] = &counters->put_count,
        [S3_KIND_GET] = &counters->get_count,
        [S3_KIND_LIST] = &counters->list_count,
        [S3_KIND_REMOVE] = &counters->remove_count,
    };
    atomic_fetch_add_explicit(by_kind[request->kind], 1, memory_order_relaxed);
    if (attempt_index > 0)
        atomic_fetch_add_explicit(&counters->retry_count, 1, memory_order_relaxed);
    if (request->kind == S3_KIND_PUT)
        atomic_fetch_add_explicit(&counters->sent_bytes, request->body.size, memory_order_relaxed);
}

static void s3_count_answer(struct s3_store *store, rc ran, int status)
{
    enum store_answer answer = STORE_ANSWER_NONE;

    if (ran == RC_OK && status >= 200 && status < 600)
        answer = (enum store_answer)(STORE_ANSWER_2XX + status / 100 - 2);
    atomic_fetch_add_explicit(&store->base.counters.answer_counts[answer], 1, memory_order_relaxed);
}

static rc s3_exchange(struct s3_store *store, const struct s3_request *request,
    const struct retry_attempt *attempt, struct http_response *response, struct error *err)
{
    struct s3_address address = { 0 };
    struct s3_signed head = { .header_count = 0 };

    s3_address_make(&address, store, request);
    s3_sign(&head, store, request, &address);
    struct http_request http = {
        .method = request->method,
        .url = address.url,
        .headers = head.headers,
        .header_count = head.header_count,
        .body = request->body,
        .has_body = request->has_body,
        .sink = request->sink,
        .deadline_ms = attempt->remaining_ms,
        .cancel = request->is_uncancelled ? NULL : store->cancel,
    };
    s3_count(store, request, attempt->index);
    rc ran = http_client_run(store->client, &http, response, err);
    s3_count_answer(store, ran, response->status);
    if (request->kind == S3_KIND_GET)
        atomic_fetch_add_explicit(
            &store->base.counters.received_bytes, response->received_bytes, memory_order_relaxed);
    free(head.authorization);
    s3_address_release(&address);
    return ran;
}

/* True when the server named another region than the one we signed for, which is now taken over. */
static bool s3_correct_region(
    struct s3_store *store, const struct s3_answer *answer, const char *document_region)
{
    auto_free char *named = http_response_header_text(&answer->http, "x-amz-bucket-region");
    const char *region = named != NULL ? named : document_region;
    bool is_about_region = answer->http.status == 301 || answer->http.status == 307 ||
                           answer->http.status == 400 || answer->http.status == 403;
    if (!is_about_region || region[0] == '\0' || strlen(region) >= S3_CODE_SIZE)
        return false;
    if (strspn(region, "abcdefghijklmnopqrstuvwxyz0123456789-") != strlen(region))
        return false;

    pthread_mutex_lock(&store->mu);
    bool is_news = !text_equal(store->region, region);
    if (is_news) {
        free(store->region);
        store->region = text_copy(region);
    }
    pthread_mutex_unlock(&store->mu);
    return is_news;
}

/* True when the server's clock is known now. A difference that is no news would not help. */
static bool s3_correct_clock(struct s3_store *store, const struct s3_answer *answer)
{
    enum { SKEW_NEWS_S = 60 };
    int64_t server_s;
    if (!text_equal(answer->code, "RequestTimeTooSkewed") ||
        !http_response_date(&answer->http, &server_s))
        return false;
    int64_t skew_s = server_s - clock_wall_ms() / 1000;
    int64_t change_s = skew_s - atomic_exchange(&store->skew_s, skew_s);
    return change_s > SKEW_NEWS_S || change_s < -SKEW_NEWS_S;
}

/*
 * Whoever keeps objects gives them an ETag, and says it with each. A login page, or a proxy whose
 * backend is away, says 200 as well: then nothing was stored, and nothing of what came is stored.
 */
static bool s3_lacks_etag(const struct s3_request *request, const struct http_response *response)
{
    struct bytes etag;
    bool is_object = request->key != NULL &&
                     (request->kind == S3_KIND_PUT || request->kind == S3_KIND_GET) &&
                     !text_equal(request->method, "POST");

    return is_object && !http_response_header(response, "etag", &etag);
}

rc s3_request_send(struct s3_store *store, const struct s3_request *request,
    struct retry_attempt *attempt, struct s3_answer *answer, struct error *err)
{
    answer->code[0] = '\0';
    if (request->restart != NULL)
        request->restart(request->sink.payload);
    const char *key = request->key != NULL ? request->key : "";
    const char *slash = request->key != NULL ? "/" : "";
    TRY_AS(err, s3_exchange(store, request, attempt, &answer->http, err), "%s '%s%s%s'",
        request->method, store->base.name, slash, key);

    int status = answer->http.status;
    if (status >= 200 && status < 300 && !s3_lacks_etag(request, &answer->http))
        return RC_OK;
    if (status >= 200 && status < 300)
        FAIL(err, RC_NET,
            "%s '%s%s%s': the server answered %d without an ETag; this is no S3 server's answer, "
            "check endpoint",
            request->method, store->base.name, slash, key, status);
    struct s3_error_document document = { .code = answer->code };
    s3_error_parse(&document, buf_bytes(&answer->http.error_body));
    attempt->retry_after_ms = http_response_retry_after_ms(&answer->http);
    attempt->at_once =
        s3_correct_region(store, answer, document.region) || s3_correct_clock(store, answer);
    rc reported = s3_error_report(status, &document, !text_equal(request->method, "HEAD"), err);
    return error_wrap(err, reported, "%s '%s%s%s'", request->method, store->base.name, slash, key);
}

struct s3_run {
    struct s3_store *store;
    const struct s3_request *request;
    struct s3_answer *answer;
};

static rc s3_request_attempt(void *payload, struct retry_attempt *attempt, struct error *err)
{
    struct s3_run *run = payload;
    return s3_request_send(run->store, run->request, attempt, run->answer, err);
}

rc s3_request_run(struct s3_store *store, const struct s3_request *request,
    struct s3_answer *answer, struct error *err)
{
    struct s3_run run = { .store = store, .request = request, .answer = answer };
    struct retry_policy policy = s3_policy(store, request->body.size + request->expected_size);
    return retry_run(&policy, s3_request_attempt, &run, err);
}

void s3_mark_make(char out[S3_MARK_SIZE])
{
    uint8_t random[(S3_MARK_SIZE - 1) / 2];
    random_fill(random, sizeof random);
    text_put_hex(out, random, sizeof random);
}

rc s3_mark_check(struct s3_store *store, const char *key, const char *mark,
    struct retry_attempt *attempt, struct error *err)
{
    auto_s3_answer struct s3_answer answer = S3_ANSWER_INIT;
    struct s3_request request = { .method = "HEAD", .kind = S3_KIND_GET, .key = key };
    TRY(s3_request_send(store, &request, attempt, &answer, err));

    auto_free char *found = http_response_header_text(&answer.http, S3_MARK_HEADER);
    if (text_equal(found, mark))
        return RC_OK;
    FAIL(err, RC_EXISTS, "'%s/%s' is there already", store->base.name, key);
}
