/* history - see history.h */
#include "history.h"

#include "base/alloc.h"
#include "codec/digest.h"
#include "segment/log_encoder.h"
#include "segment/pages_encoder.h"

#include <assert.h>
#include <stdlib.h>

enum {
    HISTORY_CELL_MAX = 120,
    HISTORY_GROWTH_MAX = 4,
    HISTORY_SPARE_COUNT = 200,
    HISTORY_PAGE_COUNT_MAX = 100000,
};

void memory_object_release(struct memory_object *object)
{
    buf_release(&object->bytes);
}

static rc memory_object_write(void *payload, struct bytes bytes, struct error *err)
{
    struct memory_object *object = payload;

    if (++object->write_count == object->refused_write)
        FAIL(err, object->refusal, "write %u is refused", object->write_count);
    return buf_append(&object->bytes, bytes, err);
}

static rc memory_object_read(
    void *payload, uint64_t offset, uint64_t size, struct buf *out, struct error *err)
{
    struct memory_object *object = payload;

    if (offset > object->bytes.size || size > object->bytes.size - offset)
        FAIL(err, RC_CORRUPT, "read behind the object");
    object->read_size += size;
    if (++object->read_count == object->refused_read)
        FAIL(err, object->refusal, "read %u is refused", object->read_count);
    return buf_append(out, bytes_part(buf_bytes(&object->bytes), offset, size), err);
}

struct sink memory_object_sink(struct memory_object *object)
{
    return (struct sink){ .write = memory_object_write, .payload = object };
}

struct source memory_object_source(struct memory_object *object)
{
    return (struct source){
        .read = memory_object_read,
        .payload = object,
        .size = object->bytes.size,
    };
}

