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
    rc (*before_store)(void *payload, struct error *err);
    void *before_store_payload;
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
    uploader->before_store = options->before_store;
    uploader->before_store_payload = options->before_store_payload;
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

/* ---- is it the next one? */

static rc upload_check_name(
    const struct segment_entry *entry, const struct segment_reader *reader, struct error *err)
{
    const struct segment_identity *identity = segment_reader_identity(reader);

    if (identity->kind != (entry->is_merged ? SEGMENT_MERGED : SEGMENT_LOG) ||
        identity->min_txid != entry->name.min_txid ||
        segment_reader_summary(reader)->max_txid != entry->name.max_txid)
        FAIL(err, RC_CORRUPT, "its name and its content disagree");
    return RC_OK;
}

/*
 * A merged segment that begins before the durable position: a part of its transactions was stored
 * by itself, while it was made. What this run stored is of the spool's own history; else the
 * replica is asked whether it continues what the replica has, as far as that can still be told.
 */
static rc upload_check_within(
    struct uploader *uploader, const struct segment_identity *identity, struct error *err)
{
    struct restore_target target = {
        .kind = RESTORE_TXID,
        .timeline = identity->timeline,
        .txid = identity->min_txid - 1,
    };
    auto_restore_plan struct restore_plan plan = RESTORE_PLAN_INIT;

    if (uploader->is_joined || target.txid == 0)
        return RC_OK;
    rc code = restore_plan_make(&plan, uploader->replica, &target, err);
    if (code == RC_NOT_FOUND)
        return RC_OK;
    if (code != RC_OK)
        return error_wrap(err, code, "look at transaction %" PRIu64, target.txid);
    if (plan.target.digest == identity->parent_digest)
        return RC_OK;
    FAIL(err, RC_MISMATCH,
        "transaction %" PRIu64 " is another one in the replica: another process wrote there",
        target.txid);
}

static rc upload_check(
    struct uploader *uploader, const struct segment_identity *identity, struct error *err)
{
    const struct replica_position *durable = &uploader->durable;

