/* simulated_time - a clock that moves only when somebody waits */
#include "simulated_time.h"

#include "base/cancel.h"
#include "base/clock.h"

#include <stdatomic.h>

static atomic_int_least64_t simulated_ns = 1000000000;

void simulated_time_pass_ms(int64_t ms)
{
    atomic_fetch_add(&simulated_ns, ms * 1000000);
}

int64_t __real_clock_wall_ms(void);
int64_t __wrap_clock_monotonic_ns(void);
int64_t __wrap_clock_monotonic_ms(void);
int64_t __wrap_clock_wall_ms(void);
void __wrap_clock_pause_us(unsigned microseconds);
bool __wrap_cancel_wait_ms(struct cancel *cancel, int64_t ms);

int64_t __wrap_clock_monotonic_ns(void)
{
    return atomic_fetch_add(&simulated_ns, 1000);
}

int64_t __wrap_clock_monotonic_ms(void)
{
    return __wrap_clock_monotonic_ns() / 1000000;
}

/* It begins as the real one, which the times of files come from. */
int64_t __wrap_clock_wall_ms(void)
{
    static atomic_int_least64_t began_ms;

    if (atomic_load(&began_ms) == 0)
        atomic_store(&began_ms, __real_clock_wall_ms());
    return atomic_load(&began_ms) + __wrap_clock_monotonic_ms();
}

void __wrap_clock_pause_us(unsigned microseconds)
{
    atomic_fetch_add(&simulated_ns, (int64_t)microseconds * 1000);
}

bool __wrap_cancel_wait_ms(struct cancel *cancel, int64_t ms)
{
    if (ms > 0 && !cancel_asked(cancel))
        simulated_time_pass_ms(ms);
    return cancel_asked(cancel);
}
