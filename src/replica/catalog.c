/*
 * catalog - one listing of a replica, and what is fetched to understand it
 */
#include "catalog_priv.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "object_source_priv.h"
#include "segment/reader.h"
#include "store/store.h"

/* Room for one more element of an array that doubles. */
static void *catalog_grow(void *array, size_t count, size_t element_size)
{
    if (count != 0 && (count & (count - 1)) != 0)
        return array;
    return mem_resize(array, (count == 0 ? 1 : 2 * count) * element_size);
}

void catalog_release(struct catalog *catalog)
{
    for (size_t i = 0; i < catalog->timeline_count; i++) {
        free(catalog->timelines[i].snapshots);
        free(catalog->timelines[i].logs);
        free(catalog->timelines[i].merged);
    }
    free(catalog->timelines);
    catalog_notes_release(&catalog->notes);
    *catalog = CATALOG_INIT;
}

size_t catalog_find(const struct catalog *catalog, uint32_t timeline)
{
    size_t low = 0;
    size_t high = catalog->timeline_count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (catalog->timelines[middle].timeline < timeline)
            low = middle + 1;
        else
            high = middle;
    }
    if (low < catalog->timeline_count && catalog->timelines[low].timeline == timeline)
        return low;
    return catalog->timeline_count;
}

/* The entry of TIMELINE, made when it is new; listings come in order, so that is nearly an append.
 */
static rc catalog_timeline_for(
    struct catalog *catalog, uint32_t timeline, struct catalog_timeline **ret, struct error *err)
{
    size_t found = catalog_find(catalog, timeline);
    if (found < catalog->timeline_count) {
        *ret = &catalog->timelines[found];
        return RC_OK;
    }
    if (catalog->timeline_count == REPLICA_TIMELINE_COUNT_MAX) {
        FAIL(err, RC_UNSUPPORTED, "more than %d timelines in one replica",
            REPLICA_TIMELINE_COUNT_MAX);
    }

    catalog->timelines =
        catalog_grow(catalog->timelines, catalog->timeline_count, sizeof *catalog->timelines);
    size_t place = catalog->timeline_count++;
    while (place > 0 && catalog->timelines[place - 1].timeline > timeline) {
        catalog->timelines[place] = catalog->timelines[place - 1];
        place--;
    }
    catalog->timelines[place] = (struct catalog_timeline){ .timeline = timeline };
    *ret = &catalog->timelines[place];
    return RC_OK;
}

static void catalog_add_snapshot(
    struct catalog_timeline *timeline, const struct segment_name *name, uint64_t size)
{
    timeline->snapshots =
        catalog_grow(timeline->snapshots, timeline->snapshot_count, sizeof *timeline->snapshots);
    timeline->snapshots[timeline->snapshot_count++] = (struct catalog_snapshot){
        .name = *name,
        .size = size,
    };
}

static void catalog_add_log(
    struct catalog_timeline *timeline, const struct segment_name *name, uint64_t size)
{
    timeline->logs = catalog_grow(timeline->logs, timeline->log_count, sizeof *timeline->logs);
    timeline->logs[timeline->log_count++] = (struct segment_entry){ .name = *name, .size = size };
}

static rc catalog_add_segment(
    struct catalog *catalog, const struct replica_key *key, uint64_t size, struct error *err)
{
    struct catalog_timeline *timeline = NULL;
    TRY(catalog_timeline_for(catalog, key->timeline, &timeline, err));
    if (catalog->object_count == REPLICA_OBJECT_COUNT_MAX) {
        FAIL(err, RC_UNSUPPORTED, "more than %d segments in one replica", REPLICA_OBJECT_COUNT_MAX);
    }
    catalog->object_count++;
    catalog->object_size += size;

    if (key->level == LEVEL_SNAPSHOT) {
        catalog_add_snapshot(timeline, &key->name, size);
        return RC_OK;
    }
    if (key->level == LEVEL_LOG) {
        catalog_add_log(timeline, &key->name, size);
        return RC_OK;
    }
    timeline->merged =
        catalog_grow(timeline->merged, timeline->merged_count, sizeof *timeline->merged);
    timeline->merged[timeline->merged_count++] = (struct catalog_segment){
        .level = key->level,
        .entry = { .name = key->name, .size = size },
    };
    return RC_OK;
}

