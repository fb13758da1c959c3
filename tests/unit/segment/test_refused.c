/*
 * refused: every read, write and callback that fails while a segment is written or read
 *
 * Each answer comes out as it went in, at whichever call it is given; nothing else happens.
 */
#include "history.h"

#include "base/alloc.h"
#include "codec/digest.h"
#include "harness/check.h"
#include "segment/log_encoder.h"
#include "segment/pages_encoder.h"

#include <stdlib.h>

enum {
    PAGE_SIZE = 512,
    PAGE_COUNT = 1200, /* of random bytes: more than opening reads at once, and several blocks */
    READ_COUNT = 10000,
    SPILL_COUNT = 131000, /* pages whose digests are just too many, with their blocks */
    SPILL_COUNT_MORE = 140000,
};

static uint64_t said_digest;

static uint64_t digest_of(void *payload, uint32_t pgno)
{
    (void)payload;
    (void)pgno;
    return said_digest;
}

static struct segment_identity identity_of(enum segment_kind kind)
{
    return (struct segment_identity){
        .kind = kind,
        .timeline = 1,
        .page_size = PAGE_SIZE,
        .min_txid = 1,
    };
}

/* Transactions of one frame each until the encoder refuses; the page is random when NOISE is. */
static rc encode_log(
    struct sink sink, const char *folder, uint32_t count, struct noise *noise, struct error *err)
{
    struct segment_identity identity = identity_of(SEGMENT_LOG);
    uint8_t page[PAGE_SIZE] = { 0 };
    struct log_encoder *encoder = NULL;
    rc result = log_encoder_new(&encoder, &identity, sink, folder, err);

    for (uint32_t pgno = 1; result == RC_OK && pgno <= count; pgno++) {
        if (noise != NULL)
            noise_fill(noise, page, sizeof page);
        struct segment_transaction transaction = {
            .txid = pgno,
            .time_ms = 1000,
            .page_count = pgno,
            .digest = pgno,
        };
        result = log_encoder_add_frame(
            encoder, pgno, bytes_of(page, sizeof page), bytes_of(NULL, 0), err);
        if (result == RC_OK)
            result = log_encoder_end_transaction(encoder, &transaction, err);
    }
    struct segment_summary summary;
    struct log_place place = { 0 };
    if (result == RC_OK)
        result = log_encoder_finish(encoder, &place, digest_of, NULL, &summary, err);
    log_encoder_free(encoder);
    return result;
}

static rc encode_snapshot(
    struct sink sink, const char *folder, uint32_t count, struct noise *noise, struct error *err)
{
    struct segment_identity identity = identity_of(SEGMENT_SNAPSHOT);
    uint8_t page[PAGE_SIZE] = { 0 };
    struct pages_encoder *encoder = NULL;
    rc result = pages_encoder_new(&encoder, &identity, sink, folder, err);

    for (uint32_t pgno = 1; result == RC_OK && pgno <= count; pgno++) {
        if (noise != NULL)
            noise_fill(noise, page, sizeof page);
        struct bytes bytes = bytes_of(page, sizeof page);
        result = pages_encoder_add(encoder, pgno, bytes, 1, page_digest(pgno, bytes), err);
    }
    struct segment_summary summary = { .max_txid = 1, .page_count = count };
    if (result == RC_OK)
        result = pages_encoder_finish(encoder, &summary, err);
    pages_encoder_free(encoder);
    return result;
}

/* All frames in one transaction: what grows is the digests of pages. */
static rc encode_transaction(
    struct sink sink, const char *folder, uint32_t count, struct noise *noise, struct error *err)
{
    struct segment_identity identity = identity_of(SEGMENT_LOG);
    struct segment_transaction transaction = { .txid = 1, .page_count = count };
    uint8_t page[PAGE_SIZE] = { 0 };
    struct segment_summary summary;
    struct log_place place = { 0 };
    struct log_encoder *encoder = NULL;
    rc result = log_encoder_new(&encoder, &identity, sink, folder, err);

    (void)noise;
    for (uint32_t pgno = 1; result == RC_OK && pgno <= count; pgno++)
        result = log_encoder_add_frame(
            encoder, pgno, bytes_of(page, sizeof page), bytes_of(NULL, 0), err);
    if (result == RC_OK)
        result = log_encoder_end_transaction(encoder, &transaction, err);
    if (result == RC_OK)
        result = log_encoder_finish(encoder, &place, digest_of, NULL, &summary, err);
    log_encoder_free(encoder);
    return result;
}

typedef rc encode_fn(
    struct sink sink, const char *folder, uint32_t count, struct noise *noise, struct error *err);

/* How many writes there were when none was refused. */
static unsigned refuse_each_write(encode_fn *encode)
{
    for (unsigned number = 1;; number++) {
        auto_memory_object struct memory_object object = MEMORY_OBJECT_INIT;
        struct noise noise = { 5 };
        struct error err = { 0 };

        object.refused_write = number;
        object.refusal = RC_NO_SPACE;
        rc result = encode(memory_object_sink(&object), "/tmp", PAGE_COUNT, &noise, &err);
        if (result == RC_OK)
            return number - 1;
        CHECK_RC(result, RC_NO_SPACE);
    }
}

