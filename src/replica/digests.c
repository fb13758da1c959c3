/*
 * digests - the digest of every page at a point of history, from page indexes
 */
#include "replica/replica.h"

#include <assert.h>
#include <inttypes.h>

#include "base/alloc.h"
#include "codec/digest.h"
#include "restore_engine_priv.h"
#include "restore_plan_priv.h"
#include "view_priv.h"

/* An index says what pages are after its whole segment; a point within one needs its frames. */
static bool digests_need_blocks(const struct restore_plan *plan)
{
    for (size_t i = 1; i < plan->object_count; i++) {
        if (plan->objects[i].last_txid != plan->objects[i].name.max_txid)
            return true;
    }
    return false;
}

static rc digests_tell(
    const struct image *image, replica_page_fn *each, void *payload, struct error *err)
{
    uint32_t lock_page = lock_page_of(image->page_size);

    for (uint32_t pgno = 1; pgno <= image->page_count; pgno++) {
        if (pgno == lock_page)
            continue;
        struct page_entry entry;
        TRY(image_entry(image, pgno, &entry, err));
        TRY(each(payload, pgno, entry.digest, err));
    }
    return RC_OK;
}

static rc digests_plan(struct restore_plan *ret, struct replica *replica,
    const struct replica_position *position, struct error *err)
{
    struct restore_target target = {
        .kind = RESTORE_TXID,
        .timeline = position->timeline,
        .txid = position->txid,
    };
    TRY(restore_plan_make(ret, replica, &target, err));
    if (ret->target.digest == position->digest)
        return RC_OK;
    FAIL(err, RC_MISMATCH,
        "transaction %" PRIu64 " of timeline %08" PRIx32 " has digest %016" PRIx64
        " in the replica, %016" PRIx64 " is wanted",
        position->txid, position->timeline, ret->target.digest, position->digest);
}

/* One attempt: the image of ENGINE's plan, and EACH called over it. */
static rc digests_run(struct restore_engine *engine, const char *scratch_folder,
    replica_page_fn *each, void *payload, struct error *err)
{
    const struct restore_plan *plan = engine->plan;
    bool needs_blocks = digests_need_blocks(plan);
    auto_fd int fd = -1;
    if (needs_blocks)
        TRY(scratch_file_open(&fd, scratch_folder, err));

    auto_image struct image image = IMAGE_INIT;
    struct image_start start = {
        .fd = fd,
        .scratch_folder = scratch_folder,
        .page_size = plan->target.page_size,
        .first_txid = plan->objects[0].first_txid,
        .usable_txid = plan->objects[0].last_txid,
    };
    TRY(image_open(&image, &start, err));
    engine->image = &image;
    engine->digests_only = !needs_blocks;
    engine->failed_object = 0;
    TRY(restore_engine_run(engine, err));
    return digests_tell(&image, each, payload, err);
}

rc replica_each_page_digest(struct replica *replica, const struct replica_position *position,
    const char *scratch_folder, replica_page_fn *each, void *payload, struct error *err)
{
    auto_restore_plan struct restore_plan plan = RESTORE_PLAN_INIT;
    TRY(digests_plan(&plan, replica, position, err));

    struct restore_engine engine = {
        .store = replica->store,
        .plan = &plan,
        .thread_count = RESTORE_THREAD_COUNT_DEFAULT,
    };
    for (;;) {
        struct error why = { 0 };
        rc code = digests_run(&engine, scratch_folder, each, payload, &why);
        bool is_around =
            code == RC_CORRUPT && engine.failed_object != 0 &&
            restore_plan_around(&plan, replica, &plan, engine.failed_object, &why) == RC_OK;
        if (is_around)
            continue;
        if (code != RC_OK && err != NULL)
            *err = why;
        return code;
    }
}
