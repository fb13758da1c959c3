/*
 * merge - see segment/merge.h
 *
 * The scratch file is a row of page images, each with its digest behind it; what was not written is
 * a hole.
 */
#include "segment/merge.h"

#include "base/alloc.h"
#include "base/fs.h"
#include "base/text.h"
#include "codec/digest.h"
#include "format_priv.h"
#include "segment/page_set.h"
#include "segment/pages_encoder.h"
#include "segment/reader.h"

#include <assert.h>
#include <stdlib.h>
#include <unistd.h>

enum { MERGE_DIGEST_SIZE = 8 };

struct segment_merge {
    char *scratch_folder;
    segment_merge_base_fn *base;
    void *payload;

    int fd;
    struct page_set pages; /* those whose image is in the scratch file */
    uint8_t *before;       /* a page */
    uint8_t *after;        /* another one */

    size_t source_count;
    struct segment_identity identity; /* of the result */
    struct segment_summary last;      /* of the newest source */
    int64_t first_time_ms;
};

struct segment_merge *segment_merge_new(
    const char *scratch_folder, segment_merge_base_fn *base, void *payload)
{
    struct segment_merge *merge = mem_new(sizeof *merge);

    merge->scratch_folder = text_copy(scratch_folder);
    merge->base = base;
    merge->payload = payload;
    merge->fd = -1;
    merge->pages = PAGE_SET_INIT;
    return merge;
}

void segment_merge_free(struct segment_merge *merge)
{
    if (merge == NULL)
        return;
    if (merge->fd >= 0)
        close(merge->fd);
    page_set_release(&merge->pages);
    free(merge->before);
    free(merge->after);
    free(merge->scratch_folder);
    free(merge);
}

/* ---- the scratch file */

static uint64_t merge_image_offset(const struct segment_merge *merge, uint32_t pgno)
{
    return (uint64_t)(pgno - 1) * (merge->identity.page_size + MERGE_DIGEST_SIZE);
}

static uint64_t merge_digest_offset(const struct segment_merge *merge, uint32_t pgno)
{
    return merge_image_offset(merge, pgno) + merge->identity.page_size;
}

static rc merge_put_image(
    struct segment_merge *merge, uint32_t pgno, const uint8_t *page, struct error *err)
{
    struct bytes bytes = bytes_of(page, merge->identity.page_size);

    TRY(fs_write_at(merge->fd, bytes, merge_image_offset(merge, pgno), err));
    page_set_add(&merge->pages, pgno);
    return RC_OK;
}

static rc merge_put_digest(void *payload, uint32_t pgno, uint64_t digest, struct error *err)
{
    const struct segment_merge *merge = payload;
    uint8_t bytes[MERGE_DIGEST_SIZE];

    put_be64(bytes, digest);
    return fs_write_at(
        merge->fd, bytes_of(bytes, sizeof bytes), merge_digest_offset(merge, pgno), err);
}

static rc merge_get_digest(
    const struct segment_merge *merge, uint32_t pgno, uint64_t *ret, struct error *err)
{
    uint8_t bytes[MERGE_DIGEST_SIZE];

    TRY(fs_read_exact(merge->fd, bytes, sizeof bytes, merge_digest_offset(merge, pgno), err));
    *ret = get_be64(bytes);
    return RC_OK;
}

static rc merge_get_image(
    const struct segment_merge *merge, uint32_t pgno, uint8_t *out, struct error *err)
{
    return fs_read_exact(
        merge->fd, out, merge->identity.page_size, merge_image_offset(merge, pgno), err);
}

/* ---- a log */

static rc merge_frame(struct segment_merge *merge, const struct log_frame *frame, struct error *err)
{
    uint32_t page_size = merge->identity.page_size;
    struct bytes base = bytes_of(NULL, 0);

    if (frame->kind == LOG_FRAME_DIFFERENCE) {
        if (page_set_has(&merge->pages, frame->pgno))
            TRY(merge_get_image(merge, frame->pgno, merge->before, err));
        else
            TRY_AS(err, merge->base(merge->payload, frame->pgno, merge->before, err),
                "page %u from before the first source", frame->pgno);
        base = bytes_of(merge->before, page_size);
    }
    TRY(log_frame_apply(frame, page_size, base, merge->after, err));
    return merge_put_image(merge, frame->pgno, merge->after, err);
}

