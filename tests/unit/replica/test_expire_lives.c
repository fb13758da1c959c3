/*
 * expire_lives: retention over random lives of a replica, against an oracle that knows no routes
 *
 * Transactions come at random times, with pauses; logs, merged segments, snapshots and child
 * timelines are made of them, as names alone, merging now and then and late; what the plan says is
 * taken away. After that every instant that the rules promise must restore: by brute force over
 * what is left. In the end, when nothing was written for long, nearly nothing may be left.
 */
#include "harness/check.h"

#include "../../../src/replica/expire_plan_priv.h"
#include "base/alloc.h"
#include "names.h"

#include <inttypes.h>
#include <stdlib.h>

enum { LIFE_TXID_MAX = 600, LIFE_TIMELINE_MAX = 4, LIFE_COUNT = 60, LIFE_STEP_COUNT = 120 };

/* Three rules in units that let a life of some thousand ms see all of them. */
static const struct rules life_rules = {
    .rules = { { .every_ms = 0, .keep_ms = 300 }, { .every_ms = 20, .keep_ms = 1500 },
        { .every_ms = 100, .keep_ms = 6000 } },
    .count = 3,
};

struct line {
    uint64_t after_txid; /* its own follow */
    uint64_t newest_txid;
    int64_t times[LIFE_TXID_MAX];
    bool ever[LIFE_TXID_MAX]; /* was restorable once */
    int64_t ended_ms;         /* another timeline took over; 0: not yet */
};

struct life {
    uint64_t random;
    int64_t now_ms;
    struct catalog catalog;
    struct line lines[LIFE_TIMELINE_MAX + 1]; /* by timeline */
    uint32_t timeline;
    struct kept_point hold;
    uint64_t removed_count;
};

static uint64_t life_random(struct life *life, uint64_t below)
{
    life->random = life->random * UINT64_C(6364136223846793005) + 1442695040888963407U;
    return (life->random >> 33) % below;
}

static struct line *life_line(struct life *life)
{
    return &life->lines[life->timeline];
}

static struct catalog_timeline *life_entry(struct life *life, uint32_t timeline)
{
    return &life->catalog.timelines[catalog_find(&life->catalog, timeline)];
}

/* ---- what a writer does */

static void life_commit(struct life *life)
{
    struct line *line = life_line(life);
    uint64_t count = 1 + life_random(life, 4);
    uint64_t first = line->newest_txid + 1;

    if (first + count >= LIFE_TXID_MAX)
        return;
    for (uint64_t i = 0; i < count; i++) {
        life->now_ms += (int64_t)life_random(life, 9);
        line->times[++line->newest_txid] = life->now_ms;
    }
    struct name_spec spec = { .timeline = life->timeline,
        .min_txid = first,
        .max_txid = line->newest_txid,
        .size = 10 + life_random(life, 50),
        .time_ms = life->now_ms };
    names_add(&life->catalog, &spec);
}

/* Begun at some transaction, complete some later. */
static void life_snapshot(struct life *life)
{
    struct line *line = life_line(life);
    uint64_t first = line->newest_txid;

    for (uint64_t i = life_random(life, 3); i > 0; i--)
        life_commit(life);
    struct catalog_timeline *entry = life_entry(life, life->timeline);
    if (first <= line->after_txid ||
        (entry->snapshot_count > 0 &&
            entry->snapshots[entry->snapshot_count - 1].name.min_txid >= first))
        return;
    struct name_spec spec = { .timeline = life->timeline,
        .level = LEVEL_SNAPSHOT,
        .min_txid = first,
        .max_txid = first,
        .size = 500 + life_random(life, 5000),
        .time_ms = line->times[first] };
    names_add(&life->catalog, &spec);
    entry = life_entry(life, life->timeline);
    struct catalog_snapshot *snapshot = &entry->snapshots[entry->snapshot_count - 1];
    snapshot->is_loaded = true;
    snapshot->summary.max_txid = line->newest_txid;
    snapshot->summary.last_time_ms = line->times[line->newest_txid];
}

