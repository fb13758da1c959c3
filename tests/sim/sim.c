/* sim - randomness, points and turns; see sim.h */
#include "sim.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

struct sim_shared *sim;
struct sim_self sim_self = { .actor = ACTOR_SCHEDULER };
bool sim_verbose;

static const char *const actor_names[] = { "daemon", "app", "app-too", "?", "world" };
static const char *const call_names[CALL_COUNT] = { "open", "read", "write", "sync", "truncate",
    "name", "allocate", "lock", "barrier", "memory", "store" };

/* splitmix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014). */
uint64_t sim_random(void)
{
    uint64_t z = (sim->random += UINT64_C(0x9e3779b97f4a7c15));

    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

uint64_t sim_below(uint64_t limit)
{
    return limit == 0 ? 0 : sim_random() % limit;
}

bool sim_chance(uint32_t of_10000)
{
    return of_10000 > 0 && sim_below(10000) < of_10000;
}

void sim_trace(uint64_t value)
{
    sim->trace = (sim->trace ^ value) * UINT64_C(0x100000001b3);
    sim->trace ^= sim->trace >> 29;
}

void sim_say(const char *format, ...)
{
    char text[SIM_TEXT_SIZE];
    va_list arguments;

    if (!sim_verbose)
        return;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    fprintf(stderr, "%12.6f %04x %-7s %s\n", (double)sim->monotonic_ns / 1e9,
        (unsigned)(sim->random >> 48), actor_names[sim_self.actor], text);
}

void sim_broken(const char *format, ...)
{
    va_list arguments;

    if (sim->broken[0] != '\0')
        return;
    va_start(arguments, format);
    vsnprintf(sim->broken, sizeof sim->broken, format, arguments);
    va_end(arguments);
    sim_say("BROKEN: %s", sim->broken);
}

void lockstep_yield(enum sim_report report)
{
    char turn = 0;

    if (!sim_self.live)
        return;
    sim->report = report;
    sim->counts.switches++;
    ssize_t size = write(sim_self.fd, &turn, 1);
    if (size == 1)
        size = read(sim_self.fd, &turn, 1);
    if (size != 1)
        _exit(0); /* the scheduler is gone */
}

static enum sim_disaster sim_pick_disaster(void)
{
    if (sim_below(100) < sim->settings.power_percent)
        return DISASTER_POWER;
    if (sim_below(3) > 0)
        return DISASTER_KILL_DAEMON;
    if (sim->settings.app_count > 1 && sim_below(2) == 0)
        return DISASTER_KILL_APP_TOO;
    return DISASTER_KILL_APP;
}

static void sim_disasters(void)
{
    if (sim->calm || sim->disaster_in == 0 || --sim->disaster_in > 0)
        return;
    sim->disaster = sim_pick_disaster();
    sim->counts.disasters[sim->disaster]++;
    sim->disaster_in = 1 + sim_below(2 * (uint64_t)sim->settings.disaster_spread);
    lockstep_yield(REPORT_YIELDED);
}

bool sim_is_ours(const char *path)
{
    return strstr(path, "-seawal/") != NULL;
}

/* The daemon alone meets failing calls: how SQLite answers them to an application is not ours. */
static int sim_refuse(enum sim_call call, const char *path)
{
    static const int reasons[] = { EIO, ENOSPC, EINTR };

    if (sim->calm || sim_self.actor != ACTOR_DAEMON || call >= CALL_LOCK || path == NULL)
        return 0;
    bool is_ours = sim_is_ours(path);
    if (!sim_chance(is_ours ? sim->settings.refuse_chance : sim->settings.sqlite_chance))
        return 0;
    int reason = reasons[sim_below(3)];
    if (reason == ENOSPC && (call == CALL_READ || call == CALL_SYNC))
        reason = EIO;
    if (is_ours)
        sim->counts.refused[call]++;
    else
        sim->counts.sqlite_refused[call]++;
    sim_say("refused: %s", strerror(reason));
    return reason;
}

int sim_point(enum sim_call call, const char *path)
{
    if (!sim_self.live)
        return 0;
    sim->monotonic_ns += 500 + (int64_t)sim_below(20000);
    sim->counts.points[call]++;
    sim_trace((uint64_t)call << 8 | (uint64_t)sim_self.actor);
    sim_disasters();
    if (sim_chance(sim->settings.yield_chance))
        lockstep_yield(REPORT_YIELDED);
    if (path != NULL)
        sim_say("%s %s", call_names[call], path);
    return sim_refuse(call, path);
}

void sim_pause(int64_t ns)
{
    sim->monotonic_ns += ns;
    lockstep_yield(REPORT_YIELDED);
}