static rc merge_log(struct segment_merge *merge, struct segment_reader *reader, struct error *err)
{
    for (;;) {
        struct log_event event;
        rc result = log_reader_next(reader, &event, err);
        if (result == RC_NOT_FOUND)
            return RC_OK;
        if (result != RC_OK)
            return result;
        bool is_told = merge->source_count > 0 && event.transaction.txid <= merge->last.max_txid;
        if (event.kind == LOG_EVENT_FRAME && !is_told)
            TRY_AS(err, merge_frame(merge, &event.frame, err), "transaction %llu, page %u",
                (unsigned long long)event.transaction.txid, event.frame.pgno);
    }
}

/* ---- whole pages */

/* What the reading of blocks works with. */
struct merge_blocks {
    struct segment_reader *reader;
    struct source source;
    struct pages_chunk chunk;
    struct inflater *inflater;
    struct buf stored;
    uint8_t *pages;
};

static void merge_blocks_release(struct merge_blocks *blocks)
{
    pages_chunk_release(&blocks->chunk);
    inflater_free(blocks->inflater);
    buf_release(&blocks->stored);
    free(blocks->pages);
}

static rc merge_block(
    struct segment_merge *merge, struct merge_blocks *blocks, size_t block_index, struct error *err)
{
    const struct pages_block *block = &blocks->chunk.blocks[block_index];

    buf_clear(&blocks->stored);
    TRY(blocks->source.read(
        blocks->source.payload, block->offset, block->stored_size, &blocks->stored, err));
    struct pages_block_input input = {
        .chunk = &blocks->chunk,
        .block_index = block_index,
        .stored = buf_bytes(&blocks->stored),
    };
    TRY(pages_block_decode(blocks->reader, &input, blocks->inflater, blocks->pages, err));
    for (uint32_t index = 0; index < block->page_count; index++) {
        uint32_t pgno = blocks->chunk.pgnos[block->first_page + index];
        TRY(merge_put_image(
            merge, pgno, blocks->pages + (size_t)index * merge->identity.page_size, err));
    }
    return RC_OK;
}

static rc merge_chunks(struct segment_merge *merge, struct merge_blocks *blocks, struct error *err)
{
    for (size_t index = 0; index < pages_reader_chunk_count(blocks->reader); index++) {
        TRY(pages_reader_load_chunk(blocks->reader, index, &blocks->chunk, err));
        for (size_t block = 0; block < blocks->chunk.block_count; block++)
            TRY(merge_block(merge, blocks, block, err));
    }
    return RC_OK;
}

static rc merge_pages(struct segment_merge *merge, struct segment_reader *reader,
    struct source source, struct error *err)
{
    __attribute__((cleanup(merge_blocks_release))) struct merge_blocks blocks = {
        .reader = reader,
        .source = source,
        .chunk = PAGES_CHUNK_INIT,
        .inflater = inflater_new(),
        .stored = BUF_INIT(PAGES_BLOCK_RAW_MAX),
        .pages = mem_new(PAGES_BLOCK_RAW_MAX),
    };

    TRY(segment_reader_check_header(reader, err));
    return merge_chunks(merge, &blocks, err);
}

/* ---- sources */

static rc merge_begin(
    struct segment_merge *merge, const struct segment_identity *identity, struct error *err)
{
    merge->identity = *identity;
    merge->identity.kind = SEGMENT_MERGED;
    merge->before = mem_new(identity->page_size);
    merge->after = mem_new(identity->page_size);
    TRY_AS(err, fs_open_unnamed(&merge->fd, merge->scratch_folder, err), "scratch file in '%s'",
        merge->scratch_folder);
    return RC_OK;
}

