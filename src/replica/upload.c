/*
 * upload - the spool into the replica, segment by segment
 */
#include "replica/upload.h"

#include <assert.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/text.h"
#include "segment/dir.h"
#include "segment/reader.h"
#include "view_priv.h"

struct uploader {
    struct replica *replica;
    char *spool_folder;
    struct cancel *cancel;
    bool keep;
    struct replica_position origin;
    bool is_joined; /* the first segment behind the durable position was looked at */

    pthread_mutex_t mu;
    struct replica_position durable; /* guarded by mu; written by drain alone */
};

struct uploader *uploader_new(struct replica *replica, const struct uploader_options *options)
{
    struct uploader *uploader = mem_new(sizeof *uploader);

    assert(options->durable.txid > 0);
    uploader->replica = replica;
    uploader->spool_folder = text_copy(options->spool_folder);
    uploader->cancel = options->cancel;
    uploader->keep = options->keep;
    uploader->durable = options->durable;
    uploader->origin = options->origin;
    pthread_mutex_init(&uploader->mu, NULL);
    return uploader;
}

void uploader_free(struct uploader *uploader)
{
    if (uploader == NULL)
        return;
    pthread_mutex_destroy(&uploader->mu);
    free(uploader->spool_folder);
    free(uploader);
}

struct replica_position uploader_durable(struct uploader *uploader)
{
    pthread_mutex_lock(&uploader->mu);
    struct replica_position durable = uploader->durable;
    pthread_mutex_unlock(&uploader->mu);
    return durable;
}

static void uploader_advance(struct uploader *uploader, const struct segment_identity *identity,
    const struct segment_summary *summary)
{
    pthread_mutex_lock(&uploader->mu);
    uploader->durable.timeline = identity->timeline;
    uploader->durable.page_size = identity->page_size;
    uploader->durable.txid = summary->max_txid;
    uploader->durable.digest = summary->digest;
    uploader->durable.page_count = summary->page_count;
    uploader->durable.time_ms = summary->last_time_ms;
    pthread_mutex_unlock(&uploader->mu);
}

/* What a segment in the spool must be to be the next one. */
static rc upload_check(const struct uploader *uploader, const struct segment_name *name,
    const struct segment_reader *reader, struct error *err)
{
    const struct segment_identity *identity = segment_reader_identity(reader);
    const struct segment_summary *summary = segment_reader_summary(reader);
    const struct replica_position *durable = &uploader->durable;

    if (identity->kind != SEGMENT_LOG || identity->min_txid != name->min_txid ||
        summary->max_txid != name->max_txid)
        FAIL(err, RC_CORRUPT, "its name and its content disagree");
    if (memcmp(&identity->database_id, &durable->database_id, sizeof(struct database_id)) != 0)
        FAIL(err, RC_MISMATCH, "it belongs to another database than the replica");
    if (identity->min_txid != durable->txid + 1) {
        FAIL(err, RC_MISMATCH,
            "it begins with transaction %" PRIu64 "; the replica ends with %" PRIu64,
            identity->min_txid, durable->txid);
    }
    if (identity->parent_digest != durable->digest) {
        FAIL(err, RC_MISMATCH,
            "it does not continue transaction %" PRIu64
            " of the replica: another process wrote there",
            durable->txid);
    }
    return RC_OK;
}

/* ---- a timeline that begins with a snapshot */

struct stored_log {
    uint64_t next_txid; /* behind what is stored without a gap */
};

static rc stored_log_each(void *payload, const struct store_object *object, struct error *err)
{
    struct stored_log *stored = payload;
    struct replica_key key;

    TRY(replica_key_parse(&key, object->key, err));
    if (key.name.min_txid == stored->next_txid)
        stored->next_txid = key.name.max_txid + 1;
    return RC_OK;
}

/*
 * Whether the segment is of a timeline that departs from the durable position with a snapshot of
 * its own, and what lies between that snapshot and the segment is stored: an earlier run did that,
 * and the snapshot was not complete, so the replica's position still is the parent's.
 */
static rc upload_departs(struct uploader *uploader, const struct segment_identity *identity,
    bool *ret, struct error *err)
{
    const struct replica_position *durable = &uploader->durable;
    struct store *store = uploader->replica->store;

    *ret = false;
    if (identity->timeline == durable->timeline || identity->min_txid < durable->txid + 2)
        return RC_OK;
    struct replica_timeline info;
    TRY(timeline_fetch(&info, store, identity->timeline, &durable->database_id, err));
    if (!info.own_snapshot || info.parent_timeline != durable->timeline ||
        info.parent_txid != durable->txid || info.parent_digest != durable->digest)
        return RC_OK;

    struct stored_log stored = { .next_txid = durable->txid + 2 };
    char prefix[REPLICA_KEY_SIZE];
    replica_key_level(prefix, identity->timeline, LEVEL_LOG);
    TRY(store_list(store, prefix, NULL, stored_log_each, &stored, err));
    *ret = stored.next_txid >= identity->min_txid;
    return RC_OK;
}

static rc upload_step_over(
    struct uploader *uploader, const struct segment_identity *identity, struct error *err)
{
    bool departs = false;

