/*
 * pages_encoder - whole pages in ascending order in, a snapshot or merged segment out
 *
 * Calling sequence: pages_encoder_new(), pages_encoder_add() for each page, pages_encoder_finish(),
 * pages_encoder_free(). Memory and spilling as in log_encoder. Not thread-safe.
 *
 * Pages are packed into blocks that are compressed alone (64 KiB of pages each, never less than one
 * page) so that one page can be fetched with one ranged read. A block holds pages of one as-of
 * txid: a change of it begins a new block.
 *
 * A snapshot (min_txid: where it begins; parent_digest and parent_page_count 0) that is taken while
 * the database is written holds pages as of different transactions in [min_txid, max_txid]; it is
 * complete together with the log segments of that range.
 *
 * A merged segment (min_txid: its first transaction; parent_digest and parent_page_count: of the
 * database before it) holds every page that any transaction of [min_txid, max_txid] wrote (also
 * when it is the same as before again: a restore may begin in between) and that still exists, all
 * as of max_txid. Pages that they did not change may be there as well. The growth rule: every page
 * in (parent_page_count, page_count] is there, the lock page excepted, since nothing older holds
 * it.
 */
#ifndef SEAWAL_SEGMENT_PAGES_ENCODER_H
#define SEAWAL_SEGMENT_PAGES_ENCODER_H

#include "base/error.h"
#include "base/stream.h"
#include "segment/segment.h"

struct pages_encoder;

must_use rc pages_encoder_new(struct pages_encoder **ret, const struct segment_identity *identity,
    struct sink sink, const char *scratch_folder, struct error *err);
void pages_encoder_free(struct pages_encoder *encoder);

/*
 * Page PGNO (larger than the one before; never the lock page) as of transaction TXID, with the
 * digest that the caller knows for it: checked against the bytes, RC_MISMATCH when it is another.
 */
must_use rc pages_encoder_add(struct pages_encoder *encoder, uint32_t pgno, struct bytes page,
    uint64_t txid, uint64_t digest, struct error *err);

/*
 * SUMMARY gives max_txid, digest, page_count and times; counts are filled in, place is zeroed.
 * Merged: RC_MISMATCH when a page lies behind page_count, is not as of max_txid, or the growth rule
 * is broken; nothing that could be taken for a segment has been written then.
 */
must_use rc pages_encoder_finish(
    struct pages_encoder *encoder, struct segment_summary *summary, struct error *err);

#endif
