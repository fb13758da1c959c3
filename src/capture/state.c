/*
 * state - the state folder: layout, lock, and what it says on open
 */
#include "state_priv.h"

#include "base/alloc.h"
#include "base/fs.h"
#include "base/lock_file.h"
#include "base/path.h"
#include "base/pending_file.h"
#include "base/text.h"

#include <assert.h>
#include <stdlib.h>

static rc state_default_folder(char **ret, const char *database_path, struct error *err)
{
    auto_free char *resolved = NULL;

    /* Resolved, so that two names of one file find the same folder and its lock. */
    TRY(path_resolve(&resolved, database_path, err));
    auto_free char *parent = path_parent(resolved);
    auto_free char *name = text_format(".%s-seawal", path_name(resolved));
    *ret = path_join(parent, name);
    return RC_OK;
}

rc state_open(struct state *state, const char *database_path, const char *folder, struct error *err)
{
    assert(state->lock_fd < 0);

    if (folder != NULL)
        state->folder = text_copy(folder);
    else
        TRY(state_default_folder(&state->folder, database_path, err));
    state->spool = path_join(state->folder, STATE_SPOOL_NAME);
    auto_free char *windows = path_join(state->folder, STATE_WINDOWS_NAME);
    state->windows = segment_dir_merged(windows);
    state->position_path = path_join(state->folder, "position");
    auto_free char *lock_path = path_join(state->folder, "lock");

    TRY_AS(err, fs_make_folders(state->folder, 0700, err), "state folder");
    TRY_AS(err, fs_sync_parent(state->folder, err), "state folder");
    TRY_AS(err, lock_file_open(&state->lock_fd, lock_path, err), "state folder");
    TRY(pending_file_sweep(state->folder, err));
    TRY(segment_dir_prepare(state->spool, err));
    TRY(segment_dir_make(state->windows, err));
    return digest_map_open(&state->map, state->folder, err);
}

void state_release(struct state *state)
{
    digest_map_close(state->map);
    if (state->lock_fd >= 0)
        lock_file_close(state->lock_fd);
    free(state->folder);
    free(state->spool);
    free(state->windows);
    free(state->position_path);
    *state = STATE_INIT;
}

/*
 * Segments of both levels follow each other without a gap; only the transaction that a begin made
 * has no segment, since a snapshot is its content.
 */
static rc state_check_spool(const struct state *state, const struct segment_list *list,
    uint64_t origin_txid, struct error *err)
{
    uint64_t after = 0;

    for (size_t index = 0; index < list->count; index++) {
        const struct segment_entry *entry = &list->entries[index];
        uint64_t next = entry->name.min_txid;

        if (entry->is_covered)
            continue;
        bool follows = next == after || (after == origin_txid && next == origin_txid + 1);
        if (after != 0 && !follows)
            FAIL(err, RC_CORRUPT, "spool '%s': transactions %llu to %llu are missing", state->spool,
                (unsigned long long)after, (unsigned long long)next - 1);
        after = entry->name.max_txid + 1;
    }
    return RC_OK;
}

/* Of level 0, which alone knows the place in the log; NULL: there is none. */
static const struct segment_entry *state_newest(const struct segment_list *list)
{
    for (size_t index = list->count; index > 0; index--) {
        if (!list->entries[index - 1].is_merged)
            return &list->entries[index - 1];
    }
    return NULL;
}

/*
 * What a merge that was killed left: segments that a merged one covers, but for the newest one of
 * level 0, which is the position.
 */
static rc state_sweep_covered(const struct state *state, struct error *err)
{
    auto_segment_list struct segment_list list = SEGMENT_LIST_INIT;
    auto_free char *merged = segment_dir_merged(state->spool);

    TRY(segment_dir_list_spool(&list, state->spool, err));
    const struct segment_entry *newest = state_newest(&list);
    for (size_t index = 0; index < list.count; index++) {
        const struct segment_entry *entry = &list.entries[index];
        if (entry->is_covered && entry != newest)
            TRY(segment_dir_remove(entry->is_merged ? merged : state->spool, &entry->name, err));
    }
    return RC_OK;
}

/*
 * The newer of the position file and the newest segment; a zero txid when there is neither, with
 * ERR set unless this is the first start.
 */
