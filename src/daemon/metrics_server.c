/* metrics_server - see metrics_server_priv.h */
#include "metrics_server_priv.h"

#include <errno.h>
#include <microhttpd.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/alloc.h"
#include "base/text.h"
#include "metrics_text_priv.h"

enum {
    METRICS_STACK_SIZE = 256 * 1024,
    METRICS_BLOCK_SIZE = 8 * 1024, /* of text made at once; must fit into a connection's memory */
};

struct metrics_server {
    const struct metrics_registry *registry;
    struct MHD_Daemon *http;
    uint16_t port;
};

/* ---- answers */

static const char metrics_methods[] = "GET, HEAD";

static enum MHD_Result metrics_answer(
    struct MHD_Connection *connection, unsigned status, const char *said)
{
    struct MHD_Response *response = MHD_create_response_from_buffer(
        strlen(said), (void *)(uintptr_t)said, MHD_RESPMEM_PERSISTENT);

    if (response == NULL)
        return MHD_NO;
    MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, "text/plain; charset=utf-8");
    if (status == MHD_HTTP_METHOD_NOT_ALLOWED)
        MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, metrics_methods);
    enum MHD_Result queued = MHD_queue_response(connection, status, response);
    MHD_destroy_response(response);
    return queued;
}

static ssize_t metrics_answer_read(void *payload, uint64_t position, char *out, size_t size)
{
    (void)position; /* it only ever goes on */
    size_t count = metrics_text_read(payload, out, size);

    return count > 0 ? (ssize_t)count : MHD_CONTENT_READER_END_OF_STREAM;
}

static void metrics_answer_free(void *payload)
{
    metrics_text_free(payload);
}

static enum MHD_Result metrics_answer_metrics(
    const struct metrics_server *server, struct MHD_Connection *connection)
{
    struct metrics_text *text = metrics_text_new(server->registry);
    struct MHD_Response *response = MHD_create_response_from_callback(
        MHD_SIZE_UNKNOWN, METRICS_BLOCK_SIZE, metrics_answer_read, text, metrics_answer_free);

    if (response == NULL) {
        metrics_text_free(text);
        return MHD_NO;
    }
    MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, METRICS_TEXT_TYPE);
    enum MHD_Result queued = MHD_queue_response(connection, MHD_HTTP_OK, response);
    MHD_destroy_response(response);
    return queued;
}

/* Answered as soon as the headers are there: what follows them is not read. */
static enum MHD_Result metrics_asked(void *payload, struct MHD_Connection *connection,
    const char *path, const char *method, const char *version, const char *body, size_t *body_size,
    void **state)
{
    (void)version;
    (void)body;
    (void)body_size;
    (void)state;
    if (!text_equal(method, MHD_HTTP_METHOD_GET) && !text_equal(method, MHD_HTTP_METHOD_HEAD))
        return metrics_answer(connection, MHD_HTTP_METHOD_NOT_ALLOWED, "only GET is understood\n");
    if (text_equal(path, "/metrics"))
        return metrics_answer_metrics(payload, connection);
    if (text_equal(path, "/"))
        return metrics_answer(connection, MHD_HTTP_OK, "seawal: the metrics are at /metrics\n");
    return metrics_answer(
        connection, MHD_HTTP_NOT_FOUND, "not found; the metrics are at /metrics\n");
}

/* ---- the socket */

/* "[::1]:9090" into "::1" and "9090". */
static void metrics_split(const char *address, char **ret_host, const char **ret_port)
{
    const char *colon = strrchr(address, ':');
    bool bracketed = address[0] == '[' && colon > address + 1;

    *ret_port = colon + 1;
    *ret_host = bracketed ? text_format("%.*s", (int)(colon - address) - 2, address + 1)
                          : text_format("%.*s", (int)(colon - address), address);
}

static rc metrics_listen_at(int *ret, const struct addrinfo *place, struct error *err)
{
    auto_fd int fd = socket(place->ai_family, place->ai_socktype | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int on = 1;

    if (fd < 0)
        FAIL_SYS(err, "socket");
    /* A restart must not wait until connections of the run before are forgotten. */
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0)
        FAIL_SYS(err, "SO_REUSEADDR");
    if (bind(fd, place->ai_addr, place->ai_addrlen) != 0)
        FAIL_SYS(err, "bind");
    if (listen(fd, METRICS_CONNECTION_COUNT_MAX) != 0)
        FAIL_SYS(err, "listen");
    *ret = TAKE_FD(fd);
    return RC_OK;
}

static rc metrics_listen(int *ret, const char *address, struct error *err)
{
    struct addrinfo hints = {
        .ai_socktype = SOCK_STREAM,
        .ai_flags = AI_NUMERICSERV,
    };
    struct addrinfo *places = NULL;
    auto_free char *host = NULL;
    const char *port;

    metrics_split(address, &host, &port);
    int failed = getaddrinfo(host, port, &hints, &places);
    if (failed != 0)
        FAIL(err, RC_IO, "'%s': %s", host, gai_strerror(failed));
    rc listened = RC_IO;
    for (const struct addrinfo *place = places; place != NULL; place = place->ai_next) {
        listened = metrics_listen_at(ret, place, err);
        if (listened == RC_OK)
            break;
    }
    freeaddrinfo(places);
    return listened;
}

static uint16_t metrics_port_of(int fd)
{
    struct sockaddr_storage name = { 0 };
    socklen_t size = sizeof name;

    if (getsockname(fd, (struct sockaddr *)&name, &size) != 0)
        return 0;
    if (name.ss_family == AF_INET6)
        return ntohs(((const struct sockaddr_in6 *)&name)->sin6_port);
    return ntohs(((const struct sockaddr_in *)&name)->sin_port);
}

/* ---- life */

rc metrics_server_start(struct metrics_server **ret, const struct metrics_registry *registry,
    const char *address, struct error *err)
{
    auto_fd int fd = -1;
    TRY_AS(err, metrics_listen(&fd, address, err), "metrics at '%s'", address);

    auto_free struct metrics_server *server = mem_new(sizeof *server);
    server->registry = registry;
    server->port = metrics_port_of(fd);
    server->http = MHD_start_daemon(MHD_USE_AUTO_INTERNAL_THREAD, 0, NULL, NULL, metrics_asked,
        server, MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_CONNECTION_LIMIT,
        (unsigned)METRICS_CONNECTION_COUNT_MAX, MHD_OPTION_CONNECTION_TIMEOUT,
        (unsigned)METRICS_IDLE_S, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
        (size_t)METRICS_REQUEST_SIZE_MAX, MHD_OPTION_THREAD_STACK_SIZE, (size_t)METRICS_STACK_SIZE,
        MHD_OPTION_END);
    if (server->http == NULL)
        FAIL(err, RC_IO, "metrics at '%s': the HTTP server does not start", address);
    (void)TAKE_FD(fd); /* it is the server's now */
    *ret = TAKE(server);
    return RC_OK;
}

uint16_t metrics_server_port(const struct metrics_server *server)
{
    return server->port;
}

void metrics_server_stop(struct metrics_server *server)
{
    if (server == NULL)
        return;
    MHD_stop_daemon(server->http);
    free(server);
}