static void each_write_may_be_refused(void **state)
{
    (void)state;
    assert_true(refuse_each_write(encode_log) >= 5); /* header, blocks, index, end */
    assert_true(refuse_each_write(encode_snapshot) >= 12);
}

/* An index too large for memory, and no folder where it could go. */
static void index_without_a_folder_is_refused(void **state)
{
    static const struct {
        encode_fn *encode;
        uint32_t count;
    } rows[] = {
        { encode_log, SPILL_COUNT_MORE },
        { encode_transaction, SPILL_COUNT_MORE },
        { encode_snapshot, SPILL_COUNT_MORE },
        { encode_snapshot, SPILL_COUNT },
    };

    (void)state;
    for (size_t index = 0; index < array_count(rows); index++) {
        auto_memory_object struct memory_object object = MEMORY_OBJECT_INIT;
        struct error err = { 0 };

        CHECK_RC(rows[index].encode(
                     memory_object_sink(&object), "/nonexistent/x", rows[index].count, NULL, &err),
            RC_NOT_FOUND);
        CHECK_SAYS(err, "/nonexistent/x");
    }
}

/* ---- reading */

struct refuser {
    unsigned refused; /* the call of this number, from 1 */
    unsigned count;
};

static rc refuser_answer(struct refuser *refuser, struct error *err)
{
    if (++refuser->count == refuser->refused)
        FAIL(err, RC_CANCELLED, "enough");
    return RC_OK;
}

static rc see_transaction(
    void *payload, const struct segment_transaction *transaction, struct error *err)
{
    (void)transaction;
    return refuser_answer(payload, err);
}

static rc see_digest(void *payload, uint32_t pgno, uint64_t digest, struct error *err)
{
    (void)pgno;
    (void)digest;
    return refuser_answer(payload, err);
}

static rc read_frames(struct segment_reader *reader, struct error *err)
{
    struct log_event event;
    rc result;

    while ((result = log_reader_next(reader, &event, err)) == RC_OK) {
    }
    return result == RC_NOT_FOUND ? RC_OK : result;
}

static rc read_pages(struct segment_reader *reader, struct error *err)
{
    struct pages_chunk chunk = PAGES_CHUNK_INIT;
    rc result = RC_OK;

    for (size_t index = 0; result == RC_OK && index < pages_reader_chunk_count(reader); index++)
        result = pages_reader_load_chunk(reader, index, &chunk, err);
    pages_chunk_release(&chunk);
    return result;
}

static rc read_all(struct memory_object *object, bool header_first, struct error *err)
{
    struct segment_reader *reader = NULL;
    struct refuser refuser = { 0 };

    TRY(segment_reader_open(&reader, memory_object_source(object), err));
    bool is_log = segment_reader_identity(reader)->kind == SEGMENT_LOG;
    rc result = RC_OK;
    if (header_first)
        result = segment_reader_check_header(reader, err);
    if (result == RC_OK)
        result = segment_reader_each_digest(reader, see_digest, &refuser, err);
    if (result == RC_OK && is_log)
        result = log_reader_each_transaction(reader, see_transaction, &refuser, err);
    if (result == RC_OK)
        result = is_log ? read_frames(reader, err) : read_pages(reader, err);
    segment_reader_free(reader);
    return result;
}

/* An object that vanishes while it is read never looks like one that ends. */
static unsigned refuse_each_read(struct memory_object *object, rc refusal, bool header_first)
{
    struct error err = { 0 };

    for (unsigned number = 1;; number++) {
        object->read_count = 0;
        object->refused_read = number;
        object->refusal = refusal;
        rc result = read_all(object, header_first, &err);
        if (result == RC_OK)
            return number - 1;
        /* The first one finds out whether the object is there at all. */
        CHECK_RC(result, refusal == RC_NOT_FOUND && number > 1 ? RC_IO : refusal);
    }
}

static void each_read_may_be_refused(void **state)
{
    static const rc refusals[] = { RC_NET, RC_NOT_FOUND };
    static encode_fn *const encoders[] = { encode_log, encode_snapshot };

    (void)state;
    said_digest = 7;
    for (size_t kind = 0; kind < array_count(encoders); kind++) {
        auto_memory_object struct memory_object object = MEMORY_OBJECT_INIT;
        struct noise noise = { 6 };
        struct error err = { 0 };

        CHECK_OK(encoders[kind](memory_object_sink(&object), "/tmp", READ_COUNT, &noise, &err));
        for (size_t index = 0; index < array_count(refusals); index++) {
            unsigned count = refuse_each_read(&object, refusals[index], false);
            assert_true(count >= 3);
            assert_true(refuse_each_read(&object, refusals[index], true) >= count);
        }
    }
}