    if (memcmp(&identity->database_id, &durable->database_id, sizeof(struct database_id)) != 0)
        FAIL(err, RC_MISMATCH, "it belongs to another database than the replica");
    if (identity->kind == SEGMENT_MERGED && identity->timeline == durable->timeline &&
        identity->min_txid <= durable->txid)
        return upload_check_within(uploader, identity, err);
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

/*
 * The last transaction that the newest span of the chain at TIMELINE has without a gap behind
 * AFTER_TXID, at which its snapshot begins.
 */
static rc upload_stored_until(struct uploader *uploader, uint32_t timeline, uint64_t after_txid,
    uint64_t *ret, struct error *err)
{
    auto_view struct view view = VIEW_INIT;
    auto_reach struct reach reach = REACH_INIT;

    TRY(view_open(&view, uploader->replica->store, timeline, err));
    reach_find(&reach, &view.chain, view.chain.span_count - 1, after_txid);
    *ret = reach.has_hole ? reach.hole_first - 1 : reach.newest_txid;
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

    uint64_t until_txid = 0;
    TRY(upload_stored_until(uploader, identity->timeline, durable->txid + 1, &until_txid, err));
    *ret = until_txid + 1 >= identity->min_txid;
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

enum { UPLOAD_MERGED_LEVEL = 1, UPLOAD_LIST_COUNT_MAX = 16 };

/* One look at the spool. */
struct upload_look {
    struct segment_list list;
    const struct segment_entry *newest_log; /* it stays; NULL when there is none */
    bool is_stale;                          /* capture merged what was listed: look again */
};

/* Open ENTRY; RET's fd is -1 when capture has put a merged segment in its place. */
static rc upload_open_file(struct uploader *uploader, const struct segment_entry *entry,
    struct segment_file *ret, struct error *err)
{
    auto_free char *merged_folder = segment_dir_merged(uploader->spool_folder);
    const char *folder = entry->is_merged ? merged_folder : uploader->spool_folder;

    *ret = (struct segment_file){ .fd = -1 };
    rc code = segment_dir_open(ret, folder, &entry->name, err);
    return code == RC_NOT_FOUND ? RC_OK : code;
}

static rc upload_file(struct uploader *uploader, const struct segment_entry *entry,
    const struct segment_file *file, struct upload_report *report, struct error *err)
{
    struct segment_reader *reader = NULL;
    TRY(segment_reader_open(&reader, file->source, err));
    struct segment_identity identity = *segment_reader_identity(reader);
    struct segment_summary summary = *segment_reader_summary(reader);
    rc code = upload_check_name(entry, reader, err);
    segment_reader_free(reader);
    if (code == RC_OK)
        code = upload_step_over(uploader, &identity, err);
    if (code == RC_OK)
        code = upload_check(uploader, &identity, err);
    if (code != RC_OK)
        return code;

    struct replica_segment segment = {
        .timeline = identity.timeline,
        .level = entry->is_merged ? UPLOAD_MERGED_LEVEL : LEVEL_LOG,
        .name = entry->name,
    };
    if (uploader->before_store != NULL)
        TRY(uploader->before_store(uploader->before_store_payload, err));
    TRY(replica_put_segment(uploader->replica, &segment, &file->source, err));
    uploader_advance(uploader, &identity, &summary);
    report->segment_count++;
    report->stored_size += file->source.size;
    return RC_OK;
}

/*
 * The digest after a segment of an earlier run that should be in the replica already. Checked for
 * those that end at the durable position: when it is another, the replica holds somebody else's
 * history.
 */
static rc upload_join(struct uploader *uploader, const struct segment_file *file, struct error *err)
{
    struct segment_reader *reader = NULL;
    TRY(segment_reader_open(&reader, file->source, err));
    uint64_t digest = segment_reader_summary(reader)->digest;
    segment_reader_free(reader);
    if (digest == uploader->durable.digest)
        return RC_OK;
    FAIL(err, RC_MISMATCH,
        "transaction %" PRIu64 " is another one in the replica: another process wrote there",
        uploader->durable.txid);
}

/* Store ENTRY when it is not durable yet, or look whether it is what the replica has. */
static rc upload_one(struct uploader *uploader, const struct segment_entry *entry,
    struct upload_look *look, struct upload_report *report, struct error *err)
{
    bool is_durable = entry->name.max_txid <= uploader->durable.txid;
    bool is_join =
        is_durable && !uploader->is_joined && entry->name.max_txid == uploader->durable.txid;
    if (is_durable && !is_join)
        return RC_OK;

    char text[SEGMENT_NAME_SIZE];
    segment_name_format(text, &entry->name);
    struct segment_file file;
    TRY_AS(err, upload_open_file(uploader, entry, &file, err), "spool segment '%s'", text);
    if (file.fd < 0) {
        look->is_stale = true;
        return RC_OK;
    }
    rc code = is_join ? upload_join(uploader, &file, err)
                      : upload_file(uploader, entry, &file, report, err);
    segment_dir_close(&file);
    if (code != RC_OK)
        return error_wrap(err, code, "spool segment '%s'", text);
    uploader->is_joined = true;
    return RC_OK;
}

static rc upload_remove(struct uploader *uploader, const struct segment_entry *entry,
    struct upload_report *report, struct error *err)
{
    auto_free char *merged_folder = segment_dir_merged(uploader->spool_folder);
    const char *folder = entry->is_merged ? merged_folder : uploader->spool_folder;

    TRY(segment_dir_remove(folder, &entry->name, err));
    report->removed_count++;

    /*
     * Level 0 is synced with each segment that appears there. A merged one that a power cut brought
     * back after that would stand before a gap.
     */
    return entry->is_merged ? segment_dir_sync(folder, err) : RC_OK;
}

static rc upload_list(struct uploader *uploader, struct upload_look *look,
    struct upload_report *report, struct error *err)
{
    for (size_t i = 0; i < look->list.count; i++) {
        const struct segment_entry *entry = &look->list.entries[i];
        if (cancel_asked(uploader->cancel))
            FAIL(err, RC_CANCELLED, "upload was cancelled");
        /* What covers comes before what is covered, which then is durable. */
        TRY(upload_one(uploader, entry, look, report, err));
        if (look->is_stale)
            return RC_OK;
        if (entry != look->newest_log && !uploader->keep)
            TRY(upload_remove(uploader, entry, report, err));
    }
    return RC_OK;
}

static rc upload_look(struct uploader *uploader, struct upload_look *ret, struct error *err)
{
    TRY(segment_dir_list_spool(&ret->list, uploader->spool_folder, err));
    for (size_t i = 0; i < ret->list.count; i++) {
        if (!ret->list.entries[i].is_merged)
            ret->newest_log = &ret->list.entries[i];
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

    for (unsigned i = 0; i < UPLOAD_LIST_COUNT_MAX; i++) {
        struct upload_look look = { 0 };
        rc code = upload_look(uploader, &look, err);
        if (code == RC_OK)
            code = upload_list(uploader, &look, ret, err);
        segment_list_release(&look.list);
        if (code != RC_OK)
            return code;
        if (!look.is_stale) {
            upload_reach_origin(uploader);
            return RC_OK;
        }
    }
    FAIL(err, RC_BUSY, "the spool '%s' changes under our hands", uploader->spool_folder);
}

rc uploader_backlog(
    struct uploader *uploader, uint64_t *ret_segment_count, uint64_t *ret_size, struct error *err)
{
    auto_segment_list struct segment_list list = SEGMENT_LIST_INIT;
    TRY(segment_dir_list_spool(&list, uploader->spool_folder, err));

    uint64_t durable_txid = uploader_durable(uploader).txid;
    uint64_t count = 0;
    uint64_t size = 0;
    for (size_t i = 0; i < list.count; i++) {
        if (list.entries[i].is_covered || list.entries[i].name.max_txid <= durable_txid)
            continue;
        count++;
        size += list.entries[i].size;
    }
    *ret_segment_count = count;
    *ret_size = size;
    return RC_OK;
}
