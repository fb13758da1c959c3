/* log segments: what goes in comes out, for every page size */
#include "history.h"

#include "base/alloc.h"
#include "codec/digest.h"
#include "harness/check.h"
#include "segment/log_encoder.h"

#include <stdlib.h>
#include <sys/resource.h>

static const uint32_t page_sizes[] = { 512, 1024, 2048, 4096, 8192, 16384, 32768, 65536 };

static void check_transactions(
    struct memory_object *object, const struct segment_transaction *records, uint32_t count);

static void log_of_every_page_size_replays_to_the_same_pages(void **state)
{
    (void)state;
    for (size_t index = 0; index < array_count(page_sizes); index++) {
        struct error err = { 0 };
        auto_history struct history history = history_new(index, page_sizes[index], 40);
        auto_history struct history copy = history_copy(&history);
        auto_memory_object struct memory_object object = MEMORY_OBJECT_INIT;
        struct history_plan plan = { .transaction_count = 60, .frames_max = 9, .may_resize = true };
        struct segment_transaction records[60];

        history_write_log(&history, &plan, &object, records);
        CHECK_OK(history_replay(&copy, &object, &err));
        assert_int_equal(copy.txid, history.txid);
        assert_int_equal(copy.page_count, history.page_count);
        assert_memory_equal(
            copy.pages, history.pages, (size_t)history.page_count * history.page_size);
        check_transactions(&object, records, plan.transaction_count);
    }
}

struct transaction_check {
    const struct segment_transaction *records;
    uint32_t count;
};

static rc transaction_check_next(
    void *payload, const struct segment_transaction *transaction, struct error *err)
{
    struct transaction_check *check = payload;
    const struct segment_transaction *record = &check->records[check->count++];

    (void)err;
    assert_int_equal(transaction->txid, record->txid);
    assert_int_equal(transaction->time_ms, record->time_ms);
    assert_int_equal(transaction->page_count, record->page_count);
    assert_int_equal(transaction->frame_count, record->frame_count);
    assert_int_equal(transaction->flags, record->flags);
    assert_int_equal(transaction->digest, record->digest);
    return RC_OK;
}

static void check_transactions(
    struct memory_object *object, const struct segment_transaction *records, uint32_t count)
{
    struct error err = { 0 };
    struct segment_reader *reader;
    struct transaction_check check = { .records = records };

    CHECK_OK(segment_reader_open(&reader, memory_object_source(object), &err));
    CHECK_OK(log_reader_each_transaction(reader, transaction_check_next, &check, &err));
    assert_int_equal(check.count, count);
    segment_reader_free(reader);
}

/* ---- large transactions and segments */

static rc sink_forget(void *payload, struct bytes bytes, struct error *err)
{
    uint64_t *size = payload;
    (void)err;
    *size += bytes.size;
    return RC_OK;
}

static uint64_t digest_is_one(void *payload, uint32_t pgno)
{
    (void)payload;
    (void)pgno;
    return 1;
}

static long resident_kib(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return usage.ru_maxrss;
}

#ifdef __has_feature
#if __has_feature(address_sanitizer)
#define __SANITIZE_ADDRESS__ 1 /* as gcc says it */
#endif
#endif

/* Sanitizers keep freed memory for a while; the bound is about the encoder. */
#ifdef __SANITIZE_ADDRESS__
enum { MEMORY_KIB_MAX = 1 << 20 };
#else
enum { MEMORY_KIB_MAX = 8 << 10 };
#endif

/*
 * One transaction of FRAME_COUNT frames, which no memory of 8 MiB holds; SPAN page numbers. Pages
 * that differ from a base in one byte make the index large, pages without a base the blocks.
 */
static void check_memory_of(uint32_t page_size, uint32_t frame_count, uint32_t span, bool has_base)
{
    struct error err = { 0 };
    struct noise noise = { 77 };
    uint64_t size = 0;
    struct log_encoder *encoder;
    struct segment_identity identity = {
        .kind = SEGMENT_LOG, .page_size = page_size, .min_txid = 2
    };
    auto_free uint8_t *page = mem_new(page_size);
    auto_free uint8_t *base = mem_new(page_size);
    struct sink sink = { .write = sink_forget, .payload = &size };

    noise_fill(&noise, page, page_size);
    memcpy(base, page, page_size);
    long before = resident_kib();
    CHECK_OK(log_encoder_new(&encoder, &identity, sink, "/tmp", &err));
    for (uint32_t index = 0; index < frame_count; index++) {
        page[noise_below(&noise, page_size)]++;
        CHECK_OK(log_encoder_add_frame(encoder, 1 + noise_below(&noise, span),
            bytes_of(page, page_size), bytes_of(base, has_base ? page_size : 0), &err));
        memcpy(base, page, page_size);
    }
    struct segment_transaction transaction = { .txid = 2, .page_count = span, .digest = 3 };
    struct segment_summary summary;
    CHECK_OK(log_encoder_end_transaction(encoder, &transaction, &err));
    CHECK_OK(
        log_encoder_finish(encoder, &(struct log_place){ 0 }, digest_is_one, NULL, &summary, &err));
    log_encoder_free(encoder);
    assert_int_equal(summary.stored_size, size);
    assert_int_equal(summary.frame_count, frame_count);
    if (resident_kib() - before > MEMORY_KIB_MAX)
        fail_msg("the encoder took %ld KiB", resident_kib() - before);
}

