/*
 * lies: segments whose checksums are right and whose content is not
 *
 * Linked with digests that are always the same, so every changed byte is believed until the decoder
 * behind it objects. It may accept what still makes sense; it may not crash, hang or take memory.
 */
#include "history.h"

#include "base/alloc.h"
#include "harness/check.h"

#include <stdlib.h>

static unsigned accepted;
static unsigned refused;

static rc read_log(const struct history *before, struct memory_object *object)
{
    struct error err = { 0 };
    auto_history struct history history = history_copy(before);
    return history_replay(&history, object, &err);
}

static rc read_snapshot(const struct history *before, struct memory_object *object)
{
    struct error err = { 0 };
    auto_history struct history history = { 0 };
    (void)before;
    return history_restore(&history, object, &err);
}

typedef rc read_fn(const struct history *before, struct memory_object *object);

static void check_lies(const struct history *before, struct memory_object *object, read_fn *read)
{
    static const uint8_t values[] = { 0x00, 0x01, 0x7f, 0x80, 0xff };

    accepted = refused = 0;
    assert_int_equal(read(before, object), RC_OK);
    for (size_t place = 0; place < object->bytes.size; place++) {
        uint8_t kept = object->bytes.data[place];
        for (size_t index = 0; index < array_count(values); index++) {
            object->bytes.data[place] = values[index];
            rc result = read(before, object);
            assert_true(result == RC_OK || result == RC_CORRUPT || result == RC_UNSUPPORTED ||
                        result == RC_MISMATCH);
            if (result == RC_OK)
                accepted++;
            else
                refused++;
        }
        object->bytes.data[place] = kept;
    }
    assert_true(refused > object->bytes.size / 2);
    assert_true(accepted > 0); /* or the digests are not the weak ones */
}

static void lies_in_a_log_do_no_harm(void **state)
{
    (void)state;
    auto_history struct history history = history_new(21, 512, 10);
    auto_history struct history before = history_copy(&history);
    auto_memory_object struct memory_object object = MEMORY_OBJECT_INIT;
    struct history_plan plan = { .transaction_count = 6, .frames_max = 4, .may_resize = true };

    history_write_log(&history, &plan, &object, NULL);
    check_lies(&before, &object, read_log);
}

static void lies_in_a_snapshot_do_no_harm(void **state)
{
    (void)state;
    auto_history struct history history = history_new(22, 512, 5);
    auto_memory_object struct memory_object object = MEMORY_OBJECT_INIT;

    history_write_snapshot(&history, &object);
    check_lies(&history, &object, read_snapshot);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lies_in_a_log_do_no_harm),
        cmocka_unit_test(lies_in_a_snapshot_do_no_harm),
    };
    return cmocka_run_group_tests_name("segment/lies", tests, NULL, NULL);
}
