/*
 * segment_writer - the frame that both encoders fill: header, blocks, index chunks, directory,
 * trailer
 *
 * Calling sequence:
 *
 *   segment_writer_init()
 *   segment_writer_begin()         the header
 *   segment_writer_add_block()     blocks of a chunk, then
 *   segment_writer_add_chunk()     the chunk that describes them; any number of times
 *   segment_writer_finish()        index, directory, trailer
 *   segment_writer_release()
 */
#ifndef SEAWAL_SEGMENT_SEGMENT_WRITER_PRIV_H
#define SEAWAL_SEGMENT_SEGMENT_WRITER_PRIV_H

#include "base/stream.h"
#include "directory_priv.h"
#include "index_spill_priv.h"
#include "packing_priv.h"

struct segment_writer {
    struct sink sink;
    uint64_t offset; /* bytes given to the sink */
    struct segment_header header;
    struct packer packer;
    struct index_spill spill;
    struct buf chunk;     /* the chunk being put together */
    struct buf directory; /* entries of the chunks so far */
    uint32_t chunk_count;

    /* Since the last chunk. */
    uint32_t block_count;
    uint64_t blocks_size;
    struct buf block_checksums;
};

/* The output goes to SINK; SCRATCH_FOLDER is copied. */
void segment_writer_init(
    struct segment_writer *writer, struct sink sink, const char *scratch_folder);
void segment_writer_release(struct segment_writer *writer);

must_use rc segment_writer_begin(
    struct segment_writer *writer, const struct segment_identity *identity, struct error *err);
must_use rc segment_writer_add_block(
    struct segment_writer *writer, struct bytes stored, struct error *err);

/*
 * RAW is packed, behind it come the checksums of the blocks since the last chunk, then DIGESTS.
 * ENTRY gives kind, item_count, transaction_count and first_pgno; the rest is filled in.
 */
must_use rc segment_writer_add_chunk(struct segment_writer *writer, struct directory_entry *entry,
    struct bytes raw, struct bytes digests, struct error *err);

/* SUMMARY is complete but for stored_size, which is filled in. */
must_use rc segment_writer_finish(
    struct segment_writer *writer, struct segment_summary *summary, struct error *err);

#endif
