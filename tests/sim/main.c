/*
 * main - lives of an application and its daemon, one for each seed
 *
 *   sim [--from SEED] [--seeds N] [--verbose] [--keep] [--twice] [--stop] [--unordered]
 *
 * Ends with one line of JSON that counts what happened; 1 when a promise was broken, and says
 * which seed did it. --twice runs each seed again and compares the traces; --stop ends with the
 * first that is broken.
 */
#include <assert.h>
#include <errno.h>
#include <ftw.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/text.h"
#include "disk.h"
#include "oracle.h"
#include "sim.h"

enum {
    SETTLEMENT_SETTLED = 1, /* enum entry_settlement */
    SETTLEMENT_LOST = 2,
    FINAL_TURNS_MAX = 20000,
    SEED_SECONDS_MAX = 120,
    WALK_DESCRIPTORS = 16,
};

struct child {
    pid_t pid; /* 0: not there */
    int fd;
    bool is_idle;
};

static struct {
    char root[PATH_MAX];
    char path[PATH_MAX];
    char remote[PATH_MAX];
    struct child children[ACTOR_COUNT];
    uint64_t restart_in; /* steps until the daemon comes back */
    uint64_t outage_left;
    bool unordered; /* a power cut may keep any of the unsynced changes of names */
} world;

static const char *const disaster_names[DISASTER_COUNT] = { "none", "kill_daemon", "kill_app",
    "kill_app_too", "power_cut" };

/* ---- children */

static void child_start(enum sim_actor actor)
{
    struct child *child = &world.children[actor];
    int fds[2];

    assert(child->pid == 0);
    int made = socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds);
    assert(made == 0);
    fflush(NULL);
    pid_t pid = fork();
    assert(pid >= 0);
    if (pid == 0) {
        close(fds[0]);
        for (int i = 0; i < ACTOR_COUNT; i++)
            if (world.children[i].pid != 0)
                close(world.children[i].fd);
        sim_self.fd = fds[1];
        if (actor == ACTOR_DAEMON)
            daemon_life(world.path, world.remote);
        app_life(actor, world.path);
    }
    close(fds[1]);
    *child = (struct child){ .pid = pid, .fd = fds[0] };
    /* Its first word: it stands at the beginning. */
    char turn;
    ssize_t size = read(child->fd, &turn, 1);
    if (size != 1)
        sim_broken("a process died at its beginning");
    child->is_idle = true;
    sim_say("%s begins", actor == ACTOR_DAEMON ? "daemon" : "application");
}

static void child_reap(enum sim_actor actor, bool expected)
{
    struct child *child = &world.children[actor];
    int status = 0;

    close(child->fd);
    pid_t waited = waitpid(child->pid, &status, 0);
    assert(waited == child->pid);
    *child = (struct child){ 0 };
    bool ended = WIFEXITED(status) && WEXITSTATUS(status) == 0;
    if (!expected && !ended)
        sim_broken("%s died with status %d; its last words: %s",
            actor == ACTOR_DAEMON ? "the daemon" : "the application", status, sim->last_words);
    if (actor == ACTOR_DAEMON)
        sim->pinned = false;
}

static void child_kill(enum sim_actor actor)
{
    if (world.children[actor].pid == 0)
        return;
    sim_say("killed: actor %d", (int)actor);
    kill(world.children[actor].pid, SIGKILL);
    child_reap(actor, true);
}

/* One turn. The child stands still again afterwards, or is gone. */
static void child_run(enum sim_actor actor)
{
    struct child *child = &world.children[actor];
    char turn = 0;

    sim_trace((uint64_t)actor);
    ssize_t size = write(child->fd, &turn, 1);
    if (size == 1)
        size = read(child->fd, &turn, 1);
    if (size != 1) {
        child_reap(actor, false);
        return;
    }
    child->is_idle = sim->report == REPORT_IDLE;
    if (sim->report == REPORT_ENDED)
        child_reap(actor, true);
}

/* ---- disasters */

static void world_restart_later(void)
{
    world.restart_in = 1 + (sim_below(2) == 0 ? 0 : sim_below(12));
}

static void world_power_cut(void)
{
    sim_say("the power is cut");
    for (int actor = 0; actor < ACTOR_COUNT; actor++)
        child_kill((enum sim_actor)actor);
    disk_cut();
    oracle_note_death(true);
    world_restart_later();
    sim->monotonic_ns += (int64_t)(1 + sim_below(3600)) * 1000000000;
}

