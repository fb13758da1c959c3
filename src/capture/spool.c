/*
 * spool - sizes of what waits, and the room that is left for it; see spool_priv.h
 */
#include "capture_priv.h"

#include "base/fs.h"
#include "segment/dir.h"

uint64_t spool_disk_size(uint64_t size)
{
    return (size + SPOOL_BLOCK_SIZE - 1) / SPOOL_BLOCK_SIZE * SPOOL_BLOCK_SIZE;
}

void spool_note_segment(struct spool *spool, uint64_t size)
{
    spool->waiting_size += spool_disk_size(size);
}

rc spool_count(struct capture *capture, struct error *err)
{
    auto_segment_list struct segment_list list = SEGMENT_LIST_INIT;
    struct spool *spool = &capture->spool;
    uint64_t waiting_size = 0;
    uint64_t merged_size = 0;

    TRY(segment_dir_list_spool(&list, capture->folder.spool, err));
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

static uint64_t spool_reserve(uint64_t total)
{
    return total / 100 * SPOOL_RESERVE_PERCENT;
}

rc spool_room(const struct capture *capture, uint64_t *ret, struct error *err)
{
    uint64_t free_size = 0;
    uint64_t total = 0;

    TRY(fs_space(&free_size, &total, capture->folder.folder, err));
    uint64_t reserve = spool_reserve(total);
    *ret = free_size > reserve ? free_size - reserve : 0;
    return RC_OK;
}

static bool spool_is_in_transit(const struct spool *spool, uint64_t reserve)
{
    uint64_t transit_max = SPOOL_TRANSIT_SIZE_MAX;

    if (transit_max > reserve / 4)
        transit_max = reserve / 4;
    return spool->is_counted && spool->waiting_size + spool->merged_size <= transit_max;
}

rc spool_check_room(struct capture *capture, struct error *err)
{
    struct spool *spool = &capture->spool;
    uint64_t free_size = 0;
    uint64_t total = 0;

    TRY(fs_space(&free_size, &total, capture->folder.folder, err));
    uint64_t reserve = spool_reserve(total);
    if (free_size >= reserve || spool_is_in_transit(spool, reserve))
        return RC_OK;
    TRY(spool_count(capture, err));
    if (spool_is_in_transit(spool, reserve))
        return RC_OK;
    FAIL(err, RC_NO_SPACE,
        "%llu KiB wait in '%s' for the store, and the last %d %% of its file system are not for that "
        "(%llu of %llu KiB are free); make room there, or make the store reachable",
        (unsigned long long)(spool->waiting_size + spool->merged_size) >> 10, capture->folder.spool,
        SPOOL_RESERVE_PERCENT, (unsigned long long)free_size >> 10,
        (unsigned long long)total >> 10);
}

bool capture_let_go_is_due(const struct capture *capture)
{
    uint64_t free_size = 0;
    uint64_t total = 0;
    struct stat log;

    if (capture->state != CAPTURE_FOLLOWING)
        return false;
    if (fs_stat(&log, database_log_path(capture->database), NULL) == RC_OK &&
        (uint64_t)log.st_size > capture->spool.size_max)
        return true;
    if (fs_space(&free_size, &total, database_path(capture->database), NULL) != RC_OK)
        return false;
    return free_size < spool_reserve(total) / 2;
}
