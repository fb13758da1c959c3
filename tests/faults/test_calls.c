/*
 * The nth call fails, for every n of every flow: it is told, what was durable stays, and the next
 * try makes all of it good.
 *
 *   test_calls files|sqlite|library|requests [FLOW]
 *
 * files: our own calls of the file system; sqlite: those that SQLite makes for us; library: our
 * calls of SQLite; requests: those to the store, which is S3 then. SEAWAL_LONG=1 strikes every n of
 * every kind; else every kth is, from a place that SEAWAL_SEED chooses, where there are many.
 * FAULTS_ONLY="KIND:NTH:MODE" repeats one.
 */
#include "flows.h"
#include "requests.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/text.h"
#include "harness/fault.h"
#include "harness/fault_sqlite.h"
#include "harness/s3_server.h"

#define SYNCS (FAULT_BIT(FAULT_SYNC))
#define MOVES (FAULT_BIT(FAULT_READ) | FAULT_BIT(FAULT_WRITE))
#define CAN_BE_INTERRUPTED                                                                         \
    (FAULT_BIT(FAULT_OPEN) | MOVES | SYNCS | FAULT_BIT(FAULT_TRUNCATE) | FAULT_BIT(FAULT_ALLOCATE))
#define TAKES_ROOM                                                                                 \
    (FAULT_BIT(FAULT_OPEN) | FAULT_BIT(FAULT_WRITE) | SYNCS | FAULT_BIT(FAULT_RENAME) |            \
        FAULT_BIT(FAULT_LINK) | FAULT_BIT(FAULT_MKDIR) | FAULT_BIT(FAULT_ALLOCATE) |               \
        FAULT_BIT(FAULT_TEMP))
#define TAKES_DESCRIPTORS (FAULT_BIT(FAULT_OPEN) | FAULT_BIT(FAULT_FOLDER) | FAULT_BIT(FAULT_TEMP))
#define SQLITE_MOVES      (FAULT_BIT(FAULT_SQLITE_READ) | FAULT_BIT(FAULT_SQLITE_WRITE))
/* Locks are the kernel's memory. */
#define NEEDS_THE_DISK (FAULT_CALLS_SQLITE & ~FAULT_BIT(FAULT_SQLITE_LOCK))

static const struct kind file_kinds[] = {
    { "EIO", { .calls = FAULT_CALLS_OURS, .sys_errno = EIO }, 4 },
    { "ENOSPC", { .calls = TAKES_ROOM, .sys_errno = ENOSPC }, 2 },
    { "EINTR", { .calls = CAN_BE_INTERRUPTED, .sys_errno = EINTR }, 1 },
    { "EMFILE", { .calls = TAKES_DESCRIPTORS, .sys_errno = EMFILE }, 1 },
    { "EMFILE lasting", { .calls = TAKES_DESCRIPTORS, .sys_errno = EMFILE, .times = UINT64_MAX },
        0 },
    { "EACCES", { .calls = FAULT_CALLS_PLAIN, .sys_errno = EACCES }, 1 },
    { "short", { .calls = MOVES, .way = FAULT_SHORTEN }, 1 },
    { "lost", { .calls = SYNCS, .way = FAULT_LOSE, .sys_errno = EIO }, 2 },
    { "full", { .calls = TAKES_ROOM, .sys_errno = ENOSPC, .times = UINT64_MAX }, 1 },
    { "broken", { .calls = FAULT_CALLS_OURS, .sys_errno = EIO, .times = UINT64_MAX }, 1 },
};

static const struct kind sqlite_kinds[] = {
    { "EIO", { .calls = FAULT_CALLS_SQLITE, .sys_errno = EIO }, 4 },
    { "ENOSPC", { .calls = FAULT_CALLS_SQLITE, .sys_errno = ENOSPC }, 1 },
    { "EACCES", { .calls = FAULT_BIT(FAULT_SQLITE_LOCK), .sys_errno = EACCES }, 2 },
    { "short", { .calls = SQLITE_MOVES, .way = FAULT_SHORTEN }, 2 },
    { "lost", { .calls = FAULT_BIT(FAULT_SQLITE_SYNC), .sys_errno = EIO }, 1 },
    { "lost lasting",
        { .calls = FAULT_BIT(FAULT_SQLITE_SYNC), .sys_errno = EIO, .times = UINT64_MAX }, 1 },
    { "broken", { .calls = NEEDS_THE_DISK, .sys_errno = EIO, .times = UINT64_MAX }, 1 },
};

#define LIBRARY_KIND(code)                                                                         \
    {                                                                                              \
#code, { .calls = FAULT_CALLS_SQL_API, .sys_errno = (code) }, 1                            \
    }
