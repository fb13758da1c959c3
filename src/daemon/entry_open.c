/*
 * entry_open - from a file, a state folder and a replica to a capture that follows
 *
 * With a usable position on local disk the store is not needed: an application that starts while
 * the network is away is captured into the spool, and the upload work looks at the replica later.
 * Without one the replica decides: empty: a new history; the same database: continue; a related
 * one: a new timeline; anything else is refused, because an unrelated or empty database never
 * continues a history (DESIGN section 3).
 */
#include "entry_priv.h"

#include <assert.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/text.h"

enum {
    ENTRY_RETRY_FIRST_MS = 250,
    ENTRY_RETRY_MAX_MS = 30 * 1000,
};

/* Reading a large database takes its time. */
static void entry_tell_progress(void *payload, const char *what, uint64_t done, uint64_t total)
{
    const struct entry *entry = payload;

    log_event(LOG_INFO, "in progress", "what", what, "db", entry->config->path, "percent",
        log_u64(total == 0 ? 0 : done * 100 / total), "pages", log_u64(total), NULL);
}

static rc entry_capture_open(struct entry *entry, struct capture **ret, struct error *err)
{
    const struct db_config *config = entry->config;
    struct capture_options options = {
        .cancel = entry->context->cancel,
        .progress = entry_tell_progress,
        .progress_payload = entry,
        .path = config->path,
        .state_dir = config->state_dir,
        .convert_to_wal = config->convert_to_wal,
        .checkpoint_page_count = (uint32_t)config->min_checkpoint_page_count,
        .truncate_size = config->truncate_size,
        .spool_size = config->spool_size,
        .window_ms = config->retention.count > 1 && !entry->context->once
                         ? config->retention.rules[1].every_ms
                         : 0,
        .write_lock_budget_ms = config->write_lock_budget_ms,
        .write_lock_holds = &entry->metrics.histograms[METRIC_WRITE_LOCK_HOLDS],
    };

    return capture_open(ret, &options, err);
}

static void entry_note_timeline(struct entry *entry, uint32_t timeline)
{
    pthread_mutex_lock(&entry->mu);
    entry->timeline = timeline;
    pthread_mutex_unlock(&entry->mu);
}

/* A new history in an empty replica. */
static rc entry_begin_history(struct entry *entry, struct capture *capture, struct error *err)
{
    struct replica_position from = { .page_size = capture_file_page_size(capture) };
    struct database_id id;

    TRY(entry_create(entry, &from, &id, err));
    TRY(capture_begin(capture, NULL, &id, 1, err));
    entry_note_timeline(entry, 1);
    log_event(LOG_INFO, "history begins", "db", entry->config->path, "replica",
        replica_name(entry->replica), NULL);
    entry_want_snapshot(entry);
    return RC_OK;
}

/* A new timeline that begins with a snapshot of the database as it is. */
static rc entry_begin_timeline(struct entry *entry, struct capture *capture,
    const struct replica_position *parent, struct error *err)
{
    uint32_t timeline = 0;
    struct capture_position from = capture_position_of(parent);

    TRY(entry_claim(entry, parent, capture_file_page_size(capture), false, &timeline, err));
    TRY(capture_begin(
        capture, parent->txid == 0 ? NULL : &from, &parent->database_id, timeline, err));
    entry_note_timeline(entry, timeline);
    entry_want_snapshot(entry);
    return RC_OK;
}

static void entry_log_start(
    struct entry *entry, struct capture *capture, const struct capture_start_report *report)
{
    static const char *const names[] = {
        [CAPTURE_CONTINUED] = "continued",
        [CAPTURE_UNCHANGED] = "unchanged",
        [CAPTURE_RESYNCED] = "resynced",
    };
    const struct capture_position *position = capture_position(capture);
    bool resynced = report->continuity == CAPTURE_RESYNCED;

    log_event(resynced ? LOG_WARN : LOG_INFO, "following", "db", entry->config->path, "continuity",
        names[report->continuity], "timeline", log_u64(position->timeline), "txid",
        log_u64(position->txid), "resync_pages",
        resynced ? log_u64(report->resync_page_count) : NULL, NULL);
}

static rc entry_continue(
    struct entry *entry, struct capture *capture, uint32_t timeline, struct error *err)
{
    struct capture_start_report report = { 0 };

