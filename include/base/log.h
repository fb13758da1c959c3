/*
 * log - one event, one line
 *
 * Lines are key=value or JSON objects on standard error, each written with one write(2). Only
 * daemon and cmd log above debug. Field lists end with NULL:
 *
 *   log_event(LOG_INFO, "segment stored", "db", path, "txid", log_u64(txid), NULL);
 *
 * log_u64() and its like return text from a small per-thread ring that is valid for the same call.
 */
#ifndef SEAWAL_BASE_LOG_H
#define SEAWAL_BASE_LOG_H

#include "base/error.h"

#include <stdbool.h>
#include <stdint.h>

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR, LOG_LEVEL_COUNT };
enum log_format { LOG_FORMAT_TEXT, LOG_FORMAT_JSON };

/* Safe at any time; the daemon changes the level while running. */
void log_set_level(enum log_level level);
enum log_level log_level_now(void);
void log_set_format(enum log_format format);
must_use rc log_level_parse(enum log_level *ret, const char *text, struct error *err);

/* EVENT, then pairs of key and value, then NULL. A NULL value leaves the pair out. */
void log_event(enum log_level level, const char *event, ...) __attribute__((sentinel));

/* The same with the text, code and errno of ERR as fields error=, code=. */
void log_error(enum log_level level, const struct error *err, const char *event, ...)
    __attribute__((sentinel));

const char *log_u64(uint64_t value);
const char *log_i64(int64_t value);

#endif
