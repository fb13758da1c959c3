/*
 * notify - what the service manager is told (sd_notify(3)); nothing where there is none
 */
#ifndef SEAWAL_DAEMON_NOTIFY_PRIV_H
#define SEAWAL_DAEMON_NOTIFY_PRIV_H

#include <stdint.h>

void notify_ready(void);
void notify_stopping(void);

/* The watchdog is fed this often (half of what the manager asks); 0: it does not ask. */
int64_t notify_watchdog_interval_ms(void);
void notify_watchdog(void);

#endif
