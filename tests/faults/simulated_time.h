/*
 * simulated_time - a clock that moves only when somebody waits
 *
 * The linker's --wrap sends the calls of base/clock.h and cancel_wait_ms() here: waiting is free,
 * and minutes of retries pass at once. A reading moves the clock by a microsecond, so that a loop
 * with a deadline ends.
 */
#ifndef SEAWAL_TESTS_FAULTS_SIMULATED_TIME_H
#define SEAWAL_TESTS_FAULTS_SIMULATED_TIME_H

#include <stdint.h>

void simulated_time_pass_ms(int64_t ms);

#endif