    if (memcmp(&identity->database_id, &uploader->durable.database_id,
            sizeof(struct database_id)) != 0)
        return RC_OK;
    TRY(upload_departs(uploader, identity, &departs, err));
    if (!departs)
        return RC_OK;
    pthread_mutex_lock(&uploader->mu);
    uploader->durable.timeline = identity->timeline;
    uploader->durable.page_size = identity->page_size;
    uploader->durable.txid = identity->min_txid - 1;
    uploader->durable.digest = identity->parent_digest;
    uploader->durable.page_count = identity->parent_page_count;
    pthread_mutex_unlock(&uploader->mu);
    return RC_OK;
}

/* ---- one segment */

static rc upload_open(struct uploader *uploader, const struct segment_name *name,
    const struct segment_file *file, struct upload_report *report, struct error *err)
{
    struct segment_reader *reader = NULL;
    TRY(segment_reader_open(&reader, file->source, err));
    struct segment_identity identity = *segment_reader_identity(reader);
    struct segment_summary summary = *segment_reader_summary(reader);
    rc code = upload_step_over(uploader, &identity, err);
    if (code == RC_OK)
        code = upload_check(uploader, name, reader, err);
    segment_reader_free(reader);
    if (code != RC_OK)
        return code;

    TRY(replica_put_segment(uploader->replica, identity.timeline, name, &file->source, err));
    uploader_advance(uploader, &identity, &summary);
    report->segment_count++;
    report->stored_size += file->source.size;
    return RC_OK;
}

static rc upload_one(struct uploader *uploader, const struct segment_name *name,
    struct upload_report *report, struct error *err)
{
    char text[SEGMENT_NAME_SIZE];
    segment_name_format(text, name);

    struct segment_file file;
    TRY_AS(err, segment_dir_open(&file, uploader->spool_folder, name, err), "spool segment '%s'",
        text);
    rc code = upload_open(uploader, name, &file, report, err);
    segment_dir_close(&file);
    if (code != RC_OK)
        return error_wrap(err, code, "spool segment '%s'", text);
    return RC_OK;
}

/*
 * A segment of an earlier run that should be in the replica already. Checked for the one that ends
 * at the durable position: when its digest is another, the replica holds somebody else's history.
 */
static rc upload_join(struct uploader *uploader, const struct segment_name *name, struct error *err)
{
    struct segment_file file;
    TRY(segment_dir_open(&file, uploader->spool_folder, name, err));
    struct segment_reader *reader = NULL;
    rc code = segment_reader_open(&reader, file.source, err);
    uint64_t digest = code == RC_OK ? segment_reader_summary(reader)->digest : 0;
    segment_reader_free(reader);
    segment_dir_close(&file);
    if (code != RC_OK)
        return code;
    if (digest == uploader->durable.digest)
        return RC_OK;
    FAIL(err, RC_MISMATCH,
        "transaction %" PRIu64 " is another one in the replica: another process wrote there",
        name->max_txid);
}

static rc upload_skip(struct uploader *uploader, const struct segment_name *name, bool is_last,
    struct upload_report *report, struct error *err)
{
    if (!uploader->is_joined && name->max_txid == uploader->durable.txid) {
        TRY_AS(err, upload_join(uploader, name, err), "spool");
        uploader->is_joined = true;
    }
    if (is_last || uploader->keep)
        return RC_OK;
    TRY(segment_dir_remove(uploader->spool_folder, name, err));
    report->removed_count++;
    return RC_OK;
}

static rc upload_list(struct uploader *uploader, const struct segment_list *list,
    struct upload_report *report, struct error *err)
{
    for (size_t i = 0; i < list->count; i++) {
        const struct segment_name *name = &list->entries[i].name;
        if (cancel_asked(uploader->cancel))
            FAIL(err, RC_CANCELLED, "upload was cancelled");
        if (name->max_txid > uploader->durable.txid) {
            TRY(upload_one(uploader, name, report, err));
            uploader->is_joined = true;
        }
        TRY(upload_skip(uploader, name, i + 1 == list->count, report, err));
    }
    return RC_OK;
}

/* All that leads up to the origin is stored; what leads there is its snapshot. */
static void upload_reach_origin(struct uploader *uploader)
{
    const struct replica_position *origin = &uploader->origin;

    pthread_mutex_lock(&uploader->mu);
    if (origin->txid == uploader->durable.txid + 1 &&
        origin->timeline != uploader->durable.timeline)
        uploader->durable = *origin;
    pthread_mutex_unlock(&uploader->mu);
}

rc uploader_drain(struct uploader *uploader, struct upload_report *ret, struct error *err)
{
    *ret = (struct upload_report){ 0 };

    auto_segment_list struct segment_list list = SEGMENT_LIST_INIT;
    TRY(segment_dir_list(&list, uploader->spool_folder, err));
    TRY(upload_list(uploader, &list, ret, err));
    upload_reach_origin(uploader);
    return RC_OK;
}

rc uploader_backlog(
    struct uploader *uploader, uint64_t *ret_segment_count, uint64_t *ret_size, struct error *err)
{
    auto_segment_list struct segment_list list = SEGMENT_LIST_INIT;
    TRY(segment_dir_list(&list, uploader->spool_folder, err));

    uint64_t durable_txid = uploader_durable(uploader).txid;
    uint64_t count = 0;
    uint64_t size = 0;
    for (size_t i = 0; i < list.count; i++) {
        if (list.entries[i].name.max_txid <= durable_txid)
            continue;
        count++;
        size += list.entries[i].size;
    }
    *ret_segment_count = count;
    *ret_size = size;
    return RC_OK;
}
