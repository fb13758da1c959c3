/* notify - built without libsystemd: nobody is told; see notify_priv.h */
#include "notify_priv.h"

void notify_ready(void)
{
}

void notify_stopping(void)
{
}

int64_t notify_watchdog_interval_ms(void)
{
    return 0;
}

void notify_watchdog(void)
{
}
