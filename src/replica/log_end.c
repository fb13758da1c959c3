/*
 * log_end - where the log of one timeline ends, whether it restores or not
 */
#include "replica/replica.h"

#include <inttypes.h>
#include <stdio.h>

#include "object_source_priv.h"
#include "segment/reader.h"
#include "view_priv.h"

struct log_end {
    bool is_found;
    struct replica_key newest;
    uint64_t size;
};

static rc log_end_each(void *payload, const struct store_object *object, struct error *err)
{
    struct log_end *end = payload;
    struct replica_key key;

    TRY(replica_key_parse(&key, object->key, err));
    if (key.kind != REPLICA_KEY_SEGMENT || key.level == LEVEL_SNAPSHOT)
        return RC_OK;
    if (end->is_found && key.name.max_txid <= end->newest.name.max_txid)
        return RC_OK;
    *end = (struct log_end){ .is_found = true, .newest = key, .size = object->size };
    return RC_OK;
}

static rc log_end_read(struct replica *replica, const struct log_end *end,
    struct replica_position *ret, struct error *err)
{
    char key[REPLICA_KEY_SIZE];
    replica_key_segment(key, end->newest.timeline, end->newest.level, &end->newest.name);
    auto_object_source struct object_source object;
    object_source_init(&object, replica->store, key, end->size);

    auto_segment_reader struct segment_reader *reader = NULL;
    TRY_AS(err, segment_reader_open(&reader, object_source(&object), err), "segment '%s'", key);
    const struct segment_identity *identity = segment_reader_identity(reader);
    const struct segment_summary *summary = segment_reader_summary(reader);
    if (identity->timeline != end->newest.timeline ||
        summary->max_txid != end->newest.name.max_txid)
        FAIL(err, RC_CORRUPT, "segment '%s': its name and its content disagree", key);
    *ret = (struct replica_position){
        .database_id = identity->database_id,
        .timeline = identity->timeline,
        .txid = summary->max_txid,
        .digest = summary->digest,
        .page_count = summary->page_count,
        .page_size = identity->page_size,
        .time_ms = summary->last_time_ms,
    };
    return RC_OK;
}

rc replica_log_end(
    struct replica *replica, uint32_t timeline, struct replica_position *ret, struct error *err)
{
    char prefix[REPLICA_KEY_SIZE];
    struct log_end end = { 0 };

    snprintf(prefix, sizeof prefix, "%08" PRIx32 "/", timeline);
    TRY(store_list(replica->store, prefix, NULL, log_end_each, &end, err));
    *ret = (struct replica_position){ 0 };
    return end.is_found ? log_end_read(replica, &end, ret, err) : RC_OK;
}
