/*
 * log_encoder - see segment/log_encoder.h; FORMAT.md for the bytes
 *
 * Frames gather in three columns (operations, literals, dense pages) until a block is full; block
 * tables, transactions and frames gather in a chunk of the index. A block belongs to one chunk, so
 * closing a chunk closes the block.
 */
#include "segment/log_encoder.h"

#include "base/alloc.h"
#include "codec/digest.h"
#include "log_chunk_priv.h"
#include "page_diff_priv.h"
#include "segment/page_set.h"
#include "segment_writer_priv.h"

#include <stdlib.h>

struct log_encoder {
    struct segment_identity identity;
    struct segment_writer writer;
    struct page_diff_index diff_index;

    /* The block being filled. */
    struct buf operations;
    struct buf literals;
    struct buf dense;
    struct buf stored; /* scratch for the packed block */
    uint32_t block_frame_count;

    /* The chunk being filled. */
    struct log_chunk_builder chunk;

    /* The transaction in progress. */
    uint64_t transaction_frame_count;
    uint32_t pgno_before; /* of the frame before in it, 0 for the first */

    /* The segment so far. */
    struct page_set pages;
    struct segment_transaction last; /* txid min_txid - 1 before the first */
    int64_t first_time_ms;
    uint32_t transaction_count;
    uint64_t frame_count;
};

enum {
    /* Columns hold a block and what page_diff_encode() may write before it gives up. */
    LOG_COLUMN_BUF_MAX = LOG_BLOCK_RAW_MAX + PAGE_SIZE_MAX + PAGE_DIFF_SLACK,
    /* What a byte in a column will take when packed, for log_encoder_size(): a cautious guess. */
    LOG_GUESS_RATIO = 2,
};

rc log_encoder_new(struct log_encoder **ret, const struct segment_identity *identity,
    struct sink sink, const char *scratch_folder, struct error *err)
{
    assert(identity->kind == SEGMENT_LOG);

    struct log_encoder *encoder = mem_new(sizeof *encoder);
    encoder->identity = *identity;
    encoder->operations = BUF_INIT(LOG_COLUMN_BUF_MAX);
    encoder->literals = BUF_INIT(LOG_COLUMN_BUF_MAX);
    encoder->dense = BUF_INIT(LOG_COLUMN_BUF_MAX);
    encoder->stored = BUF_INIT(3 * pack_bound(LOG_BLOCK_RAW_MAX));
    encoder->last.txid = identity->min_txid - 1;
    encoder->last.page_count = identity->parent_page_count;
    encoder->last.digest = identity->parent_digest;
    log_chunk_builder_init(&encoder->chunk);
    segment_writer_init(&encoder->writer, sink, scratch_folder);

    rc result = segment_writer_begin(&encoder->writer, identity, err);
    if (result != RC_OK) {
        log_encoder_free(encoder);
        return result;
    }
    *ret = encoder;
    return RC_OK;
}

void log_encoder_free(struct log_encoder *encoder)
{
    if (encoder == NULL)
        return;
    buf_release(&encoder->operations);
    buf_release(&encoder->literals);
    buf_release(&encoder->dense);
    buf_release(&encoder->stored);
    log_chunk_builder_release(&encoder->chunk);
    page_set_release(&encoder->pages);
    segment_writer_release(&encoder->writer);
    free(encoder);
}

static size_t log_encoder_block_size(const struct log_encoder *encoder)
{
    return encoder->operations.size + encoder->literals.size + encoder->dense.size;
}

static rc log_encoder_close_block(struct log_encoder *encoder, struct error *err)
{
    if (encoder->block_frame_count == 0) /* unreachable: a frame follows wherever one is closed */
        return RC_OK;

    struct packer *packer = &encoder->writer.packer;
    struct buf *stored = &encoder->stored;
    struct log_block block = {
        .frame_count = encoder->block_frame_count,
        .operations_raw = (uint32_t)encoder->operations.size,
        .literals_raw = (uint32_t)encoder->literals.size,
        .dense_count = (uint32_t)(encoder->dense.size / encoder->identity.page_size),
    };

    buf_clear(stored);
    block.operations_encoding = (uint8_t)pack(packer, buf_bytes(&encoder->operations), stored);
    block.operations_stored = (uint32_t)stored->size;
    block.literals_encoding = (uint8_t)pack(packer, buf_bytes(&encoder->literals), stored);
    block.literals_stored = (uint32_t)stored->size - block.operations_stored;
    buf_put(stored, buf_bytes(&encoder->dense));

    TRY(segment_writer_add_block(&encoder->writer, buf_bytes(stored), err));
    log_chunk_put_block(&encoder->chunk, &block);
    buf_clear(&encoder->operations);
    buf_clear(&encoder->literals);
    buf_clear(&encoder->dense);
    encoder->block_frame_count = 0;
    return RC_OK;
}