/* Whether objects of lower levels hold all of FIRST to LAST. */
static bool life_has_sources(struct life *life, unsigned level, uint64_t first, uint64_t last)
{
    const struct catalog_timeline *entry = life_entry(life, life->timeline);
    auto_txid_set struct txid_set set = TXID_SET_INIT;

    for (size_t i = 0; i < entry->log_count; i++)
        txid_set_add(&set, entry->logs[i].name.min_txid, entry->logs[i].name.max_txid);
    for (size_t i = 0; i < entry->merged_count; i++) {
        const struct catalog_segment *merged = &entry->merged[i];
        if (merged->level < level && merged->entry.name.max_txid <= last)
            txid_set_add(&set, merged->entry.name.min_txid, merged->entry.name.max_txid);
    }
    return txid_set_has_all(&set, first, last);
}

static bool life_is_merged(struct life *life, unsigned level, uint64_t last)
{
    const struct catalog_timeline *entry = life_entry(life, life->timeline);

    for (size_t i = 0; i < entry->merged_count; i++)
        if (entry->merged[i].level == level && entry->merged[i].entry.name.max_txid == last)
            return true;
    return false;
}

static void life_merge_window(struct life *life, unsigned level, uint64_t first, uint64_t last)
{
    if (life_is_merged(life, level, last) || !life_has_sources(life, level, first, last))
        return;
    struct name_spec spec = { .timeline = life->timeline,
        .level = level,
        .min_txid = first,
        .max_txid = last,
        .size = 50 + life_random(life, 200),
        .time_ms = life_line(life)->times[last] };
    names_add(&life->catalog, &spec);
}

/* Every closed window of each level; the last one is closed when the time is beyond it. */
static void life_merge(struct life *life)
{
    const struct line *line = life_line(life);

    for (unsigned level = 1; level < life_rules.count; level++) {
        const struct rule *rule = &life_rules.rules[level];
        uint64_t first = line->after_txid + (line->after_txid == 0 ? 2 : 1);
        for (uint64_t txid = first; txid <= line->newest_txid; txid++) {
            int64_t window = rule_window(rule, line->times[txid]);
            int64_t next_ms =
                txid < line->newest_txid ? line->times[txid + 1] : life->now_ms - rule->every_ms;
            if (window == rule_window(rule, next_ms) || next_ms < line->times[txid])
                continue;
            life_merge_window(life, level, first, txid);
            first = txid + 1;
        }
    }
}

/* ---- what restores, by brute force */

static void mark_from(const struct life *life, uint32_t leaf, uint64_t from, bool *reached)
{
    const struct line *line = &life->lines[leaf];

    memset(reached, 0, LIFE_TXID_MAX * sizeof *reached);
    reached[from] = true;
    for (uint64_t txid = from; txid < line->newest_txid; txid++) {
        if (!reached[txid])
            continue;
        for (size_t t = 0; t < life->catalog.timeline_count; t++) {
            const struct catalog_timeline *entry = &life->catalog.timelines[t];
            uint64_t limit = leaf == entry->timeline ? LIFE_TXID_MAX - 1 : 0;
            if (entry->timeline < leaf) /* each is the child of the one before it */
                limit = life->lines[entry->timeline + 1].after_txid;
            for (uint32_t k = entry->timeline + 1; k <= leaf; k++)
                if (life->lines[k].after_txid < limit)
                    limit = life->lines[k].after_txid;
            for (size_t i = 0; i < entry->log_count; i++) {
                const struct segment_name *name = &entry->logs[i].name;
                for (uint64_t to = txid + 1; name->min_txid <= txid + 1 && to <= name->max_txid;
                     to++)
                    reached[to] = reached[to] || to <= limit;
            }
            for (size_t i = 0; i < entry->merged_count; i++) {
                const struct segment_name *name = &entry->merged[i].entry.name;
                if (name->min_txid <= txid + 1 && name->max_txid > txid && name->max_txid <= limit)
                    reached[name->max_txid] = true;
            }
        }
    }
}

