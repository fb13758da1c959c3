/*
 * metrics_text - the numbers of a registry in Prometheus' text format, version 0.0.4
 *
 * A text is made line by line while it is read, so its memory does not follow the number of
 * databases. Source: prometheus.io/docs/instrumenting/exposition_formats ("Text format details").
 */
#ifndef SEAWAL_DAEMON_METRICS_TEXT_PRIV_H
#define SEAWAL_DAEMON_METRICS_TEXT_PRIV_H

#include <stddef.h>

#include "metrics_priv.h"

#define METRICS_TEXT_TYPE "text/plain; version=0.0.4; charset=utf-8"

struct metrics_text;

/* REGISTRY is borrowed. Owned: metrics_text_free(). */
struct metrics_text *metrics_text_new(const struct metrics_registry *registry);
void metrics_text_free(struct metrics_text *text);

/* The next SIZE bytes or fewer; 0: that was all. */
size_t metrics_text_read(struct metrics_text *text, char *out, size_t size);

#endif
