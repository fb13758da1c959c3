/*
 * spool - sizes of what waits, and the room that is left for it; see spool_priv.h
 */
#include "capture_priv.h"

#include "base/alloc.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/path.h"
#include "segment/dir.h"

enum { LET_GO_REMAINDER_FRAMES = 300 };

uint64_t spool_disk_size(uint64_t size)
{
    return (size + SPOOL_BLOCK_SIZE - 1) / SPOOL_BLOCK_SIZE * SPOOL_BLOCK_SIZE;
}

void spool_note_segment(struct spool *spool, uint64_t size)
{
    spool->waiting_size += spool_disk_size(size);
}

static rc spool_count_folder(struct spool *spool, const char *folder, struct error *err)
{
    auto_segment_list struct segment_list list = SEGMENT_LIST_INIT;
    uint64_t waiting_size = 0;
    uint64_t merged_size = 0;

    TRY(segment_dir_list_spool(&list, folder, err));
    for (size_t index = 0; index < list.count; index++) {
        const struct segment_entry *entry = &list.entries[index];
        if (entry->is_covered || entry->name.max_txid <= spool->stored_txid)
            continue;
        if (entry->is_merged)
            merged_size += spool_disk_size(entry->size);
        else
            waiting_size += spool_disk_size(entry->size);
    }
    spool->waiting_size = waiting_size;
    spool->merged_size = merged_size;
    spool->is_counted = true;
    return RC_OK;
}

rc spool_count(struct capture *capture, struct error *err)
{
    return spool_count_folder(&capture->spool, capture->folder.spool, err);
}

rc capture_room_of(struct capture_room *ret, const char *path, struct error *err)
{
    struct capture_room room;

    TRY(fs_space(&room.free_size, &room.total_size, path, err));
    room.reserve_size = room.total_size / 100 * CAPTURE_RESERVE_PERCENT;
    *ret = room;
    return RC_OK;
}

rc spool_room(const struct capture *capture, uint64_t *ret, struct error *err)
{
    struct capture_room room;

    TRY(capture_room_of(&room, capture->folder.folder, err));
    *ret = room.free_size > room.reserve_size ? room.free_size - room.reserve_size : 0;
    return RC_OK;
}

/* What may always wait, see SPOOL_TRANSIT_SIZE_MAX. */
static uint64_t spool_transit_size(uint64_t reserve)
{
    return reserve / 4 < SPOOL_TRANSIT_SIZE_MAX ? reserve / 4 : SPOOL_TRANSIT_SIZE_MAX;
}

static bool spool_is_in_transit(const struct spool *spool, uint64_t reserve)
{
    return spool->is_counted &&
           spool->waiting_size + spool->merged_size <= spool_transit_size(reserve);
}

static rc spool_check_reserve(struct spool *spool, const char *folder, struct error *err)
{
    struct capture_room room;

    TRY(capture_room_of(&room, folder, err));
    if (room.free_size >= room.reserve_size || spool_is_in_transit(spool, room.reserve_size))
        return RC_OK;
    TRY(spool_count_folder(spool, folder, err));
    if (spool_is_in_transit(spool, room.reserve_size))
        return RC_OK;
    FAIL(err, RC_NO_SPACE,
        "%llu KiB wait in '%s' for the store, and the last %d %% of its file system are not for that "
        "(%llu of %llu KiB are free); make room there, or make the store reachable",
        (unsigned long long)(spool->waiting_size + spool->merged_size) >> 10, folder,
        CAPTURE_RESERVE_PERCENT, (unsigned long long)room.free_size >> 10,
        (unsigned long long)room.total_size >> 10);
}

rc spool_check_room(struct capture *capture, struct error *err)
{
    return spool_check_reserve(&capture->spool, capture->folder.spool, err);
}

static rc spool_check_free(const char *path, struct error *err)
{
    struct capture_room room;
    uint64_t file_room = 0;

    TRY(capture_room_of(&room, path, err));
    TRY(fs_file_room(&file_room, path, err));
    if (file_room == 0)
        FAIL(err, RC_NO_SPACE, "the file system of '%s' can have no more files", path);
    if (room.free_size < spool_transit_size(room.reserve_size))
        FAIL(err, RC_NO_SPACE, "the file system of '%s' is full (%llu of %llu KiB are free)", path,
            (unsigned long long)room.free_size >> 10, (unsigned long long)room.total_size >> 10);
    return RC_OK;
}

rc capture_check_room(
    const char *state_dir, const char *database_path, uint64_t stored_txid, struct error *err)
{
    struct spool spool = { .stored_txid = stored_txid };
    auto_free char *folder = path_join(state_dir, STATE_SPOOL_NAME);

    TRY(spool_check_free(folder, err));
    TRY(spool_check_free(database_path, err));
    return spool_check_reserve(&spool, folder, err);
}

static bool spool_must_let_go(const struct capture *capture)
{
    struct capture_room room;
    struct stat log;

    if (fs_stat(&log, database_log_path(capture->database), NULL) == RC_OK &&
        (uint64_t)log.st_size > capture->spool.size_max)
        return true;
    if (capture_room_of(&room, database_path(capture->database), NULL) != RC_OK)
        return false;
    return room.free_size < room.reserve_size / 2;
}

/* The pin's client when nothing is captured any more. */
static rc spool_capture_nothing(void *payload, struct wal_index_header *ret, struct error *err)
{
    return capture_read_header(payload, ret, err);
}

/*
 * The application may not be able to checkpoint: without room in the log it cannot commit, and
 * SQLite checkpoints after a commit. So the log is brought to where the next commit begins it
 * again, still with a pin on it, since no checkpoint is safe from SQLite's WAL-reset bug without
 * one.
 */
bool capture_let_go(struct capture *capture)
{
    struct pin_client client = { .capture = spool_capture_nothing, .payload = capture };
    struct reset_limits limits = {
        .write_lock_budget_ms = capture->write_lock_budget_ms,
        .write_lock_wait_ms = capture->write_lock_budget_ms,
        .remainder_frames = LET_GO_REMAINDER_FRAMES,
        .holds = capture->write_lock_holds,
    };
    struct reset_report report = { 0 };
    struct error err = { 0 };

    if (capture->state != CAPTURE_FOLLOWING || !spool_must_let_go(capture))
        return false;
    rc reset = pin_reset(capture->database, &client, &limits, &report, &err);
    if (reset != RC_OK || !report.done)
        log_event(LOG_WARN, "the log that is let go could not be emptied", "db",
            database_path(capture->database), "why", err.text, NULL);
    capture_move(capture, CAPTURE_FAILED);
    return true;
}