/* What restores of timeline LEAF, its own and its parents'. */
static void restorable(const struct life *life, uint32_t leaf, bool *ret)
{
    static bool reached[LIFE_TXID_MAX];

    memset(ret, 0, LIFE_TXID_MAX * sizeof *ret);
    for (size_t t = 0; t < life->catalog.timeline_count; t++) {
        const struct catalog_timeline *entry = &life->catalog.timelines[t];
        uint64_t limit = LIFE_TXID_MAX - 1;
        if (entry->timeline > leaf)
            continue;
        for (uint32_t k = entry->timeline + 1; k <= leaf; k++)
            if (life->lines[k].after_txid < limit)
                limit = life->lines[k].after_txid;
        for (size_t i = 0; i < entry->snapshot_count; i++) {
            const struct catalog_snapshot *snapshot = &entry->snapshots[i];
            if (snapshot->summary.max_txid > limit)
                continue;
            mark_from(life, leaf, snapshot->name.min_txid, reached);
            for (uint64_t txid = snapshot->summary.max_txid; txid < LIFE_TXID_MAX; txid++)
                ret[txid] = ret[txid] || reached[txid];
        }
    }
}

/* ---- what the rules promise */

/* When TXID of LINE ceased to be the newest. */
static int64_t superseded_ms(const struct life *life, const struct line *line, uint64_t txid)
{
    if (txid < line->newest_txid)
        return line->times[txid + 1];
    return line->ended_ms != 0 ? line->ended_ms : life->now_ms;
}

/* Whether a rule keeps TXID: the last one of its window by now, and not too old. */
static bool is_promised(const struct life *life, const struct line *line, uint64_t txid)
{
    int64_t age_ms = life->now_ms - superseded_ms(life, line, txid);

    for (size_t i = 0; i < life_rules.count; i++) {
        const struct rule *rule = &life_rules.rules[i];
        bool is_last =
            i == 0 || txid == line->newest_txid ||
            rule_window(rule, line->times[txid]) != rule_window(rule, line->times[txid + 1]);
        if (is_last && age_ms <= rule->keep_ms)
            return true;
    }
    return false;
}

static void life_note(struct life *life)
{
    static bool now[LIFE_TXID_MAX];

    for (uint32_t timeline = 1; timeline <= life->timeline; timeline++) {
        restorable(life, timeline, now);
        for (uint64_t txid = 0; txid < LIFE_TXID_MAX; txid++)
            life->lines[timeline].ever[txid] = life->lines[timeline].ever[txid] || now[txid];
    }
}

static void life_check(const struct life *life)
{
    static bool now[LIFE_TXID_MAX];

    for (uint32_t timeline = 1; timeline <= life->timeline; timeline++) {
        const struct line *line = &life->lines[timeline];
        restorable(life, timeline, now);
        for (uint64_t txid = line->after_txid + 1; txid <= line->newest_txid; txid++) {
            bool is_held = life->hold.timeline == timeline && life->hold.txid == txid;
            if (now[txid] || !line->ever[txid] || (!is_held && !is_promised(life, line, txid)))
                continue;
            fail_msg("at %" PRId64 ": transaction %" PRIu64 " of timeline %u (time %" PRId64
                     ", until %" PRId64 ") is lost",
                life->now_ms, txid, timeline, line->times[txid], superseded_ms(life, line, txid));
        }
        if (timeline == life->timeline && line->ever[line->newest_txid])
            assert_true(now[line->newest_txid]);
    }
}

/* ---- retention */

static void remove_snapshot(struct catalog_timeline *entry, const struct segment_name *name)
{
    size_t kept = 0;

    for (size_t i = 0; i < entry->snapshot_count; i++)
        if (entry->snapshots[i].name.min_txid != name->min_txid)
            entry->snapshots[kept++] = entry->snapshots[i];
    entry->snapshot_count = kept;
}

static size_t life_expire(struct life *life)
{
    auto_expire_plan struct expire_plan plan = EXPIRE_PLAN_INIT;
    struct error err;
    struct expire_input input = {
        .catalog = &life->catalog,
        .rules = &life_rules,
        .holds = &life->hold,
        .hold_count = life->hold.timeline != 0,
        .now_ms = life->now_ms,
    };

    life_note(life);
    CHECK_OK(expire_plan_make(&plan, &input, &err));
    for (size_t i = 0; i < plan.object_count; i++) {
        const struct restore_object *object = &plan.objects[i];
        if (object->kind == SEGMENT_SNAPSHOT)
            remove_snapshot(life_entry(life, object->timeline), &object->name);
        else
            catalog_remove(&life->catalog, object);
    }
    life->removed_count += plan.object_count;
    life_check(life);
    return plan.object_count;
}

