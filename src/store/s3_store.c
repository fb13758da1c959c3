/*
 * s3_store - reading from S3, what the URL and the options say, and the driver's table
 */
#include "s3_store.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/path.h"
#include "base/text.h"

enum {
    S3_BUCKET_SIZE_MIN = 3,
    S3_BUCKET_SIZE_MAX = 63,
    S3_PREFIX_SIZE_MAX = 512,
    S3_RANGE_TEXT_SIZE = 64,
};

static const struct store_ops s3_store_ops;

struct s3_store *s3_store_from(struct store *store)
{
    assert(store->ops == &s3_store_ops);
    return container_of(store, struct s3_store, base);
}

/* A read in progress: where the bytes go, and how many may come. */
struct s3_get {
    struct buf *out;
    size_t out_size_before;
    uint64_t size_max;
};

static void s3_get_restart(void *payload)
{
    struct s3_get *get = payload;
    get->out->size = get->out_size_before;
}

static uint64_t s3_get_size(const struct s3_get *get)
{
    return get->out->size - get->out_size_before;
}

static rc s3_get_write(void *payload, struct bytes bytes, struct error *err)
{
    struct s3_get *get = payload;
    if (bytes.size > get->size_max - s3_get_size(get))
        FAIL(err, RC_UNSUPPORTED,
            "more bytes came than were asked for; the server takes no notice of "
            "ranges");
    return buf_append(get->out, bytes, err);
}

/* "bytes 10-19/100" or "bytes *\/100". A total that the server does not know ("*") is malformed
 * here. */
struct s3_content_range {
    bool is_there;
    bool has_span;
    uint64_t first;
    uint64_t last;
    uint64_t total;
};

static bool s3_content_range_parse(struct s3_content_range *ret, char *text)
{
    const char *rest = text_after_prefix(text, "bytes ");
    char *slash = strchr(text, '/');
    if (rest == NULL || slash == NULL)
        return false;
    *slash = '\0';
    if (text_parse_u64(&ret->total, slash + 1, INT64_MAX, NULL) != RC_OK)
        return false;
    char *dash = strchr(text, '-');
    ret->has_span = dash != NULL;
    if (dash == NULL)
        return true;
    *dash = '\0';
    return text_parse_u64(&ret->first, rest, INT64_MAX, NULL) == RC_OK &&
           text_parse_u64(&ret->last, dash + 1, INT64_MAX, NULL) == RC_OK &&
           ret->first <= ret->last && ret->last < ret->total;
}

static struct s3_content_range s3_content_range_of(const struct http_response *response)
{
    struct s3_content_range range = { 0 };
    auto_free char *text = http_response_header_text(response, "content-range");
    range.is_there = text != NULL && s3_content_range_parse(&range, text);
    return range;
}

static rc s3_get_send(struct s3_store *store, const char *key, const char *range,
    struct s3_get *get, struct s3_answer *answer, struct error *err)
{
    struct http_field headers[] = { { "range", range } };
    struct s3_request request = {
        .method = "GET",
        .kind = S3_KIND_GET,
        .key = key,
        .headers = headers,
        .header_count = range != NULL ? 1 : 0,
        .sink = { .write = s3_get_write, .payload = get },
        .restart = s3_get_restart,
        .expected_size = get->size_max < UINT64_MAX ? get->size_max : 0,
    };
    return s3_request_run(store, &request, answer, err);
}

static rc s3_object_size(uint64_t *ret, struct s3_store *store, const char *key, struct error *err)
{
    struct s3_request request = { .method = "HEAD", .kind = S3_KIND_GET, .key = key };
    auto_s3_answer struct s3_answer answer = S3_ANSWER_INIT;
    TRY(s3_request_run(store, &request, &answer, err));
    auto_free char *text = http_response_header_text(&answer.http, "content-length");
    TRY_AS(err, text_parse_u64(ret, text != NULL ? text : "", INT64_MAX, err), "size of '%s/%s'",
        store->base.name, key);
    return RC_OK;
}

static rc s3_get_beyond(
    struct s3_store *store, const char *key, uint64_t offset, uint64_t size, struct error *err)
{
    uint64_t total;
    TRY(s3_object_size(&total, store, key, err));
    if (offset == total && size == 0)
        return RC_OK; /* the empty rest */
    FAIL(err, RC_CORRUPT, "object '%s/%s' has %llu bytes; bytes %llu to %llu were expected in it",
        store->base.name, key, (unsigned long long)total, (unsigned long long)offset,
        (unsigned long long)(offset + size));
}