#define LIBRARY_KIND_LASTING(code)                                                                 \
    {                                                                                              \
#code " lasting",                                                                          \
            { .calls = FAULT_CALLS_SQL_API, .sys_errno = (code), .times = UINT64_MAX }, 1          \
    }

static const struct kind library_kinds[] = {
    LIBRARY_KIND(SQLITE_BUSY),
    LIBRARY_KIND(SQLITE_IOERR_READ),
    LIBRARY_KIND(SQLITE_NOMEM),
    LIBRARY_KIND(SQLITE_FULL),
    LIBRARY_KIND(SQLITE_CORRUPT),
    LIBRARY_KIND(SQLITE_PROTOCOL),
    LIBRARY_KIND(SQLITE_CANTOPEN),
    LIBRARY_KIND_LASTING(SQLITE_BUSY),
    LIBRARY_KIND_LASTING(SQLITE_IOERR),
};

enum { STRIKE_UNIT = 60, STRIKE_UNIT_REQUESTS = 1, STRIKE_FEW = 2, SEED_DEFAULT = 1795277132 };

/* After the fault the daemon goes on, or its process ends at once and another one follows. */
enum mode { MODE_GOES_ON, MODE_ENDS, MODE_COUNT };

static const struct kind *kinds;
static size_t kind_count;
static bool is_s3;           /* the replica is in a bucket, not in a folder */
static unsigned strike_unit; /* how many of a flow are struck for a share of 1 */
static unsigned usual_told;  /* what the flow tells when nothing fails */
static uint64_t seed;
static bool is_long;

struct tally {
    unsigned struck;
    unsigned told;
    unsigned unnoticed; /* struck, nothing told, and everything was done all the same */
};

static void rig_begin_for(struct rig *rig, const struct flow *flow)
{
    if (is_s3)
        s3_server_start();
    if (kinds == sqlite_kinds)
        fault_sqlite_track_writes();
    rig_begin(rig, is_s3 ? s3_server_url() : NULL);
    flow->prepare(rig);
}

static void rig_end_for(struct rig *rig)
{
    rig_end(rig);
    if (!is_s3)
        return;
    if (s3_server_overwritten() > 0)
        fail_msg("%zu objects were written over others", s3_server_overwritten());
    if (s3_server_unfinished() > 0)
        fail_msg("%zu uploads were left unfinished", s3_server_unfinished());
    s3_server_stop();
}

/* One run of FLOW with PLAN. False: the flow did not reach the call. */
static bool strike(
    const struct flow *flow, const struct fault_plan *plan, enum mode mode, struct tally *tally)
{
    struct error err = { 0 };
    struct rig rig;

    rig_begin_for(&rig, flow);
    rig.may_be_older = plan->calls == FAULT_BIT(FAULT_REQUEST_LIST);
    rig.ends_when_hit = mode == MODE_ENDS && flow->needs_daemon;
    rig_note_source(&rig);
    rig_hush();
    fault_arm_plan(plan);
    rc code = flow->run(&rig, &err);
    bool fired = fault_fired();
    fault_disarm();
    if (flow->end != NULL)
        flow->end(&rig, code, plan->times == UINT64_MAX);

    bool told =
        rig_told() > usual_told || (!flow->needs_daemon && code != RC_OK && err.text[0] != '\0');
    tally->struck += fired;
    tally->told += fired && told;
    tally->unnoticed += fired && !told;
    if (code != RC_OK && !told && !rig.ends_when_hit)
        fail_msg("%s: the call failed (%s), what it was for was not done, and nobody was told: %s",
            flow->name, fault_name(), err.text);
    if (code != RC_OK && !fired)
        fail_msg("%s: nothing failed, and: %s; %s", flow->name, err.text, rig_told_last());
    if (flow->needs_daemon)
        rig_check_claim(&rig, code == RC_OK);
    if (rig.ends_when_hit)
        rig_stop(&rig);
    rig_check(&rig);
    rig_end_for(&rig);
    return fired;
}

/* How many calls of the kind the flow makes. */
static uint64_t count_calls(const struct flow *flow, const struct kind *kind)
{
    struct error err = { 0 };
    struct rig rig;
    struct fault_plan plan = kind->plan;

    plan.nth = UINT64_MAX;
    rig_begin_for(&rig, flow);
    fault_arm_plan(&plan);
    rig_hush();
    rc code = flow->run(&rig, &err);
    usual_told = rig_told();
    uint64_t count = fault_passed();
    fault_disarm();
    if (code != RC_OK)
        fail_msg("%s: nothing failed, and: %s; %s", flow->name, err.text, rig_told_last());
    if (usual_told > 0 && !flow->is_unusual)
        fail_msg("%s: nothing failed, and it was told: %s", flow->name, rig_told_last());
    if (flow->end != NULL)
        flow->end(&rig, code, false);
    rig_end_for(&rig);
    return count;
}

