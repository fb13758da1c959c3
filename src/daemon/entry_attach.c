/*
 * entry_attach - what the local history and the replica have in common, before anything is stored
 *
 * A state folder can be older than the replica that it wrote: a machine that was set back to a
 * snapshot of its disk, a folder put back from a backup. What it captures from then on departs from
 * what is stored, and names of segments do not collide. So before the first upload, and before a
 * timeline is claimed behind the local position, the end of the stored log of our timeline must be
 * a point of the local history with the same digest. Where it is not, the local state is not gone
 * on from: the newest point of the replica is adopted, the database is compared with it, and what
 * differs becomes one transaction in a timeline of our own. Both histories stay.
 */
#include "entry_priv.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/log.h"
#include "segment/dir.h"
#include "segment/reader.h"

static const char attach_damage[] = "a segment in the spool is damaged";

struct attach_local {
    const struct capture_position *captured;
    const char *spool_dir;
};

struct attach_ends {
    struct replica_position before; /* what the segment continues */
    uint64_t last_txid;
    uint64_t last_digest;
};

static rc attach_read_ends(const char *spool_dir, const struct segment_entry *segment,
    struct attach_ends *ret, struct error *err)
{
    auto_segment_reader struct segment_reader *reader = NULL;
    auto_segment_file struct segment_file file = SEGMENT_FILE_INIT;
    auto_free char *merged = segment_dir_merged(spool_dir);

    TRY(segment_dir_open(&file, segment->is_merged ? merged : spool_dir, &segment->name, err));
    TRY(segment_reader_open(&reader, file.source, err));
    const struct segment_identity *identity = segment_reader_identity(reader);
    *ret = (struct attach_ends){
        .before = {
            .database_id = identity->database_id,
            .timeline = identity->timeline,
            .txid = identity->min_txid - 1,
            .digest = identity->parent_digest,
            .page_count = identity->parent_page_count,
            .page_size = identity->page_size,
        },
        .last_txid = segment_reader_summary(reader)->max_txid,
        .last_digest = segment_reader_summary(reader)->digest,
    };
    return RC_OK;
}

/* What the spool needs before its first segment; the captured position when it is empty. */
static rc attach_base(
    const struct attach_local *local, struct replica_position *ret, struct error *err)
{
    auto_segment_list struct segment_list list = SEGMENT_LIST_INIT;
    struct attach_ends ends;

    TRY(segment_dir_list_spool(&list, local->spool_dir, err));
    *ret = replica_position_of(local->captured);
    if (list.count == 0)
        return RC_OK;
    TRY(attach_read_ends(local->spool_dir, &list.entries[0], &ends, err));
    *ret = ends.before;
    return RC_OK;
}

/*
 * Whether the local history went through POSITION: a segment ends or begins there, with that
 * digest. Inside of a merged segment nothing can be told, and the uploader decides.
 */
static rc attach_went_through(const struct attach_local *local,
    const struct replica_position *position, bool *ret, struct error *err)
{
    auto_segment_list struct segment_list list = SEGMENT_LIST_INIT;
    const struct capture_position *captured = local->captured;

    *ret = position->txid == captured->txid && position->digest == captured->digest;
    if (*ret || position->txid >= captured->txid)
        return RC_OK;
    TRY(segment_dir_list_spool(&list, local->spool_dir, err));
    for (size_t index = 0; index < list.count && !*ret; index++) {
        const struct segment_entry *segment = &list.entries[index];
        struct attach_ends ends;
        if (position->txid + 1 < segment->name.min_txid ||
            position->txid > segment->name.max_txid || segment->is_covered)
            continue;
        TRY(attach_read_ends(local->spool_dir, segment, &ends, err));
        if (position->txid == ends.before.txid)
            *ret = position->digest == ends.before.digest;
        else if (position->txid == ends.last_txid)
            *ret = position->digest == ends.last_digest;
        else
            *ret = segment->is_merged;
    }
    return RC_OK;
}

/* ---- what the replica says */