static rc s3_get_check(const struct s3_answer *answer, const struct s3_get *get, uint64_t offset,
    uint64_t size, struct error *err)
{
    uint64_t got = s3_get_size(get);
    struct s3_content_range range = s3_content_range_of(&answer->http);

    if (offset == 0 && size == 0)
        return RC_OK; /* the whole object; libcurl held it against its Content-Length */
    if (answer->http.status != 206 || !range.is_there || !range.has_span)
        FAIL(err, RC_UNSUPPORTED, "the server takes no notice of ranges");
    if (range.first != offset || got != range.last - range.first + 1)
        FAIL(err, RC_CORRUPT, "%llu bytes came for the range %llu to %llu", (unsigned long long)got,
            (unsigned long long)range.first, (unsigned long long)range.last);
    if (size > 0 && got != size)
        FAIL(err, RC_CORRUPT, "has %llu bytes; bytes %llu to %llu were expected in it",
            (unsigned long long)range.total, (unsigned long long)offset,
            (unsigned long long)(offset + size));
    if (size == 0 && range.last + 1 != range.total)
        FAIL(err, RC_CORRUPT, "%llu bytes came of a rest of %llu", (unsigned long long)got,
            (unsigned long long)(range.total - offset));
    return RC_OK;
}

static rc s3_get_range(struct store *base, const char *key, uint64_t offset, uint64_t size,
    struct buf *out, struct error *err)
{
    struct s3_store *store = s3_store_from(base);
    struct s3_get get = {
        .out = out,
        .out_size_before = out->size,
        .size_max = size > 0 ? size : UINT64_MAX,
    };
    auto_free char *range = NULL;
    if (size > 0)
        range = text_format(
            "bytes=%llu-%llu", (unsigned long long)offset, (unsigned long long)(offset + size - 1));
    else if (offset > 0)
        range = text_format("bytes=%llu-", (unsigned long long)offset);
    if (size > out->size_max - out->size)
        FAIL(err, RC_CORRUPT, "object '%s' has %llu bytes to read; expected at most %zu", key,
            (unsigned long long)size, out->size_max - out->size);
    if (size > 0)
        (void)buf_reserve(out, (size_t)size);

    auto_s3_answer struct s3_answer answer = S3_ANSWER_INIT;
    rc sent = s3_get_send(store, key, range, &get, &answer, err);
    if (sent == RC_MISMATCH)
        return s3_get_beyond(store, key, offset, size, err);
    TRY(sent);
    TRY_AS(err, s3_get_check(&answer, &get, offset, size, err), "object '%s/%s'", base->name, key);
    return RC_OK;
}

/* Servers differ on a tail that is longer than the object: 206 with all of it, or 200. */
static rc s3_get_tail_check(const struct s3_answer *answer, const struct s3_get *get,
    uint64_t *ret_object_size, struct error *err)
{
    uint64_t got = s3_get_size(get);
    struct s3_content_range range = s3_content_range_of(&answer->http);

    if (answer->http.status == 200) {
        *ret_object_size = got;
        return RC_OK;
    }
    if (!range.is_there || !range.has_span)
        FAIL(err, RC_CORRUPT, "the answer to a range does not say which one it is");
    uint64_t expected = get->size_max < range.total ? get->size_max : range.total;
    if (got != expected || range.last + 1 != range.total || range.first != range.total - expected)
        FAIL(err, RC_CORRUPT, "%llu bytes came for the last %llu of %llu", (unsigned long long)got,
            (unsigned long long)expected, (unsigned long long)range.total);
    *ret_object_size = range.total;
    return RC_OK;
}

static rc s3_get_tail(struct store *base, const char *key, uint64_t size, struct buf *out,
    uint64_t *ret_object_size, struct error *err)
{
    struct s3_store *store = s3_store_from(base);
    struct s3_get get = { .out = out, .out_size_before = out->size, .size_max = size };
    auto_free char *range = text_format("bytes=-%llu", (unsigned long long)size);
    auto_s3_answer struct s3_answer answer = S3_ANSWER_INIT;

    rc sent = s3_get_send(store, key, range, &get, &answer, err);
    if (sent == RC_MISMATCH) {
        /* No range fits into an empty object. */
        uint64_t total;
        TRY(s3_object_size(&total, store, key, err));
        if (total > 0)
            FAIL(err, RC_UNSUPPORTED,
                "object '%s/%s': the server refuses the last %llu of %llu bytes", base->name, key,
                (unsigned long long)size, (unsigned long long)total);
        *ret_object_size = 0;
        return RC_OK;
    }
    TRY(sent);
    TRY_AS(err, s3_get_tail_check(&answer, &get, ret_object_size, err), "object '%s/%s'",
        base->name, key);
    return RC_OK;
}

static void s3_store_free(struct store *base)
{
    struct s3_store *store = s3_store_from(base);
    http_client_free(store->client);
    credentials_release(&store->credentials);
    pthread_mutex_destroy(&store->mu);
    free(store->bucket);
    free(store->prefix);
    free(store->endpoint_host);
    free(store->endpoint_path);
    free(store->region);
    free(store);
}

