/*
 * fuzz_restored - the note on a restored file
 *
 * What the decoder accepts, the encoder writes back.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "restored_priv.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char text[RESTORED_TEXT_SIZE];
    struct replica_position position;
    struct error err;

    if (restored_decode(&position, bytes_of(data, size), &err) != RC_OK)
        return 0;
    restored_encode(text, &position);
    char second[RESTORED_TEXT_SIZE];
    if (restored_decode(&position, bytes_of_text(text), &err) != RC_OK)
        abort();
    restored_encode(second, &position);
    if (strcmp(text, second) != 0)
        abort();
    return 0;
}
