/* damage: whatever happens to the bytes of a segment, it is noticed or changes nothing */
#include "history.h"

#include "base/alloc.h"
#include "codec/digest.h"
#include "harness/check.h"

#include <stdlib.h>

struct specimen {
    struct history before; /* what a log or merged segment is applied to */
    struct history after;
    struct memory_object object;
    enum segment_kind kind;
};

static struct specimen specimen_log(void)
{
    struct specimen specimen = {
        .before = history_new(5, 512, 12),
        .object = MEMORY_OBJECT_INIT,
        .kind = SEGMENT_LOG,
    };
    struct history_plan plan = { .transaction_count = 8, .frames_max = 4, .may_resize = true };

    specimen.after = history_copy(&specimen.before);
    history_write_log(&specimen.after, &plan, &specimen.object, NULL);
    return specimen;
}

static struct specimen specimen_snapshot(void)
{
    struct specimen specimen = {
        .after = history_new(6, 512, 9),
        .object = MEMORY_OBJECT_INIT,
        .kind = SEGMENT_SNAPSHOT,
    };
    history_write_snapshot(&specimen.after, &specimen.object);
    return specimen;
}

static struct specimen specimen_merged(void)
{
    struct specimen specimen = specimen_log();

    buf_clear(&specimen.object.bytes);
    history_write_merged(&specimen.before, &specimen.after, &specimen.object);
    specimen.kind = SEGMENT_MERGED;
    return specimen;
}

static void specimen_release(struct specimen *specimen)
{
    history_release(&specimen->before);
    history_release(&specimen->after);
    memory_object_release(&specimen->object);
}

static rc digest_ignore(void *payload, uint32_t pgno, uint64_t digest, struct error *err)
{
    (void)payload;
    (void)pgno;
    (void)digest;
    (void)err;
    return RC_OK;
}

static rc read_digests(struct memory_object *object, struct error *err)
{
    struct segment_reader *reader;
    TRY(segment_reader_open(&reader, memory_object_source(object), err));
    rc result = segment_reader_each_digest(reader, digest_ignore, NULL, err);
    segment_reader_free(reader);
    return result;
}

/* Everything there is to read; RC_OK only when the outcome is what the undamaged segment gives. */
static rc specimen_read(const struct specimen *specimen, struct memory_object *object)
{
    struct error err = { 0 };
    struct history result_of = { 0 };
    rc result;

    if (specimen->kind == SEGMENT_SNAPSHOT) {
        result = history_restore(&result_of, object, &err);
    } else {
        result_of = history_copy(&specimen->before);
        result = specimen->kind == SEGMENT_LOG ? history_replay(&result_of, object, &err)
                                               : history_merge(&result_of, object, &err);
    }
    if (result == RC_OK)
        result = read_digests(object, &err);
    if (result == RC_OK) {
        assert_int_equal(result_of.page_count, specimen->after.page_count);
        assert_memory_equal(result_of.pages, specimen->after.pages,
            (size_t)result_of.page_count * result_of.page_size);
    }
    history_release(&result_of);
    if (result != RC_OK)
        assert_true(err.text[0] != '\0');
    return result;
}

static void check_every_byte(struct specimen *specimen)
{
    assert_int_equal(specimen_read(specimen, &specimen->object), RC_OK);
    for (size_t place = 0; place < specimen->object.bytes.size; place++) {
        static const uint8_t flips[] = { 0x01, 0x80, 0xff };
        for (size_t flip = 0; flip < array_count(flips); flip++) {
            specimen->object.bytes.data[place] ^= flips[flip];
            rc result = specimen_read(specimen, &specimen->object);
            specimen->object.bytes.data[place] ^= flips[flip];
            /* Every byte is under a checksum, so none may pass, or pass for a newer version. */
            if (result != RC_CORRUPT)
                fail_msg("byte %zu with 0x%x: %s", place, flips[flip], rc_name(result));
        }
    }
    specimen_release(specimen);
}

static void every_changed_byte_of_a_log_is_noticed(void **state)
{
    (void)state;
    struct specimen specimen = specimen_log();
    check_every_byte(&specimen);
}

static void every_changed_byte_of_a_snapshot_is_noticed(void **state)
{
    (void)state;
    struct specimen specimen = specimen_snapshot();
    check_every_byte(&specimen);
}

