/*
 * output - rows as a text table, as lines, and as JSON
 */
#include "output.h"

#include "base/alloc.h"
#include "base/duration.h"
#include "base/text.h"

#include <assert.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const void *output_field(const struct column *column, const void *row)
{
    return (const char *)row + column->offset;
}

static uint64_t output_u64(const struct column *column, const void *row)
{
    uint64_t value;

    memcpy(&value, output_field(column, row), sizeof value);
    return value;
}

static uint32_t output_u32(const struct column *column, const void *row)
{
    uint32_t value;

    memcpy(&value, output_field(column, row), sizeof value);
    return value;
}

static const char *output_text(const struct column *column, const void *row)
{
    const char *value;

    memcpy(&value, output_field(column, row), sizeof value);
    return value;
}

/* ---- text */

static char *output_size_text(uint64_t size)
{
    static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB" };
    double value = (double)size;
    size_t unit = 0;

    while (value >= 1024 && unit + 1 < array_count(units)) {
        value /= 1024;
        unit++;
    }
    return text_format(unit == 0 ? "%.0f %s" : "%.1f %s", value, units[unit]);
}

static char *output_time_text(int64_t ms)
{
    char text[INSTANT_TEXT_SIZE];

    if (ms == 0)
        return text_copy("-");
    instant_format_ms(text, ms);
    return text_copy(text);
}

static char *output_span_text(int64_t ms)
{
    char text[INSTANT_TEXT_SIZE];

    if (ms == OUTPUT_UNKNOWN_MS)
        return text_copy("-");
    /* Milliseconds of hours are noise. */
    duration_format_ms(text, ms >= 10000 ? ms - ms % 1000 : ms);
    return text_copy(text);
}

/* Owned. */
static char *output_cell(const struct column *column, const void *row)
{
    switch (column->type) {
    case COLUMN_TEXT:
        return text_copy(output_text(column, row) != NULL ? output_text(column, row) : "-");
    case COLUMN_COUNT:
        return text_format("%" PRIu64, output_u64(column, row));
    case COLUMN_SMALL:
        return text_format("%" PRIu32, output_u32(column, row));
    case COLUMN_TXID:
        if (output_u64(column, row) == 0)
            return text_copy("-");
        return text_format("%" PRIu64, output_u64(column, row));
    case COLUMN_SIZE:
        return output_size_text(output_u64(column, row));
    case COLUMN_TIME:
        return output_time_text((int64_t)output_u64(column, row));
    case COLUMN_SPAN:
        return output_span_text((int64_t)output_u64(column, row));
    case COLUMN_TIMELINE:
        if (output_u32(column, row) == 0)
            return text_copy("-");
        return text_format("%08" PRIx32, output_u32(column, row));
    case COLUMN_DIGEST:
        return text_format("%016" PRIx64, output_u64(column, row));
    }
    abort();
}

static bool output_is_right_aligned(enum column_type type)
{
    return type == COLUMN_COUNT || type == COLUMN_SMALL || type == COLUMN_TXID ||
           type == COLUMN_SIZE || type == COLUMN_SPAN;
}

static const void *output_row(const struct output_rows *rows, size_t index)
{
    return (const char *)rows->rows + index * rows->row_size;
}

static int output_width(const struct output_rows *rows, const struct column *column)
{
    size_t width = strlen(column->title);

    for (size_t index = 0; index < rows->row_count; index++) {
        auto_free char *cell = output_cell(column, output_row(rows, index));

        if (strlen(cell) > width)
            width = strlen(cell);
    }
    return (int)width;
}

/* One line of cells; the last one is not padded, so that no line ends in spaces. */
struct output_line {
    int pending_spaces;
};

static void output_put(struct output_line *line, const char *text, int width, bool right)
{
    int padding = width - (int)strlen(text);

    printf("%*s", line->pending_spaces + (right ? padding : 0), "");
    printf("%s", text);
    line->pending_spaces = 2 + (right ? 0 : padding);
}

