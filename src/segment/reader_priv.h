/*
 * reader - what the three files of the reader share
 */
#ifndef SEAWAL_SEGMENT_READER_PRIV_H
#define SEAWAL_SEGMENT_READER_PRIV_H

#include "directory_priv.h"
#include "segment/reader.h"

struct log_reader;

struct segment_reader {
    struct source source;
    struct segment_trailer trailer;
    struct directory_entry *entries; /* trailer.layout.chunk_count of them */

    /* The end of the object, as read by open; never changed afterwards. */
    struct buf tail;
    uint64_t tail_offset;

    bool header_is_checked;
    struct log_reader *log; /* the place of log_reader_next(), NULL before it was called */
};

/* Append exactly SIZE bytes from OFFSET to OUT. Never RC_NOT_FOUND. Safe for several threads. */
must_use rc segment_reader_read(const struct segment_reader *reader, uint64_t offset, uint64_t size,
    struct buf *out, struct error *err);

/* Bytes that live in the reader's tail or in MEMORY, which is reused. Safe for several threads. */
must_use rc segment_reader_get(const struct segment_reader *reader, uint64_t offset, size_t size,
    struct buf *memory, struct bytes *ret, struct error *err);

/* Memory of one index chunk, reused from chunk to chunk. */
struct chunk_memory {
    struct buf stored;
    struct buf raw;
};
void chunk_memory_init(struct chunk_memory *memory);
void chunk_memory_release(struct chunk_memory *memory);
#define auto_chunk_memory __attribute__((cleanup(chunk_memory_release)))

/* Read, check and unpack chunk INDEX. RET lives in MEMORY or the reader. Safe for several threads.
 */
must_use rc segment_reader_load_chunk(const struct segment_reader *reader, size_t index,
    struct chunk_memory *memory, struct chunk_parts *ret, struct error *err);

/* A corrupt header, given the object's first bytes. */
must_use rc segment_reader_compare_header(
    struct segment_reader *reader, struct bytes start, struct error *err);

void log_reader_free(struct log_reader *log);

must_use rc log_reader_each_digest(
    struct segment_reader *reader, segment_page_digest_fn *each, void *payload, struct error *err);
must_use rc pages_reader_each_digest(
    struct segment_reader *reader, segment_page_digest_fn *each, void *payload, struct error *err);

#endif
