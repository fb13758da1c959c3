/* s3_server - an S3 server inside the test, which misbehaves when asked */
#include "harness/s3_server.h"

#include <arpa/inet.h>
#include <assert.h>
#include <curl/curl.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "base/text.h"
#include "harness/s3_bucket.h"

enum {
    SERVER_CONNECTION_COUNT_MAX = 64,
    SERVER_MESSAGE_SIZE_MAX = 64 << 20,
    SERVER_STEP_SIZE = 256 << 10,
    SERVER_BACKLOG = 64,
    SERVER_URL_SIZE = 128,
    SERVER_POLL_MS = 1,
};

struct connection {
    int fd;
    struct buf in;
    struct buf out;
    bool ends; /* when OUT was sent */
};

static struct {
    pthread_mutex_t mu;
    int listener;
    struct sockaddr_in address;
    char url[SERVER_URL_SIZE];
    enum s3_way way;
    struct s3_bucket *bucket;
    struct connection *connections[SERVER_CONNECTION_COUNT_MAX];
    size_t connection_count;
} server = { .mu = PTHREAD_MUTEX_INITIALIZER, .listener = -1 };

/* ---- connections */

static void connection_free(struct connection *connection, bool is_reset)
{
    struct linger at_once = { .l_onoff = 1 };

    if (is_reset)
        (void)setsockopt(connection->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    (void)close(connection->fd);
    buf_release(&connection->in);
    buf_release(&connection->out);
    free(connection);
}

static void server_drop(size_t index, bool is_reset)
{
    connection_free(server.connections[index], is_reset);
    server.connections[index] = server.connections[--server.connection_count];
}

static void server_accept(void)
{
    for (;;) {
        int fd = accept4(server.listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0)
            return;
        assert(server.connection_count < SERVER_CONNECTION_COUNT_MAX);
        struct connection *connection = mem_new(sizeof *connection);
        *connection = (struct connection){
            .fd = fd,
            .in = BUF_INIT(SERVER_MESSAGE_SIZE_MAX),
            .out = BUF_INIT(SERVER_MESSAGE_SIZE_MAX),
        };
        server.connections[server.connection_count++] = connection;
    }
}

/* False: the other side has closed it. */
static bool connection_receive(struct connection *connection)
{
    for (;;) {
        uint8_t *room = buf_reserve(&connection->in, SERVER_STEP_SIZE);
        ssize_t size = recv(connection->fd, room, SERVER_STEP_SIZE, 0);
        if (size <= 0)
            return size < 0 && errno == EAGAIN;
        connection->in.size += (size_t)size;
    }
}

static void connection_send(struct connection *connection)
{
    while (connection->out.size > 0) {
        ssize_t size =
            send(connection->fd, connection->out.data, connection->out.size, MSG_NOSIGNAL);
        if (size <= 0)
            return;
        buf_drop_front(&connection->out, (size_t)size);
    }
}

/* ---- one request */

struct message {
    char *head; /* with a NUL behind each of its parts */
    struct s3_asked asked;
};

/* The value of header NAME in the lines of HEAD, which end with NULs; or NULL. */
static const char *head_value(const char *head, size_t size, const char *name)
{
    size_t name_size = strlen(name);

    for (const char *line = head; line < head + size; line += strlen(line) + 2)
        if (strncasecmp(line, name, name_size) == 0 && line[name_size] == ':')
            return line + name_size + 1 + strspn(line + name_size + 1, " ");
    return NULL;
}

static void message_parse_query(struct s3_asked *asked, char *query)
{
    for (char *next; query != NULL && *query != '\0'; query = next) {
        next = strchr(query, '&');
        if (next != NULL)
            *next++ = '\0';
        char *value = strchr(query, '=');
        if (value != NULL)
            *value++ = '\0';
        else
            value = query + strlen(query);
        s3_unescape(query);
        s3_unescape(value);
        assert(asked->query_count < S3_QUERY_COUNT_MAX);
        asked->query_names[asked->query_count] = query;
        asked->query_values[asked->query_count++] = value;
    }
}

/* "METHOD /bucket/key?query HTTP/1.1" */
static void message_parse_line(struct s3_asked *asked, char *line)
{
    char *target = strchr(line, ' ');

    assert(target != NULL && target[1] == '/');
    *target = '\0';
    target += 2;
    target[strcspn(target, " ")] = '\0';
    char *query = strchr(target, '?');
    if (query != NULL)
        *query++ = '\0';
    char *key = strchr(target, '/');
    if (key != NULL) {
        *key++ = '\0';
        s3_unescape(key);
    }
    asked->method = line;
    asked->bucket = target;
    asked->key = key != NULL && *key != '\0' ? key : NULL;
    message_parse_query(asked, query);
}

/* How many bytes the first message of IN has; 0: it is not whole yet. */
static size_t message_size(const struct buf *in, size_t *ret_head_size)
{
    static const char end[] = "\r\n\r\n";
    const uint8_t *found = in->size == 0 ? NULL : memmem(in->data, in->size, end, sizeof end - 1);
    unsigned long long body_size = 0;

    if (found == NULL)
        return 0;
    *ret_head_size = (size_t)(found - in->data) + sizeof end - 1;
    auto_free char *head = text_format("%.*s", (int)*ret_head_size, (const char *)in->data);
    const char *length = strcasestr(head, "\r\nContent-Length:");
    if (length != NULL)
        body_size = strtoull(strchr(length, ':') + 1, NULL, 10);
    return in->size < *ret_head_size + body_size ? 0 : *ret_head_size + (size_t)body_size;
}

static void message_parse(
    struct message *message, const struct connection *connection, size_t head_size, size_t size)
{
    message->head = text_format("%.*s", (int)head_size, (const char *)connection->in.data);
    for (char *end = message->head; (end = strstr(end, "\r\n")) != NULL; end += 2)
        *end = '\0';
    const char *fields = message->head + strlen(message->head) + 2;
    size_t fields_size = head_size - 2 - (size_t)(fields - message->head);

    message->asked = (struct s3_asked){
        .range = head_value(fields, fields_size, "range"),
        .if_none_match = head_value(fields, fields_size, "if-none-match"),
        .mark = head_value(fields, fields_size, "x-amz-meta-seawal-put"),
        .body = bytes_of(connection->in.data + head_size, size - head_size),
    };
    message_parse_line(&message->asked, message->head);
}

/* ---- and its answer */

static void told_begin(struct s3_told *told)
{
    *told = (struct s3_told){
        .headers = BUF_INIT(SERVER_MESSAGE_SIZE_MAX),
        .body = BUF_INIT(SERVER_MESSAGE_SIZE_MAX),
    };
}

static void told_release(struct s3_told *told)
{
    buf_release(&told->headers);
    buf_release(&told->body);
}

static void told_instead(struct s3_told *told, int status, const char *header, const char *body)
{
    told->status = status;
    buf_clear(&told->headers);
    buf_clear(&told->body);
    buf_put_text(&told->headers, header);
    buf_put_text(&told->body, body);
}

static void told_instead_error(struct s3_told *told, int status, const char *code)
{
    auto_free char *body = text_format(
        "<?xml version=\"1.0\"?><Error><Code>%s</Code><Message>made by the test</Message></Error>",
        code);
    told_instead(told, status, status == 503 ? "Retry-After: 2\r\n" : "", body);
}

/* What is answered without a look at the request. */
static const struct {
    enum s3_way way;
    int status;
    const char *code; /* NULL: BODY as it is */
    const char *body;
} refusals[] = {
    { S3_FAIL, 500, "InternalError", NULL },
    { S3_SLOW_DOWN, 503, "SlowDown", NULL },
    { S3_DENY, 403, "AccessDenied", NULL },
    { S3_PORTAL, 200, NULL, "<html><body>Log in to go on</body></html>" },
    { S3_EMPTY, 200, NULL, "" },
};

/* Carried out, as far as the way it has now lets it. */
static void server_carry_out(const struct s3_asked *asked, struct s3_told *told)
{
    enum s3_listing listing = server.way == S3_STALE   ? S3_LISTING_STALE
                              : server.way == S3_GHOST ? S3_LISTING_GHOST
                                                       : S3_LISTING_TRUE;

    for (size_t i = 0; i < array_count(refusals); i++) {
        if (refusals[i].way != server.way)
            continue;
        if (refusals[i].code != NULL)
            told_instead_error(told, refusals[i].status, refusals[i].code);
        else
            told_instead(told, refusals[i].status, "", refusals[i].body);
        return;
    }
    s3_bucket_answer(server.bucket, asked, listing, told);
    if (server.way == S3_FAIL_AFTER)
        told_instead_error(told, 500, "InternalError");
    if (server.way == S3_TWICE) {
        buf_clear(&told->headers);
        s3_bucket_answer(server.bucket, asked, listing, told);
    }
    if (server.way == S3_WRONG) {
        uint8_t *etag = told->headers.size == 0
                            ? NULL
                            : memmem(told->headers.data, told->headers.size, "ETag: \"", 7);
        if (etag != NULL)
            etag[7] ^= 1;
        if (asked->key != NULL && text_has_suffix(asked->key, ".seg") && told->body.size > 0)
            told->body.data[told->body.size / 2] ^= 1;
        else
            told->body.size /= 2;
    }
}

static void connection_put_answer(
    struct connection *connection, const struct s3_told *told, bool is_head)
{
    buf_put_format(&connection->out, "HTTP/1.1 %d Said\r\nContent-Length: %zu\r\n", told->status,
        told->body.size);
    buf_put(&connection->out, buf_bytes(&told->headers));
    buf_put_text(&connection->out, "\r\n");
    if (!is_head)
        buf_put(&connection->out, buf_bytes(&told->body));
}

/* False: the connection is to be reset. */
static bool connection_answer(struct connection *connection, const struct s3_asked *asked)
{
    struct s3_told told;
    bool is_head = strcmp(asked->method, "HEAD") == 0;
    size_t sent = connection->out.size;

    if (server.way == S3_RESET)
        return false;
    told_begin(&told);
    server_carry_out(asked, &told);
    connection_put_answer(connection, &told, is_head);
    if (server.way == S3_REPEAT)
        connection_put_answer(connection, &told, is_head);
    if (server.way == S3_CUT) {
        size_t cut = is_head || told.body.size == 0 ? 20 : told.body.size / 2 + 1;
        connection->out.size =
            connection->out.size - sent > cut ? connection->out.size - cut : sent;
        connection->ends = true;
    }
    told_release(&told);
    if (server.way == S3_LOSE_ONCE) {
        server.way = S3_HONEST;
        return false;
    }
    return server.way != S3_LOSE;
}

/* False: the connection is to be reset. */
static bool connection_work(struct connection *connection)
{
    size_t head_size = 0;

    for (size_t size; (size = message_size(&connection->in, &head_size)) > 0;) {
        struct message message;
        message_parse(&message, connection, head_size, size);
        bool goes_on = connection_answer(connection, &message.asked);
        free(message.head);
        if (!goes_on)
            return false;
        buf_drop_front(&connection->in, size);
    }
    return true;
}

/* ---- the whole */

static void server_work(void)
{
    if (server.listener < 0)
        return;
    server_accept();
    for (size_t i = 0; i < server.connection_count;) {
        struct connection *connection = server.connections[i];
        bool is_open = connection_receive(connection);
        bool goes_on = connection_work(connection);
        if (goes_on)
            connection_send(connection);
        if (!goes_on || !is_open || (connection->ends && connection->out.size == 0))
            server_drop(i, !goes_on);
        else
            i++;
    }
}

/* The declaration that curl.h has, under the names that the linker gives it. */
CURLMcode __real_curl_multi_poll(
    CURLM *multi, struct curl_waitfd extra[], unsigned int count, int ms, int *ret);
CURLMcode __wrap_curl_multi_poll(
    CURLM *multi, struct curl_waitfd extra[], unsigned int count, int ms, int *ret);
CURLMcode __wrap_curl_multi_poll(
    CURLM *multi, struct curl_waitfd extra[], unsigned int count, int ms, int *ret)
{
    s3_server_tidy();
    return __real_curl_multi_poll(
        multi, extra, count, ms < SERVER_POLL_MS ? ms : SERVER_POLL_MS, ret);
}

void s3_server_tidy(void)
{
    pthread_mutex_lock(&server.mu);
    server_work();
    pthread_mutex_unlock(&server.mu);
}

/* Bound to a port that it has for good, so that it can stop listening and begin again. */
static void server_bind(void)
{
    socklen_t size = sizeof server.address;
    int yes = 1;

    server.address = (struct sockaddr_in){
        .sin_family = AF_INET,
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
    for (;;) {
        server.listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        assert(server.listener >= 0);
        (void)setsockopt(server.listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
        bool is_named = server.address.sin_port != 0;
        int result = bind(server.listener, (struct sockaddr *)&server.address, size);
        if (is_named && result == 0)
            return;
        if (result == 0)
            result = getsockname(server.listener, (struct sockaddr *)&server.address, &size);
        if (result != 0)
            server.address.sin_port = 0;
        (void)close(server.listener);
    }
}

void s3_server_start(void)
{
    assert(server.listener < 0);
    server_bind();
    int result = listen(server.listener, SERVER_BACKLOG);
    assert(result == 0);
    snprintf(server.url, sizeof server.url, "s3://%s/app?endpoint=http://127.0.0.1:%d",
        S3_BUCKET_NAME, ntohs(server.address.sin_port));
    server.bucket = s3_bucket_new();
    server.way = S3_HONEST;
    setenv("AWS_ACCESS_KEY_ID", "NAME", 1);
    setenv("AWS_SECRET_ACCESS_KEY", "secret", 1);
    setenv("AWS_REGION", "us-east-1", 1);
    setenv("AWS_ENDPOINT_URL", strstr(server.url, "http"), 1);
}

void s3_server_stop(void)
{
    while (server.connection_count > 0)
        server_drop(0, true);
    (void)close(server.listener);
    server.listener = -1;
    s3_bucket_free(server.bucket);
    server.bucket = NULL;
}

const char *s3_server_url(void)
{
    return server.url;
}

void s3_server_misbehave(enum s3_way way)
{
    pthread_mutex_lock(&server.mu);
    if (way == S3_REFUSE && server.way != S3_REFUSE) {
        server_accept();
        while (server.connection_count > 0)
            server_drop(0, true);
        (void)shutdown(server.listener, SHUT_RD);
    }
    if (way != S3_REFUSE && server.way == S3_REFUSE) {
        int result = listen(server.listener, SERVER_BACKLOG);
        assert(result == 0);
    }
    server.way = way;
    pthread_mutex_unlock(&server.mu);
}

size_t s3_server_overwritten(void)
{
    return s3_bucket_overwritten(server.bucket);
}

size_t s3_server_unfinished(void)
{
    return s3_bucket_unfinished(server.bucket);
}