static const struct store_ops s3_store_ops = {
    .put = s3_put,
    .upload_begin = s3_upload_begin,
    .upload_write = s3_upload_write,
    .upload_commit = s3_upload_commit,
    .upload_abort = s3_upload_abort,
    .get = s3_get_range,
    .get_tail = s3_get_tail,
    .list = s3_list,
    .remove = s3_remove,
    .has_conditional_put = s3_has_conditional_put,
    .free = s3_store_free,
};

static const char *const s3_params[] = {
    "endpoint",
    "region",
    "profile",
    "ca-file",
    "path-style",
    "skip-verify",
};

/* 0 when the parameter is absent, else 1 or -1. */
static rc s3_param_flag(int *ret, const struct url *url, const char *key, struct error *err)
{
    const char *value = url_param(url, key);

    *ret = 0;
    if (value == NULL)
        return RC_OK;
    if (text_equal(value, "true") || text_equal(value, "1"))
        *ret = 1;
    else if (text_equal(value, "false") || text_equal(value, "0"))
        *ret = -1;
    else
        FAIL(err, RC_USAGE, "%s is '%.40s'; must be true or false", key, value);
    return RC_OK;
}

static rc s3_check_params(const struct url *url, struct error *err)
{
    for (size_t index = 0; index < url->param_count; index++) {
        bool is_known = false;
        for (size_t known = 0; known < array_count(s3_params); known++)
            is_known = is_known || text_equal(url->params[index].key, s3_params[known]);
        if (!is_known)
            FAIL(err, RC_USAGE,
                "URL parameter '%.40s' is not known; known are endpoint, region, "
                "profile, ca-file, path-style and skip-verify",
                url->params[index].key);
    }
    int ignored;
    TRY(s3_param_flag(&ignored, url, "path-style", err));
    return s3_param_flag(&ignored, url, "skip-verify", err);
}

