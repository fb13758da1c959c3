/*
 * merge_step - see merge_step_priv.h
 *
 * Sources are read in order, one at a time: a file that is kept, or an object through two windows
 * of read-ahead, a small one at once.
 */
#include "merge_step_priv.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "merge_base_priv.h"
#include "merge_files_priv.h"
#include "object_source_priv.h"
#include "segment/dir.h"
#include "segment/merge.h"
#include "view_priv.h"

enum { MERGE_LOAD_SIZE_MAX = 1 << 20 };

static rc merge_add_object(const struct merge_place *place, struct segment_merge *merge,
    const struct merge_source *source, atomic_uint_fast64_t *received, struct error *err)
{
    char key[REPLICA_KEY_SIZE];
    auto_object_source struct object_source object;

    replica_key_segment(key, place->timeline, source->level, &source->name);
    object_source_init(&object, place->replica->store, key, source->size);
    object.received = received;
    if (source->size <= MERGE_LOAD_SIZE_MAX)
        TRY(object_source_load(&object, err));
    else
        object_source_use_windows(&object);
    TRY_AS(err, segment_merge_add(merge, object_source(&object), err), "segment '%s'", key);
    return RC_OK;
}

/* RC_NOT_FOUND: it is not kept. */
static rc merge_open_kept(const struct merge_place *place, const struct merge_source *source,
    struct segment_file *ret, struct error *err)
{
    if (place->kept_folder == NULL || source->level == 0)
        return RC_NOT_FOUND;
    auto_free char *folder = merge_folder(place->kept_folder, source->level);
    return segment_dir_open(ret, folder, &source->name, err);
}

static rc merge_add_source(const struct merge_place *place, struct segment_merge *merge,
    const struct merge_source *source, atomic_uint_fast64_t *received, struct error *err)
{
    auto_segment_file struct segment_file file = SEGMENT_FILE_INIT;

    if (cancel_asked(place->cancel))
        FAIL(err, RC_CANCELLED, "merging was cancelled");
    rc opened = merge_open_kept(place, source, &file, err);
    if (opened == RC_NOT_FOUND)
        return merge_add_object(place, merge, source, received, err);
    TRY(opened);
    return segment_merge_add(merge, file.source, err);
}

static rc merge_finish(const struct merge_place *place, const struct merge_step *step,
    struct segment_merge *merge, struct error *err)
{
    auto_free char *folder = merge_folder(place->windows_folder, step->level);
    auto_pending_file struct pending_file pending = PENDING_FILE_INIT;
    struct segment_summary summary;

    TRY(segment_dir_make(folder, err));
    TRY(segment_dir_begin(&pending, folder, err));
    TRY(segment_merge_finish(merge, pending_file_sink(&pending), &summary, err));
    struct segment_name name = {
        .min_txid = step->min_txid,
        .max_txid = summary.max_txid,
        .time_ms = summary.last_time_ms,
    };
    if (summary.max_txid != step->max_txid)
        FAIL(err, RC_CORRUPT, "the sources end at another transaction than their names say");
    return segment_dir_commit(&pending, folder, &name, err);
}

static rc merge_run(const struct merge_place *place, const struct merge_step *step,
    struct segment_merge *merge, struct merge_made *made, struct error *err)
{
    atomic_uint_fast64_t received = 0;

    for (size_t index = 0; index < step->source_count; index++) {
        rc added = merge_add_source(place, merge, &step->sources[index], &received, err);
        made->fetched_size = received;
        if (added != RC_OK)
            return added;
        made->source_size += step->sources[index].size;
    }
    return merge_finish(place, step, merge, err);
}

rc merge_step_run(const struct merge_place *place, const struct merge_step *step,
    struct merge_made *ret, struct error *err)
{
    auto_free char *folder = merge_folder(place->windows_folder, step->level);
    struct merge_base base = {
        .place = place,
        .step = step,
        .scratch_folder = folder,
        .image_fd = -1,
    };

    *ret = (struct merge_made){ 0 };
    TRY(segment_dir_make(folder, err));
    struct segment_merge *merge = segment_merge_new(folder, merge_base_read, &base);
    rc run = merge_run(place, step, merge, ret, err);
    segment_merge_free(merge);
    ret->fetched_size += base.received;
    merge_base_release(&base);
    return run;
}
