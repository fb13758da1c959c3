/*
 * replay - what a restore does with log segments, with every property of them checked
 */
#include "replay.h"

#include "base/alloc.h"
#include "codec/digest.h"
#include "segment/reader.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

void replay_begin(struct replay *replay, const char *path, const struct capture_position *position)
{
    *replay = (struct replay){
        .fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600),
        .page_size = position->page_size,
        .txid = position->txid,
        .time_ms = position->time_ms,
    };
    assert_true(replay->fd >= 0);
}

void replay_release(struct replay *replay)
{
    if (replay->fd > 0)
        close(replay->fd);
    free(replay->digests);
    free(replay->as_of);
    *replay = (struct replay){ 0 };
}

static void replay_digest(struct replay *replay, uint32_t pgno, uint64_t digest)
{
    if (pgno > replay->capacity) {
        size_t capacity = pgno + pgno / 2 + 1000;
        replay->digests = mem_resize(replay->digests, capacity * sizeof *replay->digests);
        memset(replay->digests + replay->capacity, 0,
            (capacity - replay->capacity) * sizeof *replay->digests);
        replay->capacity = capacity;
    }
    replay->digest += digest - replay->digests[pgno - 1];
    replay->digests[pgno - 1] = digest;
}

void replay_set_page(struct replay *replay, uint32_t pgno, const uint8_t *page)
{
    uint32_t size = replay->page_size;

    assert_true(pgno > 0);
    assert_int_not_equal(pgno, lock_page_of(size));
    /* Zeros behind the end stay a hole, so that a sparse gigabyte costs nothing. */
    off_t offset = (off_t)(pgno - 1) * size;
    struct stat status;
    assert_int_equal(fstat(replay->fd, &status), 0);
    if (offset >= status.st_size && bytes_are_zero(bytes_of(page, size)))
        assert_int_equal(ftruncate(replay->fd, offset + size), 0);
    else
        assert_int_equal(pwrite(replay->fd, page, size, offset), size);
    replay_digest(replay, pgno, page_digest(pgno, bytes_of(page, size)));
    if (pgno > replay->page_count)
        replay->page_count = pgno;
}

void replay_read_page(struct replay *replay, uint32_t pgno, uint8_t *out)
{
    uint32_t size = replay->page_size;
    ssize_t got = pread(replay->fd, out, size, (off_t)(pgno - 1) * size);

    assert_true(got == 0 || got == (ssize_t)size);
    if (got == 0)
        memset(out, 0, size);
}

/*
 * While a snapshot is not exact yet, a transaction cuts only what is older than itself: pages that
 * were read later belong to a later size.
 */
static void replay_cut(struct replay *replay, uint64_t txid, uint32_t page_count)
{
    bool exact = txid >= replay->exact_txid;

    for (uint32_t pgno = page_count + 1; pgno <= replay->page_count; pgno++) {
        if (exact || replay->as_of[pgno - 1] < txid)
            replay_digest(replay, pgno, 0);
    }
    if (!exact)
        return;
    assert_int_equal(ftruncate(replay->fd, (off_t)page_count * replay->page_size), 0);
    replay->page_count = page_count;
}

/* Every page of the database but the lock page is there. */
static void replay_check_complete(struct replay *replay)
{
    uint32_t lock_page = lock_page_of(replay->page_size);

    for (uint32_t pgno = 1; pgno <= replay->page_count; pgno++) {
        if (pgno != lock_page && replay->digests[pgno - 1] == 0)
            fail_msg("page %u of %u was never shipped", pgno, replay->page_count);
    }
}

static void replay_transaction(
    struct replay *replay, const struct segment_transaction *transaction, uint64_t frame_count)
{
    replay_cut(replay, transaction->txid, transaction->page_count);
    assert_int_equal(transaction->txid, replay->txid + 1);
    assert_int_equal(transaction->frame_count, frame_count);
    assert_true(transaction->time_ms >= replay->time_ms);
    assert_true(frame_count > 0);
    if (transaction->digest != replay->digest && transaction->txid >= replay->exact_txid)
        fail_msg("transaction %llu: digest differs", (unsigned long long)transaction->txid);
    replay->txid = transaction->txid;
    replay->time_ms = transaction->time_ms;
    replay->frame_count += frame_count;
    replay->last_frame_count = frame_count;
    replay->last_flags = transaction->flags;
    replay->resync_count += (transaction->flags & TRANSACTION_RESYNC) != 0;
}

static void replay_events(struct replay *replay, struct segment_reader *reader)
{
    auto_free uint8_t *base = mem_new(replay->page_size);
    auto_free uint8_t *page = mem_new(replay->page_size);
    uint64_t frame_count = 0;
    struct error err = { 0 };

    for (;;) {
        struct log_event event;
        rc result = log_reader_next(reader, &event, &err);
        if (result == RC_NOT_FOUND)
            break;
        CHECK_OK(result);
        if (event.kind == LOG_EVENT_COMMIT) {
            replay_transaction(replay, &event.transaction, frame_count);
            frame_count = 0;
            continue;
        }
        uint32_t pgno = event.frame.pgno;
        frame_count++;
        if (replay->as_of != NULL && event.transaction.txid <= replay->as_of[pgno - 1])
            continue;
        bool is_known = pgno <= replay->page_count && replay->digests[pgno - 1] != 0;
        /* Cut off again before the snapshot came to it. */
        bool is_difference = event.frame.kind == LOG_FRAME_DIFFERENCE;
        if (is_difference && !is_known && event.transaction.txid < replay->exact_txid)
            continue;
        if (is_difference && !is_known)
            fail_msg("transaction %llu changes page %u, which is not there",
                (unsigned long long)event.transaction.txid, pgno);
        replay_read_page(replay, pgno, base);
        CHECK_OK(log_frame_apply(
            &event.frame, replay->page_size, bytes_of(base, replay->page_size), page, &err));
        replay_set_page(replay, pgno, page);
    }
    assert_int_equal(frame_count, 0);
}