static rc s3_check_bucket(const char *bucket, struct error *err)
{
    static const char allowed[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_";
    size_t size = strlen(bucket);

    if (strchr(bucket, ':') != NULL)
        FAIL(err, RC_USAGE,
            "'%.200s' is no bucket; write s3://bucket/prefix?endpoint=http://%.200s", bucket,
            bucket);
    if (size < S3_BUCKET_SIZE_MIN || size > S3_BUCKET_SIZE_MAX || strspn(bucket, allowed) != size)
        FAIL(err, RC_USAGE, "bucket '%.80s' must be %d to %d letters, digits, '.', '-' and '_'",
            bucket, S3_BUCKET_SIZE_MIN, S3_BUCKET_SIZE_MAX);
    return RC_OK;
}

/* The path of URL as a prefix: "" or with a slash at the end; owned. */
static rc s3_prefix_of(char **ret, const struct url *url, struct error *err)
{
    const char *path = url->path + strspn(url->path, "/");
    size_t size = strlen(path);
    while (size > 0 && path[size - 1] == '/')
        size--;
    if (size == 0) {
        *ret = text_copy("");
        return RC_OK;
    }
    auto_free char *prefix = text_format("%.*s", (int)size, path);
    if (size > S3_PREFIX_SIZE_MAX || !path_is_safe_key(prefix))
        FAIL(err, RC_USAGE,
            "prefix '%.200s' must be at most %d bytes and without empty, '.' and '..' "
            "components",
            prefix, S3_PREFIX_SIZE_MAX);
    *ret = text_format("%s/", prefix);
    return RC_OK;
}

rc s3_store_check_url(const struct url *url, struct error *err)
{
    auto_free char *prefix = NULL;

    if (url->user != NULL || url->password != NULL)
        FAIL(err, RC_USAGE,
            "credentials do not belong into a URL; use the environment, a profile or "
            "access-key-id and secret-access-key");
    TRY(s3_check_params(url, err));
    TRY(s3_check_bucket(url->host, err));
    return s3_prefix_of(&prefix, url, err);
}

/* The first that says something: the option, the URL's parameter, the environment, FALLBACK. */
static const char *s3_setting(const char *option, const struct url *url, const char *param,
    const char *const *environment, const char *fallback)
{
    const char *from_url = param != NULL ? url_param(url, param) : NULL;
    const char *from_environment = credentials_environment(environment);

    if (option != NULL && option[0] != '\0')
        return option;
    if (from_url != NULL && from_url[0] != '\0')
        return from_url;
    return from_environment != NULL ? from_environment : fallback;
}

static const char *const endpoint_names[] = { "SEAWAL_ENDPOINT", "AWS_ENDPOINT_URL_S3",
    "AWS_ENDPOINT_URL", "LITESTREAM_ENDPOINT", NULL };
static const char *const region_names[] = { "SEAWAL_REGION", "AWS_REGION", "AWS_DEFAULT_REGION",
    "LITESTREAM_REGION", NULL };
static const char *const ca_file_names[] = { "SEAWAL_CA_FILE", "AWS_CA_BUNDLE", "SSL_CERT_FILE",
    NULL };
static const char *const profile_names[] = { NULL };

static rc s3_set_endpoint(struct s3_store *store, const char *endpoint, struct error *err)
{
    auto_url struct url url = URL_INIT;
    auto_free char *text = NULL;

    if (endpoint == NULL)
        return RC_OK;
    text =
        strstr(endpoint, "://") != NULL ? text_copy(endpoint) : text_format("https://%s", endpoint);
    TRY_AS(err, url_parse(&url, text, err), "endpoint '%.200s'", endpoint);
    bool is_http = text_equal(url.scheme, "http");
    if ((!is_http && !text_equal(url.scheme, "https")) || url.host[0] == '\0' || url.user != NULL ||
        url.param_count > 0)
        FAIL(err, RC_USAGE, "endpoint '%.200s' must be http[s]://host[:port]", endpoint);
    size_t size = strlen(url.path);
    while (size > 0 && url.path[size - 1] == '/')
        url.path[--size] = '\0';
    free(store->endpoint_path);
    store->endpoint_path = text_copy(url.path);
    /* The Host header leaves out the scheme's own port, and what is signed must be the same. */
    const char *default_port = is_http ? ":80" : ":443";
    size_t host_size = strlen(url.host);
    if (text_has_suffix(url.host, default_port))
        host_size -= strlen(default_port);
    store->endpoint_host = text_format("%.*s", (int)host_size, url.host);
    store->is_https = !is_http;
    return RC_OK;
}

/* Path style for endpoints of one's own, and where a dot in the bucket would break the certificate.
 */
static rc s3_set_style(struct s3_store *store, const struct url *url,
    const struct store_options *options, struct error *err)
{
    int style;
    TRY(s3_param_flag(&style, url, "path-style", err));
    if (options->path_style != 0)
        style = options->path_style;
    if (style == 0)
        style = store->endpoint_host != NULL || strchr(store->bucket, '.') != NULL ? 1 : -1;
    store->is_path_style = style > 0;
    return RC_OK;
}

static rc s3_set_credentials(struct s3_store *store, const struct url *url,
    const struct store_options *options, struct error *err)
{
    struct credentials_options wanted = {
        .access_key_id = options->access_key_id,
        .secret_access_key = options->secret_access_key,
        .session_token = options->session_token,
        .profile = s3_setting(options->profile, url, "profile", profile_names, NULL),
    };
    return credentials_load(&store->credentials, &wanted, err);
}

static rc s3_set_client(struct s3_store *store, const struct url *url,
    const struct store_options *options, struct error *err)
{
    int skip_verify;
    TRY(s3_param_flag(&skip_verify, url, "skip-verify", err));
    struct http_client_options http = {
        .ca_file = s3_setting(options->ca_file, url, "ca-file", ca_file_names, NULL),
        .skip_verify = options->skip_verify > 0 || skip_verify > 0,
    };
    store->client = http_client_new(&http);
    return RC_OK;
}

static rc s3_store_set(struct s3_store *store, const struct url *url,
    const struct store_options *options, struct error *err)
{
    TRY(s3_prefix_of(&store->prefix, url, err));
    TRY(s3_set_credentials(store, url, options, err));
    const char *endpoint =
        s3_setting(options->endpoint, url, "endpoint", endpoint_names, store->credentials.endpoint);
    TRY(s3_set_endpoint(store, endpoint, err));
    const char *region =
        s3_setting(options->region, url, "region", region_names, store->credentials.region);
    store->region = text_copy(region != NULL ? region : "us-east-1");
    TRY(s3_set_style(store, url, options, err));
    return s3_set_client(store, url, options, err);
}

rc s3_store_open(struct store **ret, const struct url *url, const struct store_options *options,
    struct error *err)
{
    assert(ret != NULL);
    assert(options != NULL);

    struct s3_store *store = mem_new(sizeof *store);
    store->base.ops = &s3_store_ops;
    store->bucket = text_copy(url->host);
    store->endpoint_path = text_copy("");
    store->is_https = true;
    store->cancel = options->cancel;
    store->deadline_ms = options->request_deadline_ms;
    pthread_mutex_init(&store->mu, NULL);
    rc set = s3_store_set(store, url, options, err);
    if (set != RC_OK) {
        s3_store_free(&store->base);
        return set;
    }
    size_t prefix_size = strlen(store->prefix);
    store->base.name = text_format("s3://%s%s%.*s", store->bucket, prefix_size > 0 ? "/" : "",
        (int)(prefix_size > 0 ? prefix_size - 1 : 0), store->prefix);
    *ret = &store->base;
    return RC_OK;
}
