/* metrics_server: over a real socket, what is asked for is answered and everything else refused */
#include "metrics_server_priv.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/text.h"
#include "harness/check.h"

enum { ANSWER_SIZE_MAX = 1 << 20, ANSWER_TIMEOUT_S = 60, MEMBER_COUNT = 40 };

static struct metrics metrics[MEMBER_COUNT];
static struct metrics_registry registry;

static int fill_registry(void **state)
{
    (void)state;
    registry = METRICS_REGISTRY_INIT;
    for (int index = 0; index < MEMBER_COUNT; index++) {
        char path[32];
        snprintf(path, sizeof path, "/data/%d.db", index);
        metrics_set(&metrics[index], METRIC_TXID, 100 + index);
        metrics_registry_add(&registry, path, &metrics[index], NULL, NULL);
    }
    return 0;
}

static int release_registry(void **state)
{
    (void)state;
    metrics_registry_release(&registry);
    return 0;
}

static int start(void **state)
{
    struct metrics_server *server = NULL;
    struct error err;

    CHECK_OK(metrics_server_start(&server, &registry, "127.0.0.1:0", &err));
    *state = server;
    return 0;
}

static int stop(void **state)
{
    metrics_server_stop(*state);
    return 0;
}

static int connect_to(const struct metrics_server *server)
{
    struct sockaddr_in name = {
        .sin_family = AF_INET,
        .sin_port = htons(metrics_server_port(server)),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
    struct timeval timeout = { .tv_sec = ANSWER_TIMEOUT_S };
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_true(fd >= 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof timeout);
    assert_int_equal(connect(fd, (struct sockaddr *)&name, sizeof name), 0);
    return fd;
}

/* What the server says until it closes; a reset after an early refusal ends it as well. Owned. */
static char *read_answer(int fd)
{
    char *answer = mem_new(ANSWER_SIZE_MAX);
    size_t size = 0;

    for (;;) {
        ssize_t count = recv(fd, answer + size, ANSWER_SIZE_MAX - 1 - size, 0);
        if (count <= 0)
            return answer;
        size += (size_t)count;
    }
}

/* The answer to REQUEST, sent as it is. Owned. */
static char *ask(const struct metrics_server *server, const char *request)
{
    auto_fd int fd = connect_to(server);

    (void)send(fd, request, strlen(request), MSG_NOSIGNAL);
    return read_answer(fd);
}

static void check_says(const char *answer, const char *words)
{
    if (strstr(answer, words) == NULL)
        fail_msg("'%s' is not in:\n%.2000s", words, answer);
}

static void metrics_are_answered_whole(void **state)
{
    auto_free char *answer =
        ask(*state, "GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");

    check_says(answer, "HTTP/1.1 200 ");
    check_says(answer, "Content-Type: text/plain; version=0.0.4; charset=utf-8\r\n");
    check_says(answer, "Transfer-Encoding: chunked\r\n");
    assert_string_equal(answer + strlen(answer) - 7, "\r\n0\r\n\r\n");
}

/* As HTTP/1.0 the text comes unchunked, so all of it can be compared line by line. */
static void metrics_have_every_database(void **state)
{
    auto_free char *answer = ask(*state, "GET /metrics HTTP/1.0\r\n\r\n");

    check_says(answer, " 200 ");
    for (int index = 0; index < MEMBER_COUNT; index++) {
        auto_free char *line =
            text_format("\nlitestream_txid{db=\"/data/%d.db\"} %d\n", index, 100 + index);
        check_says(answer, line);
    }
    check_says(answer, "\nprocess_cpu_seconds_total ");
    assert_int_equal(answer[strlen(answer) - 1], '\n');
}

static void other_requests_are_refused(void **state)
{
    static const struct {
        const char *request;
        const char *status;
        const char *words;
    } rows[] = {
        { "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", " 200 ", "/metrics" },
        { "HEAD /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", " 200 ", "0.0.4" },
        { "GET /metrics?x=1 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", " 200 ", "# HELP" },
        { "GET /other HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", " 404 ", "/metrics" },
        { "GET /../etc/passwd HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", " 404 ",
            "not found" },
        { "POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc", " 405 ",
            "Allow: GET, HEAD" },
        { "PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 999999999999\r\n\r\nabc", " 405 ",
            "only GET" },
        { "DELETE /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", " 405 ", "only GET" },
    };

    for (size_t index = 0; index < array_count(rows); index++) {
        auto_free char *answer = ask(*state, rows[index].request);
        check_says(answer, rows[index].status);
        check_says(answer, rows[index].words);
    }
}

static void head_has_no_body(void **state)
{
    auto_free char *answer =
        ask(*state, "HEAD /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");

    assert_null(strstr(answer, "# HELP"));
}

/* More than a connection's memory: refused, and the next one is served as before. */
static void huge_headers_are_refused(void **state)
{
    auto_free char *padding = mem_new(4 * METRICS_REQUEST_SIZE_MAX + 1);

    memset(padding, 'a', 4 * METRICS_REQUEST_SIZE_MAX);
    auto_free char *header =
        text_format("GET /metrics HTTP/1.1\r\nHost: x\r\nX-Long: %s\r\n\r\n", padding);
    auto_free char *path = text_format("GET /%s HTTP/1.1\r\nHost: x\r\n\r\n", padding);
    auto_free char *refused = ask(*state, header);
    auto_free char *refused_path = ask(*state, path);
    assert_null(strstr(refused, "# HELP"));
    assert_null(strstr(refused_path, "# HELP"));
    auto_free char *answer = ask(*state, "GET /metrics HTTP/1.0\r\n\r\n");
    check_says(answer, " 200 ");
}

static void what_is_not_http_is_closed(void **state)
{
    static const char *const rows[] = { "hello\r\n\r\n", "\x16\x03\x01\x02\r\n\r\n", "GET\r\n\r\n",
        "GET /metrics\r\n\r\n", "GET /metrics HTTP/9.9\r\n\r\n" };

    for (size_t index = 0; index < array_count(rows); index++) {
        auto_fd int fd = connect_to(*state);
        (void)send(fd, rows[index], strlen(rows[index]), MSG_NOSIGNAL);
        shutdown(fd, SHUT_WR);
        free(read_answer(fd));
    }
    auto_free char *answer = ask(*state, "GET /metrics HTTP/1.0\r\n\r\n");
    check_says(answer, " 200 ");
}

/* Silent connections take places, not the server: it stops at once while they are open. */
static void stop_does_not_wait_for_clients(void **state)
{
    struct metrics_server *server = NULL;
    struct error err;
    int fds[METRICS_CONNECTION_COUNT_MAX];

    (void)state;
    CHECK_OK(metrics_server_start(&server, &registry, "127.0.0.1:0", &err));
    for (size_t index = 0; index < array_count(fds); index++) {
        fds[index] = connect_to(server);
        (void)send(fds[index], "GET /met", 8, MSG_NOSIGNAL);
    }
    metrics_server_stop(server);
    for (size_t index = 0; index < array_count(fds); index++) {
        free(read_answer(fds[index]));
        close(fds[index]);
    }
}

static void taken_address_is_an_error(void **state)
{
    struct metrics_server *other = NULL;
    struct error err = { 0 };
    auto_free char *address = text_format("127.0.0.1:%u", (unsigned)metrics_server_port(*state));

    CHECK_RC(metrics_server_start(&other, &registry, address, &err), RC_IO);
    CHECK_SAYS(err, address);
    assert_null(other);
}

static void address_that_is_not_ours_is_an_error(void **state)
{
    static const char *const rows[] = { "192.0.2.1:0", "[2001:db8::1]:0",
        "no.such.host.invalid:0" };

    (void)state;
    for (size_t index = 0; index < array_count(rows); index++) {
        struct metrics_server *server = NULL;
        struct error err = { 0 };
        assert_true(metrics_server_start(&server, &registry, rows[index], &err) != RC_OK);
        CHECK_SAYS(err, "metrics at '");
        assert_null(server);
    }
}

/* Where there is IPv6 at all. */
static void loopback_has_more_names(void **state)
{
    static const char *const rows[] = { "localhost:0", "[::1]:0" };

    (void)state;
    for (size_t index = 0; index < array_count(rows); index++) {
        struct metrics_server *server = NULL;
        struct error err = { 0 };
        rc started = metrics_server_start(&server, &registry, rows[index], &err);
        if (started == RC_OK)
            assert_true(metrics_server_port(server) > 0);
        else
            assert_true(index == 1);
        metrics_server_stop(server);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(metrics_are_answered_whole, start, stop),
        cmocka_unit_test_setup_teardown(metrics_have_every_database, start, stop),
        cmocka_unit_test_setup_teardown(other_requests_are_refused, start, stop),
        cmocka_unit_test_setup_teardown(head_has_no_body, start, stop),
        cmocka_unit_test_setup_teardown(huge_headers_are_refused, start, stop),
        cmocka_unit_test_setup_teardown(what_is_not_http_is_closed, start, stop),
        cmocka_unit_test(stop_does_not_wait_for_clients),
        cmocka_unit_test_setup_teardown(taken_address_is_an_error, start, stop),
        cmocka_unit_test(address_that_is_not_ours_is_an_error),
        cmocka_unit_test(loopback_has_more_names),
    };

    return cmocka_run_group_tests(tests, fill_registry, release_registry);
}