rc catalog_add(
    struct catalog *catalog, const struct replica_key *key, uint64_t size, struct error *err)
{
    switch (key->kind) {
    case REPLICA_KEY_INFO:
        catalog->has_header = true;
        return RC_OK;
    case REPLICA_KEY_TIMELINE: {
        struct catalog_timeline *timeline = NULL;
        TRY(catalog_timeline_for(catalog, key->timeline, &timeline, err));
        timeline->is_claimed = true;
        return RC_OK;
    }
    case REPLICA_KEY_SEGMENT:
        return catalog_add_segment(catalog, key, size, err);
    case REPLICA_KEY_EXPIRE:
    case REPLICA_KEY_HOLD:
        return catalog_notes_add(&catalog->notes, key, err);
    case REPLICA_KEY_RESERVED:
        return RC_OK;
    }
    abort();
}

static bool segment_name_equal(const struct segment_name *left, const struct segment_name *right)
{
    return left->min_txid == right->min_txid && left->max_txid == right->max_txid &&
           left->time_ms == right->time_ms;
}

static void catalog_remove_log(struct catalog_timeline *timeline, const struct segment_name *name)
{
    size_t kept = 0;

    for (size_t i = 0; i < timeline->log_count; i++) {
        if (!segment_name_equal(&timeline->logs[i].name, name))
            timeline->logs[kept++] = timeline->logs[i];
    }
    timeline->log_count = kept;
}

static void catalog_remove_merged(
    struct catalog_timeline *timeline, unsigned level, const struct segment_name *name)
{
    size_t kept = 0;

    for (size_t i = 0; i < timeline->merged_count; i++) {
        const struct catalog_segment *merged = &timeline->merged[i];
        if (merged->level != level || !segment_name_equal(&merged->entry.name, name))
            timeline->merged[kept++] = *merged;
    }
    timeline->merged_count = kept;
}

void catalog_remove(struct catalog *catalog, const struct restore_object *object)
{
    assert(object->kind != SEGMENT_SNAPSHOT);

    size_t index = catalog_find(catalog, object->timeline);
    if (index == catalog->timeline_count)
        return;
    if (object->kind == SEGMENT_LOG)
        catalog_remove_log(&catalog->timelines[index], &object->name);
    else
        catalog_remove_merged(&catalog->timelines[index], object->level, &object->name);
}

rc catalog_check(const struct catalog *catalog, struct error *err)
{
    if (!catalog->has_header)
        FAIL(err, RC_CORRUPT, "there are objects, but no '" REPLICA_INFO_KEY "'");
    for (size_t i = 0; i < catalog->timeline_count; i++) {
        const struct catalog_timeline *timeline = &catalog->timelines[i];
        if (timeline->is_claimed)
            continue;
        char key[REPLICA_KEY_SIZE];
        replica_key_timeline(key, timeline->timeline);
        FAIL(err, RC_CORRUPT, "timeline %08" PRIx32 " has segments, but '%s' is missing",
            timeline->timeline, key);
    }
    return RC_OK;
}

static rc catalog_each(void *payload, const struct store_object *object, struct error *err)
{
    struct catalog *catalog = payload;
    struct replica_key key;

    catalog->is_empty = false;
    TRY(replica_key_parse(&key, object->key, err));
    TRY(catalog_add(catalog, &key, object->size, err));
    if (key.kind == REPLICA_KEY_EXPIRE)
        catalog->notes.expires[catalog->notes.expire_count - 1].modified_ms = object->modified_ms;
    return RC_OK;
}

static rc catalog_list(struct catalog *catalog, struct store *store, struct error *err)
{
    catalog->is_empty = true;
    rc code = store_list(store, "", NULL, catalog_each, catalog, err);

    /* A missing bucket is not a missing backup: the name is more likely wrong than the bucket
     * empty. */
    if (code == RC_NOT_FOUND)
        return error_wrap(err, RC_USAGE, "list '%s'", store_name(store));
    if (code != RC_OK)
        return error_wrap(err, code, "list '%s'", store_name(store));
    if (catalog->is_empty)
        FAIL(err, RC_NOT_FOUND, "there is no replica at '%s'", store_name(store));
    return catalog_check(catalog, err);
}

/* RC_BUSY: a note that was listed went away; another one stands for it by now. */
static rc catalog_load_once(struct catalog *ret, struct store *store, struct error *err)
{
    auto_catalog struct catalog catalog = CATALOG_INIT;
    TRY(catalog_list(&catalog, store, err));

    auto_buf struct buf json = BUF_INIT(INFO_JSON_SIZE_MAX);
    TRY(object_get_listed(store, REPLICA_INFO_KEY, &json, err));
    TRY_AS(err, replica_header_decode(&catalog.header, buf_bytes(&json), err), "'%s'",
        REPLICA_INFO_KEY);
    rc code = catalog_load_notes(&catalog, store, err);
    if (code == RC_NOT_FOUND)
        return error_wrap(err, RC_BUSY, "a note of retention was there a moment ago");
    if (code != RC_OK)
        return code;

    *ret = catalog;
    catalog = CATALOG_INIT;
    return RC_OK;
}

