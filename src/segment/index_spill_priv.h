/*
 * index_spill - bytes that must wait for the end: in memory at first, then in a file without a name
 *
 * The index of a segment follows its blocks, which are streamed out as they fill. Up to
 * INDEX_SPILL_MEMORY_MAX bytes wait in memory; what is more goes to an unlinked temporary file,
 * which disappears with the process whatever happens.
 */
#ifndef SEAWAL_SEGMENT_INDEX_SPILL_PRIV_H
#define SEAWAL_SEGMENT_INDEX_SPILL_PRIV_H

#include "base/buf.h"
#include "base/stream.h"
#include "format_priv.h"

enum {
    INDEX_SPILL_MEMORY_MAX = 1 << 20,
    INDEX_SPILL_ADD_MAX = CHUNK_RAW_MAX + CHUNK_PLAIN_MAX,
};

struct index_spill {
    struct buf memory;
    char *folder;
    int fd; /* -1 until memory did not suffice */
    uint64_t file_size;
};

/* FOLDER is copied. */
void index_spill_init(struct index_spill *spill, const char *folder);
void index_spill_release(struct index_spill *spill);

must_use rc index_spill_add(struct index_spill *spill, struct bytes bytes, struct error *err);
uint64_t index_spill_size(const struct index_spill *spill);

/* Everything that was added, in order. */
must_use rc index_spill_drain(struct index_spill *spill, struct sink sink, struct error *err);

#endif
