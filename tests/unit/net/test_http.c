/* http - one request against a server on a socket of this process */
#include "net/http.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/text.h"
#include "harness/check.h"

enum { REQUEST_SIZE_MAX = 1 << 20 };

/* Answers each connection with the same bytes, whatever comes, and keeps what came. */
struct server {
    int listener;
    const char *answer;
    size_t body_size; /* of the request, to be read before the answer */
    unsigned request_count;
    char *received;
    pthread_t thread;
    char url[64];
};

static size_t server_read_request(struct server *server, int fd)
{
    size_t size = 0;
    for (;;) {
        ssize_t step = recv(fd, server->received + size, REQUEST_SIZE_MAX - 1 - size, 0);
        if (step <= 0)
            return 0;
        size += (size_t)step;
        server->received[size] = '\0';
        const char *end = strstr(server->received, "\r\n\r\n");
        if (end != NULL && size >= (size_t)(end + 4 - server->received) + server->body_size)
            return size;
    }
}

static void *server_run(void *payload)
{
    struct server *server = payload;
    for (;;) {
        auto_fd int fd = accept(server->listener, NULL, NULL);
        if (fd < 0)
            return NULL;
        while (server_read_request(server, fd) > 0) {
            server->request_count++;
            if (server->answer != NULL &&
                send(fd, server->answer, strlen(server->answer), MSG_NOSIGNAL) < 0)
                break;
            if (server->answer != NULL && strstr(server->answer, "Connection: close") != NULL)
                break;
        }
    }
}

static void server_start(struct server *server, const char *answer, size_t body_size)
{
    struct sockaddr_in address = { .sin_family = AF_INET };
    socklen_t size = sizeof address;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    *server = (struct server){ .answer = answer, .body_size = body_size };
    server->received = mem_new(REQUEST_SIZE_MAX);
    server->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(server->listener, (struct sockaddr *)&address, size), 0);
    assert_int_equal(listen(server->listener, 8), 0);
    assert_int_equal(getsockname(server->listener, (struct sockaddr *)&address, &size), 0);
    snprintf(server->url, sizeof server->url, "http://127.0.0.1:%d/a/../b?c=%%20d",
        ntohs(address.sin_port));
    assert_int_equal(pthread_create(&server->thread, NULL, server_run, server), 0);
}

static void server_stop(struct server *server)
{
    shutdown(server->listener, SHUT_RDWR);
    pthread_join(server->thread, NULL);
    close(server->listener);
    free(server->received);
}

static rc collect(void *payload, struct bytes bytes, struct error *err)
{
    return buf_append(payload, bytes, err);
}

struct talk {
    struct http_client *client;
    struct http_response response;
    struct buf body;
    struct error err;
};

enum { PATIENCE_MS = 120 * 1000 };

static void talk_start_with(struct talk *talk, size_t body_size_max, int64_t stall_timeout_ms)
{
    const struct http_client_options options = { .stall_timeout_ms = stall_timeout_ms };
    *talk = (struct talk){
        .client = http_client_new(&options),
        .response = HTTP_RESPONSE_INIT,
        .body = BUF_INIT(body_size_max),
    };
}

static void talk_start(struct talk *talk, size_t body_size_max)
{
    talk_start_with(talk, body_size_max, PATIENCE_MS);
}

static rc talk_run(struct talk *talk, struct http_request request)
{
    request.sink = (struct sink){ .write = collect, .payload = &talk->body };
    if (request.deadline_ms == 0)
        request.deadline_ms = PATIENCE_MS;
    return http_client_run(talk->client, &request, &talk->response, &talk->err);
}

static void talk_stop(struct talk *talk)
{
    http_response_release(&talk->response);
    buf_release(&talk->body);
    http_client_free(talk->client);
}

#define CHECK_TALK(call, expected)                                                                 \
    do {                                                                                           \
        rc talk_rc_ = (call);                                                                      \
        if (talk_rc_ != (expected))                                                                \
            fail_msg("%s: %s", rc_name(talk_rc_), talk.err.text);                                  \
    } while (0)