static void a_transaction_with_a_large_index_takes_little_memory(void **state)
{
    (void)state;
    check_memory_of(512, 1000000, 200000, true);
}

static void a_transaction_of_large_pages_takes_little_memory(void **state)
{
    (void)state;
    check_memory_of(65536, 3000, 262144 / 32, false);
}

/* Frames enough for several chunks, the index larger than what waits in memory. */
static void many_chunks_replay_to_the_same_pages(void **state)
{
    (void)state;
    struct error err = { 0 };
    auto_history struct history history = history_new(31, 512, 300);
    auto_history struct history copy = history_copy(&history);
    auto_memory_object struct memory_object object = MEMORY_OBJECT_INIT;
    struct history_plan plan = { .transaction_count = 40, .frames_max = 10000 };

    history_write_log(&history, &plan, &object, NULL);
    CHECK_OK(history_replay(&copy, &object, &err));
    assert_memory_equal(copy.pages, history.pages, (size_t)300 * 512);
}

static void a_digest_that_should_not_be_there_is_refused(void **state)
{
    (void)state;
    static const uint8_t page[512] = { 1 };
    struct error err = { 0 };
    uint64_t size = 0;
    struct log_encoder *encoder;
    struct segment_identity identity = { .kind = SEGMENT_LOG, .page_size = 512, .min_txid = 2 };
    struct segment_transaction transaction = { .txid = 2, .page_count = 4, .digest = 3 };
    struct segment_summary summary;
    struct sink sink = { .write = sink_forget, .payload = &size };

    CHECK_OK(log_encoder_new(&encoder, &identity, sink, "/tmp", &err));
    CHECK_OK(
        log_encoder_add_frame(encoder, 5, bytes_of(page, sizeof page), bytes_of(NULL, 0), &err));
    CHECK_OK(log_encoder_end_transaction(encoder, &transaction, &err));
    CHECK_RC(
        log_encoder_finish(encoder, &(struct log_place){ 0 }, digest_is_one, NULL, &summary, &err),
        RC_MISMATCH);
    log_encoder_free(encoder);
}

struct digest_check {
    const struct history *history;
    uint32_t pgno_before;
    unsigned gone_count;
};

static rc digest_check_next(void *payload, uint32_t pgno, uint64_t digest, struct error *err)
{
    struct digest_check *check = payload;
    (void)err;
    assert_true(pgno > check->pgno_before);
    check->pgno_before = pgno;
    if (digest == 0)
        check->gone_count++;
    else
        assert_int_equal(digest, page_digest(pgno, history_page(check->history, pgno)));
    return RC_OK;
}

static void digests_are_those_after_the_segment(void **state)
{
    (void)state;
    struct error err = { 0 };
    auto_history struct history history = history_new(12, 1024, 30);
    auto_memory_object struct memory_object object = MEMORY_OBJECT_INIT;
    struct history_plan plan = { .transaction_count = 25, .frames_max = 6, .may_resize = true };
    struct digest_check check = { .history = &history };
    struct segment_reader *reader;

    history_write_log(&history, &plan, &object, NULL);
    CHECK_OK(segment_reader_open(&reader, memory_object_source(&object), &err));
    CHECK_OK(segment_reader_each_digest(reader, digest_check_next, &check, &err));
    assert_true(check.pgno_before >= history.page_count);
    assert_int_equal(check.gone_count > 0, check.pgno_before > history.page_count);
    segment_reader_free(reader);
}

/* An ordinary segment is read by one request, however many things are asked of its index. */
static void the_tail_is_read_once(void **state)
{
    (void)state;
    struct error err = { 0 };
    auto_history struct history history = history_new(13, 4096, 30);
    auto_history struct history copy = history_copy(&history);
    auto_memory_object struct memory_object object = MEMORY_OBJECT_INIT;
    struct history_plan plan = { .transaction_count = 3, .frames_max = 3 };

    history_write_log(&history, &plan, &object, NULL);
    assert_true(object.bytes.size < 65536);
    CHECK_OK(history_replay(&copy, &object, &err));
    assert_int_equal(object.read_count, 1);
    assert_int_equal(object.read_size, object.bytes.size);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(log_of_every_page_size_replays_to_the_same_pages),
        cmocka_unit_test(a_transaction_with_a_large_index_takes_little_memory),
        cmocka_unit_test(a_transaction_of_large_pages_takes_little_memory),
        cmocka_unit_test(many_chunks_replay_to_the_same_pages),
        cmocka_unit_test(a_digest_that_should_not_be_there_is_refused),
        cmocka_unit_test(digests_are_those_after_the_segment),
        cmocka_unit_test(the_tail_is_read_once),
    };
    return cmocka_run_group_tests_name("segment/log", tests, NULL, NULL);
}
