/*
 * hold - named restore points that retention keeps
 */
#include "replica/hold.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/text.h"
#include "hold_priv.h"
#include "note_priv.h"
#include "object_source_priv.h"
#include "replica/restore.h"
#include "view_priv.h"

bool replica_hold_name_is_good(const char *name)
{
    static const char allowed[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
    size_t size = strlen(name);

    return size > 0 && size < REPLICA_HOLD_NAME_SIZE && name[0] != '.' &&
           strspn(name, allowed) == size;
}

static rc hold_check_name(const char *name, struct error *err)
{
    if (!replica_hold_name_is_good(name))
        FAIL(err, RC_USAGE,
            "'%.80s' is no name for a hold; letters, digits, '.', '_' and '-', at most %d", name,
            REPLICA_HOLD_NAME_SIZE - 1);
    return RC_OK;
}

rc hold_load(struct hold *ret, struct store *store, const struct database_id *id, const char *name,
    struct error *err)
{
    char key[REPLICA_KEY_SIZE];
    auto_buf struct buf text = BUF_INIT(INFO_JSON_SIZE_MAX);
    struct hold_note note;

    replica_key_hold(key, name);
    TRY(store_get(store, key, 0, 0, &text, err));
    TRY_AS(err, hold_note_decode(&note, buf_bytes(&text), err), "'%s'", key);
    if (memcmp(&note.position.database_id, id, sizeof *id) != 0)
        FAIL(err, RC_CORRUPT, "'%s' belongs to another database", key);
    *ret = (struct hold){
        .timeline = note.position.timeline,
        .txid = note.position.txid,
        .time_ms = note.position.time_ms,
        .made_ms = note.made_ms,
    };
    memcpy(ret->name, name, strlen(name) + 1);
    return RC_OK;
}

/* Whether the point restores without anything that is condemned. */
static rc hold_check(
    struct replica *replica, const struct replica_position *position, struct error *err)
{
    auto_view struct view view = VIEW_INIT;
    auto_point struct point point = POINT_INIT;

    TRY(view_open(&view, replica->store, position->timeline, err));
    rc code = point_find(&view, position->txid, &point, err);
    if (code == RC_NOT_FOUND)
        FAIL(err, RC_NOT_FOUND,
            "transaction %" PRIu64 " can be restored, but retention removes it in a moment",
            position->txid);
    return code;
}

static rc hold_put(
    struct replica *replica, const char *name, const struct hold_note *note, struct error *err)
{
    char key[REPLICA_KEY_SIZE];
    auto_buf struct buf text = BUF_INIT(INFO_JSON_SIZE_MAX);

    replica_key_hold(key, name);
    hold_note_encode(&text, note);
    rc code = store_put(replica->store, key, buf_bytes(&text), STORE_PUT_NEW, err);
    if (code == RC_EXISTS)
        FAIL(err, RC_EXISTS, "there is a hold '%s' already; release it first", name);
    return code;
}

rc replica_hold(struct replica *replica, const char *name, const struct restore_target *target,
    struct hold *ret, struct error *err)
{
    auto_restore_plan struct restore_plan plan = RESTORE_PLAN_INIT;

    TRY(hold_check_name(name, err));
    TRY(restore_plan_make(&plan, replica, target, err));
    TRY(hold_check(replica, &plan.target, err));
    struct hold_note note = { .position = plan.target, .made_ms = clock_wall_ms() };
    TRY(hold_put(replica, name, &note, err));

    /* Whoever condemned in between did not see it; whoever does from now on does. */
    rc code = hold_check(replica, &plan.target, err);
    if (code == RC_NOT_FOUND && replica_release(replica, name, NULL) != RC_OK)
        return error_wrap(err, code, "hold '%s' is of no use", name);
    if (code != RC_OK)
        return code;
    *ret = (struct hold){
        .timeline = plan.target.timeline,
        .txid = plan.target.txid,
        .time_ms = plan.target.time_ms,
        .made_ms = note.made_ms,
    };
    memcpy(ret->name, name, strlen(name) + 1);
    return RC_OK;
}

rc replica_holds(struct replica *replica, struct hold **ret, size_t *ret_count, struct error *err)
{
    auto_catalog struct catalog catalog = CATALOG_INIT;
    TRY(catalog_load(&catalog, replica->store, err));

    size_t count = catalog.notes.hold_count;
    auto_free struct hold *holds = mem_new_array(count + 1, sizeof *holds);
    for (size_t i = 0; i < count; i++)
        TRY(hold_load(
            &holds[i], replica->store, &catalog.header.database_id, catalog.notes.holds[i], err));
    *ret = holds;
    *ret_count = count;
    holds = NULL;
    return RC_OK;
}

rc replica_release(struct replica *replica, const char *name, struct error *err)
{
    char key[REPLICA_KEY_SIZE];
    auto_buf struct buf text = BUF_INIT(INFO_JSON_SIZE_MAX);

    TRY(hold_check_name(name, err));
    replica_key_hold(key, name);
    rc code = store_get(replica->store, key, 0, 0, &text, err);
    if (code == RC_NOT_FOUND)
        FAIL(err, RC_NOT_FOUND, "there is no hold '%s'", name);
    if (code != RC_OK)
        return code;
    const char *const keys[] = { key };
    return store_remove(replica->store, keys, 1, err);
}