static void world_disaster(void)
{
    enum sim_disaster disaster = sim->disaster;
    char scratch[PATH_MAX];

    sim->disaster = DISASTER_NONE;
    if (disaster == DISASTER_NONE)
        return;
    if (disaster == DISASTER_POWER) {
        world_power_cut();
    } else {
        child_kill(disaster == DISASTER_KILL_DAEMON ? ACTOR_DAEMON
                   : disaster == DISASTER_KILL_APP  ? ACTOR_APP
                                                    : ACTOR_APP_TOO);
        oracle_note_death(false);
        if (disaster == DISASTER_KILL_DAEMON)
            world_restart_later();
    }
    /* What was called durable is all that is left now. */
    if (disaster != DISASTER_KILL_APP && disaster != DISASTER_KILL_APP_TOO) {
        snprintf(scratch, sizeof scratch, "%.*s", (int)sizeof scratch - 1, world.root);
        history_check_claim(world.remote, scratch);
    }
}

/* ---- a life */

static uint32_t pick(const uint32_t *values, size_t count)
{
    return values[sim_below(count)];
}
#define PICK(...)                                                                                  \
    pick((const uint32_t[]){ __VA_ARGS__ },                                                        \
        sizeof((const uint32_t[]){ __VA_ARGS__ }) / sizeof(uint32_t))

static void world_choose(void)
{
    sim->settings = (struct sim_settings){
        .page_size = PICK(512, 512, 1024, 1024, 4096),
        .auto_vacuum = PICK(0, 0, 1, 2),
        .cache_pages = PICK(3, 10, 100),
        .autocheckpoint = PICK(0, 5, 20, 100, 1000),
        .app_count = PICK(1, 1, 2),
        .secure_delete = PICK(0, 0, 1, 2),
        .full_sync = sim_below(3) > 0,
        .yield_chance = PICK(20, 100, 500, 2000),
        .writeback_chance = PICK(0, 1000, 7000),
        .refuse_chance = PICK(0, 0, 0, 3, 20),
        .sqlite_chance = PICK(0, 0, 0, 2, 10),
        .store_chance = PICK(0, 0, 100, 1000),
        .stale_chance = PICK(0, 0, 1000, 5000),
        .outage_chance = PICK(0, 0, 200, 800),
        .disaster_spread = PICK(0, 300, 1000, 3000),
        .power_percent = PICK(0, 30, 60),
        .unordered_names = world.unordered && sim_below(3) == 0,
        .checkpoint_pages = PICK(5, 20, 50, 200, 1000),
        .truncate_size = PICK(20000, 100000, 64 << 20),
        .spool_size = PICK(0, 0, 2000, 10000, 60000),
        .sync_interval_ms = PICK(0, 0, 10, 1000),
        .snapshot_interval_ms = PICK(0, 300, 20000, 3600000),
        .clock_jump_chance = PICK(0, 0, 100),
        .step_count = 30 + (uint32_t)sim_below(90),
    };
    if (sim->settings.disaster_spread > 0)
        sim->disaster_in = 1 + sim_below(2 * (uint64_t)sim->settings.disaster_spread);
}

static void world_create_database(void)
{
    int status = 0;
    pid_t child = fork();

    assert(child >= 0);
    if (child == 0) {
        vfs_install();
        app_create(world.path);
        _exit(0);
    }
    pid_t waited = waitpid(child, &status, 0);
    assert(waited == child && status == 0);
    disk_settle();
}

static void world_clock(void)
{
    if (!sim_chance(sim->settings.clock_jump_chance))
        return;
    sim->wall_offset_ns += ((int64_t)sim_below(48 * 3600) - 24 * 3600) * 1000000000;
    sim->counts.clock_jumps++;
    sim_say("the wall clock jumps");
}

static void world_outage(void)
{
    if (sim->outage != OUTAGE_NONE) {
        if (--world.outage_left == 0) {
            sim->outage = OUTAGE_NONE;
            sim_say("the store is back");
        }
        return;
    }
    if (!sim_chance(sim->settings.outage_chance))
        return;
    sim->outage = (enum sim_outage)(1 + sim_below(OUTAGE_COUNT - 1));
    world.outage_left = 1 + sim_below(40);
    sim->counts.outages++;
    sim_say("an outage begins: %d", (int)sim->outage);
}

