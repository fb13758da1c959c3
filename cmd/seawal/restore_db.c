/*
 * restore_db - one restore from a place to a file
 */
#include "restore_db.h"

#include "base/fs.h"

#include <assert.h>

rc restore_place_is_empty(struct place *place, bool *ret, struct error *err)
{
    struct replica_info info;
    rc result = replica_inspect(place->replica, &info, err);

    if (result != RC_OK && result != RC_NOT_FOUND)
        return result;
    *ret = result == RC_NOT_FOUND || info.position.txid == 0;
    return RC_OK;
}

rc restore_db_if_missing(const struct db_config *db, struct cancel *cancel, bool *ret_restored,
    struct restore_report *report, struct error *err)
{
    *ret_restored = false;
    if (fs_exists(db->path))
        return RC_OK;

    auto_place struct place place = PLACE_INIT;
    auto_restore_plan struct restore_plan plan = RESTORE_PLAN_INIT;
    struct restore_target target = { .kind = RESTORE_NEWEST };
    struct restore_options options = { .output = db->path, .cancel = cancel };
    TRY_AS(err, place_open_db(&place, db, cancel, 0, err), "restore '%s'", db->path);
    rc result = restore_plan_make(&plan, place.replica, &target, err);
    if (result == RC_NOT_FOUND) {
        bool is_empty = false;

        TRY_AS(err, restore_place_is_empty(&place, &is_empty, err), "restore '%s'", db->path);
        if (is_empty)
            return RC_OK;
        FAIL(err, RC_CORRUPT, "restore '%s': a replica that has something gave no plan", db->path);
    }
    if (result != RC_OK)
        return error_wrap(err, result, "restore '%s'", db->path);
    TRY_AS(err, restore_run(place.replica, &plan, &options, report, err), "restore '%s'", db->path);
    *ret_restored = true;
    return RC_OK;
}
