/*
 * segment_input - fuzzer input as the source of a segment reader
 *
 * Input whose length was changed by the fuzzer says so nowhere; the places in the trailer that
 * depend on it are corrected here, since a fuzzer would hardly ever find them.
 */
#ifndef SEAWAL_TESTS_FUZZ_SEGMENT_INPUT_H
#define SEAWAL_TESTS_FUZZ_SEGMENT_INPUT_H

#include "base/buf.h"
#include "base/stream.h"
#include "format_priv.h"

#include <assert.h>

enum {
    INPUT_SIZE_MAX = 1 << 20,
    /* Places in the trailer, from its start. */
    INPUT_STORED_SIZE_PLACE = SEGMENT_IDENTITY_SIZE + SEGMENT_SUMMARY_SIZE - 8,
    INPUT_DIRECTORY_OFFSET_PLACE = SEGMENT_IDENTITY_SIZE + SEGMENT_SUMMARY_SIZE + 2 + 8 + 8,
    INPUT_DIRECTORY_SIZE_PLACE = INPUT_DIRECTORY_OFFSET_PLACE + 8,
};

static inline rc input_read(
    void *payload, uint64_t offset, uint64_t size, struct buf *out, struct error *err)
{
    struct buf *input = payload;
    assert(offset <= input->size && size <= input->size - offset);
    return buf_append(out, bytes_part(buf_bytes(input), (size_t)offset, (size_t)size), err);
}

static inline struct source input_source(struct buf *input, const uint8_t *data, size_t size)
{
    buf_put(input, bytes_of(data, size));
    if (size >= SEGMENT_TRAILER_SIZE) {
        uint8_t *trailer = input->data + size - SEGMENT_TRAILER_SIZE;
        uint64_t directory_size = get_be32(trailer + INPUT_DIRECTORY_SIZE_PLACE);
        put_be64(trailer + INPUT_STORED_SIZE_PLACE, size);
        put_be64(
            trailer + INPUT_DIRECTORY_OFFSET_PLACE, size - SEGMENT_TRAILER_SIZE - directory_size);
    }
    return (struct source){ .read = input_read, .payload = input, .size = size };
}

#endif
