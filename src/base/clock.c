/* clock - the only file that asks the system for the time */
#include "base/clock.h"

#include <assert.h>
#include <errno.h>
#include <time.h>

static int64_t clock_read_ns(clockid_t id)
{
    struct timespec now;
    int result = clock_gettime(id, &now);

    assert(result == 0);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

int64_t clock_monotonic_ms(void)
{
    return clock_read_ns(CLOCK_MONOTONIC) / 1000000;
}

int64_t clock_monotonic_ns(void)
{
    return clock_read_ns(CLOCK_MONOTONIC);
}

int64_t clock_wall_ms(void)
{
    return clock_read_ns(CLOCK_REALTIME) / 1000000;
}

int64_t clock_cpu_ms(void)
{
    return clock_read_ns(CLOCK_PROCESS_CPUTIME_ID) / 1000000;
}

void clock_pause_us(unsigned microseconds)
{
    struct timespec rest = {
        .tv_sec = (time_t)(microseconds / 1000000),
        .tv_nsec = (long)(microseconds % 1000000) * 1000,
    };

    while (nanosleep(&rest, &rest) != 0 && errno == EINTR)
        continue;
}
