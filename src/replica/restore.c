/*
 * restore - a plan into a file
 */
#include "replica/restore.h"

#include <assert.h>

#include "base/alloc.h"
#include "base/log.h"
#include "replica/restored.h"
#include "restore_engine_priv.h"
#include "restore_output_priv.h"
#include "restore_plan_priv.h"
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
    /* Where it cannot be told, who replicates the file compares it with the newest point. */
    struct error unmarked = { 0 };
    if (restored_mark(output->fd, target, &unmarked) != RC_OK)
        log_error(LOG_DEBUG, &unmarked, "not noted on the file", "file", options->output, NULL);
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

/*
 * ENGINE failed with WHY: when one segment is to blame and others tell the same transactions, begin
 * anew with them.
 */
static bool restore_go_around(struct restore_engine *engine, struct replica *replica,
    const struct restore_options *options, struct restore_plan *own, const struct error *why)
{
    if (why->code != RC_CORRUPT || engine->failed_object == 0)
        return false;
    if (restore_plan_around(own, replica, engine->plan, engine->failed_object, why) != RC_OK)
        return false;

    engine->plan = own;
    engine->failed_object = 0;
    engine->transaction_count = 0;
    if (options->damage != NULL)
        options->damage(options->damage_payload, &own->damages[own->damage_count - 1]);
    return true;
}

rc restore_run(struct replica *replica, const struct restore_plan *plan,
    const struct restore_options *options, struct restore_report *ret, struct error *err)
{
    assert(plan->object_count > 0);
    assert(options->output != NULL);

    auto_restore_plan struct restore_plan own = RESTORE_PLAN_INIT;
    struct restore_engine engine = {
        .store = replica->store,
        .plan = plan,
        .thread_count = restore_thread_count(options),
        .cancel = options->cancel,
        .progress = options->progress,
        .progress_payload = options->progress_payload,
    };
    struct error why = { 0 };
    rc code = restore_run_output(&engine, options, &why);
    while (code != RC_OK && restore_go_around(&engine, replica, options, &own, &why))
        code = restore_run_output(&engine, options, &why);
    if (code != RC_OK) {
        /* What is not found now was there when the plan was made: never an answer about the backup.
         */
        why.code = code == RC_NOT_FOUND ? RC_IO : code;
        (void)error_copy(err, &why);
        return error_wrap(err, why.code, "restore to '%s'", options->output);
    }

    *ret = (struct restore_report){
        .position = engine.plan->target,
        .object_count = engine.plan->object_count,
        .received_size = engine.received,
        .transaction_count = engine.transaction_count,
        .damage_count = engine.plan->damage_count,
        .output_size = (uint64_t)plan->target.page_count * plan->target.page_size,
    };
    return RC_OK;
}