struct attach_sight {
    struct replica_info info;        /* all zero when the replica was empty */
    struct replica_position durable; /* the log of the local history is stored up to here */
    const char *apart;               /* why the local state cannot be gone on from; NULL: it can */
};

/* What a look into the spool answered; damage there is a reason to go by the replica. */
static rc attach_of_spool(struct attach_sight *sight, rc looked)
{
    if (looked != RC_CORRUPT)
        return looked;
    sight->apart = attach_damage;
    return RC_OK;
}

/* The replica is empty although we have a history: it was emptied, or the bucket is new. */
static rc attach_create_again(
    struct entry *entry, const struct capture_position *captured, struct error *err)
{
    struct replica_position from = replica_position_of(captured);
    struct database_id id;

    TRY(entry_create(entry, &from, &id, err));
    log_event(LOG_WARN, "the replica is empty: it begins again with a snapshot", "db",
        entry->config->path, "replica", replica_name(entry->replica), NULL);
    return RC_OK;
}

/* The timeline has no log of its own yet: it begins where the local history goes on. */
static rc attach_judge_beginning(struct entry *entry, const struct attach_local *local,
    struct attach_sight *sight, struct error *err)
{
    const struct replica_timeline *newest = &sight->info.newest_timeline;
    uint32_t timeline = local->captured->timeline;
    struct replica_position parent_end = { 0 };
    bool known = false;

    if (newest->timeline == timeline && newest->parent_txid != 0) {
        /* No timeline departs from what is not stored. */
        sight->durable = (struct replica_position){
            .database_id = local->captured->database_id,
            .timeline = newest->parent_timeline,
            .txid = newest->parent_txid,
            .digest = newest->parent_digest,
        };
        if (newest->own_snapshot)
            return RC_OK; /* the local history need not go through where it departs */
        TRY(attach_of_spool(sight, attach_went_through(local, &sight->durable, &known, err)));
        if (!known && sight->apart == NULL)
            sight->apart = "the local history does not begin where the replica's timeline does";
        return RC_OK;
    }
    TRY(attach_of_spool(sight, attach_base(local, &sight->durable, err)));
    if (sight->apart != NULL)
        return RC_OK;
    if (sight->durable.timeline != timeline) {
        /* Segments of the parent lie in the spool as well; most of them are stored. */
        TRY(replica_log_end(entry->replica, sight->durable.timeline, &parent_end, err));
        if (parent_end.txid == 0)
            return RC_OK;
        TRY(attach_of_spool(sight, attach_went_through(local, &parent_end, &known, err)));
        if (known)
            sight->durable = parent_end;
        else if (sight->apart == NULL)
            sight->apart = "the replica's log of the timeline before is not the local one";
        return RC_OK;
    }
    return RC_OK;
}

static rc attach_judge_log(struct entry *entry, const struct attach_local *local,
    struct attach_sight *sight, struct error *err)
{
    struct replica_position end;
    bool known = false;

    TRY(replica_log_end(entry->replica, local->captured->timeline, &end, err));
    if (end.txid == 0)
        return attach_judge_beginning(entry, local, sight, err);
    TRY(attach_of_spool(sight, attach_went_through(local, &end, &known, err)));
    sight->durable = end;
    if (!known && sight->apart == NULL)
        sight->apart = end.txid > local->captured->txid
                           ? "the local state is older than the replica"
                           : "the replica's log of this timeline is not the local one";
    return RC_OK;
}

static rc attach_look(struct entry *entry, const struct attach_local *local,
    struct attach_sight *sight, struct error *err)
{
    const struct capture_position *captured = local->captured;

    *sight = (struct attach_sight){ 0 };
    rc inspected = replica_inspect(entry->replica, &sight->info, err);
    if (inspected == RC_NOT_FOUND) {
        sight->info = (struct replica_info){ 0 };
        TRY(attach_create_again(entry, captured, err));
        return attach_base(local, &sight->durable, err);
    }
    if (inspected != RC_OK)
        return inspected;
    if (memcmp(&sight->info.database_id, &captured->database_id, sizeof captured->database_id) != 0)
        FAIL(err, RC_MISMATCH,
            "'%s' holds another database's history; choose another replica path, or remove the state "
            "folder '%s' if the replica is the right one",
            replica_name(entry->replica), entry->state_dir);
    return attach_judge_log(entry, local, sight, err);
}

