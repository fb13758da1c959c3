/*
 * clock - the two clocks, both replaceable in tests
 *
 * Monotonic milliseconds are for intervals and deadlines, wall-clock milliseconds (since the Unix
 * epoch, UTC) for labels on transactions and objects. Order never comes from a clock.
 */
#ifndef SEAWAL_BASE_CLOCK_H
#define SEAWAL_BASE_CLOCK_H

#include <stdint.h>

int64_t clock_monotonic_ms(void);
int64_t clock_monotonic_ns(void);
int64_t clock_wall_ms(void);

/* CPU time of this process, for reports. */
int64_t clock_cpu_ms(void);

/* Wait; only for pauses of a few milliseconds inside a bounded loop. */
void clock_pause_us(unsigned microseconds);

#endif