static void output_table_line(
    const struct output_rows *rows, const int *widths, const void *row, int indent)
{
    struct output_line line = { .pending_spaces = indent };

    for (size_t index = 0; index < rows->column_count; index++) {
        const struct column *column = &rows->columns[index];

        if (column->title == NULL)
            continue;
        auto_free char *cell = row != NULL ? output_cell(column, row) : text_copy(column->title);
        output_put(&line, cell, widths[index], output_is_right_aligned(column->type));
    }
    printf("\n");
}

void output_table(const struct output_rows *rows, int indent)
{
    if (rows->row_count == 0)
        return;
    auto_free int *widths = mem_new_array(rows->column_count, sizeof *widths);
    for (size_t index = 0; index < rows->column_count; index++)
        if (rows->columns[index].title != NULL)
            widths[index] = output_width(rows, &rows->columns[index]);
    output_table_line(rows, widths, NULL, indent);
    for (size_t index = 0; index < rows->row_count; index++)
        output_table_line(rows, widths, output_row(rows, index), indent);
}

void output_lines(const struct column *columns, size_t column_count, const void *row)
{
    int width = 0;

    for (size_t index = 0; index < column_count; index++)
        if (columns[index].title != NULL && (int)strlen(columns[index].title) > width)
            width = (int)strlen(columns[index].title);
    for (size_t index = 0; index < column_count; index++) {
        if (columns[index].title == NULL)
            continue;
        auto_free char *cell = output_cell(&columns[index], row);
        printf("%-*s  %s\n", width, columns[index].title, cell);
    }
}

/* ---- JSON */

static json_t *output_json_owned(char *text)
{
    json_t *value = json_string(text);

    free(text);
    return value;
}

/* A file name need not be UTF-8; JSON must be. */
static json_t *output_json_text(const char *text)
{
    json_t *value = json_string(text);

    if (value != NULL)
        return value;
    auto_free char *copy = text_copy(text);
    for (char *at = copy; *at != '\0'; at++)
        if ((unsigned char)*at >= 0x80)
            *at = '?';
    return json_string(copy);
}

static json_t *output_json_cell(const struct column *column, const void *row)
{
    switch (column->type) {
    case COLUMN_TEXT:
        if (output_text(column, row) == NULL)
            return json_null();
        return output_json_text(output_text(column, row));
    case COLUMN_COUNT:
    case COLUMN_SIZE:
        return json_integer((json_int_t)output_u64(column, row));
    case COLUMN_SMALL:
        return json_integer(output_u32(column, row));
    case COLUMN_TXID:
        if (output_u64(column, row) == 0)
            return json_null();
        return json_integer((json_int_t)output_u64(column, row));
    case COLUMN_TIME:
        if (output_u64(column, row) == 0)
            return json_null();
        return output_json_owned(output_cell(column, row));
    case COLUMN_SPAN:
        if ((int64_t)output_u64(column, row) == OUTPUT_UNKNOWN_MS)
            return json_null();
        return json_integer((int64_t)output_u64(column, row));
    case COLUMN_TIMELINE:
        if (output_u32(column, row) == 0)
            return json_null();
        return output_json_owned(output_cell(column, row));
    case COLUMN_DIGEST:
        return output_json_owned(output_cell(column, row));
    }
    abort();
}

json_t *output_object(const struct column *columns, size_t column_count, const void *row)
{
    json_t *object = json_object();

    for (size_t index = 0; index < column_count; index++)
        if (columns[index].key != NULL)
            json_object_set_new(object, columns[index].key, output_json_cell(&columns[index], row));
    return object;
}

json_t *output_list(const struct output_rows *rows)
{
    json_t *list = json_array();

    for (size_t index = 0; index < rows->row_count; index++)
        json_array_append_new(
            list, output_object(rows->columns, rows->column_count, output_row(rows, index)));
    return list;
}

void output_json(json_t *value)
{
    assert(value != NULL);
    json_dumpf(value, stdout, JSON_INDENT(2) | JSON_PRESERVE_ORDER);
    printf("\n");
    json_decref(value);
}