static void another_version_is_not_damage(void **state)
{
    (void)state;
    struct specimen specimen = specimen_log();
    struct buf *bytes = &specimen.object.bytes;
    bytes->data[9] = 2;
    bytes->data[bytes->size - 19] = 2;
    assert_int_equal(specimen_read(&specimen, &specimen.object), RC_UNSUPPORTED);
    specimen_release(&specimen);
}

static void every_changed_byte_of_a_merged_segment_is_noticed(void **state)
{
    (void)state;
    struct specimen specimen = specimen_merged();
    check_every_byte(&specimen);
}

static void check_every_length(struct specimen *specimen)
{
    for (size_t size = 0; size < specimen->object.bytes.size; size++) {
        struct memory_object cut = MEMORY_OBJECT_INIT;
        buf_put(&cut.bytes, bytes_part(buf_bytes(&specimen->object.bytes), 0, size));
        assert_int_equal(specimen_read(specimen, &cut), RC_CORRUPT);
        memory_object_release(&cut);
    }
    specimen_release(specimen);
}

static void every_truncation_is_corrupt(void **state)
{
    (void)state;
    struct specimen log = specimen_log();
    struct specimen snapshot = specimen_snapshot();
    struct specimen merged = specimen_merged();
    check_every_length(&log);
    check_every_length(&snapshot);
    check_every_length(&merged);
}

static void appended_bytes_are_corrupt(void **state)
{
    (void)state;
    struct specimen specimen = specimen_log();
    buf_put_u8(&specimen.object.bytes, 0);
    assert_int_equal(specimen_read(&specimen, &specimen.object), RC_CORRUPT);
    specimen_release(&specimen);
}

/* Two blocks of equal size change places: each is whole, but not where the index says. */
static void swapped_blocks_are_corrupt(void **state)
{
    (void)state;
    struct error err = { 0 };
    auto_history struct history history = history_new(8, 4096, 64);
    auto_memory_object struct memory_object object = MEMORY_OBJECT_INIT;
    noise_fill(&history.noise, history.pages, (size_t)64 * 4096); /* stored, so all alike in size */
    history.digest = history_digest(&history);
    history_write_snapshot(&history, &object);

    enum { HEADER_SIZE = 72, BLOCK_SIZE = 65536 };
    uint8_t *blocks = object.bytes.data + HEADER_SIZE;
    auto_free uint8_t *first = mem_copy(blocks, BLOCK_SIZE);
    memcpy(blocks, blocks + BLOCK_SIZE, BLOCK_SIZE);
    memcpy(blocks + BLOCK_SIZE, first, BLOCK_SIZE);

    struct history restored;
    CHECK_RC(history_restore(&restored, &object, &err), RC_CORRUPT);
}

/* The blocks of one segment with the index of another of the same shape. */
static void parts_of_two_segments_do_not_mix(void **state)
{
    (void)state;
    auto_history struct history history = history_new(9, 4096, 40);
    auto_memory_object struct memory_object one = MEMORY_OBJECT_INIT;
    auto_memory_object struct memory_object other = MEMORY_OBJECT_INIT;
    struct error err = { 0 };

    noise_fill(&history.noise, history.pages, (size_t)40 * 4096);
    history.digest = history_digest(&history);
    history_write_snapshot(&history, &one);
    history.pages[0] ^= 1;
    history.digest = history_digest(&history);
    history.txid++;
    history_write_snapshot(&history, &other);
    assert_int_equal(one.bytes.size, other.bytes.size);

    memcpy(one.bytes.data, other.bytes.data, 72);
    struct history restored;
    CHECK_RC(history_restore(&restored, &one, &err), RC_CORRUPT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_changed_byte_of_a_log_is_noticed),
        cmocka_unit_test(every_changed_byte_of_a_snapshot_is_noticed),
        cmocka_unit_test(another_version_is_not_damage),
        cmocka_unit_test(every_changed_byte_of_a_merged_segment_is_noticed),
        cmocka_unit_test(every_truncation_is_corrupt),
        cmocka_unit_test(appended_bytes_are_corrupt),
        cmocka_unit_test(swapped_blocks_are_corrupt),
        cmocka_unit_test(parts_of_two_segments_do_not_mix),
    };
    return cmocka_run_group_tests_name("segment/damage", tests, NULL, NULL);
}
