/*
 * restore_db - one restore from a place to a file, for the restore command and before replication
 */
#ifndef SEAWAL_CMD_SEAWAL_RESTORE_DB_H
#define SEAWAL_CMD_SEAWAL_RESTORE_DB_H

#include "place.h"
#include "replica/restore.h"

#include <stdbool.h>

/*
 * Whether PLACE certainly holds nothing that could be restored: no replica, or one that never got
 * its first snapshot. Asked after a plan was answered with RC_NOT_FOUND, which may also mean that
 * one wanted point is not there.
 */
must_use rc restore_place_is_empty(struct place *place, bool *ret, struct error *err);

/*
 * Restore the newest transaction of DB's replica to its path when the file does not exist. RC_OK
 * also when it exists, or when there certainly is no backup; *RET_RESTORED and REPORT tell.
 */
must_use rc restore_db_if_missing(const struct db_config *db, struct cancel *cancel,
    bool *ret_restored, struct restore_report *report, struct error *err);

#endif
