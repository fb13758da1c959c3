/* notify - over libsystemd; see notify_priv.h */
#include "notify_priv.h"

#include <systemd/sd-daemon.h>

/* A manager that cannot be reached is no reason to stop replicating, so answers are not looked at.
 */
void notify_ready(void)
{
    (void)sd_notify(0, "READY=1\nSTATUS=replicating");
}

void notify_stopping(void)
{
    (void)sd_notify(0, "STOPPING=1\nSTATUS=final sync");
}

int64_t notify_watchdog_interval_ms(void)
{
    uint64_t interval_us = 0;

    if (sd_watchdog_enabled(0, &interval_us) <= 0)
        return 0;
    return (int64_t)(interval_us / 2000);
}

void notify_watchdog(void)
{
    (void)sd_notify(0, "WATCHDOG=1");
}
