/*
 * pages_encoder - see segment/pages_encoder.h; FORMAT.md for the bytes
 */
#include "segment/pages_encoder.h"

#include "base/alloc.h"
#include "codec/digest.h"
#include "pages_chunk_priv.h"
#include "segment_writer_priv.h"

#include <stdlib.h>

struct pages_encoder {
    struct segment_identity identity;
    struct segment_writer writer;

    /* The block being filled. */
    struct buf raw;
    struct buf stored; /* scratch for the packed block */
    uint32_t block_page_count;
    uint64_t block_txid;

    struct pages_chunk_builder chunk;

    /* The segment so far. */
    uint32_t last_pgno;
    uint64_t first_txid; /* the smallest one of a block */
    uint64_t last_txid;  /* the largest one */
    uint64_t page_count;
    uint64_t grown_page_count; /* of them behind the parent's end */
};

rc pages_encoder_new(struct pages_encoder **ret, const struct segment_identity *identity,
    struct sink sink, const char *scratch_folder, struct error *err)
{
    assert(identity->kind == SEGMENT_MERGED || identity->kind == SEGMENT_SNAPSHOT);

    struct pages_encoder *encoder = mem_new(sizeof *encoder);
    encoder->identity = *identity;
    encoder->first_txid = UINT64_MAX;
    encoder->raw = BUF_INIT(PAGES_BLOCK_RAW_MAX);
    encoder->stored = BUF_INIT(pack_bound(PAGES_BLOCK_RAW_MAX));
    pages_chunk_builder_init(&encoder->chunk);
    pages_chunk_builder_clear(&encoder->chunk, identity->min_txid);
    segment_writer_init(&encoder->writer, sink, scratch_folder);

    rc result = segment_writer_begin(&encoder->writer, identity, err);
    if (result != RC_OK) {
        pages_encoder_free(encoder);
        return result;
    }
    *ret = encoder;
    return RC_OK;
}

void pages_encoder_free(struct pages_encoder *encoder)
{
    if (encoder == NULL)
        return;
    buf_release(&encoder->raw);
    buf_release(&encoder->stored);
    pages_chunk_builder_release(&encoder->chunk);
    segment_writer_release(&encoder->writer);
    free(encoder);
}

static rc pages_encoder_close_chunk(struct pages_encoder *encoder, struct error *err)
{
    if (encoder->chunk.page_count == 0)
        return RC_OK;

    struct directory_entry entry = {
        .kind = CHUNK_PAGES,
        .item_count = encoder->chunk.page_count,
        .first_pgno = encoder->chunk.first_pgno,
    };
    auto_buf struct buf raw = BUF_INIT(CHUNK_RAW_MAX);
    pages_chunk_assemble(&encoder->chunk, &raw);
    TRY(segment_writer_add_chunk(
        &encoder->writer, &entry, buf_bytes(&raw), buf_bytes(&encoder->chunk.digests), err));
    pages_chunk_builder_clear(&encoder->chunk, encoder->identity.min_txid);
    return RC_OK;
}

static rc pages_encoder_close_block(struct pages_encoder *encoder, struct error *err)
{
    if (encoder->block_page_count == 0)
        return RC_OK;

    buf_clear(&encoder->stored);
    enum segment_encoding encoding =
        pack_fast(&encoder->writer.packer, buf_bytes(&encoder->raw), &encoder->stored);
    struct pages_block block = {
        .stored_size = (uint32_t)encoder->stored.size,
        .page_count = encoder->block_page_count,
        .txid = encoder->block_txid,
        .encoding = (uint8_t)encoding,
    };
    TRY(segment_writer_add_block(&encoder->writer, buf_bytes(&encoder->stored), err));
    pages_chunk_put_block(&encoder->chunk, &block);
    buf_clear(&encoder->raw);
    encoder->block_page_count = 0;

    if (encoder->writer.block_count == BLOCKS_PER_CHUNK_MAX)
        return pages_encoder_close_chunk(encoder, err);
    return RC_OK;
}

rc pages_encoder_add(struct pages_encoder *encoder, uint32_t pgno, struct bytes page, uint64_t txid,
    uint64_t digest, struct error *err)
{
    assert(pgno > encoder->last_pgno);
    assert(pgno != lock_page_of(encoder->identity.page_size));
    assert(page.size == encoder->identity.page_size);
    assert(txid >= encoder->identity.min_txid);

    if (page_digest(pgno, page) != digest)
        FAIL(err, RC_MISMATCH, "page %u does not have the digest it should have", pgno);

    bool is_full = encoder->block_page_count == pages_per_block(encoder->identity.page_size);
    if (is_full || txid != encoder->block_txid)
        TRY(pages_encoder_close_block(encoder, err));

    buf_put(&encoder->raw, page);
    pages_chunk_put_page(&encoder->chunk, pgno, digest);
    encoder->block_page_count++;
    encoder->block_txid = txid;
    encoder->last_pgno = pgno;
    encoder->page_count++;
    if (pgno > encoder->identity.parent_page_count)
        encoder->grown_page_count++;
    if (txid < encoder->first_txid)
        encoder->first_txid = txid;
    if (txid > encoder->last_txid)
        encoder->last_txid = txid;
    return RC_OK;
}

/* What FORMAT.md asks of merged segments; page numbers ascend, so counting tells whether all are
 * there. */
static rc pages_encoder_check_merged(
    const struct pages_encoder *encoder, const struct segment_summary *summary, struct error *err)
{
    uint32_t lock_page = lock_page_of(encoder->identity.page_size);
    uint32_t parent_page_count = encoder->identity.parent_page_count;
    uint64_t grown_page_count = 0;

    if (encoder->last_pgno > summary->page_count)
        FAIL(err, RC_MISMATCH, "page %u is behind the end of the database of %u pages",
            encoder->last_pgno, summary->page_count);
    if (encoder->page_count > 0 && encoder->first_txid != summary->max_txid)
        FAIL(err, RC_MISMATCH, "a merged page is not as of the segment's last transaction");
    if (summary->page_count > parent_page_count) {
        grown_page_count = summary->page_count - parent_page_count;
        grown_page_count -= lock_page > parent_page_count && lock_page <= summary->page_count;
    }
    if (encoder->grown_page_count != grown_page_count)
        FAIL(err, RC_MISMATCH, "the database grew from %u to %u pages, %llu of the new ones came",
            parent_page_count, summary->page_count, (unsigned long long)encoder->grown_page_count);
    return RC_OK;
}

rc pages_encoder_finish(
    struct pages_encoder *encoder, struct segment_summary *summary, struct error *err)
{
    assert(summary->max_txid >= encoder->identity.min_txid);
    assert(summary->max_txid >= encoder->last_txid);
    assert(summary->first_time_ms <= summary->last_time_ms);

    if (encoder->identity.kind == SEGMENT_MERGED)
        TRY(pages_encoder_check_merged(encoder, summary, err));
    TRY(pages_encoder_close_block(encoder, err));
    TRY(pages_encoder_close_chunk(encoder, err));
    summary->frame_count = encoder->page_count;
    summary->place = (struct log_place){ 0 };
    return segment_writer_finish(&encoder->writer, summary, err);
}