static rc state_load_position(struct state *state, struct error *err)
{
    auto_segment_list struct segment_list list = SEGMENT_LIST_INIT;
    struct position_file found = { 0 };

    rc result = position_file_read(&found, state->position_path, err);
    if (result != RC_OK && result != RC_NOT_FOUND)
        return result;

    TRY(state_sweep_covered(state, err));
    TRY(segment_dir_list_spool(&list, state->spool, err));
    TRY(state_check_spool(state, &list, found.origin_txid, err));
    const struct segment_entry *newest = state_newest(&list);
    if (newest != NULL && newest->name.max_txid > found.position.txid)
        TRY_AS(err,
            position_from_segment(&found.position, &found.place, state->spool, &newest->name, err),
            "newest segment in '%s'", state->spool);
    if (result == RC_NOT_FOUND && list.count == 0 && digest_map_is_blank(state->map))
        *err = (struct error){ 0 };
    state->now = found;
    return RC_OK;
}

/* Whether the map agrees with the position, after a segment that never appeared was taken back. */
static rc state_check_map(struct state *state, bool *ret, struct error *err)
{
    const struct capture_position *position = &state->now.position;
    uint64_t sum = 0;

    *ret = false;
    if (!digest_map_belongs(state->map, &position->database_id, position->page_size))
        return RC_OK;
    TRY(digest_map_recover(state->map, position->txid, err));
    *ret = digest_map_sum(state->map, position->page_count, &sum) && sum == position->digest;
    if (!*ret)
        return RC_OK;

    /* Behind the end nothing is known; a power cut may have lost the stores that said so. */
    digest_map_clear_behind(state->map, position->page_count);
    return RC_OK;
}

/* A copy of this machine, and of the state folder with it, may be running elsewhere. */
static void state_check_machine(struct state *state, uint64_t machine)
{
    struct position_file *now = &state->now;

    state->is_elsewhere = machine != 0 && now->machine != 0 && machine != now->machine;
    if (state->is_elsewhere)
        now->must_depart = true;
}

rc state_load(struct state *state, const struct state_target *target, struct error *err)
{
    bool agrees = false;

    state->kind = CAPTURE_STATE_NONE;
    state->trouble = (struct error){ 0 };
    rc loaded = state_load_position(state, &state->trouble);
    if (loaded == RC_CORRUPT) {
        state->now = (struct position_file){ 0 };
        return RC_OK; /* the replica stands in */
    }
    if (loaded != RC_OK) {
        *err = state->trouble;
        return loaded;
    }
    if (state->now.position.txid == 0)
        return RC_OK;

    TRY(state_check_map(state, &agrees, err));
    state_check_machine(state, target->machine);
    if (state->now.position.page_size != target->page_size)
        state->kind = CAPTURE_STATE_REPLACED;
    else if (!agrees) {
        state->kind = CAPTURE_STATE_DAMAGED;
        error_set(&state->trouble, RC_CORRUPT, 0, __FILE__, __LINE__,
            "'%s/digests' does not agree with the position", state->folder);
    } else if (!file_mark_same(&state->now.file, &target->file) || state->now.must_depart)
        state->kind = CAPTURE_STATE_REPLACED;
    else
        state->kind = CAPTURE_STATE_POSITION;
    return RC_OK;
}

rc state_write_position(struct state *state, struct error *err)
{
    return position_file_write(state->position_path, &state->now, err);
}

rc state_sync_spool(const struct state *state, struct error *err)
{
    auto_free char *merged = segment_dir_merged(state->spool);

    TRY(segment_dir_sync(state->spool, err));
    return segment_dir_sync(merged, err);
}

rc state_drop_spool(struct state *state, struct error *err)
{
    auto_segment_list struct segment_list list = SEGMENT_LIST_INIT;
    auto_free char *merged = segment_dir_merged(state->spool);

    /* Oldest first: what is left after a crash is contiguous and still ends in the position. */
    TRY(segment_dir_list_spool(&list, state->spool, err));
    for (size_t index = 0; index < list.count; index++) {
        const struct segment_entry *entry = &list.entries[index];
        TRY(segment_dir_remove(entry->is_merged ? merged : state->spool, &entry->name, err));
    }
    return state_sync_spool(state, err);
}

rc state_forget(struct state *state, const struct database_id *id, uint32_t page_size,
    bool keep_spool, struct error *err)
{
    if (!keep_spool) {
        TRY(state_drop_spool(state, err));
        TRY(fs_remove(state->position_path, err));
    }
    TRY(digest_map_reset(state->map, id, page_size, err));
    state->kind = CAPTURE_STATE_NONE;
    state->now = (struct position_file){ 0 };
    return RC_OK;
}
