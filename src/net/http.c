/*
 * http - one request over libcurl
 *
 * A connection lives in the multi handle that a request ran on, so easy and multi handles are kept
 * in pairs. A pair whose request failed is not used again: nobody knows what state its connection
 * is in. libcurl itself sends a request again when a kept connection turns out to be dead before
 * any byte came back, so a server may see one request twice; callers that care mark theirs.
 */
#include "net/http.h"

#include <assert.h>
#include <curl/curl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/text.h"

enum {
    HTTP_IDLE_COUNT_MAX = 4,
    HTTP_CANCEL_POLL_MS = 100,
    HTTP_CONNECT_TIMEOUT_MS = 10 * 1000,
    HTTP_STALL_TIMEOUT_MS = 30 * 1000,
    HTTP_STALL_BYTES_PER_S = 100,
    HTTP_RECEIVE_BUFFER_SIZE = 64 << 10,
};

struct http_handle {
    CURL *easy;
    CURLM *multi;
    struct http_handle *next;
};

struct http_client {
    char *ca_file;
    bool skip_verify;
    int64_t connect_timeout_ms;
    int64_t stall_timeout_ms;

    pthread_mutex_t mu;
    struct http_handle *idle; /* guarded by mu */
    size_t idle_count;        /* guarded by mu */
};

/* One running request, as libcurl's callbacks see it. */
struct http_exchange {
    const struct http_request *request;
    struct http_response *response;
    CURL *easy;
    struct curl_slist *headers;
    size_t sent_size; /* of the body */
    rc sink_failed;
    struct error sink_error;
    char text[CURL_ERROR_SIZE];
};

static void http_library_start(void)
{
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
        abort();
}

static void http_handle_free(struct http_handle *handle)
{
    curl_easy_cleanup(handle->easy);
    curl_multi_cleanup(handle->multi);
    free(handle);
}

static struct http_handle *http_handle_new(void)
{
    struct http_handle *handle = mem_new(sizeof *handle);
    handle->easy = curl_easy_init();
    handle->multi = curl_multi_init();
    if (handle->easy == NULL || handle->multi == NULL)
        abort();
    curl_multi_setopt(handle->multi, CURLMOPT_MAXCONNECTS, 1L);
    return handle;
}

struct http_client *http_client_new(const struct http_client_options *options)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, http_library_start);

    struct http_client *client = mem_new(sizeof *client);
    client->ca_file = text_copy(options->ca_file);
    client->skip_verify = options->skip_verify;
    client->connect_timeout_ms =
        options->connect_timeout_ms > 0 ? options->connect_timeout_ms : HTTP_CONNECT_TIMEOUT_MS;
    client->stall_timeout_ms =
        options->stall_timeout_ms > 0 ? options->stall_timeout_ms : HTTP_STALL_TIMEOUT_MS;
    pthread_mutex_init(&client->mu, NULL);
    return client;
}

void http_client_free(struct http_client *client)
{
    if (client == NULL)
        return;
    while (client->idle != NULL) {
        struct http_handle *handle = client->idle;
        client->idle = handle->next;
        http_handle_free(handle);
    }
    pthread_mutex_destroy(&client->mu);
    free(client->ca_file);
    free(client);
}

static struct http_handle *http_client_take(struct http_client *client)
{
    pthread_mutex_lock(&client->mu);
    struct http_handle *handle = client->idle;
    if (handle != NULL) {
        client->idle = handle->next;
        client->idle_count--;
    }
    pthread_mutex_unlock(&client->mu);
    return handle != NULL ? handle : http_handle_new();
}

static void http_client_give(struct http_client *client, struct http_handle *handle)
{
    pthread_mutex_lock(&client->mu);
    bool is_kept = client->idle_count < HTTP_IDLE_COUNT_MAX;
    if (is_kept) {
        handle->next = client->idle;
        client->idle = handle;
        client->idle_count++;
    }
    pthread_mutex_unlock(&client->mu);
    if (!is_kept)
        http_handle_free(handle);
}

void http_response_release(struct http_response *response)
{
    buf_release(&response->headers);
    buf_release(&response->error_body);
}