uint64_t noise_next(struct noise *noise)
{
    /* splitmix64 */
    uint64_t value = noise->state += UINT64_C(0x9e3779b97f4a7c15);
    value = (value ^ value >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    value = (value ^ value >> 27) * UINT64_C(0x94d049bb133111eb);
    return value ^ value >> 31;
}

uint32_t noise_below(struct noise *noise, uint32_t limit)
{
    return (uint32_t)(noise_next(noise) % limit);
}

void noise_fill(struct noise *noise, void *out, size_t size)
{
    uint8_t *bytes = out;
    for (size_t index = 0; index < size; index++)
        bytes[index] = (uint8_t)noise_next(noise);
}

/* A record: words out of a small vocabulary and a few random bytes. */
static size_t noise_cell(struct noise *noise, uint8_t *out)
{
    static const char *const words[] = { "session", "event", "user@example.com", "created_at",
        "{\"state\":\"done\"}", "2026-11-21T10:00:00Z", "Mozilla/5.0 (X11; Linux x86_64)" };
    const char *word = words[noise_below(noise, array_count(words))];
    size_t size = strlen(word);

    memcpy(out, word, size);
    noise_fill(noise, out + size, 8);
    return size + 8;
}

static void page_fill_cells(struct noise *noise, uint8_t *page, size_t page_size)
{
    uint8_t cell[HISTORY_CELL_MAX];
    memset(page, 0, page_size);
    page[0] = 13; /* a table's leaf */
    for (size_t end = page_size; end > page_size / 3;) {
        size_t size = noise_cell(noise, cell);
        if (end < size + page_size / 4)
            break;
        end -= size;
        memcpy(page + end, cell, size);
    }
}

/* Insert a cell in the middle: what is before it moves down, as in a b-tree page. */
static void page_insert_cell(struct noise *noise, uint8_t *page, size_t page_size)
{
    uint8_t cell[HISTORY_CELL_MAX];
    size_t size = noise_cell(noise, cell);
    size_t place = page_size / 2 + noise_below(noise, (uint32_t)(page_size / 4));

    memmove(page + page_size / 4, page + page_size / 4 + size, place - page_size / 4 - size);
    memcpy(page + place - size, cell, size);
    noise_fill(noise, page + 3, 4);
}

void history_edit_page(struct noise *noise, uint8_t *page, size_t page_size)
{
    switch (noise_below(noise, 10)) {
    case 0:
        page_fill_cells(noise, page, page_size);
        return;
    case 1:
        noise_fill(noise, page, page_size);
        return;
    case 2:
        memset(page, 0, page_size);
        return;
    case 3:
        return; /* written again without a change */
    case 4:
        noise_fill(noise, page + noise_below(noise, (uint32_t)page_size), 1);
        return;
    case 5:
        memmove(page + page_size / 8, page, page_size / 2);
        return;
    case 6:
        noise_fill(noise, page + page_size - 4, 4);
        return;
    default:
        page_insert_cell(noise, page, page_size);
        return;
    }
}

static uint8_t *history_page_data(const struct history *history, uint32_t pgno)
{
    assert(pgno >= 1 && pgno <= history->page_capacity);
    return history->pages + (size_t)(pgno - 1) * history->page_size;
}

struct bytes history_page(const struct history *history, uint32_t pgno)
{
    return bytes_of(history_page_data(history, pgno), history->page_size);
}

uint64_t history_digest(const struct history *history)
{
    uint64_t digest = 0;
    for (uint32_t pgno = 1; pgno <= history->page_count; pgno++)
        digest += page_digest(pgno, history_page(history, pgno));
    return digest;
}

uint64_t history_digest_of(void *payload, uint32_t pgno)
{
    const struct history *history = payload;
    if (pgno > history->page_count)
        return PAGE_DIGEST_UNKNOWN;
    return page_digest(pgno, history_page(history, pgno));
}

struct history history_new(uint64_t seed, uint32_t page_size, uint32_t page_count)
{
    struct history history = {
        .noise = { seed },
        .page_size = page_size,
        .page_count = page_count,
        .page_capacity = page_count + HISTORY_SPARE_COUNT,
        .txid = 1,
        .time_ms = INT64_C(1790000000000),
    };
    history.pages = mem_new_array(history.page_capacity, page_size);
    history.written_at = mem_new_array(history.page_capacity, sizeof *history.written_at);
    for (uint32_t pgno = 1; pgno <= page_count; pgno++)
        page_fill_cells(&history.noise, history_page_data(&history, pgno), page_size);
    history.digest = history_digest(&history);
    return history;
}

struct history history_copy(const struct history *history)
{
    struct history copy = *history;
    copy.pages = mem_copy(history->pages, (size_t)history->page_capacity * history->page_size);
    copy.written_at =
        mem_copy(history->written_at, history->page_capacity * sizeof *history->written_at);
    return copy;
}

void history_release(struct history *history)
{
    free(history->pages);
    free(history->written_at);
    history->pages = NULL;
    history->written_at = NULL;
}

struct segment_identity history_identity(const struct history *history, enum segment_kind kind)
{
    struct segment_identity identity = {
        .kind = kind,
        .database_id = { "0123456789abcdef" },
        .timeline = 7,
        .page_size = history->page_size,
        .min_txid = history->txid + 1,
        .parent_digest = history->digest,
        .parent_page_count = history->page_count,
    };
    if (kind == SEGMENT_SNAPSHOT) {
        identity.min_txid = history->txid;
        identity.parent_digest = 0;
        identity.parent_page_count = 0;
    }
    return identity;
}

/* Give page PGNO its new image and tell the encoder; pages behind the old end have no base. */
static void history_write_frame(
    struct history *history, struct log_encoder *encoder, uint32_t pgno, uint32_t page_count_before)
{
    struct error err;
    uint8_t *page = history_page_data(history, pgno);
    auto_free uint8_t *base = mem_copy(page, history->page_size);
    bool has_base = pgno <= page_count_before;

    history_edit_page(&history->noise, page, history->page_size);
    history->written_at[pgno - 1] = history->txid + 1;
    rc result = log_encoder_add_frame(encoder, pgno, history_page(history, pgno),
        bytes_of(base, has_base ? history->page_size : 0), &err);
    assert(result == RC_OK);
}

static void history_write_transaction(struct history *history, const struct history_plan *plan,
    struct log_encoder *encoder, struct segment_transaction *ret)
{
    uint32_t page_count_before = history->page_count;
    uint32_t frame_count = 1 + noise_below(&history->noise, plan->frames_max);

    if (plan->may_resize && noise_below(&history->noise, 4) == 0)
        history->page_count += 1 + noise_below(&history->noise, HISTORY_GROWTH_MAX);
    assert(history->page_count <= history->page_capacity);

    /* New pages are all written, as SQLite does. */
    uint32_t told = 0;
    for (uint32_t pgno = page_count_before + 1; pgno <= history->page_count; pgno++, told++)
        history_write_frame(history, encoder, pgno, page_count_before);
    for (; told < frame_count; told++) {
        uint32_t pgno = 1 + noise_below(&history->noise, page_count_before);
        history_write_frame(history, encoder, pgno, page_count_before);
    }
    if (plan->may_resize && history->page_count > 2 && noise_below(&history->noise, 5) == 0)
        history->page_count--;

    history->txid++;
    history->time_ms += noise_below(&history->noise, 20);
    history->digest = history_digest(history);
    *ret = (struct segment_transaction){
        .txid = history->txid,
        .time_ms = history->time_ms,
        .page_count = history->page_count,
        .frame_count = told,
        .flags = history->txid % 7 == 0 ? TRANSACTION_RESYNC : 0,
        .digest = history->digest,
    };
}

void history_write_log(struct history *history, const struct history_plan *plan,
    struct memory_object *object, struct segment_transaction *records)
{
    struct error err;
    struct log_encoder *encoder;
    struct segment_identity identity = history_identity(history, SEGMENT_LOG);
    rc result = log_encoder_new(&encoder, &identity, memory_object_sink(object), "/tmp", &err);
    assert(result == RC_OK);

    for (uint32_t index = 0; index < plan->transaction_count; index++) {
        struct segment_transaction transaction;
        history_write_transaction(history, plan, encoder, &transaction);
        result = log_encoder_end_transaction(encoder, &transaction, &err);
        assert(result == RC_OK);
        if (records != NULL)
            records[index] = transaction;
    }

    struct segment_summary summary;
    struct log_place place = { .salt = { 11, 12 }, .frame_count = 13, .checksum = { 14, 15 } };
    result = log_encoder_finish(encoder, &place, history_digest_of, history, &summary, &err);
    assert(result == RC_OK);
    assert(summary.stored_size == object->bytes.size);
    log_encoder_free(encoder);
}

void history_write_snapshot(const struct history *history, struct memory_object *object)
{
    struct error err;
    struct pages_encoder *encoder;
    struct segment_identity identity = history_identity(history, SEGMENT_SNAPSHOT);
    rc result = pages_encoder_new(&encoder, &identity, memory_object_sink(object), "/tmp", &err);
    assert(result == RC_OK);

    for (uint32_t pgno = 1; pgno <= history->page_count; pgno++) {
        struct bytes page = history_page(history, pgno);
        result =
            pages_encoder_add(encoder, pgno, page, history->txid, page_digest(pgno, page), &err);
        assert(result == RC_OK);
    }
    struct segment_summary summary = {
        .max_txid = history->txid,
        .digest = history->digest,
        .page_count = history->page_count,
        .first_time_ms = history->time_ms,
        .last_time_ms = history->time_ms,
    };
    result = pages_encoder_finish(encoder, &summary, &err);
    assert(result == RC_OK);
    assert(summary.stored_size == object->bytes.size);
    pages_encoder_free(encoder);
}

static bool history_page_was_written(
    const struct history *before, const struct history *after, uint32_t pgno)
{
    return pgno > before->page_count || after->written_at[pgno - 1] > before->txid ||
           !bytes_equal(history_page(before, pgno), history_page(after, pgno));
}

void history_write_merged(
    const struct history *before, const struct history *after, struct memory_object *object)
{
    struct error err;
    struct pages_encoder *encoder;
    struct segment_identity identity = history_identity(before, SEGMENT_MERGED);
    rc result = pages_encoder_new(&encoder, &identity, memory_object_sink(object), "/tmp", &err);
    assert(result == RC_OK);

    for (uint32_t pgno = 1; pgno <= after->page_count; pgno++) {
        struct bytes page = history_page(after, pgno);
        if (!history_page_was_written(before, after, pgno))
            continue;
        result = pages_encoder_add(encoder, pgno, page, after->txid, page_digest(pgno, page), &err);
        assert(result == RC_OK);
    }
    struct segment_summary summary = {
        .max_txid = after->txid,
        .digest = after->digest,
        .page_count = after->page_count,
        .first_time_ms = before->time_ms,
        .last_time_ms = after->time_ms,
    };
    result = pages_encoder_finish(encoder, &summary, &err);
    assert(result == RC_OK);
    assert(summary.stored_size == object->bytes.size);
    pages_encoder_free(encoder);
}

rc history_apply(struct history *history, const struct log_frame *frame, struct error *err)
{
    auto_free uint8_t *page = mem_new(history->page_size);

    if (frame->pgno > history->page_capacity)
        FAIL(err, RC_CORRUPT, "page %u", frame->pgno);
    TRY(log_frame_apply(frame, history->page_size, history_page(history, frame->pgno), page, err));
    memcpy(history_page_data(history, frame->pgno), page, history->page_size);
    return RC_OK;
}

rc history_replay(struct history *history, struct memory_object *object, struct error *err)
{
    struct segment_reader *reader;
    TRY(segment_reader_open(&reader, memory_object_source(object), err));

    rc result = RC_OK;
    while (result == RC_OK) {
        struct log_event event;
        result = log_reader_next(reader, &event, err);
        if (result == RC_OK && event.kind == LOG_EVENT_FRAME)
            result = history_apply(history, &event.frame, err);
        else if (result == RC_OK) {
            history->txid = event.transaction.txid;
            history->time_ms = event.transaction.time_ms;
            history->page_count = event.transaction.page_count;
            history->digest = event.transaction.digest;
            if (history->page_count > history->page_capacity ||
                history_digest(history) != history->digest)
                result = error_set(err, RC_MISMATCH, 0, __FILE__, __LINE__, "digest");
        }
    }
    segment_reader_free(reader);
    return result == RC_NOT_FOUND ? RC_OK : result;
}

/* What the reading of whole pages works with. */
struct restore {
    struct history *history;
    struct memory_object *object;
    struct segment_reader *reader;
    struct inflater *inflater;
    struct pages_chunk chunk;
    uint8_t *out; /* a block */
};

static rc restore_block(struct restore *restore, size_t block_index, struct error *err)
{
    struct history *history = restore->history;
    const struct pages_chunk *chunk = &restore->chunk;
    const struct pages_block *block = &chunk->blocks[block_index];
    struct pages_block_input input = {
        .chunk = chunk,
        .block_index = block_index,
        .stored = bytes_part(buf_bytes(&restore->object->bytes), block->offset, block->stored_size),
    };

    TRY(pages_block_decode(restore->reader, &input, restore->inflater, restore->out, err));
    for (uint32_t index = 0; index < block->page_count; index++) {
        uint32_t pgno = chunk->pgnos[block->first_page + index];
        if (pgno > history->page_capacity)
            FAIL(err, RC_CORRUPT, "page %u", pgno);
        memcpy(history_page_data(history, pgno), restore->out + (size_t)index * history->page_size,
            history->page_size);
    }
    return RC_OK;
}

static rc restore_all(struct restore *restore, struct error *err)
{
    for (size_t chunk = 0; chunk < pages_reader_chunk_count(restore->reader); chunk++) {
        TRY(pages_reader_load_chunk(restore->reader, chunk, &restore->chunk, err));
        for (size_t block = 0; block < restore->chunk.block_count; block++)
            TRY(restore_block(restore, block, err));
    }
    if (history_digest(restore->history) != restore->history->digest)
        FAIL(err, RC_MISMATCH, "digest");
    return RC_OK;
}

/* All of the segment that RESTORE's reader has open, into its history. */
static rc restore_pages(struct restore *restore, struct error *err)
{
    const struct segment_summary *summary = segment_reader_summary(restore->reader);
    struct history *history = restore->history;

    history->txid = summary->max_txid;
    history->time_ms = summary->last_time_ms;
    history->digest = summary->digest;
    history->page_count = summary->page_count;
    restore->inflater = inflater_new();
    restore->out = mem_new((size_t)PAGES_PER_BLOCK_MAX * history->page_size);

    rc result = segment_reader_check_header(restore->reader, err);
    if (result == RC_OK)
        result = restore_all(restore, err);
    pages_chunk_release(&restore->chunk);
    inflater_free(restore->inflater);
    free(restore->out);
    return result;
}

rc history_restore(struct history *ret, struct memory_object *object, struct error *err)
{
    struct restore restore = { .object = object };
    TRY(segment_reader_open(&restore.reader, memory_object_source(object), err));
    const struct segment_identity *identity = segment_reader_identity(restore.reader);
    const struct segment_summary *summary = segment_reader_summary(restore.reader);
    if (identity->kind != SEGMENT_SNAPSHOT || summary->page_count > HISTORY_PAGE_COUNT_MAX) {
        segment_reader_free(restore.reader);
        FAIL(err, RC_CORRUPT, "not a snapshot, or a large one");
    }

    struct history history = history_new(0, identity->page_size, summary->page_count);
    restore.history = &history;
    rc result = restore_pages(&restore, err);
    segment_reader_free(restore.reader);
    if (result != RC_OK) {
        history_release(&history);
        return result;
    }
    *ret = history;
    return RC_OK;
}

rc history_merge(struct history *history, struct memory_object *object, struct error *err)
{
    struct restore restore = { .object = object, .history = history };
    TRY(segment_reader_open(&restore.reader, memory_object_source(object), err));

    const struct segment_identity *identity = segment_reader_identity(restore.reader);
    rc result = RC_OK;
    if (identity->kind != SEGMENT_MERGED || identity->page_size != history->page_size ||
        segment_reader_summary(restore.reader)->page_count > history->page_capacity)
        result = error_set(err, RC_CORRUPT, 0, __FILE__, __LINE__, "not a merged one of it");
    else
        result = restore_pages(&restore, err);
    segment_reader_free(restore.reader);
    return result;
}
