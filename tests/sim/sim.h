/*
 * sim - one seed, one world: what the processes of a simulated life share
 *
 * The scheduler (the parent) forks the daemon and the applications. Exactly one of all processes
 * runs at any moment; whoever runs may draw random numbers and change the shared state. So a seed
 * decides everything, and locks, mappings and deaths are those of real processes.
 *
 *     scheduler --- go ---> child ... sim_point() at each system call ... lockstep_yield() --->
 * scheduler
 *
 * At each point the seed may let somebody else run, refuse the call, or order a disaster (a process
 * is killed, the power is cut), which the scheduler carries out while the child stands there.
 */
#ifndef SEAWAL_TESTS_SIM_SIM_H
#define SEAWAL_TESTS_SIM_SIM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum sim_actor { ACTOR_DAEMON, ACTOR_APP, ACTOR_APP_TOO, ACTOR_COUNT, ACTOR_SCHEDULER };

/* What a process stands before. */
enum sim_call {
    CALL_OPEN,
    CALL_READ,
    CALL_WRITE,
    CALL_SYNC,
    CALL_TRUNCATE,
    CALL_NAME, /* rename, link, unlink, mkdir */
    CALL_ALLOCATE,
    CALL_LOCK,    /* a lock of SQLite's */
    CALL_BARRIER, /* between two steps of a change of SQLite's index */
    CALL_MEMORY,  /* a change of mapped memory of ours */
    CALL_STORE,   /* a request to the store */
    CALL_COUNT,
};

enum sim_disaster {
    DISASTER_NONE,
    DISASTER_KILL_DAEMON,
    DISASTER_KILL_APP,
    DISASTER_KILL_APP_TOO,
    DISASTER_POWER,
    DISASTER_COUNT,
};

/* Why a child gave the turn back. */
enum sim_report {
    REPORT_YIELDED,
    REPORT_IDLE, /* the application ended a step; the daemon has nothing that is due */
    REPORT_ENDED,
};

/* What an application is asked for next. */
enum sim_order { ORDER_ANY, ORDER_CLOSE, ORDER_WRITE };

/* What of the store cannot be reached. */
enum sim_outage { OUTAGE_NONE, OUTAGE_ALL, OUTAGE_LOG, OUTAGE_SNAPSHOTS, OUTAGE_COUNT };

/* Chances are of 10,000. */
struct sim_settings {
    uint32_t page_size;
    uint32_t auto_vacuum;
    uint32_t cache_pages;
    uint32_t autocheckpoint;
    uint32_t app_count;
    uint32_t secure_delete;
    bool full_sync; /* the applications' synchronous=FULL, else NORMAL */
    uint32_t yield_chance;
    uint32_t writeback_chance;
    uint32_t refuse_chance;   /* of the daemon's system calls on files of its own */
    uint32_t sqlite_chance;   /* of those on SQLite's, its own and those that SQLite makes for it */
    uint32_t store_chance;    /* that a request goes wrong in one way or another */
    uint32_t stale_chance;    /* that a listing lacks the newest objects */
    uint32_t outage_chance;   /* that an outage begins with a step */
    uint32_t disaster_spread; /* points between two disasters, about; 0: none */
    uint32_t power_percent;   /* of the disasters */
    bool unordered_names;     /* a power cut keeps any of the unsynced changes of names */
    uint32_t checkpoint_pages;
    uint32_t truncate_size;
    uint32_t spool_size; /* 0: the product's default */
    uint32_t sync_interval_ms;
    uint32_t snapshot_interval_ms;
    uint32_t clock_jump_chance;
    uint32_t step_count;
};

struct sim_claim {
    uint32_t timeline;
    uint64_t txid;
    uint64_t digest;
};