/* Who has something to do. */
static bool world_is_ready(enum sim_actor actor)
{
    const struct child *child = &world.children[actor];

    if (child->pid == 0)
        return false;
    if (!child->is_idle)
        return true;
    if (actor != ACTOR_DAEMON)
        return false;
    return sim->monotonic_ns / 1000000 >= sim->due_ms || sim->log_written || sim->drain ||
           sim->stop;
}

static void world_turn(enum sim_actor actor)
{
    bool was_app = actor != ACTOR_DAEMON;

    sim->committed = false;
    child_run(actor);
    if (was_app)
        sim->log_written = true;
    oracle_look();
    if (sim->committed && world.children[actor].is_idle)
        oracle_acknowledge();
    sim->committed = false;
    while (sim_chance(sim->settings.writeback_chance))
        disk_write_back();
    world_disaster();
}

/* Everybody who is in the middle of something goes on, in turns, until nobody is. */
static void world_run_ready(void)
{
    for (;;) {
        enum sim_actor ready[ACTOR_COUNT];
        size_t count = 0;
        for (int actor = 0; actor < ACTOR_COUNT; actor++)
            if (world_is_ready((enum sim_actor)actor))
                ready[count++] = (enum sim_actor)actor;
        if (count == 0 || sim->broken[0] != '\0')
            return;
        world_turn(ready[sim_below(count)]);
        if (sim_below(4) == 0)
            return; /* the next step begins while this goes on */
    }
}

static enum sim_actor world_app(void)
{
    return sim->settings.app_count > 1 && sim_below(2) == 0 ? ACTOR_APP_TOO : ACTOR_APP;
}

static void world_step(void)
{
    enum sim_actor app = world_app();

    world_clock();
    world_outage();
    sim->monotonic_ns += (int64_t)sim_below(sim_below(10) == 0 ? 3000 : 60) * 1000000;
    if (world.children[ACTOR_DAEMON].pid == 0 && --world.restart_in == 0) {
        sim->due_ms = 0;
        child_start(ACTOR_DAEMON);
    }
    if (world.children[app].pid == 0 && sim_below(3) == 0)
        child_start(app);
    else if (world.children[app].pid != 0)
        world_turn(app);
    world_run_ready();
}

/* No more disasters. The application writes once more and closes or not; all becomes durable. */
static void world_finish_app(enum sim_actor actor, enum sim_order order)
{
    if (world.children[actor].pid == 0)
        child_start(actor);
    for (int i = 0; i < FINAL_TURNS_MAX && !world.children[actor].is_idle; i++)
        world_turn(actor);
    sim->order = order;
    do
        world_turn(actor);
    while (sim->broken[0] == '\0' && !world.children[actor].is_idle);
}

/*
 * A listing that lacked the newest objects may show a database that looks unrelated. The daemon
 * asks.
 */
static void world_answer(void)
{
    if (sim->settlement != SETTLEMENT_LOST || sim->counts.store_stale == 0 || sim->new_timeline)
        return;
    sim_say("the operator asks for a new timeline");
    sim->new_timeline = true;
    child_kill(ACTOR_DAEMON);
    child_start(ACTOR_DAEMON);
    sim->due_ms = 0;
    sim->settlement = 0;
}

static void world_drain(void)
{
    if (world.children[ACTOR_DAEMON].pid == 0)
        child_start(ACTOR_DAEMON);
    sim->due_ms = 0;
    sim->settlement = 0;
    sim->drain = true;
    for (int i = 0; sim->broken[0] == '\0' && sim->settlement == 0; i++) {
        if (i == FINAL_TURNS_MAX) {
            sim_broken("everything should be durable by now; the daemon's last words: %s",
                sim->last_words);
            return;
        }
        world_turn(ACTOR_DAEMON);
        if (world.children[ACTOR_DAEMON].pid == 0)
            child_start(ACTOR_DAEMON);
        sim->monotonic_ns += 5000000;
        world_answer();
    }
    if (sim->settlement == SETTLEMENT_LOST)
        sim_broken("the daemon gave up: %s", sim->last_words);
}

static void world_finish(void)
{
    sim->calm = true;
    sim->disaster = DISASTER_NONE;
    for (int i = 0; i < FINAL_TURNS_MAX && sim->broken[0] == '\0'; i++) {
        bool busy = false;
        for (int actor = 0; actor < ACTOR_COUNT; actor++)
            if (world.children[actor].pid != 0 && !world.children[actor].is_idle) {
                world_turn((enum sim_actor)actor);
                busy = true;
            }
        if (!busy)
            break;
    }
    if (world.children[ACTOR_APP_TOO].pid != 0)
        world_finish_app(ACTOR_APP_TOO, ORDER_CLOSE);
    world_finish_app(ACTOR_APP, ORDER_WRITE);
    if (sim_below(2) == 0)
        world_finish_app(ACTOR_APP, ORDER_CLOSE);
    if (sim->broken[0] == '\0')
        world_drain();
}