/* ---- before the first upload */

/* A newer timeline: RET is the claim of another writer, or all zero. */
static rc attach_check_newest(struct entry *entry, const struct capture_position *captured,
    struct attach_sight *sight, struct replica_timeline *ret, struct error *err)
{
    const struct replica_info *info = &sight->info;
    bool is_ours = false;

    *ret = (struct replica_timeline){ 0 };
    if (info->newest_timeline.timeline <= captured->timeline)
        return RC_OK;
    if (info->position.timeline <= captured->timeline)
        TRY(entry_claimed_before(entry, &info->newest_timeline, &is_ours, err));
    if (!is_ours) {
        *ret = info->newest_timeline;
        return RC_OK;
    }
    sight->apart = "a newer timeline was claimed and not used";
    return RC_OK;
}

/*
 * The newest point that the local history has for certain and the replica as well: where it stands,
 * or where the spool begins. What lies between is compared page by page anyway.
 */
static rc attach_note_common(
    struct entry *entry, const struct attach_local *local, struct error *err)
{
    struct replica_position points[2] = { replica_position_of(local->captured) };

    rc looked = attach_base(local, &points[1], err);
    if (looked == RC_CORRUPT)
        points[1] = points[0];
    else if (looked != RC_OK)
        return looked;
    return entry_note_common(entry, points, array_count(points), err);
}

/* The next open goes by the replica. */
static void attach_give_up(
    struct entry *entry, const struct capture_position *captured, const struct attach_sight *sight)
{
    log_event(LOG_WARN, "the history goes on from the replica, not from the local state", "db",
        entry->config->path, "why", sight->apart, "timeline", log_u64(captured->timeline),
        "local_txid", log_u64(captured->txid), "replica_txid", log_u64(sight->durable.txid), NULL);
    entry->by_replica = true;
}

static void attach_take(struct entry *entry, const struct attach_sight *sight,
    uint64_t snapshot_done_count, const struct replica_position *durable)
{
    const struct replica_info *info = &sight->info;
    bool needs_snapshot = info->needs_snapshot || info->position.txid == 0;

    pthread_mutex_lock(&entry->mu);
    entry->attached = true;
    entry->merge_wanted = true;
    entry->durable = *durable;
    entry_note_unstored_locked(entry);
    /* A snapshot that was stored while we looked is newer than what we saw. */
    bool is_current = entry->snapshot_done_count == snapshot_done_count;
    if (is_current) {
        entry->snapshot_wanted = entry->snapshot_wanted || needs_snapshot;
        entry->restorable_from = needs_snapshot ? 0 : info->position.txid;
        entry->snapshot_size = info->newest_snapshot_size;
        entry->snapshot_time_ms = info->newest_snapshot_time_ms;
        entry->log_size = info->log_size_since_snapshot;
        entry->merged_before = info->log_size_since_snapshot;
        entry->merged_size = 0;
        entry->merged_reset = true;
    }
    pthread_mutex_unlock(&entry->mu);
    entry_want_expire(entry);
    if (needs_snapshot && is_current)
        scheduler_at(entry->context->scheduler, &entry->snapshot_job, 0);
}

static struct uploader *attach_uploader(struct entry *entry, const struct attach_local *local,
    const struct attach_sight *sight, uint64_t origin_txid, bool is_fenced)
{
    struct uploader_options options = {
        .before_store = is_fenced ? entry_fence_before : NULL,
        .before_store_payload = entry,
        .spool_folder = local->spool_dir,
        .durable = sight->durable,
        .cancel = entry->context->cancel,
    };

    if (local->captured->txid == origin_txid)
        options.origin = replica_position_of(local->captured);
    return uploader_new(entry->replica, &options);
}

