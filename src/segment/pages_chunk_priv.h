/*
 * pages_chunk - the index chunk of a snapshot or merged segment: its blocks and their pages
 *
 * As in log_chunk the raw chunk is a row of columns of varints: four for the blocks, then the page
 * numbers of the whole chunk as runs: how many pages are left out, how many follow one another; the
 * first run begins at the directory's first_pgno with nothing left out. The runs end when all pages
 * are told.
 */
#ifndef SEAWAL_SEGMENT_PAGES_CHUNK_PRIV_H
#define SEAWAL_SEGMENT_PAGES_CHUNK_PRIV_H

#include "base/buf.h"
#include "directory_priv.h"
#include "segment/reader.h"

enum pages_column {
    PAGES_BLOCK_ENCODINGS,
    PAGES_BLOCK_PAGE_COUNTS,
    PAGES_BLOCK_STORED,
    PAGES_BLOCK_TXIDS, /* signed difference from the block before, from min_txid for the first */
    PAGES_RUNS,
    PAGES_COLUMN_COUNT,
};

/* How many pages of PAGE_SIZE a block holds at most. */
uint32_t pages_per_block(uint32_t page_size);

struct pages_chunk_builder {
    struct buf columns[PAGES_COLUMN_COUNT];
    struct buf digests;
    uint64_t txid_before;
    uint32_t page_count;
    uint32_t first_pgno;
    uint32_t run_end;    /* the page number behind the newest run */
    uint32_t run_length; /* of the newest run; put when it ends */
    uint32_t run_gap;    /* before it */
};

void pages_chunk_builder_init(struct pages_chunk_builder *builder);
void pages_chunk_builder_release(struct pages_chunk_builder *builder);
/* The first block's txid is told as a difference from MIN_TXID. */
void pages_chunk_builder_clear(struct pages_chunk_builder *builder, uint64_t min_txid);

void pages_chunk_put_page(struct pages_chunk_builder *builder, uint32_t pgno, uint64_t digest);
void pages_chunk_put_block(struct pages_chunk_builder *builder, const struct pages_block *block);
void pages_chunk_assemble(struct pages_chunk_builder *builder, struct buf *out);

/* What a chunk is checked against. */
struct pages_chunk_frame {
    const struct segment_identity *identity;
    const struct segment_summary *summary;
    const struct directory_entry *entry;
};

/*
 * Whether the segment must hold a page between AFTER and BEFORE, the two left out: one that a
 * merged segment's transactions added to the database. A snapshot's pages are of different moments,
 * so of its page numbers nothing can be told.
 */
bool pages_must_lie_between(const struct segment_identity *identity,
    const struct segment_summary *summary, uint64_t after, uint64_t before);

/* Fill RET, whose memory is reused. */
must_use rc pages_chunk_decode(struct pages_chunk *ret, const struct chunk_parts *parts,
    const struct pages_chunk_frame *frame, struct error *err);

#endif
