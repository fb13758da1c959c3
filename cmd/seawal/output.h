/*
 * output - rows as a text table, as lines, and as JSON, from one description of their columns
 *
 * Numbers that mean nothing yet (0 of txids, times and timelines; OUTPUT_UNKNOWN_MS of spans) are
 * "-" in text and null in JSON.
 */
#ifndef SEAWAL_CMD_SEAWAL_OUTPUT_H
#define SEAWAL_CMD_SEAWAL_OUTPUT_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

#define OUTPUT_UNKNOWN_MS INT64_MIN

enum column_type {
    COLUMN_TEXT,     /* const char *, may be NULL */
    COLUMN_COUNT,    /* uint64_t */
    COLUMN_SMALL,    /* uint32_t */
    COLUMN_TXID,     /* uint64_t */
    COLUMN_SIZE,     /* uint64_t bytes */
    COLUMN_TIME,     /* int64_t ms since the epoch */
    COLUMN_SPAN,     /* int64_t ms */
    COLUMN_TIMELINE, /* uint32_t, as 8 hex digits */
    COLUMN_DIGEST,   /* uint64_t, as 16 hex digits */
};

struct column {
    const char *key;   /* in JSON; NULL: not there */
    const char *title; /* in text; NULL: not there */
    enum column_type type;
    size_t offset; /* in the row's struct */
};

/* The column that shows FIELD_ of a row that is a ROW_ (struct ...). */
#define COLUMN_OF(row_, key_, title_, type_, field_)                                               \
    {                                                                                              \
        key_, title_, type_, offsetof(row_, field_)                                                \
    }

struct output_rows {
    const struct column *columns;
    size_t column_count;
    const void *rows;
    size_t row_size;
    size_t row_count;
};

/* A table with a line of titles; nothing at all for no rows. INDENT spaces before each line. */
void output_table(const struct output_rows *rows, int indent);

/* One row as "title  value" lines. */
void output_lines(const struct column *columns, size_t column_count, const void *row);

/* New references. */
json_t *output_object(const struct column *columns, size_t column_count, const void *row);
json_t *output_list(const struct output_rows *rows);

/* Print and give back. */
void output_json(json_t *value);

#endif