static rc replay_check_digest(void *payload, uint32_t pgno, uint64_t digest, struct error *err)
{
    struct replay *replay = payload;
    uint64_t ours = pgno <= replay->capacity ? replay->digests[pgno - 1] : 0;

    if (ours != digest)
        FAIL(err, RC_MISMATCH, "page %u", pgno);
    return RC_OK;
}

void replay_segment(struct replay *replay, const char *folder, const struct segment_name *name)
{
    struct error err = { 0 };
    struct segment_file file = { .fd = -1 };
    struct segment_reader *reader = NULL;

    CHECK_OK(segment_dir_open(&file, folder, name, &err));
    CHECK_OK(segment_reader_open(&reader, file.source, &err));
    const struct segment_identity *identity = segment_reader_identity(reader);
    const struct segment_summary *summary = segment_reader_summary(reader);
    assert_int_equal(identity->kind, SEGMENT_LOG);
    assert_int_equal(identity->page_size, replay->page_size);
    assert_int_equal(identity->min_txid, replay->txid + 1);

    bool exact = identity->min_txid > replay->exact_txid;
    if (exact)
        assert_int_equal(identity->parent_digest, replay->digest);
    if (exact)
        assert_int_equal(identity->parent_page_count, replay->page_count);

    replay_events(replay, reader);
    assert_int_equal(summary->max_txid, replay->txid);
    assert_int_equal(summary->max_txid, name->max_txid);
    assert_int_equal(summary->last_time_ms, replay->time_ms);
    assert_int_equal(summary->last_time_ms, name->time_ms);
    if (replay->txid >= replay->exact_txid) {
        assert_int_equal(summary->digest, replay->digest);
        assert_int_equal(summary->page_count, replay->page_count);
        replay_check_complete(replay);
        CHECK_OK(segment_reader_each_digest(reader, replay_check_digest, replay, &err));
    }
    replay->stored_size += file.source.size;
    segment_reader_free(reader);
    segment_dir_close(&file);
}

/* ---- merged segments */

static void replay_block(struct replay *replay, struct segment_reader *reader,
    const struct source *source, const struct pages_chunk *chunk, size_t block_index)
{
    const struct pages_block *block = &chunk->blocks[block_index];
    auto_free uint8_t *pages = mem_new_array(block->page_count, replay->page_size);
    auto_buf struct buf stored = BUF_INIT(1 << 20);
    struct inflater *inflater = inflater_new();
    struct error err = { 0 };

    CHECK_OK(source->read(source->payload, block->offset, block->stored_size, &stored, &err));
    struct pages_block_input input = {
        .chunk = chunk,
        .block_index = block_index,
        .stored = buf_bytes(&stored),
    };
    CHECK_OK(pages_block_decode(reader, &input, inflater, pages, &err));
    inflater_free(inflater);
    for (uint32_t index = 0; index < block->page_count; index++)
        replay_set_page(replay, chunk->pgnos[block->first_page + index],
            pages + (size_t)index * replay->page_size);
}

void replay_merged(struct replay *replay, const char *folder, const struct segment_name *name)
{
    struct error err = { 0 };
    struct segment_file file = { .fd = -1 };
    struct segment_reader *reader = NULL;
    struct pages_chunk chunk = PAGES_CHUNK_INIT;

    CHECK_OK(segment_dir_open(&file, folder, name, &err));
    CHECK_OK(segment_reader_open(&reader, file.source, &err));
    const struct segment_identity *identity = segment_reader_identity(reader);
    const struct segment_summary *summary = segment_reader_summary(reader);
    assert_int_equal(identity->kind, SEGMENT_MERGED);
    assert_int_equal(identity->min_txid, name->min_txid);
    assert_int_equal(summary->max_txid, name->max_txid);
    assert_int_equal(summary->last_time_ms, name->time_ms);
    assert_true(identity->min_txid <= replay->txid + 1);
    assert_true(replay->txid >= replay->exact_txid);
    if (identity->min_txid == replay->txid + 1) {
        assert_int_equal(identity->parent_digest, replay->digest);
        assert_int_equal(identity->parent_page_count, replay->page_count);
    }

    for (size_t index = 0; index < pages_reader_chunk_count(reader); index++) {
        CHECK_OK(pages_reader_load_chunk(reader, index, &chunk, &err));
        for (size_t block = 0; block < chunk.block_count; block++)
            replay_block(replay, reader, &file.source, &chunk, block);
    }
    pages_chunk_release(&chunk);
    replay_cut(replay, summary->max_txid, summary->page_count);
    replay->txid = summary->max_txid;
    replay->time_ms = summary->last_time_ms;
    replay->merged_count++;
    assert_int_equal(replay->page_count, summary->page_count);
    assert_int_equal(replay->digest, summary->digest);
    replay_check_complete(replay);
    replay->stored_size += file.source.size;
    segment_reader_free(reader);
    segment_dir_close(&file);
}