static void an_answer_is_status_headers_and_body(void **state)
{
    (void)state;
    struct server server;
    struct talk talk;
    server_start(&server,
        "HTTP/1.1 100 Continue\r\nX-Interim: 1\r\n\r\n"
        "HTTP/1.1 206 Partial\r\nETag:  \"abc\" \r\nX-Empty:\r\nContent-Length: 5\r\n\r\nhello",
        0);
    talk_start(&talk, 100);
    CHECK_TALK(talk_run(&talk, (struct http_request){ .method = "GET", .url = server.url }), RC_OK);
    assert_int_equal(talk.response.status, 206);
    assert_true(bytes_equal(buf_bytes(&talk.body), bytes_of_text("hello")));
    assert_int_equal(talk.response.received_bytes, 5);
    auto_free char *etag = http_response_header_text(&talk.response, "etag");
    auto_free char *empty = http_response_header_text(&talk.response, "x-empty");
    auto_free char *interim = http_response_header_text(&talk.response, "x-interim");
    assert_string_equal(etag, "\"abc\"");
    assert_string_equal(empty, "");
    assert_null(interim);
    /* The path goes out as it was given: what is signed must not be tidied up. */
    assert_non_null(strstr(server.received, "GET /a/../b?c=%20d HTTP/1.1\r\n"));
    talk_stop(&talk);
    server_stop(&server);
}