static size_t http_on_read(char *out, size_t size, size_t count, void *payload)
{
    struct http_exchange *exchange = payload;
    struct bytes body = exchange->request->body;
    size_t room = size * count;
    size_t left = body.size - exchange->sent_size;
    size_t step = left < room ? left : room;
    if (step > 0)
        memcpy(out, body.data + exchange->sent_size, step);
    exchange->sent_size += step;
    return step;
}

/* libcurl rewinds when it has to send a request again over a new connection. */
static int http_on_seek(void *payload, curl_off_t offset, int origin)
{
    struct http_exchange *exchange = payload;
    if (origin != SEEK_SET || offset < 0 || (uint64_t)offset > exchange->request->body.size)
        return CURL_SEEKFUNC_FAIL;
    exchange->sent_size = (size_t)offset;
    return CURL_SEEKFUNC_OK;
}

static bool http_status_is_good(int status)
{
    return status >= 200 && status < 300;
}

static size_t http_on_write(char *data, size_t size, size_t count, void *payload)
{
    struct http_exchange *exchange = payload;
    struct http_response *response = exchange->response;
    struct bytes bytes = bytes_of(data, size * count);
    long status = 0;

    curl_easy_getinfo(exchange->easy, CURLINFO_RESPONSE_CODE, &status);
    if (!http_status_is_good((int)status)) {
        size_t room = response->error_body.size_max - response->error_body.size;
        buf_put(&response->error_body, bytes_part(bytes, 0, bytes.size < room ? bytes.size : room));
        return bytes.size;
    }
    response->received_bytes += bytes.size;
    const struct sink *sink = &exchange->request->sink;
    if (sink->write == NULL)
        return bytes.size;
    exchange->sink_failed = sink->write(sink->payload, bytes, &exchange->sink_error);
    return exchange->sink_failed == RC_OK ? bytes.size : 0;
}

static struct bytes http_trim(struct bytes text)
{
    while (text.size > 0 && strchr(" \t\r\n", text.data[text.size - 1]) != NULL)
        text.size--;
    while (text.size > 0 && (text.data[0] == ' ' || text.data[0] == '\t'))
        text = bytes_part(text, 1, text.size - 1);
    return text;
}

static size_t http_on_header(char *data, size_t size, size_t count, void *payload)
{
    struct http_exchange *exchange = payload;
    struct buf *headers = &exchange->response->headers;
    struct bytes line = bytes_of(data, size * count);

    /* A new status line: what came before belonged to an interim answer such as 100 Continue. */
    if (line.size > 5 && memcmp(line.data, "HTTP/", 5) == 0) {
        buf_clear(headers);
        return line.size;
    }
    const uint8_t *colon = memchr(line.data, ':', line.size);
    if (colon == NULL)
        return line.size;
    size_t name_size = (size_t)(colon - line.data);
    struct bytes value = http_trim(bytes_part(line, name_size + 1, line.size - name_size - 1));
    if (name_size + value.size + 3 > headers->size_max - headers->size)
        return 0; /* more headers than any honest server sends: the request fails */
    for (size_t index = 0; index < name_size; index++) {
        uint8_t c = line.data[index];
        buf_put_u8(headers, c >= 'A' && c <= 'Z' ? (uint8_t)(c - 'A' + 'a') : c);
    }
    buf_put_text(headers, ": ");
    buf_put(headers, value);
    buf_put_text(headers, "\n");
    return line.size;
}

