/*
 * entry_depart - from which stored point a history goes on that does not go on from the newest
 *
 * A file that was restored to the past tells by itself which point it is (replica/restored.h). A
 * state folder that is older than the replica, since the machine was set back or the folder copied,
 * knows the last point that it has in common with the replica. Both are looked up in the replica:
 * only a point that is there, with the same digest, is departed from. The new timeline shares with
 * its parent everything up to there, and no transaction says what others did behind it.
 */
#include "entry_priv.h"

#include <string.h>

#include "base/log.h"
#include "replica/restore.h"
#include "replica/restored.h"

/* WANTED as the replica has it. RET all zero: it does not restore that point, or it is another. */
static rc depart_look_up(struct entry *entry, const struct replica_position *wanted,
    struct replica_position *ret, struct error *err)
{
    auto_restore_plan struct restore_plan plan = RESTORE_PLAN_INIT;
    struct restore_target target = {
        .kind = RESTORE_TXID,
        .timeline = wanted->timeline,
        .txid = wanted->txid,
    };

    *ret = (struct replica_position){ 0 };
    rc planned = restore_plan_make(&plan, entry->replica, &target, err);
    if (planned == RC_NOT_FOUND || planned == RC_CORRUPT)
        return RC_OK;
    if (planned != RC_OK)
        return planned;
    const struct replica_position *found = &plan.target;
    if (found->digest == wanted->digest && found->timeline == wanted->timeline &&
        memcmp(&found->database_id, &wanted->database_id, sizeof found->database_id) == 0)
        *ret = *found;
    return RC_OK;
}

rc entry_restored_point(struct entry *entry, const struct capture *capture,
    struct replica_position *ret, struct error *err)
{
    const char *path = entry->config->path;
    struct replica_position told;
    struct error why = { 0 };

    *ret = (struct replica_position){ 0 };
    rc looked = restored_look(&told, path, &why);
    if (looked != RC_OK && looked != RC_NOT_FOUND)
        log_error(LOG_WARN, &why, "what a restore noted on the file is not read", "db", path, NULL);
    if (looked != RC_OK)
        return RC_OK;
    TRY(depart_look_up(entry, &told, ret, err));
    if (ret->page_size != capture_file_page_size(capture))
        *ret = (struct replica_position){ 0 };
    log_event(ret->txid != 0 ? LOG_INFO : LOG_WARN,
        ret->txid != 0 ? "the file was restored from this replica"
                       : "the file was restored from a point that is not in this replica",
        "db", path, "timeline", log_u64(told.timeline), "txid", log_u64(told.txid), NULL);
    return RC_OK;
}

void entry_restored_forget(struct entry *entry)
{
    struct error err = { 0 };

    if (restored_forget(entry->config->path, &err) != RC_OK)
        log_error(LOG_DEBUG, &err, "the note of a restore stays on the file", "db",
            entry->config->path, NULL);
}

rc entry_note_common(
    struct entry *entry, const struct replica_position *positions, size_t count, struct error *err)
{
    entry->common = (struct replica_position){ 0 };
    for (size_t i = 0; i < count && entry->common.txid == 0; i++) {
        if (positions[i].txid != 0)
            TRY(depart_look_up(entry, &positions[i], &entry->common, err));
    }
    return RC_OK;
}