static rc log_encoder_close_chunk(struct log_encoder *encoder, struct error *err)
{
    TRY(log_encoder_close_block(encoder, err));

    struct directory_entry entry = {
        .kind = CHUNK_FRAMES,
        .item_count = encoder->chunk.frame_count,
        .transaction_count = encoder->chunk.transaction_count,
    };
    auto_buf struct buf raw = BUF_INIT(CHUNK_RAW_MAX);
    log_chunk_assemble(&encoder->chunk, &raw);
    TRY(segment_writer_add_chunk(
        &encoder->writer, &entry, buf_bytes(&raw), buf_bytes(&encoder->chunk.digests), err));
    log_chunk_builder_clear(&encoder->chunk);
    return RC_OK;
}

/* Put PAGE into the column where it takes least, and say which way. */
static enum frame_code log_encoder_put_page(
    struct log_encoder *encoder, struct bytes page, struct bytes base)
{
    if (bytes_are_zero(page))
        return FRAME_CODE_ZERO;

    if (base.size > 0) {
        uint8_t *operations = buf_reserve(&encoder->operations, page.size + PAGE_DIFF_SLACK);
        uint8_t *literals = buf_reserve(&encoder->literals, page.size + PAGE_DIFF_SLACK);
        struct page_diff_sizes sizes;
        if (page_diff_encode(&encoder->diff_index, page, base, operations, literals, &sizes)) {
            encoder->operations.size += sizes.operations;
            encoder->literals.size += sizes.literals;
            return FRAME_CODE_DIFFERENCE;
        }
    }
    if (bytes_are_dense(page)) {
        buf_put(&encoder->dense, page);
        return FRAME_CODE_DENSE;
    }
    buf_put(&encoder->literals, page);
    return FRAME_CODE_WHOLE;
}

rc log_encoder_add_frame(struct log_encoder *encoder, uint32_t pgno, struct bytes page,
    struct bytes base, struct error *err)
{
    assert(pgno != 0);
    assert(pgno != lock_page_of(encoder->identity.page_size));
    assert(page.size == encoder->identity.page_size);
    assert(base.size == 0 || base.size == page.size);

    if (log_chunk_builder_size(&encoder->chunk) >= LOG_CHUNK_RAW_TARGET)
        TRY(log_encoder_close_chunk(encoder, err));
    else if (log_encoder_block_size(encoder) + page.size > LOG_BLOCK_RAW_MAX)
        TRY(log_encoder_close_block(encoder, err));

    enum frame_code code = log_encoder_put_page(encoder, page, base);
    log_chunk_put_frame(&encoder->chunk, code, (int64_t)pgno - encoder->pgno_before);
    page_set_add(&encoder->pages, pgno);
    encoder->pgno_before = pgno;
    encoder->block_frame_count++;
    encoder->transaction_frame_count++;
    encoder->frame_count++;

    assert(log_encoder_block_size(encoder) <= LOG_BLOCK_RAW_MAX);
    return RC_OK;
}

rc log_encoder_end_transaction(
    struct log_encoder *encoder, const struct segment_transaction *transaction, struct error *err)
{
    assert(transaction->txid == encoder->last.txid + 1);
    assert(encoder->transaction_frame_count > 0);

    if (encoder->transaction_count == 0) {
        encoder->first_time_ms = transaction->time_ms;
        encoder->last.time_ms = transaction->time_ms;
    }
    if (transaction->time_ms < encoder->last.time_ms)
        FAIL(err, RC_MISMATCH, "time of transaction %llu is before that of the one before",
            (unsigned long long)transaction->txid);