    entry_note_timeline(entry, timeline);
    TRY(capture_start(capture, timeline, &report, err));
    entry_log_start(entry, capture, &report);
    if (report.continuity == CAPTURE_RESYNCED)
        entry_measure_resync(entry, report.resync_page_count);
    return RC_OK;
}

static rc entry_adopt_page(void *payload, uint32_t pgno, uint64_t digest, struct error *err)
{
    return capture_adopt_page(payload, pgno, digest, err);
}

/* The page digests of the replica's newest position become the local ones. */
static rc entry_adopt(struct entry *entry, struct capture *capture,
    const struct replica_position *position, struct error *err)
{
    struct capture_position local = capture_position_of(position);
    struct replica_position end;

    /*
     * What is in the spool may go on from there, unless somebody else already did. (The log ends
     * before the position where a snapshot was faster.)
     */
    TRY(replica_log_end(entry->replica, position->timeline, &end, err));
    if (end.txid > position->txid)
        TRY(capture_drop_spool(capture, err));
    TRY(capture_adopt_begin(capture, &local, err));
    TRY(replica_each_page_digest(
        entry->replica, position, capture_state_dir(capture), entry_adopt_page, capture, err));
    return capture_adopt_commit(capture, err);
}

/* A timeline of our own behind the position, which is stored. */
static rc entry_continue_apart(struct entry *entry, struct capture *capture, struct error *err)
{
    struct replica_position parent = replica_position_of(capture_position(capture));
    uint32_t timeline = 0;

    TRY(entry_claim(entry, &parent, parent.page_size, true, &timeline, err));
    return entry_continue(entry, capture, timeline, err);
}

static bool entry_is_equal(
    const struct capture *capture, const struct capture_difference *difference)
{
    return difference->page_count == capture_position(capture)->page_count &&
           difference->equal_count == difference->page_count;
}

/*
 * The spool may hold what comes behind the last common point, so that the position is there: then
 * it is not stored, or a stale listing hid it, and the newest of the replica is gone by.
 */
static rc entry_check_common(struct entry *entry, const struct capture *capture, struct error *err)
{
    const struct capture_position *now = capture_position(capture);

    if (now->txid == entry->common.txid && now->digest == entry->common.digest)
        return RC_OK;
    entry->common = (struct replica_position){ 0 };
    FAIL(err, RC_BUSY, "to be opened again: transaction %llu is not known to be stored",
        (unsigned long long)now->txid);
}

/*
 * The database beside a history that has not seen it for a while. More than half of the pages
 * equal: it descends from there.
 */
static rc entry_join(struct entry *entry, struct capture *capture, struct error *err)
{
    struct capture_difference difference;
    bool is_stored = false;

    TRY(capture_compare(capture, &difference, err));
    if (entry->by_replica && entry->common.txid != 0 && !entry_is_equal(capture, &difference)) {
        /* We are not what is newest there; up to this point, which is there, we were. */
        TRY(entry_adopt(entry, capture, &entry->common, err));
        TRY(entry_check_common(entry, capture, err));
        TRY(capture_compare(capture, &difference, err));
        is_stored = true;
    }
    struct replica_position parent = replica_position_of(capture_position(capture));
    uint64_t larger =
        difference.page_count > parent.page_count ? difference.page_count : parent.page_count;
    bool is_related = entry_is_equal(capture, &difference) || difference.same_file ||
                      difference.equal_count * 2 > larger;
    if (!is_related && !entry->context->new_timeline)
        FAIL(err, RC_MISMATCH,
            "the database shares %llu of %llu pages with txid %llu in '%s': not the same database; "
            "restore the replica over it, choose another replica path, or run with -new-timeline",
            (unsigned long long)difference.equal_count, (unsigned long long)larger,
            (unsigned long long)parent.txid, replica_name(entry->replica));
    /*
     * Without the state that wrote this history, another process may be writing it: a copy of the
     * database on a second machine is equal as well. In a timeline of our own nothing is mixed, and
     * the other one finds out.
     */
    bool is_apart =
        !is_related || !difference.same_file || difference.must_depart || entry->by_replica;
    if (is_apart && !is_stored)
        TRY(entry_store_spool(entry, capture, false, err));
    if (!is_related)
        return entry_begin_timeline(entry, capture, &parent, err);
    return is_apart ? entry_continue_apart(entry, capture, err)
                    : entry_continue(entry, capture, parent.timeline, err);
}

