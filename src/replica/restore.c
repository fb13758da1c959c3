/*
 * restore - a plan into a file
 */
#include "replica/restore.h"

#include <assert.h>

#include "base/alloc.h"
#include "restore_engine_priv.h"
#include "restore_output_priv.h"
#include "sqlite/database.h"
#include "view_priv.h"

static rc restore_check_file(struct restore_engine *engine, const struct restore_output *output,
    enum restore_check check, struct error *err)
{
    if (check == RESTORE_CHECK_NONE)
        return RC_OK;

    restore_engine_tell(engine, RESTORE_PHASE_CHECK, true);
    TRY_AS(err, database_check_integrity(output->temp, check == RESTORE_CHECK_FULL, err),
        "the restored file equals the source, but SQLite's check of it fails");
    return RC_OK;
}

static rc restore_finish(struct restore_engine *engine, struct restore_output *output,
    const struct restore_options *options, struct error *err)
{
    const struct replica_position *target = &engine->plan->target;

    restore_engine_tell(engine, RESTORE_PHASE_SYNC, true);
    TRY(restore_output_sync(output, (uint64_t)target->page_count * target->page_size, err));
    TRY(restore_check_file(engine, output, options->check, err));
    if (cancel_asked(options->cancel))
        FAIL(err, RC_CANCELLED, "restore was cancelled");
    return restore_output_commit(output, err);
}

static unsigned restore_thread_count(const struct restore_options *options)
{
    if (options->parallelism == 0)
        return RESTORE_THREAD_COUNT_DEFAULT;
    if (options->parallelism > RESTORE_THREAD_COUNT_MAX)
        return RESTORE_THREAD_COUNT_MAX;
    return options->parallelism;
}

static rc restore_run_output(
    struct restore_engine *engine, const struct restore_options *options, struct error *err)
{
    auto_restore_output struct restore_output output = RESTORE_OUTPUT_INIT;
    TRY(restore_output_begin(&output, options->output, err));

    auto_image struct image image = IMAGE_INIT;
    struct image_start start = {
        .fd = output.fd,
        .scratch_folder = output.folder,
        .page_size = engine->plan->target.page_size,
        .first_txid = engine->plan->objects[0].first_txid,
        .usable_txid = engine->plan->objects[0].last_txid,
    };
    TRY(image_open(&image, &start, err));
    engine->image = &image;
    TRY(restore_engine_run(engine, err));
    return restore_finish(engine, &output, options, err);
}

rc restore_run(struct replica *replica, const struct restore_plan *plan,
    const struct restore_options *options, struct restore_report *ret, struct error *err)
{
    assert(plan->object_count > 0);
    assert(options->output != NULL);

    struct restore_engine engine = {
        .store = replica->store,
        .plan = plan,
        .thread_count = restore_thread_count(options),
        .cancel = options->cancel,
        .progress = options->progress,
        .progress_payload = options->progress_payload,
    };
    rc code = restore_run_output(&engine, options, err);
    /* What is not found now was there when the plan was made: never an answer about the backup. */
    if (code == RC_NOT_FOUND)
        code = RC_IO;
    if (code != RC_OK)
        return error_wrap(err, code, "restore to '%s'", options->output);

    *ret = (struct restore_report){
        .position = plan->target,
        .object_count = plan->object_count,
        .received_size = engine.received,
        .transaction_count = engine.transaction_count,
        .output_size = (uint64_t)plan->target.page_count * plan->target.page_size,
    };
    return RC_OK;
}
