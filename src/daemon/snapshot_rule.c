/*
 * snapshot_rule - see snapshot_rule_priv.h
 */
#include "snapshot_rule_priv.h"

bool snapshot_is_due(
    const struct snapshot_account *account, const struct snapshot_config *config, int64_t wall_ms)
{
    if (account->snapshot_size == 0 || account->log_size == 0)
        return false;
    if (config->interval_ms > 0 && wall_ms - account->snapshot_time_ms >= config->interval_ms)
        return true;
    return account->behind_size > SNAPSHOT_BEHIND_SIZE_MIN &&
           account->behind_size > account->snapshot_size / 100 * config->log_percent;
}