/* No usable position here: the replica decides. */
static rc entry_open_by_replica(struct entry *entry, struct capture *capture, struct error *err)
{
    struct replica_info info;
    rc inspected = replica_inspect(entry->replica, &info, err);

    if (inspected == RC_NOT_FOUND && entry->by_replica) {
        entry->by_replica = false;
        FAIL(err, RC_BUSY, "the replica is gone: the local state is gone on from after all");
    }
    if (inspected == RC_NOT_FOUND)
        return entry_begin_history(entry, capture, err);
    if (inspected != RC_OK)
        return inspected;
    struct replica_position restored;
    TRY(entry_restored_point(entry, capture, &restored, err));
    if (restored.txid != 0) {
        TRY(entry_adopt(entry, capture, &restored, err));
        return entry_continue_apart(entry, capture, err);
    }
    if (info.position.txid == 0) {
        /* Made, but nothing in it restores: an earlier run ended before its first snapshot did. */
        info.position.database_id = info.database_id;
        return entry_begin_timeline(entry, capture, &info.position, err);
    }
    if (info.position.page_size != capture_file_page_size(capture)) {
        /* It was our state folder that sent us here: the file is the one that the history is of. */
        if (entry->context->new_timeline || entry->by_replica)
            return entry_begin_timeline(entry, capture, &info.position, err);
        FAIL(err, RC_MISMATCH,
            "page size is %u, in '%s' it is %u: not the same database; restore the replica over it, "
            "choose another replica path, or run with -new-timeline",
            capture_file_page_size(capture), replica_name(entry->replica), info.position.page_size);
    }
    TRY(entry_adopt(entry, capture, &info.position, err));
    entry->is_adopted = true;
    return entry_join(entry, capture, err);
}

/*
 * Another file stands where ours was, or its page size changed (a VACUUM that asked for it). The
 * spool is kept in every case: it leads up to the position from which what is here now departs.
 */
static rc entry_open_replaced(struct entry *entry, struct capture *capture, struct error *err)
{
    struct replica_position position = replica_position_of(capture_position(capture));

    const char *why = capture_departure(capture);

    if (why != NULL)
        log_event(
            LOG_WARN, "a new timeline is needed", "db", entry->config->path, "why", why, NULL);
    else
        log_event(LOG_WARN, "the database file was replaced", "db", entry->config->path, NULL);
    struct replica_position restored;
    TRY(entry_restored_point(entry, capture, &restored, err));
    if (restored.txid != 0) {
        TRY(entry_store_spool(entry, capture, true, err));
        TRY(entry_adopt(entry, capture, &restored, err));
        return entry_continue_apart(entry, capture, err);
    }
    if (position.page_size != capture_file_page_size(capture)) {
        TRY(entry_store_spool(entry, capture, false, err));
        return entry_begin_timeline(entry, capture, &position, err);
    }
    return entry_join(entry, capture, err);
}

static rc entry_open_capture(struct entry *entry, struct capture *capture, struct error *err)
{
    const struct error *trouble = capture_state_trouble(capture);
    if (trouble->code != RC_OK)
        log_error(LOG_WARN, trouble, "the state folder is damaged: the replica stands in", "db",
            entry->config->path, NULL);
    if (entry->by_replica)
        return entry_open_by_replica(entry, capture, err);
    switch (capture_state_kind(capture)) {
    case CAPTURE_STATE_POSITION:
        return entry_continue(entry, capture, capture_position(capture)->timeline, err);
    case CAPTURE_STATE_REPLACED:
        return entry_open_replaced(entry, capture, err);
    case CAPTURE_STATE_NONE:
    case CAPTURE_STATE_DAMAGED:
        return entry_open_by_replica(entry, capture, err);
    }
    assert(false);
    return RC_IO;
}

static void entry_note_folders(struct entry *entry, const struct capture *capture)
{
    free(entry->state_dir);
    free(entry->spool_dir);
    entry->state_dir = text_copy(capture_state_dir(capture));
    entry->spool_dir = text_copy(capture_spool_dir(capture));
    entry->origin_txid = capture_origin_txid(capture);
}

/*
 * There is a position, and no room for what follows it: what is in the spool may be what fills the
 * disk, so it is uploaded meanwhile.
 */
static void entry_note_no_room(struct entry *entry, const struct capture *capture)
{
    entry_note_folders(entry, capture);
    pthread_mutex_lock(&entry->mu);
    entry->captured = *capture_position(capture);
    entry->no_room = true;
    entry->attached = false;
    pthread_mutex_unlock(&entry->mu);
    scheduler_at(entry->context->scheduler, &entry->upload_job, 0);
}

