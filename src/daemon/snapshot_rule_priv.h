/*
 * snapshot_rule - when a new snapshot pays; pure
 *
 * When what a restore would read behind the newest one is larger than a share of it (half by
 * default): restores stay short, and what is uploaded follows what changed. Or by interval, if
 * there was a change.
 */
#ifndef SEAWAL_DAEMON_SNAPSHOT_RULE_PRIV_H
#define SEAWAL_DAEMON_SNAPSHOT_RULE_PRIV_H

#include "config/config.h"

#include <stdbool.h>
#include <stdint.h>

enum { SNAPSHOT_BEHIND_SIZE_MIN = 4 << 20 }; /* below, a new snapshot saves nothing */

struct snapshot_account {
    uint64_t snapshot_size;   /* stored bytes of the newest one; 0: there is none yet */
    int64_t snapshot_time_ms; /* wall clock when it began */
    uint64_t log_size;        /* stored bytes of log behind it; 0: nothing changed */
    uint64_t behind_size; /* stored bytes of the merged segments, where there are any, behind it */
};

bool snapshot_is_due(
    const struct snapshot_account *account, const struct snapshot_config *config, int64_t wall_ms);

#endif