/* How often each thing happened; added up over seeds for the report. */
struct sim_counts {
    uint64_t points[CALL_COUNT];
    uint64_t refused[CALL_COUNT];
    uint64_t sqlite_refused[CALL_COUNT];
    uint64_t disasters[DISASTER_COUNT];
    uint64_t switches;
    uint64_t commits;
    uint64_t rollbacks;
    uint64_t busy;
    uint64_t checkpoints;
    uint64_t vacuums;
    uint64_t reopens;
    uint64_t store_lost_before; /* a request that failed without effect */
    uint64_t store_lost_after;  /* a put that took effect and was answered with a failure */
    uint64_t store_stale;       /* objects that a listing did not have yet */
    uint64_t store_away;        /* requests into an outage */
    uint64_t outages;
    uint64_t nested; /* a work that ran while another waited for the store */
    uint64_t clock_jumps;
    uint64_t writebacks;
    uint64_t starts;
    uint64_t resyncs;
    uint64_t unchanged;
    uint64_t begins;
    uint64_t claims;
    uint64_t warnings;
    uint64_t merges;       /* of the spool */
    uint64_t lost_sectors; /* what power cuts took away */
    uint64_t lost_names;
};

enum { SIM_TEXT_SIZE = 1024, SIM_KEY_SIZE = 96, SIM_RECENT_COUNT = 64 };

/* An object that was stored a little while ago. */
struct sim_object {
    char key[SIM_KEY_SIZE];
    int64_t stored_ns;
};

struct sim_shared {
    uint64_t seed;
    uint64_t random;
    uint64_t trace; /* a hash of everything that happened, in order */
    uint64_t noise; /* what the interposed sources of randomness give */
    int64_t monotonic_ns;
    int64_t wall_offset_ns;
    struct sim_settings settings;
    struct sim_counts counts;

    bool calm;            /* no disasters, no refusals, no store failures any more */
    uint64_t disaster_in; /* points until the next one; 0: none */
    enum sim_disaster disaster;
    enum sim_report report; /* of the child that gave the turn back */

    /* The store. */
    enum sim_outage outage;
    struct sim_object recent[SIM_RECENT_COUNT]; /* a ring */
    uint64_t recent_count;

    /* The daemon. */
    bool drain;
    bool new_timeline; /* the operator said so */
    bool stop;
    int settlement;   /* enum entry_settlement */
    int64_t due_ms;   /* when it wants to run again; INT64_MAX: not by itself */
    bool pinned;      /* it follows the database under a pin */
    uint64_t epoch;   /* counts the moments at which continuity could have been lost */
    bool log_written; /* since it armed its watch */
    bool file_changed;
    struct sim_claim claim;    /* the newest point that it calls durable */
    struct sim_claim captured; /* the newest point that is safe in the spool */
    char last_words[SIM_TEXT_SIZE];

    /* The applications. */
    uint64_t next_number; /* of transactions, never used twice */
    bool look_soon;       /* a process died: let the oracle see what a recovery brings up */
    bool committed;       /* the step that ended committed something, and was told so */
    enum sim_order order;
    char broken[SIM_TEXT_SIZE]; /* what a child found wrong; empty: nothing */
};

extern struct sim_shared *sim;

/* Of this process. */
struct sim_self {
    enum sim_actor actor;
    bool live; /* its calls are part of the simulation */
    int fd;    /* to the scheduler */
};
extern struct sim_self sim_self;
extern bool sim_verbose;

/* ---- sim.c */

uint64_t sim_random(void);
uint64_t sim_below(uint64_t limit);
bool sim_chance(uint32_t of_10000);
void sim_trace(uint64_t value);

/* A line for --verbose. */
void sim_say(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Something is wrong with the product: the child says what, and the scheduler ends the life. */
void sim_broken(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Whether PATH is one of the product's own files, not one of SQLite's. */
bool sim_is_ours(const char *path);

/* Before a call on PATH (for --verbose; may be NULL): 0, or the errno to refuse it with. */
int sim_point(enum sim_call call, const char *path);

/* Time passes; somebody else runs. */
void sim_pause(int64_t ns);

/* The child gives the turn back and waits for it. */
void lockstep_yield(enum sim_report report);

/* ---- children */

void app_life(enum sim_actor actor, const char *path) __attribute__((noreturn));
void app_create(const char *path);
void daemon_life(const char *path, const char *remote) __attribute__((noreturn));
void vfs_install(void);

#endif