static void http_set_common(
    CURL *easy, const struct http_client *client, struct http_exchange *exchange)
{
    const struct http_request *request = exchange->request;

    curl_easy_setopt(easy, CURLOPT_URL, request->url);
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(easy, CURLOPT_PATH_AS_IS, 1L);
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(easy, CURLOPT_USERAGENT, "seawal");
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, exchange->text);
    curl_easy_setopt(easy, CURLOPT_BUFFERSIZE, (long)HTTP_RECEIVE_BUFFER_SIZE);
    curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)request->deadline_ms);
    curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)client->connect_timeout_ms);
    curl_easy_setopt(easy, CURLOPT_LOW_SPEED_LIMIT, (long)HTTP_STALL_BYTES_PER_S);
    curl_easy_setopt(easy, CURLOPT_LOW_SPEED_TIME, (long)((client->stall_timeout_ms + 999) / 1000));
    curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, client->skip_verify ? 0L : 1L);
    curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, client->skip_verify ? 0L : 2L);
    if (client->ca_file != NULL)
        curl_easy_setopt(easy, CURLOPT_CAINFO, client->ca_file);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, http_on_write);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, exchange);
    curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, http_on_header);
    curl_easy_setopt(easy, CURLOPT_HEADERDATA, exchange);
}

static void http_set_method(CURL *easy, struct http_exchange *exchange)
{
    const struct http_request *request = exchange->request;

    if (text_equal(request->method, "HEAD"))
        curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
    if (request->has_body) {
        curl_easy_setopt(easy, CURLOPT_UPLOAD, 1L);
        curl_easy_setopt(easy, CURLOPT_INFILESIZE_LARGE, (curl_off_t)request->body.size);
        curl_easy_setopt(easy, CURLOPT_READFUNCTION, http_on_read);
        curl_easy_setopt(easy, CURLOPT_READDATA, exchange);
        curl_easy_setopt(easy, CURLOPT_SEEKFUNCTION, http_on_seek);
        curl_easy_setopt(easy, CURLOPT_SEEKDATA, exchange);
    }
    if (!text_equal(request->method, "HEAD"))
        curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, request->method);
}

static void http_set_headers(CURL *easy, struct http_exchange *exchange)
{
    const struct http_request *request = exchange->request;
    assert(request->header_count <= HTTP_REQUEST_HEADER_COUNT_MAX);

    for (size_t index = 0; index < request->header_count; index++) {
        const struct http_field *field = &request->headers[index];
        auto_free char *line = text_format("%s: %s", field->name, field->value);
        exchange->headers = curl_slist_append(exchange->headers, line);
    }
    /* No "Expect: 100-continue": it costs a round trip and some servers wait a second with it. */
    exchange->headers = curl_slist_append(exchange->headers, "Expect:");
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, exchange->headers);
}

static rc http_cancel(struct http_handle *handle, struct error *err)
{
    curl_multi_remove_handle(handle->multi, handle->easy);
    FAIL(err, RC_CANCELLED, "cancelled");
}

/* Let the request run to its end; *RET says how libcurl saw it. */
static rc http_perform(CURLcode *ret, struct http_handle *handle,
    const struct http_request *request, struct error *err)
{
    int running = 1;
    *ret = CURLE_FAILED_INIT;

    curl_multi_add_handle(handle->multi, handle->easy);
    while (running > 0) {
        if (cancel_asked(request->cancel))
            return http_cancel(handle, err);
        if (curl_multi_perform(handle->multi, &running) != CURLM_OK)
            break;
        if (running > 0)
            curl_multi_poll(handle->multi, NULL, 0, HTTP_CANCEL_POLL_MS, NULL);
    }
    int left;
    for (CURLMsg *message; (message = curl_multi_info_read(handle->multi, &left)) != NULL;)
        if (message->msg == CURLMSG_DONE)
            *ret = message->data.result;
    curl_multi_remove_handle(handle->multi, handle->easy);
    return RC_OK;
}

/* What libcurl's verdict means for us; everything that is not named may be better next time. */
static rc http_explain(CURLcode code, const struct http_exchange *exchange, struct error *err)
{
    const char *text = exchange->text[0] != '\0' ? exchange->text : curl_easy_strerror(code);

    if (exchange->sink_failed != RC_OK) {
        if (err != NULL)
            *err = exchange->sink_error;
        return exchange->sink_failed;
    }
    if (code == CURLE_PEER_FAILED_VERIFICATION)
        FAIL(err, RC_DENIED,
            "the server's certificate is not trusted: %s; set ca-file to the "
            "certificate of its authority",
            text);
    if (code == CURLE_SSL_CACERT_BADFILE)
        FAIL(err, RC_USAGE, "the CA file cannot be used: %s", text);
    if (code == CURLE_URL_MALFORMAT || code == CURLE_UNSUPPORTED_PROTOCOL)
        FAIL(err, RC_USAGE, "URL '%.200s' cannot be used: %s", exchange->request->url, text);
    long sys_errno = 0;
    if (code == CURLE_COULDNT_CONNECT)
        curl_easy_getinfo(exchange->easy, CURLINFO_OS_ERRNO, &sys_errno);
    return error_set(err, RC_NET, (int)sys_errno, __FILE__, __LINE__, "%s", text);
}