static void strike_kind(const struct flow *flow, const struct kind *kind)
{
    struct fault_plan plan = kind->plan;
    struct tally tally = { 0 };
    clock_t began = clock();

    if (flow->needs_listing && plan.calls == FAULT_BIT(FAULT_REQUEST_LIST))
        return;
    uint64_t count = count_calls(flow, kind);
    uint64_t wanted = is_long ? UINT64_MAX : (uint64_t)kind->share * strike_unit + STRIKE_FEW;
    uint64_t step = count <= wanted ? 1 : (count + wanted - 1) / wanted;
    bool again = true;

    for (plan.nth = 1 + (seed + (uint64_t)(kind - kinds)) % step; again; plan.nth += step) {
        enum mode mode = (plan.nth / step + seed) % MODE_COUNT;
        rig_note("%s FAULTS_ONLY='%s:%llu:%d'", flow->name, kind->name,
            (unsigned long long)plan.nth, (int)mode);
        again = strike(flow, &plan, mode, &tally);
        if (again && is_long) {
            mode = 1 - mode;
            (void)strike(flow, &plan, mode, &tally);
        }
    }
    printf("%-18s %-24s %5llu calls, %4u struck: %4u told, %4u done all the same; %4.1f s\n",
        flow->name, kind->name, (unsigned long long)count, tally.struck, tally.told,
        tally.unnoticed, (double)(clock() - began) / CLOCKS_PER_SEC);
    fflush(stdout);
}

/* FAULTS_ONLY */
static void strike_only(const struct flow *flow, const char *only)
{
    struct tally tally = { 0 };
    const char *colon = strchr(only, ':');
    char *end = NULL;

    assert_non_null(colon);
    unsigned long long nth = strtoull(colon + 1, &end, 10);
    enum mode mode = (enum mode)(end[1] - '0');
    rig_note("%s %s", flow->name, only);
    for (size_t index = 0; index < kind_count; index++) {
        struct fault_plan plan = kinds[index].plan;
        plan.nth = nth;
        if (strncmp(kinds[index].name, only, (size_t)(colon - only)) != 0 ||
            kinds[index].name[colon - only] != '\0')
            continue;
        (void)count_calls(flow, &kinds[index]);
        assert_true(strike(flow, &plan, mode, &tally));
    }
}

static void a_flow_survives_every_call(void **state)
{
    const struct flow *flow = *state;
    const char *only = getenv("FAULTS_ONLY");

    if (only != NULL) {
        strike_only(flow, only);
        return;
    }
    for (size_t index = 0; index < kind_count; index++)
        strike_kind(flow, &kinds[index]);
}

static void choose_kinds(const char *name)
{
    strike_unit = STRIKE_UNIT;
    if (text_equal(name, "requests")) {
        kinds = request_kinds;
        kind_count = request_kind_count;
        is_s3 = true;
        strike_unit = STRIKE_UNIT_REQUESTS;
    } else if (text_equal(name, "files")) {
        kinds = file_kinds;
        kind_count = array_count(file_kinds);
    } else if (text_equal(name, "sqlite")) {
        kinds = sqlite_kinds;
        kind_count = array_count(sqlite_kinds);
    } else {
        kinds = library_kinds;
        kind_count = array_count(library_kinds);
    }
}

int main(int argc, char **argv)
{
    struct CMUnitTest tests[16] = { 0 };
    size_t count = 0;
    const char *seed_text = getenv("SEAWAL_SEED");

    seed = seed_text != NULL ? strtoull(seed_text, NULL, 10) : SEED_DEFAULT;
    is_long = getenv("SEAWAL_LONG") != NULL;
    printf("SEAWAL_SEED=%llu\n", (unsigned long long)seed);
    /* Where files cost nothing, if there is such a place. */
    if (access("/dev/shm", W_OK | X_OK) == 0)
        setenv("TMPDIR", "/dev/shm", 0);
    choose_kinds(argc > 1 ? argv[1] : "files");
    fault_skip_syncs();
    fault_sqlite_install();
    assert_true(flow_count <= array_count(tests));
    for (size_t index = 0; index < flow_count; index++) {
        union {
            const struct flow *in;
            void *out;
        } flow = { .in = &flows[index] };
        if (argc > 2 && !text_equal(flows[index].name, argv[2]))
            continue;
        tests[count++] = (struct CMUnitTest){
            .name = flows[index].name,
            .test_func = a_flow_survives_every_call,
            .initial_state = flow.out,
        };
    }
    return _cmocka_run_group_tests("faults", tests, count, NULL, NULL);
}
