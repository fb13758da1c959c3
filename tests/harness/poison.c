/* The index is struck by another process, with the tools of the shell. */
#include "poison.h"

#include "base/text.h"
#include "check.h"

#include <stdlib.h>
#include <string.h>

void poison_index(const char *path, uint32_t claimed_frames)
{
    uint8_t raw[sizeof claimed_frames];

    memcpy(raw, &claimed_frames, sizeof raw);
    char *command = text_format(
        "printf '\\%03o\\%03o\\%03o\\%03o' | dd of='%s-shm' bs=1 seek=96 conv=notrunc 2>/dev/null",
        raw[0], raw[1], raw[2], raw[3], path);
    assert_int_equal(system(command), 0);
    free(command);
}
