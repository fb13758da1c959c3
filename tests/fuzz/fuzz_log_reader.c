/* Any bytes as a log segment: frames within bounds, or an error with text. */
#include "segment/reader.h"
#include "segment_input.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static rc count_transaction(
    void *payload, const struct segment_transaction *transaction, struct error *err)
{
    uint64_t *count = payload;
    (void)err;
    assert(transaction->frame_count >= 1);
    (*count)++;
    return RC_OK;
}

static rc see_digest(void *payload, uint32_t pgno, uint64_t digest, struct error *err)
{
    uint32_t *pgno_before = payload;
    (void)digest;
    (void)err;
    assert(pgno > *pgno_before);
    *pgno_before = pgno;
    return RC_OK;
}

static void read_frames(struct segment_reader *reader)
{
    static uint8_t base[PAGE_SIZE_MAX];
    static uint8_t out[PAGE_SIZE_MAX];
    uint32_t page_size = segment_reader_identity(reader)->page_size;
    uint64_t commit_count = 0;
    struct log_event event;
    struct error err;

    rc result;
    while ((result = log_reader_next(reader, &event, &err)) == RC_OK) {
        if (event.kind == LOG_EVENT_COMMIT) {
            commit_count++;
            continue;
        }
        assert(event.frame.pgno >= 1);
        rc applied = log_frame_apply(&event.frame, page_size, bytes_of(base, page_size), out, &err);
        assert(applied == RC_OK); /* the reader checked it */
    }
    assert(err.text[0] != '\0');
    if (result != RC_NOT_FOUND)
        return;
    const struct segment_summary *summary = segment_reader_summary(reader);
    assert(commit_count == summary->max_txid - segment_reader_identity(reader)->min_txid + 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    auto_buf struct buf input = BUF_INIT(INPUT_SIZE_MAX);
    struct segment_reader *reader;
    struct error err;
    uint64_t transaction_count = 0;
    uint32_t pgno_before = 0;

    if (size > INPUT_SIZE_MAX ||
        segment_reader_open(&reader, input_source(&input, data, size), &err) != RC_OK)
        return 0;
    if (segment_reader_identity(reader)->kind == SEGMENT_LOG) {
        rc result =
            log_reader_each_transaction(reader, count_transaction, &transaction_count, &err);
        if (result == RC_OK)
            result = segment_reader_each_digest(reader, see_digest, &pgno_before, &err);
        assert(result == RC_OK || err.text[0] != '\0');
        read_frames(reader);
    }
    segment_reader_free(reader);
    return 0;
}