static void each_callback_may_stop(void **state)
{
    static encode_fn *const encoders[] = { encode_log, encode_snapshot };

    (void)state;
    said_digest = 7;
    for (size_t index = 0; index < array_count(encoders); index++) {
        auto_memory_object struct memory_object object = MEMORY_OBJECT_INIT;
        struct noise noise = { 7 };
        struct segment_reader *reader = NULL;
        struct error err = { 0 };

        CHECK_OK(encoders[index](memory_object_sink(&object), "/tmp", 5, &noise, &err));
        CHECK_OK(segment_reader_open(&reader, memory_object_source(&object), &err));
        for (unsigned number = 1; number <= 6; number++) {
            rc wanted = number <= 5 ? RC_CANCELLED : RC_OK;
            struct refuser refuser = { .refused = number };
            CHECK_RC(segment_reader_each_digest(reader, see_digest, &refuser, &err), wanted);
            refuser.count = 0;
            if (index == 0)
                CHECK_RC(
                    log_reader_each_transaction(reader, see_transaction, &refuser, &err), wanted);
        }
        segment_reader_free(reader);
    }
}

/* ---- what callers of the encoder say */

static void time_that_goes_back_is_refused(void **state)
{
    auto_memory_object struct memory_object object = MEMORY_OBJECT_INIT;
    struct segment_identity identity = identity_of(SEGMENT_LOG);
    struct segment_transaction transaction = { .txid = 1, .time_ms = 1000, .page_count = 1 };
    uint8_t page[PAGE_SIZE] = { 1 };
    struct log_encoder *encoder = NULL;
    struct error err = { 0 };

    (void)state;
    CHECK_OK(log_encoder_new(&encoder, &identity, memory_object_sink(&object), "/tmp", &err));
    CHECK_OK(
        log_encoder_add_frame(encoder, 1, bytes_of(page, sizeof page), bytes_of(NULL, 0), &err));
    CHECK_OK(log_encoder_end_transaction(encoder, &transaction, &err));
    CHECK_OK(
        log_encoder_add_frame(encoder, 1, bytes_of(page, sizeof page), bytes_of(NULL, 0), &err));
    transaction.txid = 2;
    transaction.time_ms = 999;
    CHECK_RC(log_encoder_end_transaction(encoder, &transaction, &err), RC_MISMATCH);
    CHECK_SAYS(err, "time of transaction 2");
    log_encoder_free(encoder);
}

/* A page of the database without a digest, and a digest of a page that is gone. */
static void digest_that_cannot_be_is_refused(void **state)
{
    static const struct {
        uint64_t digest;
        uint32_t page_count;
        const char *says;
    } rows[] = { { PAGE_DIGEST_UNKNOWN, 2, "page 2 has no digest" },
        { 7, 1, "page 2 has a digest but no longer exists" } };

    (void)state;
    for (size_t index = 0; index < array_count(rows); index++) {
        auto_memory_object struct memory_object object = MEMORY_OBJECT_INIT;
        struct segment_identity identity = identity_of(SEGMENT_LOG);
        struct segment_transaction transaction = { .txid = 1,
            .page_count = rows[index].page_count };
        struct segment_summary summary;
        struct log_place place = { 0 };
        uint8_t page[PAGE_SIZE] = { 1 };
        struct log_encoder *encoder = NULL;
        struct error err = { 0 };

        said_digest = rows[index].digest;
        CHECK_OK(log_encoder_new(&encoder, &identity, memory_object_sink(&object), "/tmp", &err));
        CHECK_OK(log_encoder_add_frame(
            encoder, 2, bytes_of(page, sizeof page), bytes_of(NULL, 0), &err));
        CHECK_OK(log_encoder_end_transaction(encoder, &transaction, &err));
        CHECK_RC(log_encoder_finish(encoder, &place, digest_of, NULL, &summary, &err), RC_MISMATCH);
        CHECK_SAYS(err, rows[index].says);
        log_encoder_free(encoder);
    }
    said_digest = 7;
}

/* A difference that nobody has the page before for. */
static void difference_without_its_base_is_refused(void **state)
{
    struct log_frame frame = { .pgno = 3, .kind = LOG_FRAME_DIFFERENCE };
    uint8_t page[PAGE_SIZE];
    struct error err = { 0 };

    (void)state;
    CHECK_RC(log_frame_apply(&frame, PAGE_SIZE, bytes_of(NULL, 0), page, &err), RC_MISMATCH);
    CHECK_SAYS(err, "page 3");
    CHECK_RC(log_frame_apply(&frame, PAGE_SIZE, bytes_of(page, PAGE_SIZE), page, &err), RC_CORRUPT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_write_may_be_refused),
        cmocka_unit_test(index_without_a_folder_is_refused),
        cmocka_unit_test(each_read_may_be_refused),
        cmocka_unit_test(each_callback_may_stop),
        cmocka_unit_test(time_that_goes_back_is_refused),
        cmocka_unit_test(digest_that_cannot_be_is_refused),
        cmocka_unit_test(difference_without_its_base_is_refused),
    };

    said_digest = 7;
    return cmocka_run_group_tests_name("segment/refused", tests, NULL, NULL);
}