static void world_end(void)
{
    for (int actor = 0; actor < ACTOR_COUNT; actor++)
        child_kill((enum sim_actor)actor);
}

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *place)
{
    (void)status;
    (void)type;
    (void)place;
    return remove(path);
}

static void world_live(uint64_t seed)
{
    memset(&world.children, 0, sizeof world.children);
    sim->random = seed * UINT64_C(0x2545f4914f6cdd1d) + 1;
    sim->seed = seed;
    sim->monotonic_ns = INT64_C(1000) * 1000000000;
    sim->wall_offset_ns = INT64_C(1790000000) * 1000000000;
    sim->due_ms = 0;
    world_choose();
    disk_start(world.root);
    world_create_database();
    oracle_start(world.path);
    child_start(ACTOR_APP);
    if (sim->settings.app_count > 1)
        child_start(ACTOR_APP_TOO);
    child_start(ACTOR_DAEMON);
    for (uint32_t i = 0; i < sim->settings.step_count && sim->broken[0] == '\0'; i++)
        world_step();
    if (sim->broken[0] == '\0')
        world_finish();
    world_end();
    if (sim->broken[0] == '\0')
        history_check(world.remote, true);
    if (sim->broken[0] == '\0') {
        history_check_claim(world.remote, world.root);
        history_check_restores(world.remote, world.root, 2);
    }
    history_release_points();
    disk_end();
}

/* ---- the command */

struct options {
    uint64_t from;
    uint64_t seeds;
    bool keep;
    bool twice;
    bool stop;
};

static struct sim_counts total;
static uint64_t total_states;

static void add_counts(void)
{
    const uint64_t *from = (const uint64_t *)(const void *)&sim->counts;
    uint64_t *to = (uint64_t *)(void *)&total;

    for (size_t i = 0; i < sizeof total / sizeof *to; i++)
        to[i] += from[i];
    total_states += oracle_count();
}

static bool run_seed(const struct options *options, uint64_t seed, uint64_t *ret_trace)
{
    const char *parent = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : getenv("TMPDIR");

    memset(sim, 0, sizeof *sim);
    snprintf(world.root, sizeof world.root, "%s/sim-life-%07ld", parent == NULL ? "/tmp" : parent,
        (long)getpid());
    snprintf(world.path, sizeof world.path, "%.3000s/disk/app.db", world.root);
    snprintf(world.remote, sizeof world.remote, "%.3000s/remote", world.root);
    nftw(world.root, remove_one, WALK_DESCRIPTORS, FTW_DEPTH | FTW_PHYS);
    alarm(SEED_SECONDS_MAX);
    world_live(seed);
    alarm(0);
    if (!options->keep)
        nftw(world.root, remove_one, WALK_DESCRIPTORS, FTW_DEPTH | FTW_PHYS);
    add_counts();
    *ret_trace = sim->trace;
    if (sim->broken[0] == '\0')
        return true;
    printf("seed %llu: %s (refused calls %u and %u, lost requests %u, stale %u, outages %u,"
           " spool %u, disasters each %u points, power cuts %u %%, %s)\n",
        (unsigned long long)seed, sim->broken, sim->settings.refuse_chance,
        sim->settings.sqlite_chance, sim->settings.store_chance, sim->settings.stale_chance,
        sim->settings.outage_chance, sim->settings.spool_size, sim->settings.disaster_spread,
        sim->settings.power_percent,
        sim->settings.full_sync ? "synced commits" : "unsynced commits");
    fflush(stdout);
    return false;
}

