/* test_note - notes of retention come back as they were, and nothing else is taken for one */
#include "harness/check.h"

#include "../../../src/replica/layout_priv.h"
#include "../../../src/replica/note_priv.h"
#include "base/alloc.h"
#include "base/text.h"

#include <stdlib.h>
#include <string.h>

static const char expire_text[] = "seawal expire 1\n"
                                  "database 00112233445566778899aabbccddeeff\n"
                                  "time 1795286340000\n"
                                  "grace 0000086400000\n"
                                  "object 00000001 0 0000000000000002 0000000000000102\n"
                                  "object 00000002 s 0000000000000001 0000000000000001\n"
                                  "gone 00000001 0000000000000002 0000000000000050\n"
                                  "end\n";
static const char hold_text[] = "seawal hold 1\n"
                                "database 00112233445566778899aabbccddeeff\n"
                                "timeline 00000003\n"
                                "txid 000000000000000d\n"
                                "digest 0123456789abcdef\n"
                                "time 1795286340000\n"
                                "made 1795286345000\n"
                                "end\n";

static struct bytes text_bytes(const char *text)
{
    return bytes_of(text, strlen(text));
}

static void an_expire_note_is_read_and_written(void **state)
{
    auto_expire_note struct expire_note note = EXPIRE_NOTE_INIT;
    auto_buf struct buf out = BUF_INIT(NOTE_SIZE_MAX);
    struct error err;

    (void)state;
    CHECK_OK(expire_note_decode(&note, text_bytes(expire_text), &err));
    assert_int_equal(note.time_ms, 1795286340000);
    assert_int_equal(note.grace_ms, 86400000);
    assert_int_equal(note.condemned_count, 2);
    assert_int_equal(note.condemned[0].range.last_txid, 0x102);
    assert_int_equal(note.condemned[1].level, LEVEL_SNAPSHOT);
    assert_int_equal(note.condemned[1].timeline, 2);
    assert_int_equal(note.gone_count, 1);
    assert_int_equal(note.gone[0].range.last_txid, 0x50);
    expire_note_encode(&out, &note);
    assert_int_equal(out.size, strlen(expire_text));
    assert_memory_equal(out.data, expire_text, out.size);
}

static void a_hold_is_read_and_written(void **state)
{
    auto_buf struct buf out = BUF_INIT(NOTE_SIZE_MAX);
    struct hold_note note;
    struct error err;

    (void)state;
    CHECK_OK(hold_note_decode(&note, text_bytes(hold_text), &err));
    assert_int_equal(note.position.timeline, 3);
    assert_int_equal(note.position.txid, 13);
    assert_int_equal(note.made_ms, 1795286345000);
    hold_note_encode(&out, &note);
    assert_int_equal(out.size, strlen(hold_text));
    assert_memory_equal(out.data, hold_text, out.size);
}

static rc decode(const char *text, size_t size, struct error *err)
{
    auto_expire_note struct expire_note expire = EXPIRE_NOTE_INIT;
    struct hold_note hold;

    if (strstr(text, "hold") != NULL)
        return hold_note_decode(&hold, bytes_of(text, size), err);
    return expire_note_decode(&expire, bytes_of(text, size), err);
}

/* Every cut, and every letter replaced by one that cannot stand there. */
static void what_is_nearly_one_is_refused(void **state)
{
    const char *const texts[] = { expire_text, hold_text };

    (void)state;
    for (size_t i = 0; i < array_count(texts); i++) {
        size_t size = strlen(texts[i]);
        auto_free char *copy = text_copy(texts[i]);
        struct error err;
        CHECK_OK(decode(copy, size, &err));
        for (size_t cut = 0; cut < size; cut++)
            CHECK_RC(decode(copy, cut, &err), RC_CORRUPT);
        for (size_t at = 0; at < size; at++) {
            char right = copy[at];
            copy[at] = '\x01';
            assert_int_not_equal(decode(copy, size, &err), RC_OK);
            copy[at] = right;
        }
        auto_free char *longer = text_format("%s\n", texts[i]);
        CHECK_RC(decode(longer, size + 1, &err), RC_CORRUPT);
    }
}

static void a_newer_version_is_told(void **state)
{
    struct error err;
    auto_free char *text = text_copy(hold_text);

    (void)state;
    *strchr(text, '1') = '2';
    CHECK_RC(decode(text, strlen(text), &err), RC_UNSUPPORTED);
    CHECK_SAYS(err, "use a newer one");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_expire_note_is_read_and_written),
        cmocka_unit_test(a_hold_is_read_and_written),
        cmocka_unit_test(what_is_nearly_one_is_refused),
        cmocka_unit_test(a_newer_version_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
