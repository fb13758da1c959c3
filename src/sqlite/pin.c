/*
 * The read transaction that keeps SQLite from overwriting what we have not captured, and its
 * hand-over.
 *
 * Which slot a read sits in is not told by SQLite. It is concluded from the WAL-index around the
 * begin of the read: when fewer frames were backfilled afterwards than were committed before, in
 * one and the same log, it cannot be slot 0; when everything was backfilled before and nothing
 * changed meanwhile, it is slot 0 (or, where a checkpointer barred slot 0 in that moment, a mark at
 * the end: then a reset reported as done has no effect, and nothing else).
 */
#include "sqlite/pin.h"

#include "base/clock.h"
#include "database_priv.h"

#include <assert.h>

enum {
    /* How long a hand-over waits for the client's header, and for a checkpointer in flight. */
    PIN_WAIT_MS = 100,
    PIN_PAUSE_US = 100,
};

struct pin_place {
    bool maybe_in_slot_zero;
    bool in_slot_zero;
    uint32_t frame_mark;
};

/* The WAL-index on one side of the begin of a read. */
struct pin_sight {
    bool is_consistent;
    struct wal_index_header header;
    uint32_t claimed; /* nBackfill as it stands: what SQLite chooses the slot by */
};

static struct pin_sight pin_look(struct database *database)
{
    struct pin_sight sight = { 0 };

    sight.is_consistent = wal_index_header_try(database, &sight.header, NULL) == RC_OK;
    sight.claimed = wal_index_words_read(database).claimed_frames;
    return sight;
}

/* No restart between the two (other salts) and no recovery (the change counter starts over). */
static bool pin_is_one_log(const struct pin_sight *before, const struct pin_sight *after)
{
    uint32_t change_count = after->header.change_counter - before->header.change_counter;

    return before->is_consistent && after->is_consistent &&
           wal_pair_equal(before->header.salt, after->header.salt) && change_count <= INT32_MAX;
}

static struct pin_place pin_conclude(const struct pin_sight *before, const struct pin_sight *after)
{
    if (!pin_is_one_log(before, after))
        return (struct pin_place){ .maybe_in_slot_zero = true };

    bool nothing_changed = before->header.change_counter == after->header.change_counter &&
                           before->header.frame_count == after->header.frame_count;
    return (struct pin_place){
        .maybe_in_slot_zero = after->claimed >= before->header.frame_count,
        .in_slot_zero = nothing_changed && before->claimed == before->header.frame_count,
        .frame_mark = before->header.frame_count,
    };
}

static int64_t pin_wait_until_ns(const struct database *database)
{
    if (database->holds_write_lock)
        return database->write_lock_until_ns;
    return clock_monotonic_ns() + (int64_t)PIN_WAIT_MS * 1000000;
}

static rc pin_begin(struct database *database, int holder, struct pin_place *ret, struct error *err)
{
    struct conn *conn = &database->pins[holder];
    int64_t wait_ms = database->holds_write_lock ? 0 : DATABASE_BUSY_WAIT_MS;

    TRY(database_connect(database, conn, err));
    struct pin_sight before = pin_look(database);
    TRY(database_begin_read(database, conn, wait_ms, err));
    struct pin_sight after = pin_look(database);
    *ret = pin_conclude(&before, &after);
    return RC_OK;
}

static void pin_place_set(struct database *database, int holder, const struct pin_place *place)
{
    database->pin_holder = holder;
    database->pin_maybe_in_slot_zero = place->maybe_in_slot_zero;
    database->pin_in_slot_zero = place->in_slot_zero;
    database->pin_frame_mark = place->frame_mark;
}

rc pin_hold(struct database *database, struct error *err)
{
    struct pin_place place;

    assert(database->pin_holder == PIN_NONE);
    TRY_AS(err, pin_begin(database, 0, &place, err), "pin the log of '%s'", database->path);

    /* No older pin stood while it began, so nothing is certain but that it is held. */
    place.maybe_in_slot_zero = true;
    pin_place_set(database, 0, &place);
    return RC_OK;
}