static rc merge_check_follows(const struct segment_merge *merge,
    const struct segment_identity *identity, const struct segment_summary *summary,
    struct error *err)
{
    const struct segment_identity *first = &merge->identity;
    const struct segment_summary *last = &merge->last;

    if (identity->timeline != first->timeline || identity->page_size != first->page_size ||
        memcmp(&identity->database_id, &first->database_id, sizeof first->database_id) != 0)
        FAIL(err, RC_MISMATCH, "the sources are not of one timeline of one database");
    if (identity->min_txid > last->max_txid + 1 || summary->max_txid <= last->max_txid)
        FAIL(err, RC_MISMATCH, "transactions %llu to %llu do not follow transaction %llu",
            (unsigned long long)identity->min_txid, (unsigned long long)summary->max_txid,
            (unsigned long long)last->max_txid);
    if (identity->min_txid == last->max_txid + 1 && identity->parent_digest != last->digest)
        FAIL(err, RC_MISMATCH, "transaction %llu is not the one that is continued",
            (unsigned long long)last->max_txid);
    return RC_OK;
}

static rc merge_add_open(struct segment_merge *merge, struct segment_reader *reader,
    struct source source, struct error *err)
{
    const struct segment_identity *identity = segment_reader_identity(reader);
    const struct segment_summary *summary = segment_reader_summary(reader);

    if (identity->kind == SEGMENT_SNAPSHOT)
        FAIL(err, RC_MISMATCH, "a snapshot cannot be merged");
    if (merge->source_count == 0) {
        TRY(merge_begin(merge, identity, err));
        merge->first_time_ms = summary->first_time_ms;
    } else {
        TRY(merge_check_follows(merge, identity, summary, err));
    }
    if (identity->kind == SEGMENT_LOG)
        TRY(merge_log(merge, reader, err));
    else
        TRY(merge_pages(merge, reader, source, err));
    TRY(segment_reader_each_digest(reader, merge_put_digest, merge, err));
    merge->last = *summary;
    merge->source_count++;
    return RC_OK;
}

rc segment_merge_add(struct segment_merge *merge, struct source source, struct error *err)
{
    struct segment_reader *reader = NULL;
    TRY(segment_reader_open(&reader, source, err));

    rc result = merge_add_open(merge, reader, source, err);
    segment_reader_free(reader);
    return result;
}

/* ---- the result */

static rc merge_write_page(
    struct segment_merge *merge, struct pages_encoder *encoder, uint32_t pgno, struct error *err)
{
    uint64_t digest = 0;

    TRY(merge_get_digest(merge, pgno, &digest, err));
    TRY(merge_get_image(merge, pgno, merge->after, err));
    return pages_encoder_add(encoder, pgno, bytes_of(merge->after, merge->identity.page_size),
        merge->last.max_txid, digest, err);
}

static rc merge_write(struct segment_merge *merge, struct pages_encoder *encoder,
    struct segment_summary *summary, struct error *err)
{
    uint32_t pgno = page_set_after(&merge->pages, 0);

    while (pgno != 0 && pgno <= summary->page_count) {
        TRY(merge_write_page(merge, encoder, pgno, err));
        pgno = page_set_after(&merge->pages, pgno);
    }
    return pages_encoder_finish(encoder, summary, err);
}

rc segment_merge_finish(
    struct segment_merge *merge, struct sink sink, struct segment_summary *ret, struct error *err)
{
    assert(merge->source_count > 0);

    struct segment_summary summary = {
        .max_txid = merge->last.max_txid,
        .digest = merge->last.digest,
        .page_count = merge->last.page_count,
        .first_time_ms = merge->first_time_ms,
        .last_time_ms = merge->last.last_time_ms,
    };
    struct pages_encoder *encoder = NULL;
    TRY(pages_encoder_new(&encoder, &merge->identity, sink, merge->scratch_folder, err));
    rc result = merge_write(merge, encoder, &summary, err);
    pages_encoder_free(encoder);
    if (result == RC_MISMATCH)
        return error_wrap(err, RC_CORRUPT, "the sources, or a base, are not what they should be");
    TRY(result);
    *ret = summary;
    return RC_OK;
}