static void a_body_goes_out_with_its_length(void **state)
{
    (void)state;
    enum { SIZE = 300000 };
    struct server server;
    struct talk talk;
    server_start(&server, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", SIZE);
    talk_start(&talk, 100);
    auto_free char *body = mem_new(SIZE);
    memset(body, 'x', SIZE);
    const struct http_field headers[] = { { "x-amz-one", "1" } };
    struct http_request request = { .method = "PUT",
        .url = server.url,
        .body = bytes_of(body, SIZE),
        .has_body = true,
        .headers = headers,
        .header_count = 1 };
    CHECK_TALK(talk_run(&talk, request), RC_OK);
    assert_non_null(strstr(server.received, "\r\nContent-Length: 300000\r\n"));
    assert_non_null(strstr(server.received, "\r\nx-amz-one: 1\r\n"));
    assert_null(strstr(server.received, "Expect"));
    const char *end = strstr(server.received, "\r\n\r\n");
    assert_memory_equal(end + 4, body, SIZE);
    talk_stop(&talk);
    server_stop(&server);
}

static void connections_are_used_again(void **state)
{
    (void)state;
    struct server server;
    struct talk talk;
    server_start(&server, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx", 0);
    talk_start(&talk, 100);
    const struct http_request request = { .method = "GET", .url = server.url };
    for (int round = 0; round < 5; round++)
        CHECK_TALK(talk_run(&talk, request), RC_OK);
    /* The server serves one connection at a time, so a second one would have waited for ever. */
    assert_int_equal(server.request_count, 5);
    talk_stop(&talk);
    server_stop(&server);
}

static void the_body_of_an_error_is_kept_apart(void **state)
{
    (void)state;
    struct server server;
    struct talk talk;
    server_start(&server, "HTTP/1.1 404 No\r\nContent-Length: 4\r\n\r\ngone", 0);
    talk_start(&talk, 100);
    CHECK_TALK(talk_run(&talk, (struct http_request){ .method = "GET", .url = server.url }), RC_OK);
    assert_int_equal(talk.response.status, 404);
    assert_int_equal(talk.body.size, 0);
    assert_true(bytes_equal(buf_bytes(&talk.response.error_body), bytes_of_text("gone")));
    talk_stop(&talk);
    server_stop(&server);
}

static void redirects_are_answers(void **state)
{
    (void)state;
    struct server server;
    struct talk talk;
    server_start(&server,
        "HTTP/1.1 307 Go\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n", 0);
    talk_start(&talk, 100);
    CHECK_TALK(talk_run(&talk, (struct http_request){ .method = "GET", .url = server.url }), RC_OK);
    assert_int_equal(talk.response.status, 307);
    assert_int_equal(server.request_count, 1);
    talk_stop(&talk);
    server_stop(&server);
}

static void a_short_body_is_a_failure(void **state)
{
    (void)state;
    struct server server;
    struct talk talk;
    server_start(
        &server, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 10\r\n\r\nshort", 0);
    talk_start(&talk, 100);
    CHECK_TALK(
        talk_run(&talk, (struct http_request){ .method = "GET", .url = server.url }), RC_NET);
    talk_stop(&talk);
    server_stop(&server);
}

static void a_failing_sink_ends_the_request(void **state)
{
    (void)state;
    struct server server;
    struct talk talk;
    server_start(&server, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n0123456789", 0);
    talk_start(&talk, 4);
    CHECK_TALK(
        talk_run(&talk, (struct http_request){ .method = "GET", .url = server.url }), RC_CORRUPT);
    talk_stop(&talk);
    server_stop(&server);
}

static void silence_ends_by_deadline_stall_or_cancel(void **state)
{
    (void)state;
    struct server server;
    struct talk talk;
    server_start(&server, NULL, 0);
    talk_start_with(&talk, 100, 10 * PATIENCE_MS);
    struct http_request request = { .method = "GET", .url = server.url, .deadline_ms = 300 };
    int64_t started_ms = clock_monotonic_ms();
    CHECK_TALK(talk_run(&talk, request), RC_NET);
    assert_in_range(clock_monotonic_ms() - started_ms, 250, PATIENCE_MS);
    talk_stop(&talk);

    talk_start_with(&talk, 100, 1000);
    request.cancel = cancel_new();
    request.deadline_ms = 10 * PATIENCE_MS;
    started_ms = clock_monotonic_ms();
    CHECK_TALK(talk_run(&talk, request), RC_NET);
    assert_in_range(clock_monotonic_ms() - started_ms, 900, PATIENCE_MS);

    cancel_now(request.cancel);
    CHECK_TALK(talk_run(&talk, request), RC_CANCELLED);
    cancel_free(request.cancel);
    talk_stop(&talk);
    server_stop(&server);
}

static void nobody_there_is_told(void **state)
{
    (void)state;
    struct talk talk;
    talk_start(&talk, 100);
    struct http_request request = { .method = "GET", .url = "http://127.0.0.1:1/" };
    CHECK_TALK(talk_run(&talk, request), RC_NET);
    assert_non_null(strstr(talk.err.text, "Connection refused"));
    request.url = "ftp://127.0.0.1/";
    CHECK_TALK(talk_run(&talk, request), RC_USAGE);
    talk_stop(&talk);
}

static int64_t retry_after_of(const char *headers)
{
    struct http_response response = HTTP_RESPONSE_INIT;
    buf_put_text(&response.headers, headers);
    int64_t ms = http_response_retry_after_ms(&response);
    http_response_release(&response);
    return ms;
}

static void retry_after_is_seconds_or_a_date(void **state)
{
    (void)state;
    assert_int_equal(retry_after_of(""), 0);
    assert_int_equal(retry_after_of("retry-after: 7\n"), 7000);
    assert_int_equal(retry_after_of("retry-after: soon\n"), 0);
    assert_int_equal(retry_after_of("date: Fri, 24 May 2013 00:00:00 GMT\n"
                                    "retry-after: Fri, 24 May 2013 00:02:00 GMT\n"),
        120000);
    assert_int_equal(retry_after_of("date: Fri, 24 May 2013 00:00:00 GMT\n"
                                    "retry-after: Thu, 23 May 2013 00:00:00 GMT\n"),
        0);
}

int main(void)
{
    const struct CMUnitTest claims[] = {
        cmocka_unit_test(an_answer_is_status_headers_and_body),
        cmocka_unit_test(a_body_goes_out_with_its_length),
        cmocka_unit_test(connections_are_used_again),
        cmocka_unit_test(the_body_of_an_error_is_kept_apart),
        cmocka_unit_test(redirects_are_answers),
        cmocka_unit_test(a_short_body_is_a_failure),
        cmocka_unit_test(a_failing_sink_ends_the_request),
        cmocka_unit_test(silence_ends_by_deadline_stall_or_cancel),
        cmocka_unit_test(nobody_there_is_told),
        cmocka_unit_test(retry_after_is_seconds_or_a_date),
    };
    return cmocka_run_group_tests_name("http", claims, NULL, NULL);
}
