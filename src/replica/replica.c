/*
 * replica - look, make, claim
 */
#include "replica/replica.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/duration.h"
#include "base/text.h"
#include "codec/hash.h"
#include "view_priv.h"

enum { CLAIM_TRY_COUNT_MAX = 100 };

struct replica *replica_new(struct store *store)
{
    struct replica *replica = mem_new(sizeof *replica);

    assert(store != NULL);
    replica->store = store;
    return replica;
}

void replica_free(struct replica *replica)
{
    free(replica);
}

const char *replica_name(const struct replica *replica)
{
    return store_name(replica->store);
}

void replica_writer_name(char *out)
{
    char host[65] = "?";
    uint8_t random[8];
    char digits[2 * sizeof random + 1];

    if (gethostname(host, sizeof host - 1) != 0)
        snprintf(host, sizeof host, "?");
    host[sizeof host - 1] = '\0';
    random_fill(random, sizeof random);
    text_put_hex(digits, random, sizeof random);
    snprintf(out, REPLICA_WRITER_SIZE, "%s/%ld/%s", host, (long)getpid(), digits);
}

/* ---- look */

static rc inspect_position(struct view *view, struct replica_info *info, struct error *err)
{
    auto_point struct point point = POINT_INIT;
    rc code = point_find(view, TXID_MAX, &point, err);

    /* Made, claimed, and the first snapshot is not there yet: nothing is restorable so far. */
    if (code == RC_NOT_FOUND)
        return RC_OK;
    if (code != RC_OK)
        return code;

    const struct catalog_snapshot *snapshot = point_snapshot(view, &point);
    info->newest_snapshot_txid = snapshot->name.min_txid;
    info->newest_snapshot_size = snapshot->size;
    info->newest_snapshot_time_ms = snapshot->name.time_ms;
    info->log_size_since_snapshot = point.route.size;
    return point_position(view, &point, &info->position, err);
}

rc replica_inspect(struct replica *replica, struct replica_info *ret, struct error *err)
{
    auto_view struct view view = VIEW_INIT;
    TRY(view_open(&view, replica->store, 0, err));

    const struct catalog *catalog = &view.catalog;
    struct replica_info info = {
        .database_id = catalog->header.database_id,
        .page_size = catalog->header.page_size,
        .created_ms = catalog->header.created_ms,
        .object_count = catalog->object_count,
        .object_size = catalog->object_size,
    };
    if (catalog->timeline_count > 0)
        info.newest_timeline = catalog->timelines[catalog->timeline_count - 1].info;
    TRY(inspect_position(&view, &info, err));
    info.needs_snapshot = info.newest_timeline.own_snapshot &&
                          info.position.timeline != info.newest_timeline.timeline;

    *ret = info;
    return RC_OK;
}

/* ---- make */

static rc replica_put_timeline(struct replica *replica, const struct database_id *id,
    const struct replica_timeline *timeline, struct error *err)
{
    char key[REPLICA_KEY_SIZE];
    replica_key_timeline(key, timeline->timeline);

    auto_buf struct buf json = BUF_INIT(INFO_JSON_SIZE_MAX);
    replica_timeline_encode(&json, id, timeline);
    rc code = store_put(replica->store, key, buf_bytes(&json), STORE_PUT_NEW, err);
    if (code == RC_OK)
        return RC_OK;
    return error_wrap(err, code, "claim timeline %08" PRIx32, timeline->timeline);
}

static void timeline_set_writer(struct replica_timeline *timeline, const char *writer)
{
    snprintf(timeline->writer, sizeof timeline->writer, "%s", writer != NULL ? writer : "?");
}

rc replica_create(struct replica *replica, const struct replica_create_options *options,
    struct database_id *ret_database_id, struct error *err)
{
    static const struct database_id none = { 0 };
    struct replica_header header = {
        .database_id = options->database_id,
        .page_size = options->page_size,
        .created_ms = options->time_ms,
    };
    if (memcmp(&header.database_id, &none, sizeof none) == 0)
        random_fill(header.database_id.bytes, sizeof header.database_id.bytes);

    auto_buf struct buf json = BUF_INIT(INFO_JSON_SIZE_MAX);
    replica_header_encode(&json, &header);
    rc code = store_put(replica->store, REPLICA_INFO_KEY, buf_bytes(&json), STORE_PUT_NEW, err);
    if (code != RC_OK)
        return error_wrap(err, code, "make a replica at '%s'", replica_name(replica));

    struct replica_timeline timeline = {
        .timeline = options->timeline != 0 ? options->timeline : 1,
        .own_snapshot = true,
        .page_size = options->page_size,
        .time_ms = options->time_ms,
    };
    timeline_set_writer(&timeline, options->writer);
    TRY(replica_put_timeline(replica, &header.database_id, &timeline, err));

    *ret_database_id = header.database_id;
    return RC_OK;
}

/* ---- claim */