    struct log_transaction_change change = {
        .frame_count = encoder->transaction_frame_count,
        .time_ms = (uint64_t)transaction->time_ms - (uint64_t)encoder->last.time_ms,
        .page_count = (int64_t)transaction->page_count - encoder->last.page_count,
        .flags = transaction->flags,
        .digest = transaction->digest,
    };
    log_chunk_put_transaction(&encoder->chunk, &change);
    encoder->last = *transaction;
    encoder->transaction_count++;
    encoder->transaction_frame_count = 0;
    encoder->pgno_before = 0;
    return RC_OK;
}

uint64_t log_encoder_size(const struct log_encoder *encoder)
{
    uint64_t columns =
        encoder->operations.size + encoder->literals.size + log_chunk_builder_size(&encoder->chunk);

    return encoder->writer.offset + index_spill_size(&encoder->writer.spill) +
           columns / LOG_GUESS_RATIO + encoder->dense.size + encoder->chunk.digests.size +
           encoder->pages.count * SEGMENT_DIGEST_SIZE + SEGMENT_TRAILER_SIZE;
}

uint32_t log_encoder_transaction_count(const struct log_encoder *encoder)
{
    return encoder->transaction_count;
}

/* Collects digests of distinct pages until a chunk of them is full. */
struct digest_collector {
    struct log_encoder *encoder;
    segment_digest_fn *digest_of;
    void *payload;
    struct buf digests;
};

static rc digest_collector_close(struct digest_collector *collector, struct error *err)
{
    struct directory_entry entry = {
        .kind = CHUNK_DIGESTS,
        .item_count = (uint32_t)(collector->digests.size / SEGMENT_DIGEST_SIZE),
    };
    TRY(segment_writer_add_chunk(&collector->encoder->writer, &entry, bytes_of(NULL, 0),
        buf_bytes(&collector->digests), err));
    buf_clear(&collector->digests);
    return RC_OK;
}

static rc digest_collector_add(void *payload, uint32_t pgno, struct error *err)
{
    struct digest_collector *collector = payload;
    uint64_t digest = collector->digest_of(collector->payload, pgno);
    bool is_there = pgno <= collector->encoder->last.page_count;

    if (is_there != (digest != PAGE_DIGEST_UNKNOWN))
        FAIL(err, RC_MISMATCH, "page %u %s; the database has %u pages", pgno,
            is_there ? "has no digest" : "has a digest but no longer exists",
            collector->encoder->last.page_count);
    buf_put_be64(&collector->digests, digest);
    if (collector->digests.size == DIGESTS_PER_CHUNK_MAX * SEGMENT_DIGEST_SIZE)
        return digest_collector_close(collector, err);
    return RC_OK;
}

static rc log_encoder_put_digests(
    struct log_encoder *encoder, segment_digest_fn *digest_of, void *payload, struct error *err)
{
    struct digest_collector collector = {
        .encoder = encoder,
        .digest_of = digest_of,
        .payload = payload,
        .digests = BUF_INIT(DIGESTS_PER_CHUNK_MAX * SEGMENT_DIGEST_SIZE),
    };
    rc result = page_set_each(&encoder->pages, digest_collector_add, &collector, err);
    if (result == RC_OK && collector.digests.size > 0)
        result = digest_collector_close(&collector, err);
    buf_release(&collector.digests);
    return result;
}

rc log_encoder_finish(struct log_encoder *encoder, const struct log_place *place,
    segment_digest_fn *digest_of, void *payload, struct segment_summary *ret, struct error *err)
{
    assert(encoder->transaction_count > 0);
    assert(encoder->transaction_frame_count == 0);

    TRY(log_encoder_close_chunk(encoder, err));
    TRY(log_encoder_put_digests(encoder, digest_of, payload, err));

    struct segment_summary summary = {
        .max_txid = encoder->last.txid,
        .digest = encoder->last.digest,
        .page_count = encoder->last.page_count,
        .first_time_ms = encoder->first_time_ms,
        .last_time_ms = encoder->last.time_ms,
        .place = *place,
        .frame_count = encoder->frame_count,
    };
    TRY(segment_writer_finish(&encoder->writer, &summary, err));
    *ret = summary;
    return RC_OK;
}