static void print_counts(uint64_t seeds, uint64_t failed)
{
    static const char *const calls[CALL_COUNT] = { "open", "read", "write", "sync", "truncate",
        "name", "allocate", "lock", "barrier", "memory", "store" };

    printf("{\"seeds\": %llu, \"failed\": %llu, \"states\": %llu, \"commits\": %llu,"
           " \"rollbacks\": %llu, \"busy\": %llu, \"checkpoints\": %llu, \"vacuums\": %llu,"
           " \"reopens\": %llu",
        (unsigned long long)seeds, (unsigned long long)failed, (unsigned long long)total_states,
        (unsigned long long)total.commits, (unsigned long long)total.rollbacks,
        (unsigned long long)total.busy, (unsigned long long)total.checkpoints,
        (unsigned long long)total.vacuums, (unsigned long long)total.reopens);
    for (int i = 1; i < DISASTER_COUNT; i++)
        printf(", \"%s\": %llu", disaster_names[i], (unsigned long long)total.disasters[i]);
    for (int i = 0; i < CALL_COUNT; i++)
        printf(", \"%s\": %llu", calls[i], (unsigned long long)total.points[i]);
    for (int i = 0; i < CALL_LOCK; i++)
        printf(", \"%s_refused\": %llu, \"sqlite_%s_refused\": %llu", calls[i],
            (unsigned long long)total.refused[i], calls[i],
            (unsigned long long)total.sqlite_refused[i]);
    printf(", \"switches\": %llu, \"lost_sectors\": %llu, \"lost_names\": %llu,"
           " \"writebacks\": %llu, \"store_lost_before\": %llu, \"store_lost_after\": %llu,"
           " \"store_stale\": %llu, \"store_away\": %llu, \"outages\": %llu, \"merges\": %llu,"
           " \"nested\": %llu, \"clock_jumps\": %llu",
        (unsigned long long)total.switches, (unsigned long long)total.lost_sectors,
        (unsigned long long)total.lost_names, (unsigned long long)total.writebacks,
        (unsigned long long)total.store_lost_before, (unsigned long long)total.store_lost_after,
        (unsigned long long)total.store_stale, (unsigned long long)total.store_away,
        (unsigned long long)total.outages, (unsigned long long)total.merges,
        (unsigned long long)total.nested, (unsigned long long)total.clock_jumps);
    printf(", \"starts\": %llu, \"begins\": %llu, \"start_resyncs\": %llu, \"unchanged\": %llu,"
           " \"claims\": %llu, \"warnings\": %llu, \"transactions\": %llu, \"resyncs\": %llu,"
           " \"timelines\": %llu, \"restores\": %llu}\n",
        (unsigned long long)total.starts, (unsigned long long)total.begins,
        (unsigned long long)total.resyncs, (unsigned long long)total.unchanged,
        (unsigned long long)total.claims, (unsigned long long)total.warnings,
        (unsigned long long)history_counts.transactions, (unsigned long long)history_counts.resyncs,
        (unsigned long long)history_counts.timelines, (unsigned long long)history_counts.restores);
}

static uint64_t number_of(const char *text)
{
    struct error err = { 0 };
    uint64_t value = 0;

    if (text == NULL || text_parse_u64(&value, text, UINT64_MAX, &err) != RC_OK) {
        fprintf(stderr, "sim: not a number: %s\n", text == NULL ? "" : text);
        exit(2);
    }
    return value;
}

static struct options parse(int count, char **arguments)
{
    struct options options = { .from = 1, .seeds = 1 };

    for (int i = 1; i < count; i++) {
        const char *word = arguments[i];
        if (text_equal(word, "--from"))
            options.from = number_of(arguments[++i]);
        else if (text_equal(word, "--seeds"))
            options.seeds = number_of(arguments[++i]);
        else if (text_equal(word, "--verbose"))
            sim_verbose = true;
        else if (text_equal(word, "--keep"))
            options.keep = true;
        else if (text_equal(word, "--twice"))
            options.twice = true;
        else if (text_equal(word, "--unordered"))
            world.unordered = true;
        else if (text_equal(word, "--stop"))
            options.stop = true;
        else
            exit(2);
    }
    return options;
}

int main(int count, char **arguments)
{
    struct options options = parse(count, arguments);
    uint64_t failed = 0;

    sim = mmap(NULL, sizeof *sim, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert(sim != MAP_FAILED);
    signal(SIGPIPE, SIG_IGN);
    uint64_t end = options.from + options.seeds;
    for (uint64_t seed = options.from; seed < end && !(options.stop && failed > 0); seed++) {
        uint64_t trace = 0;
        uint64_t again = 0;
        bool good = run_seed(&options, seed, &trace);
        failed += !good;
        if (options.twice && good) {
            good = run_seed(&options, seed, &again);
            if (good && trace != again) {
                printf("seed %llu: the second run went another way\n", (unsigned long long)seed);
                failed++;
            }
        }
    }
    print_counts(options.seeds, failed);
    oracle_end();
    return failed == 0 ? 0 : 1;
}
