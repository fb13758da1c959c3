/* remote - the store of a simulated life: a folder that is late, fails, and lists what was */
#ifndef SEAWAL_TESTS_SIM_REMOTE_H
#define SEAWAL_TESTS_SIM_REMOTE_H

#include "store/store.h"

/* What is done while a request is on its way; set by the daemon's side. */
extern void (*remote_meanwhile)(void);

#endif
