/*
 * heal - a log whose index SQLite's WAL-reset bug has poisoned is made whole before it does harm
 *
 * It is looked for at open, before anything is read, and in every round, the first of which come
 * until it can happen no more. What was captured needs no
 * healing: it is read from the log's frames.
 */
#include "capture_priv.h"

#include "sqlite/poison.h"

/* A checkpointer that looked at the index before the pin stood may strike until it is through. */
static rc heal_outlast(struct capture *capture, struct error *err)
{
    rc result = pin_outlast_checkpointers(capture->database, err);

    capture->is_alone = result == RC_OK;
    return result == RC_BUSY ? RC_OK : result;
}

rc capture_heal(struct capture *capture, struct error *err)
{
    struct index_poison found;

    if (capture->state == CAPTURE_FOLLOWING && !capture->is_alone)
        TRY(heal_outlast(capture, err));
    if (!database_index_is_poisoned(capture->database, &found)) {
        /* It waited for us, and somebody's recovery was faster. */
        if (capture->poison.state == CAPTURE_POISON_BUSY)
            capture->poison.state = CAPTURE_POISON_HEALED;
        return RC_OK;
    }

    rc result = database_heal_index(capture->database, err);
    if (result != RC_OK && result != RC_BUSY)
        return result;
    capture->poison = (struct capture_poison){
        .state = result == RC_OK ? CAPTURE_POISON_HEALED : CAPTURE_POISON_BUSY,
        .claimed_frames = found.claimed_frames,
        .log_frames = found.log_frames,
    };
    return RC_OK;
}