rc catalog_load_whole(struct catalog *ret, struct store *store, struct error *err)
{
    enum { TRY_COUNT_MAX = 5 };
    rc code = RC_BUSY;

    for (int i = 0; i < TRY_COUNT_MAX && code == RC_BUSY; i++)
        code = catalog_load_once(ret, store, err);
    return code;
}

rc catalog_load(struct catalog *ret, struct store *store, struct error *err)
{
    TRY(catalog_load_whole(ret, store, err));
    catalog_hide_condemned(ret);
    return RC_OK;
}

rc timeline_fetch(struct replica_timeline *ret, struct store *store, uint32_t timeline,
    const struct database_id *id, struct error *err)
{
    char key[REPLICA_KEY_SIZE];
    replica_key_timeline(key, timeline);
    auto_buf struct buf json = BUF_INIT(INFO_JSON_SIZE_MAX);
    TRY(object_get_listed(store, key, &json, err));

    struct replica_timeline info;
    struct database_id info_id;
    TRY_AS(err, replica_timeline_decode(&info, &info_id, buf_bytes(&json), err), "'%s'", key);
    if (info.timeline != timeline)
        FAIL(err, RC_CORRUPT, "'%s' is about timeline %08" PRIx32, key, info.timeline);
    if (memcmp(&info_id, id, sizeof info_id) != 0)
        FAIL(err, RC_CORRUPT, "'%s' belongs to another database", key);

    *ret = info;
    return RC_OK;
}

rc catalog_load_timeline(
    struct catalog *catalog, struct store *store, size_t index, struct error *err)
{
    assert(index < catalog->timeline_count);

    struct catalog_timeline *timeline = &catalog->timelines[index];
    if (timeline->is_loaded)
        return RC_OK;
    TRY(timeline_fetch(
        &timeline->info, store, timeline->timeline, &catalog->header.database_id, err));
    timeline->is_loaded = true;
    return RC_OK;
}

static rc snapshot_check(const struct catalog *catalog, const struct catalog_timeline *timeline,
    const struct catalog_snapshot *snapshot, struct error *err)
{
    const struct segment_identity *identity = &snapshot->identity;
    const struct segment_summary *summary = &snapshot->summary;

    if (identity->kind != SEGMENT_SNAPSHOT)
        FAIL(err, RC_CORRUPT, "it is no snapshot inside");
    if (memcmp(&identity->database_id, &catalog->header.database_id, sizeof(struct database_id)) !=
        0)
        FAIL(err, RC_CORRUPT, "it belongs to another database");
    if (identity->timeline != timeline->timeline)
        FAIL(err, RC_CORRUPT, "it is of timeline %08" PRIx32, identity->timeline);
    if (identity->min_txid != snapshot->name.min_txid)
        FAIL(err, RC_CORRUPT, "it begins at transaction %" PRIu64, identity->min_txid);
    if (summary->max_txid < identity->min_txid || summary->max_txid > TXID_MAX)
        FAIL(err, RC_CORRUPT, "it ends at transaction %" PRIu64, summary->max_txid);
    if (summary->stored_size != snapshot->size)
        FAIL(err, RC_CORRUPT, "it should have %" PRIu64 " bytes, there are %" PRIu64,
            summary->stored_size, snapshot->size);
    return RC_OK;
}

rc catalog_load_snapshot(struct catalog *catalog, struct store *store, size_t timeline_index,
    size_t snapshot_index, struct error *err)
{
    assert(timeline_index < catalog->timeline_count);
    struct catalog_timeline *timeline = &catalog->timelines[timeline_index];
    assert(snapshot_index < timeline->snapshot_count);
    struct catalog_snapshot *snapshot = &timeline->snapshots[snapshot_index];
    if (snapshot->is_loaded)
        return RC_OK;

    char key[REPLICA_KEY_SIZE];
    replica_key_segment(key, timeline->timeline, LEVEL_SNAPSHOT, &snapshot->name);
    struct object_source object;
    object_source_init(&object, store, key, snapshot->size);
    struct segment_reader *reader = NULL;
    rc code = segment_reader_open(&reader, object_source(&object), err);
    if (code != RC_OK)
        return snapshot_failed(err, code, key);
    snapshot->identity = *segment_reader_identity(reader);
    snapshot->summary = *segment_reader_summary(reader);
    segment_reader_free(reader);

    code = snapshot_check(catalog, timeline, snapshot, err);
    if (code != RC_OK)
        return snapshot_failed(err, code, key);
    snapshot->is_loaded = true;
    return RC_OK;
}
