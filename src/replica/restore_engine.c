/*
 * restore_engine - snapshot, segments, proof
 */
#include "restore_engine_priv.h"

#include <assert.h>

#include "base/clock.h"

enum { PROGRESS_INTERVAL_MS = 100 };

void restore_engine_tell(struct restore_engine *engine, enum restore_phase phase, bool force)
{
    if (engine->progress == NULL)
        return;

    int64_t now_ms = clock_monotonic_ms();
    if (!force && now_ms - engine->progress_at_ms < PROGRESS_INTERVAL_MS)
        return;
    engine->progress_at_ms = now_ms;
    uint64_t received = atomic_load(&engine->received);
    struct restore_progress progress = {
        .phase = phase,
        .done_size = received < engine->plan->total_size ? received : engine->plan->total_size,
        .total_size = engine->plan->total_size,
        .txid = engine->image->txid,
    };
    engine->progress(engine->progress_payload, &progress);
}

rc restore_engine_run(struct restore_engine *engine, struct error *err)
{
    const struct restore_plan *plan = engine->plan;

    assert(plan->object_count > 0);
    assert(plan->objects[0].kind == SEGMENT_SNAPSHOT);
    assert(engine->thread_count > 0);
    assert(engine->thread_count <= RESTORE_THREAD_COUNT_MAX);

    restore_engine_tell(engine, RESTORE_PHASE_SNAPSHOT, true);
    TRY(restore_pages_run(engine, err));
    restore_engine_tell(engine, RESTORE_PHASE_LOG, true);
    TRY(restore_log_run(engine, err));

    if (engine->image->txid != plan->target.txid)
        FAIL(err, RC_CORRUPT, "the segments end before the target");
    return image_check(engine->image, plan->target.digest, plan->target.page_count, err);
}