void pin_drop(struct database *database)
{
    if (database->pin_holder == PIN_NONE)
        return;
    recopy_before_end(database);
    conn_end_read(&database->pins[database->pin_holder]);
    pin_place_set(database, PIN_NONE, &(struct pin_place){ 0 });
}

void pin_state_read(const struct database *database, struct pin_state *ret)
{
    *ret = (struct pin_state){
        .held = database->pin_holder != PIN_NONE,
        .in_slot_zero = database->pin_in_slot_zero,
        .frame_mark = database->pin_frame_mark,
    };
}

rc pin_capture(struct database *database, const struct pin_client *client,
    struct wal_index_header *ret, struct error *err)
{
    int64_t until_ns = pin_wait_until_ns(database);

    for (;;) {
        rc code = client->capture(client->payload, ret, err);
        if (code != RC_BUSY || clock_monotonic_ns() >= until_ns)
            return code;
        clock_pause_us(PIN_PAUSE_US);
    }
}

/*
 * Prove that no checkpointer is in flight whose header is from before this moment: whoever
 * checkpoints holds this lock from before it reads the header until it is through. Held for no
 * longer than it takes to let go again, since recovery needs it.
 */
rc pin_outlast_checkpointers(struct database *database, struct error *err)
{
    int64_t until_ns = pin_wait_until_ns(database);
    struct conn *conn = &database->reader; /* no statement runs in between, and an idle database
                                              needs no connection for it */

    for (;;) {
        rc code = conn_lock_index(conn, WAL_INDEX_LOCK_CHECKPOINT, err);
        if (code == RC_OK) {
            conn_unlock_index(conn, WAL_INDEX_LOCK_CHECKPOINT);
            return RC_OK;
        }
        if (code != RC_BUSY)
            return code;
        if (clock_monotonic_ns() >= until_ns)
            FAIL(err, RC_BUSY, "somebody else's checkpoint is running");
        clock_pause_us(PIN_PAUSE_US);
    }
}

rc pin_settle(const struct pin_client *client, int64_t until_ns, struct error *err)
{
    return client->settle != NULL ? client->settle(client->payload, until_ns, err) : RC_OK;
}

/* What must be true before the old pin may go; the new one, at PLACE, stands already. */
static rc pin_prepare_to_end_old(struct database *database, const struct pin_client *client,
    const struct pin_place *place, struct error *err)
{
    struct wal_index_header captured;
    int64_t until_ns = database->holds_write_lock ? database->write_lock_until_ns : 0;

    TRY(pin_capture(database, client, &captured, err));
    if (place->maybe_in_slot_zero)
        TRY(pin_settle(client, until_ns, err));
    if (database->pin_maybe_in_slot_zero)
        TRY(pin_outlast_checkpointers(database, err));
    return RC_OK;
}

/*
 * The order is the protocol. New read begins: from here a restart is impossible unless both pins
 * are in slot 0, where nothing can be backfilled. Capture: no earlier image of what the new pin
 * lets checkpoints copy is needed any more. Settle: from slot 0 the log may be let go, so all of it
 * is durable; in slots 1..4 the new pin keeps the frames until the hand-over that ends there. Pass
 * of the checkpoint lock: a checkpointer from before a restart that the old pin in slot 0 allowed
 * is gone. End of the old read: checkpoints may now copy up to the new mark. We may die between any
 * two: the locks go with us, and what was captured is proved or resynchronised by the next start.
 */
rc pin_advance(struct database *database, const struct pin_client *client, struct error *err)
{
    int old = database->pin_holder;
    struct pin_place place;

    assert(old != PIN_NONE);
    int next = 1 - old;

    TRY(recopy_after(database, RC_OK, err));
    TRY(pin_begin(database, next, &place, err));
    rc code = pin_prepare_to_end_old(database, client, &place, err);
    if (code != RC_OK) {
        conn_end_read(&database->pins[next]);
        return code;
    }
    conn_end_read(&database->pins[old]);
    pin_place_set(database, next, &place);
    return RC_OK;
}
