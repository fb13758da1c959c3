/*
 * fuzz_replica_key - names of objects under a replica's prefix
 *
 * What is accepted has one spelling: it comes back letter by letter.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "layout_priv.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char text[REPLICA_KEY_SIZE];
    char again[REPLICA_KEY_SIZE];
    struct replica_key key;
    struct error err;

    if (size >= sizeof text)
        return 0;
    memcpy(text, data, size);
    text[size] = '\0';
    if (replica_key_parse(&key, text, &err) != RC_OK)
        return 0;
    switch (key.kind) {
    case REPLICA_KEY_SEGMENT:
        replica_key_segment(again, key.timeline, key.level, &key.name);
        break;
    case REPLICA_KEY_TIMELINE:
        replica_key_timeline(again, key.timeline);
        break;
    case REPLICA_KEY_EXPIRE:
        replica_key_expire(again, key.note);
        break;
    case REPLICA_KEY_HOLD:
        replica_key_hold(again, key.note);
        break;
    case REPLICA_KEY_INFO:
    case REPLICA_KEY_RESERVED:
        return 0;
    }
    if (strcmp(text, again) != 0)
        abort();
    return 0;
}