/* Without room an opening would read the whole database in vain. */
static rc entry_await_room(struct entry *entry, struct error *err)
{
    pthread_mutex_lock(&entry->mu);
    bool no_room = entry->no_room;
    uint64_t stored_txid = entry->durable.txid;
    pthread_mutex_unlock(&entry->mu);

    if (!no_room || entry->state_dir == NULL)
        return RC_OK;
    rc checked = capture_check_room(entry->state_dir, entry->config->path, stored_txid, err);
    return checked == RC_NO_SPACE ? checked : RC_OK;
}

/*
 * *RET_REFUSED: database and replica do not belong together, which only an operator can mend. A
 * file that is not what it should be (not in WAL mode yet, say) is not a refusal: the application
 * may.
 */
static rc entry_open(struct entry *entry, bool *ret_refused, struct error *err)
{
    struct capture *capture = NULL;

    TRY(entry_await_room(entry, err));
    TRY(entry_capture_open(entry, &capture, err));
    entry_note_folders(entry, capture);
    entry->is_adopted = false;
    rc opened = entry_open_capture(entry, capture, err);
    if (opened != RC_OK) {
        *ret_refused = opened == RC_MISMATCH || opened == RC_UNSUPPORTED;
        if (opened == RC_NO_SPACE && capture_state_kind(capture) == CAPTURE_STATE_POSITION)
            entry_note_no_room(entry, capture);
        capture_close(capture);
        return opened;
    }

    entry_note_folders(entry, capture);
    entry_restored_forget(entry);
    entry->by_replica = false;
    entry->common = (struct replica_position){ 0 };
    pthread_mutex_lock(&entry->capture_mu);
    assert(entry->capture == NULL);
    entry->capture = capture;
    entry->generation++;
    pthread_mutex_lock(&entry->mu);
    entry->captured = *capture_position(capture);
    entry_note_unstored_locked(entry);
    entry->state = ENTRY_FOLLOWING;
    entry->attached = false;
    entry->drain_sync = entry->sync_begun + 1;
    entry->no_room = false;
    entry->refusal = (struct error){ 0 };
    pthread_mutex_unlock(&entry->mu);
    pthread_mutex_unlock(&entry->capture_mu);
    return RC_OK;
}

static void entry_open_failed(struct entry *entry, const struct error *err)
{
    int64_t wait_ms =
        trouble_backoff_ms(&entry->open_trouble, ENTRY_RETRY_FIRST_MS, ENTRY_RETRY_MAX_MS);

    pthread_mutex_lock(&entry->mu);
    entry_note_failure_locked(entry, err);
    if (err->code == RC_NO_SPACE && entry->no_room)
        wait_ms = ENTRY_ROOM_RETRY_MS;
    pthread_mutex_unlock(&entry->mu);
    if (err->code == RC_NO_SPACE)
        metrics_set(&entry->metrics, METRIC_DISK_FULL, 1);
    if (cancel_asked(entry->context->cancel))
        return;
    trouble_note(&entry->open_trouble, entry->config->path, err, wait_ms);
    scheduler_at(entry->context->scheduler, &entry->open_job, clock_monotonic_ms() + wait_ms);
}

void entry_open_run(void *payload)
{
    struct entry *entry = payload;
    struct error err = { 0 };

    bool refused = false;

    pthread_mutex_lock(&entry->mu);
    bool waiting = entry->state == ENTRY_WAITING;
    pthread_mutex_unlock(&entry->mu);
    if (!waiting)
        return;

    /* Armed before looking, so that a file that appears meanwhile is not missed. */
    (void)watch_folder_arm(entry->context->watch, &entry->target);
    pthread_mutex_lock(&entry->replica_mu);
    rc opened = entry_open(entry, &refused, &err);
    pthread_mutex_unlock(&entry->replica_mu);
    if (opened == RC_OK) {
        trouble_clear(&entry->open_trouble, entry->config->path);
        scheduler_at(entry->context->scheduler, &entry->capture_job, 0);
        scheduler_at(entry->context->scheduler, &entry->upload_job, 0);
        scheduler_at(entry->context->scheduler, &entry->snapshot_job, 0);
    } else if (refused) {
        entry_refuse(entry, &err);
    } else {
        entry_open_failed(entry, &err);
    }
}