/* Taken over: what is captured is stored all the same, but nothing is said of what restores. */
static void attach_only_drain(struct entry *entry)
{
    pthread_mutex_lock(&entry->mu);
    entry->restorable_from = 0;
    pthread_mutex_unlock(&entry->mu);
}

rc entry_attach(struct entry *entry, struct error *err)
{
    pthread_mutex_lock(&entry->mu);
    struct capture_position captured = entry->captured;
    uint64_t snapshot_done_count = entry->snapshot_done_count;
    pthread_mutex_unlock(&entry->mu);

    struct attach_local local = { .captured = &captured, .spool_dir = entry->spool_dir };
    struct attach_sight sight;
    struct replica_timeline successor;
    TRY(attach_look(entry, &local, &sight, err));
    TRY(attach_check_newest(entry, &captured, &sight, &successor, err));
    if (successor.timeline != 0 && sight.apart != NULL)
        return entry_taken_over(entry, &successor, err);
    if (sight.apart != NULL) {
        TRY(attach_note_common(entry, &local, err));
        attach_give_up(entry, &captured, &sight);
        entry_reopen(entry, 0);
        FAIL(err, RC_CANCELLED, "opened again: %s", sight.apart);
    }
    uploader_free(entry->uploader);
    entry->uploader = attach_uploader(entry, &local, &sight, entry->origin_txid, true);
    entry_fence_noted(entry, &successor);
    if (successor.timeline != 0) {
        attach_only_drain(entry);
        return RC_OK;
    }
    attach_take(entry, &sight, snapshot_done_count, &sight.durable);
    entry_claim_forget(entry);
    return RC_OK;
}

rc entry_spool_damaged(struct entry *entry, struct error *err)
{
    struct attach_sight sight = { .apart = attach_damage };

    pthread_mutex_lock(&entry->mu);
    struct capture_position captured = entry->captured;
    sight.durable = entry->durable;
    pthread_mutex_unlock(&entry->mu);
    log_error(LOG_WARN, err, attach_damage, "db", entry->config->path, NULL);
    attach_give_up(entry, &captured, &sight);
    entry_reopen(entry, 0);
    FAIL(err, RC_CANCELLED, "opened again: %s", attach_damage);
}

/* ---- before a timeline is claimed */

rc entry_store_spool(
    struct entry *entry, const struct capture *capture, bool departs, struct error *err)
{
    bool is_past = entry->by_replica || departs; /* the local state is not gone on from anyway */
    const struct capture_position *captured = capture_position(capture);
    struct attach_local local = { .captured = captured, .spool_dir = capture_spool_dir(capture) };
    struct attach_sight sight;
    struct replica_timeline successor = { 0 };
    struct upload_report report;

    TRY(attach_look(entry, &local, &sight, err));
    /* Who goes by the replica goes on after whatever timeline is the newest there, used or not. */
    if (!is_past && !entry->is_adopted)
        TRY(attach_check_newest(entry, captured, &sight, &successor, err));
    if (successor.timeline != 0)
        return entry_taken_over(entry, &successor, err);
    if (sight.apart != NULL && !is_past) {
        TRY(attach_note_common(entry, &local, err));
        attach_give_up(entry, captured, &sight);
        FAIL(err, RC_BUSY, "to be opened again: %s", sight.apart);
    }
    if (sight.apart != NULL) {
        /* What is gone on from must be stored; a store that shows less than before is asked again.
         */
        bool is_there = sight.info.position.txid == captured->txid &&
                        sight.info.position.digest == captured->digest;
        if (!departs && !is_there)
            FAIL(err, RC_BUSY, "transaction %llu is not in the replica: %s",
                (unsigned long long)captured->txid, sight.apart);
        return RC_OK;
    }
    struct uploader *uploader =
        attach_uploader(entry, &local, &sight, capture_origin_txid(capture), false);
    rc stored = uploader_drain(uploader, &report, err);
    uploader_free(uploader);
    return stored;
}
