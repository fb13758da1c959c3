/*
 * metrics_server - answers GET /metrics over HTTP
 *
 * One thread of its own, which sleeps while nobody asks; at most METRICS_CONNECTION_COUNT_MAX
 * connections, each with a small fixed memory and a deadline. Nothing but GET and HEAD of two paths
 * is understood, and no body is ever read.
 */
#ifndef SEAWAL_DAEMON_METRICS_SERVER_PRIV_H
#define SEAWAL_DAEMON_METRICS_SERVER_PRIV_H

#include <stdint.h>

#include "base/error.h"
#include "metrics_priv.h"

enum {
    METRICS_CONNECTION_COUNT_MAX = 16,
    METRICS_REQUEST_SIZE_MAX = 16 * 1024, /* line and headers; more is answered with 431 or 414 */
    METRICS_IDLE_S = 15,                  /* a connection on which nothing moves is closed */
};

struct metrics_server;

/*
 * ADDRESS is HOST:PORT as config_parse() leaves it; with port 0 the system chooses one. REGISTRY is
 * borrowed and complete. RC_IO, RC_DENIED ...: nobody can listen there.
 */
must_use rc metrics_server_start(struct metrics_server **ret,
    const struct metrics_registry *registry, const char *address, struct error *err);

uint16_t metrics_server_port(const struct metrics_server *server);

/* Ends connections and the thread. NULL does nothing. */
void metrics_server_stop(struct metrics_server *server);

#endif
