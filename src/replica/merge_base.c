/*
 * merge_base - see merge_base_priv.h
 */
#include "merge_base_priv.h"

#include <unistd.h>

#include "base/alloc.h"
#include "base/fs.h"
#include "image_priv.h"
#include "object_source_priv.h"
#include "restore_engine_priv.h"
#include "segment/page_set.h"
#include "segment/reader.h"
#include "view_priv.h"

enum { MERGE_BASE_THREAD_COUNT = 2 };

void merge_base_release(struct merge_base *base)
{
    if (base->image_fd >= 0)
        close(base->image_fd);
    base->image_fd = -1;
}

static rc merge_base_add_page(void *payload, uint32_t pgno, uint64_t digest, struct error *err)
{
    (void)digest;
    (void)err;
    page_set_add(payload, pgno);
    return RC_OK;
}

/* Which pages the logs of the step write, by their indexes. */
static rc merge_base_pages(struct merge_base *base, struct page_set *ret, struct error *err)
{
    for (size_t index = 0; index < base->step->source_count; index++) {
        const struct merge_source *source = &base->step->sources[index];
        if (source->level != LEVEL_LOG)
            continue;
        char key[REPLICA_KEY_SIZE];
        auto_object_source struct object_source object;
        replica_key_segment(key, base->place->timeline, source->level, &source->name);
        object_source_init(&object, base->place->replica->store, key, source->size);
        object.received = &base->received;
        auto_segment_reader struct segment_reader *reader = NULL;
        TRY_AS(err, segment_reader_open(&reader, object_source(&object), err), "segment '%s'", key);
        TRY_AS(err, segment_reader_each_digest(reader, merge_base_add_page, ret, err),
            "segment '%s'", key);
        if (cancel_asked(base->place->cancel))
            FAIL(err, RC_CANCELLED, "merging was cancelled");
    }
    return RC_OK;
}

static rc merge_base_restore(struct merge_base *base, const struct page_set *pages,
    const struct restore_plan *plan, struct error *err)
{
    auto_image struct image image = IMAGE_INIT;
    struct image_start start = {
        .fd = base->image_fd,
        .scratch_folder = base->scratch_folder,
        .page_size = plan->target.page_size,
        .first_txid = plan->objects[0].first_txid,
        .usable_txid = plan->objects[0].last_txid,
    };
    struct restore_engine engine = {
        .store = base->place->replica->store,
        .plan = plan,
        .image = &image,
        .thread_count = MERGE_BASE_THREAD_COUNT,
        .cancel = base->place->cancel,
        .only = pages,
    };

    TRY(image_open(&image, &start, err));
    image.is_partial = true;
    base->page_size = plan->target.page_size;
    rc run = restore_engine_run(&engine, err);
    atomic_fetch_add(&base->received, atomic_load(&engine.received));
    return run;
}

static rc merge_base_open(struct merge_base *base, struct error *err)
{
    struct restore_target target = {
        .kind = RESTORE_TXID,
        .timeline = base->place->timeline,
        .txid = base->step->min_txid - 1,
    };
    auto_page_set struct page_set pages = PAGE_SET_INIT;
    auto_restore_plan struct restore_plan plan = RESTORE_PLAN_INIT;

    TRY(restore_plan_make(&plan, base->place->replica, &target, err));
    TRY(merge_base_pages(base, &pages, err));
    TRY(scratch_file_open(&base->image_fd, base->scratch_folder, err));
    return merge_base_restore(base, &pages, &plan, err);
}

rc merge_base_read(void *payload, uint32_t pgno, uint8_t *out, struct error *err)
{
    struct merge_base *base = payload;

    if (base->image_fd < 0)
        TRY(merge_base_open(base, err));
    return fs_read_exact(
        base->image_fd, out, base->page_size, (uint64_t)(pgno - 1) * base->page_size, err);
}
