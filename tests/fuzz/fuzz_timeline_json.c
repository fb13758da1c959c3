/*
 * fuzz_timeline_json - the decoders of seawal.json and timelines/<timeline>.json
 *
 * What a decoder accepts must come back from the encoder and be accepted again as the same.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "info_json_priv.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void fuzz_timeline(struct bytes in)
{
    struct replica_timeline timeline;
    struct replica_timeline again;
    struct database_id id;
    struct error err;

    if (replica_timeline_decode(&timeline, &id, in, &err) != RC_OK)
        return;
    auto_buf struct buf out = BUF_INIT(INFO_JSON_SIZE_MAX);
    replica_timeline_encode(&out, &id, &timeline);
    if (replica_timeline_decode(&again, &id, buf_bytes(&out), &err) != RC_OK)
        abort();
    if (again.timeline != timeline.timeline || again.parent_txid != timeline.parent_txid ||
        again.parent_digest != timeline.parent_digest || again.time_ms != timeline.time_ms ||
        again.own_snapshot != timeline.own_snapshot || strcmp(again.writer, timeline.writer) != 0)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes in = bytes_of(data, size);
    struct replica_header header;
    struct replica_header again;
    struct error err;

    fuzz_timeline(in);
    if (replica_header_decode(&header, in, &err) != RC_OK)
        return 0;
    auto_buf struct buf out = BUF_INIT(INFO_JSON_SIZE_MAX);
    replica_header_encode(&out, &header);
    if (replica_header_decode(&again, buf_bytes(&out), &err) != RC_OK)
        abort();
    if (again.page_size != header.page_size || again.created_ms != header.created_ms)
        abort();
    return 0;
}