/* Restore to something that restores, and go on from there. */
static void life_branch(struct life *life)
{
    static bool now[LIFE_TXID_MAX];
    struct line *line = life_line(life);
    uint64_t txid = 1 + life_random(life, line->newest_txid);

    restorable(life, life->timeline, now);
    if (life->timeline == LIFE_TIMELINE_MAX || !now[txid] || txid <= line->after_txid)
        return;
    life->now_ms += 1;
    line->ended_ms = life->now_ms;
    struct line *child = &life->lines[++life->timeline];
    *child = (struct line){ .after_txid = txid, .newest_txid = txid };
    for (uint64_t i = 1; i <= txid; i++) {
        child->times[i] = line->times[i];
        child->ever[i] = line->ever[i];
    }
    names_claim(&life->catalog, life->timeline, life->timeline - 1, txid, false);
    life_entry(life, life->timeline)->info.time_ms = life->now_ms;
    life_commit(life);
}

static void life_hold(struct life *life)
{
    static bool now[LIFE_TXID_MAX];
    struct line *line = life_line(life);
    uint64_t txid = 1 + life_random(life, line->newest_txid);

    restorable(life, life->timeline, now);
    if (now[txid] && txid > line->after_txid)
        life->hold = (struct kept_point){ .timeline = life->timeline, .txid = txid };
}

static void life_step(struct life *life)
{
    switch (life_random(life, 16)) {
    case 0:
        life_snapshot(life);
        break;
    case 1:
    case 2:
        life_merge(life);
        break;
    case 3:
    case 4:
    case 5:
        life_expire(life);
        break;
    case 6:
        life->now_ms += (int64_t)life_random(life, 400);
        break;
    case 7:
        if (life_random(life, 8) == 0)
            life_branch(life);
        if (life_random(life, 4) == 0)
            life_hold(life);
        if (life_random(life, 6) == 0)
            life->now_ms += (int64_t)life_random(life, 4000);
        break;
    default:
        life_commit(life);
        break;
    }
}

static uint64_t object_count(const struct life *life)
{
    uint64_t count = 0;

    for (size_t i = 0; i < life->catalog.timeline_count; i++) {
        const struct catalog_timeline *entry = &life->catalog.timelines[i];
        count += entry->snapshot_count + entry->log_count + entry->merged_count;
    }
    return count;
}

/* Returns how many objects went over all. */
static uint64_t life_run(uint64_t seed)
{
    struct life *life = mem_new(sizeof *life);

    life->random = seed;
    life->now_ms = 1000;
    life->timeline = 1;
    names_claim(&life->catalog, 1, 0, 0, true);
    life->lines[1].newest_txid = 1;
    life->lines[1].times[1] = life->now_ms;
    life_snapshot(life);
    for (int step = 0; step < LIFE_STEP_COUNT; step++)
        life_step(life);

    /* At rest, with all windows closed: a baseline, its increments, and nothing else. */
    life->hold = (struct kept_point){ 0 };
    life->now_ms += 10;
    life_snapshot(life);
    life->now_ms += 1000;
    life_merge(life);
    life->now_ms += 100000;
    life_expire(life);
    if (life_expire(life) != 0)
        fail_msg("a second time there is more to remove");
    if (object_count(life) > 12)
        fail_msg("%" PRIu64 " objects are left", object_count(life));
    uint64_t removed_count = life->removed_count;
    catalog_release(&life->catalog);
    free(life);
    return removed_count;
}

static void every_promised_instant_restores(void **state)
{
    const char *text = getenv("SEAWAL_SEED");
    uint64_t seed = text != NULL ? strtoull(text, NULL, 10) : 1;
    uint64_t removed_count = 0;

    (void)state;
    for (uint64_t i = 0; i < LIFE_COUNT; i++) {
        print_message("SEAWAL_SEED=%" PRIu64 "\n", seed + i);
        removed_count += life_run(seed + i);
    }
    print_message("%" PRIu64 " objects removed\n", removed_count);
    assert_true(removed_count > 20 * LIFE_COUNT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_promised_instant_restores),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