static rc claim_newest_each(void *payload, const struct store_object *object, struct error *err)
{
    uint32_t *newest = payload;
    struct replica_key key;

    TRY(replica_key_parse(&key, object->key, err));
    assert(key.kind == REPLICA_KEY_TIMELINE);
    if (key.timeline > *newest)
        *newest = key.timeline;
    return RC_OK;
}

static rc claim_read_header(struct replica *replica, struct replica_header *ret, struct error *err)
{
    auto_buf struct buf json = BUF_INIT(INFO_JSON_SIZE_MAX);

    TRY_AS(err, store_get(replica->store, REPLICA_INFO_KEY, 0, 0, &json, err), "'%s'",
        REPLICA_INFO_KEY);
    TRY_AS(err, replica_header_decode(ret, buf_bytes(&json), err), "'%s'", REPLICA_INFO_KEY);
    return RC_OK;
}

/* What is claimed under another database's name would make the whole replica unreadable. */
static rc claim_check_header(const struct replica_header *header,
    const struct replica_claim_options *options, struct error *err)
{
    static const struct database_id none = { 0 };
    const struct database_id *expected = &options->parent.database_id;

    if (memcmp(expected, &none, sizeof none) == 0 ||
        memcmp(expected, &header->database_id, sizeof *expected) == 0)
        return RC_OK;
    FAIL(err, RC_CORRUPT, "'%s' names another database than before", REPLICA_INFO_KEY);
}

rc replica_claim_timeline(struct replica *replica, const struct replica_claim_options *options,
    uint32_t *ret_timeline, struct error *err)
{
    bool has_parent = options->parent.txid != 0;
    struct replica_header header;
    TRY(claim_read_header(replica, &header, err));
    TRY(claim_check_header(&header, options, err));

    struct replica_timeline timeline = {
        .parent_timeline = has_parent ? options->parent.timeline : 0,
        .parent_txid = options->parent.txid,
        .parent_digest = options->parent.digest,
        .own_snapshot = options->own_snapshot || !has_parent,
        .page_size = options->page_size,
        .time_ms = options->time_ms,
    };
    timeline_set_writer(&timeline, options->writer);
    uint32_t newest = 0;
    TRY(store_list(replica->store, REPLICA_TIMELINE_PREFIX, NULL, claim_newest_each, &newest, err));
    if (newest < timeline.parent_timeline)
        newest = timeline.parent_timeline;

    /* Each lost race is a number that somebody else has; the next one may be free. */
    for (unsigned i = 0; i < CLAIM_TRY_COUNT_MAX && newest < UINT32_MAX; i++) {
        timeline.timeline = ++newest;
        rc code = replica_put_timeline(replica, &header.database_id, &timeline, err);
        if (code == RC_OK) {
            *ret_timeline = timeline.timeline;
            return RC_OK;
        }
        if (code != RC_EXISTS)
            return code;
    }
    FAIL(err, RC_BUSY, "%d timelines were claimed by others meanwhile", CLAIM_TRY_COUNT_MAX);
}

rc replica_successor(
    struct replica *replica, uint32_t timeline, struct replica_timeline *ret, struct error *err)
{
    struct database_id id;

    *ret = (struct replica_timeline){ 0 };
    if (timeline == UINT32_MAX)
        return RC_OK;

    /* Numbers are claimed one behind the other, so the next one tells. */
    char key[REPLICA_KEY_SIZE];
    replica_key_timeline(key, timeline + 1);
    auto_buf struct buf json = BUF_INIT(INFO_JSON_SIZE_MAX);
    rc code = store_get(replica->store, key, 0, 0, &json, err);
    if (code == RC_NOT_FOUND)
        return RC_OK;
    if (code != RC_OK)
        return error_wrap(err, code, "look for a newer timeline");
    TRY_AS(err, replica_timeline_decode(ret, &id, buf_bytes(&json), err), "'%s'", key);
    return RC_OK;
}

void replica_claim_describe(
    char out[REPLICA_CLAIM_TEXT_SIZE], const struct replica_timeline *timeline)
{
    char when[INSTANT_TEXT_SIZE];
    const char *pid = strchr(timeline->writer, '/');
    int host_size = pid != NULL ? (int)(pid - timeline->writer) : 0;
    int pid_size = pid != NULL ? (int)strcspn(pid + 1, "/") : 0;

    instant_format_ms(when, timeline->time_ms);
    if (host_size > 0 && pid_size > 0) {
        snprintf(out, REPLICA_CLAIM_TEXT_SIZE,
            "timeline %08" PRIx32 ", claimed by host '%.*s', process %.*s, at %s",
            timeline->timeline, host_size, timeline->writer, pid_size, pid + 1, when);
        return;
    }
    snprintf(out, REPLICA_CLAIM_TEXT_SIZE, "timeline %08" PRIx32 ", claimed by '%s' at %s",
        timeline->timeline, timeline->writer, when);
}
