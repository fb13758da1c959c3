/*
 * fuzz_retention_note - what is condemned, and what is held
 *
 * What is accepted has one spelling: it comes back letter by letter.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "note_priv.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_same(const struct buf *text, const uint8_t *data, size_t size)
{
    if (text->size != size || memcmp(text->data, data, size) != 0)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    auto_expire_note struct expire_note expire = EXPIRE_NOTE_INIT;
    auto_buf struct buf expire_text = BUF_INIT(NOTE_SIZE_MAX);
    auto_buf struct buf hold_text = BUF_INIT(NOTE_SIZE_MAX);
    struct hold_note hold;
    struct error err;

    if (size > 1 << 20)
        return 0;
    if (expire_note_decode(&expire, bytes_of(data, size), &err) == RC_OK) {
        expire_note_encode(&expire_text, &expire);
        check_same(&expire_text, data, size);
    }
    if (hold_note_decode(&hold, bytes_of(data, size), &err) == RC_OK) {
        hold_note_encode(&hold_text, &hold);
        check_same(&hold_text, data, size);
    }
    return 0;
}
