/*
 * settle - what was captured becomes durable
 *
 * While the pin moves, captured transactions may stay in a segment that is not finished: their
 * frames are in the log, which a pin in slots 1..4 keeps, and nothing of the segment is seen by
 * others. It is settled before the log may be let go (pin.h), and before anybody looks at the
 * position.
 *
 * We may die in between: the segment never appears, the undo file takes the digest map back, and
 * the next start copies the frames again, or finds the difference by digest. When it cannot be
 * settled the same happens here; only then may the database file be ahead of the captured place, so
 * that an image in it need not be the base that the map expects.
 */
#include "spool_writer_priv.h"

#include "base/alloc.h"
#include "base/background.h"

#include <assert.h>
#include <stdlib.h>

struct log_place *capture_head_place(struct capture *capture)
{
    return spool_writer_is_open(capture->writer) ? &capture->writer->place : capture_place(capture);
}

uint64_t capture_head_txid(struct capture *capture)
{
    return spool_writer_is_open(capture->writer) ? capture->writer->position.txid
                                                 : capture_now(capture)->txid;
}

static rc settle_publish(void *payload, struct error *err)
{
    return spool_writer_publish(payload, err);
}

static rc settle_start(struct capture *capture, struct error *err)
{
    if (capture->settling != NULL)
        return RC_OK;
    TRY(spool_writer_seal(capture->writer, err));
    capture->settling = mem_new(sizeof *capture->settling);
    background_start(capture->settling, settle_publish, capture->writer);
    return RC_OK;
}

/* What the thread answered. */
static rc settle_join(struct capture *capture, struct error *err)
{
    rc published = background_finish(capture->settling, err);

    free(capture->settling);
    capture->settling = NULL;
    return spool_writer_accept(capture->writer, published);
}

void settle_abandon(struct capture *capture)
{
    if (capture->settling != NULL && settle_join(capture, NULL) == RC_OK)
        return;
    if (!spool_writer_is_open(capture->writer))
        return;
    spool_writer_abort(capture->writer);
    capture->captured = capture->settled;
    capture->file_may_be_ahead = true;
}

static rc settle_within(struct capture *capture, int64_t until_ns, struct error *err)
{
    if (capture->settling == NULL && until_ns == SETTLE_HOWEVER_LONG)
        return spool_writer_commit(capture->writer, err);
    TRY(settle_start(capture, err));
    if (until_ns != SETTLE_HOWEVER_LONG && !background_wait(capture->settling, until_ns))
        FAIL(err, RC_BUSY, "the spool is being written to disk");
    return settle_join(capture, err);
}

rc settle_run(struct capture *capture, int64_t until_ns, struct error *err)
{
    if (!spool_writer_is_open(capture->writer))
        return RC_OK;

    rc result = settle_within(capture, until_ns, err);
    if (result == RC_OK)
        capture->settled = capture->captured;
    else if (capture->settling == NULL)
        settle_abandon(capture); /* it failed; else it is only not done yet */
    return result;
}

rc settle_after(struct capture *capture, rc result, struct error *err)
{
    struct error other;
    rc settled = settle_run(capture, SETTLE_HOWEVER_LONG, &other);

    if (settled == RC_OK || (result != RC_OK && result != RC_BUSY))
        return result;
    *err = other;
    return settled;
}