static rc http_run_on(struct http_handle *handle, const struct http_client *client,
    struct http_exchange *exchange, struct error *err)
{
    curl_easy_reset(handle->easy);
    http_set_common(handle->easy, client, exchange);
    http_set_method(handle->easy, exchange);
    http_set_headers(handle->easy, exchange);

    CURLcode code;
    rc performed = http_perform(&code, handle, exchange->request, err);
    long status = 0;
    curl_easy_getinfo(handle->easy, CURLINFO_RESPONSE_CODE, &status);
    curl_slist_free_all(exchange->headers);
    TRY(performed);
    if (code != CURLE_OK)
        return http_explain(code, exchange, err);
    exchange->response->status = (int)status;
    return RC_OK;
}

rc http_client_run(struct http_client *client, const struct http_request *request,
    struct http_response *response, struct error *err)
{
    assert(client != NULL);
    assert(request->deadline_ms > 0);
    assert(request->has_body || request->body.size == 0);

    response->status = 0;
    response->received_bytes = 0;
    buf_clear(&response->headers);
    buf_clear(&response->error_body);
    struct http_handle *handle = http_client_take(client);
    struct http_exchange exchange = {
        .request = request,
        .response = response,
        .easy = handle->easy,
        .sink_failed = RC_OK,
    };
    rc ran = http_run_on(handle, client, &exchange, err);
    if (ran == RC_OK)
        http_client_give(client, handle);
    else
        http_handle_free(handle);
    return ran;
}

bool http_response_header(
    const struct http_response *response, const char *name, struct bytes *ret_value)
{
    struct bytes rest = buf_bytes(&response->headers);
    size_t name_size = strlen(name);

    while (rest.size > 0) {
        const uint8_t *end = memchr(rest.data, '\n', rest.size);
        assert(end != NULL);
        size_t line_size = (size_t)(end - rest.data);
        if (line_size >= name_size + 2 && memcmp(rest.data, name, name_size) == 0 &&
            rest.data[name_size] == ':') {
            *ret_value = bytes_part(rest, name_size + 2, line_size - name_size - 2);
            return true;
        }
        rest = bytes_part(rest, line_size + 1, rest.size - line_size - 1);
    }
    return false;
}

char *http_response_header_text(const struct http_response *response, const char *name)
{
    struct bytes value;
    if (!http_response_header(response, name, &value))
        return NULL;
    return text_format("%.*s", (int)value.size, (const char *)value.data);
}

bool http_response_date(const struct http_response *response, int64_t *ret_s)
{
    auto_free char *text = http_response_header_text(response, "date");
    if (text == NULL)
        return false;
    time_t date = curl_getdate(text, NULL);
    if (date < 0)
        return false;
    *ret_s = date;
    return true;
}

int64_t http_response_retry_after_ms(const struct http_response *response)
{
    enum { RETRY_AFTER_S_MAX = 24 * 60 * 60 };
    auto_free char *text = http_response_header_text(response, "retry-after");
    uint64_t seconds;
    int64_t now_s;

    if (text == NULL)
        return 0;
    if (text_parse_u64(&seconds, text, RETRY_AFTER_S_MAX, NULL) == RC_OK)
        return (int64_t)seconds * 1000;
    time_t when = curl_getdate(text, NULL);
    if (when < 0 || !http_response_date(response, &now_s) || when <= now_s)
        return 0;
    return when - now_s < RETRY_AFTER_S_MAX ? (when - now_s) * 1000 : RETRY_AFTER_S_MAX * 1000;
}
