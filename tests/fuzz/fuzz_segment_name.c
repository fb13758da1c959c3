/* Any text as the name of a segment: refused, or spelt back exactly as it came. */
#include "segment/name.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char text[128] = { 0 };
    char back[SEGMENT_NAME_SIZE];
    struct segment_name name;
    struct error err;

    if (size >= sizeof text)
        return 0;
    memcpy(text, data, size);
    rc result = segment_name_parse(&name, text, &err);
    if (result != RC_OK) {
        assert(result == RC_CORRUPT);
        return 0;
    }
    segment_name_format(back, &name);
    assert(strcmp(back, text) == 0);
    return 0;
}
