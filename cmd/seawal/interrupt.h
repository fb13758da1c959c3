/*
 * interrupt - TERM and INT cancel what a command does, once and cleanly
 *
 * interrupt_start() before any other thread: the signals are blocked everywhere, and one thread of
 * its own waits for them and cancels the token. A second signal ends the process at once.
 */
#ifndef SEAWAL_CMD_SEAWAL_INTERRUPT_H
#define SEAWAL_CMD_SEAWAL_INTERRUPT_H

#include "base/cancel.h"

/* Lives until the process ends. */
struct cancel *interrupt_start(void);

#endif
