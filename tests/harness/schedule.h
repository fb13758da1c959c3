/*
 * schedule - SQLite's connections as actors of which one runs at a time, switched where the test
 * says
 *
 * An actor is a function in a thread of its own. It can be stopped at its calls of SQLite's file
 * methods that matter to others (locks and barriers of the log's index, syncs, page writes, the
 * moment in which a checkpointer has read the index and not acted yet), and where it waits. Time is
 * not real: it passes when somebody waits. So a schedule repeats exactly, and all schedules with a
 * given number of switches can be counted through.
 *
 *   schedule_install() once, before SQLite is used; it becomes the default VFS
 *   schedule_run() as often as wanted; connections are opened and closed outside of it
 */
#ifndef SEAWAL_TESTS_HARNESS_SCHEDULE_H
#define SEAWAL_TESTS_HARNESS_SCHEDULE_H

#include <stdbool.h>
#include <stddef.h>

enum { SCHEDULE_ACTOR_COUNT_MAX = 4, SCHEDULE_PART_COUNT_MAX = 4 };

struct schedule_actor {
    void (*run)(void *payload);
    void *payload;
};

/* The first parts name who runs, and for how many steps at most. */
struct schedule_part {
    size_t actor;
    unsigned steps;
};

struct schedule {
    struct schedule_part parts[SCHEDULE_PART_COUNT_MAX];
    size_t part_count;
    size_t
        tail[SCHEDULE_ACTOR_COUNT_MAX]; /* every actor once: who then runs to its end, in order */
};

void schedule_install(void);

/*
 * What base/background.h would do in a thread is done by the actor that started it: at once, or,
 * LATE, when it is waited for the second time or finished.
 */
void schedule_set_background(bool late);

/*
 * Run all actors to their ends. RET_CUT_SHORT tells for each part whether its actor was stopped by
 * the number of steps, so that more steps would be another schedule.
 */
void schedule_run(const struct schedule *schedule, const struct schedule_actor *actors,
    size_t actor_count, bool ret_cut_short[SCHEDULE_PART_COUNT_MAX]);

#endif
