/*
 * expire - removing what no rule keeps, so that everything promised restores at every moment
 */
#include "replica/expire.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/text.h"
#include "codec/hash.h"
#include "expire_plan_priv.h"
#include "hold_priv.h"
#include "view_priv.h"

enum {
    EXPIRE_REMOVE_COUNT_MAX = 1000, /* keys of one request */
    EXPIRE_NOTE_COUNT_MAX = 64,     /* with more of them nothing further is condemned */

    /* Older than that a listing is not acted upon: the process may have been stopped. */
    EXPIRE_LISTING_MS_MAX = 10 * 60 * 1000,
};

void expire_report_release(struct expire_report *report)
{
    free(report->objects);
    free(report->lost);
    *report = EXPIRE_REPORT_INIT;
}

struct expiry {
    struct store *store;
    const struct expire_options *options;
    struct catalog catalog; /* whole */
    struct expire_plan plan;
    struct expire_report *report;
    int64_t listed_at_ms; /* monotonic */

    bool *is_ripe;  /* by note of the catalog: its grace is over */
    bool *is_spent; /* nothing that it condemns is left, or must be left */
};
#define auto_expiry __attribute__((cleanup(expiry_release)))

static void expiry_release(struct expiry *expiry)
{
    catalog_release(&expiry->catalog);
    expire_plan_release(&expiry->plan);
    free(expiry->is_ripe);
    free(expiry->is_spent);
}

/* ---- look */

static rc expiry_load(struct expiry *expiry, struct error *err)
{
    struct catalog *catalog = &expiry->catalog;

    expiry->listed_at_ms = clock_monotonic_ms();
    TRY(catalog_load_whole(catalog, expiry->store, err));
    for (size_t i = 0; i < catalog->timeline_count; i++) {
        TRY(catalog_load_timeline(catalog, expiry->store, i, err));
        for (size_t k = 0; k < catalog->timelines[i].snapshot_count; k++)
            TRY(catalog_load_snapshot(catalog, expiry->store, i, k, err));
    }
    return RC_OK;
}

static rc expiry_plan(struct expiry *expiry, struct error *err)
{
    const struct catalog *catalog = &expiry->catalog;
    size_t count = catalog->notes.hold_count;
    auto_free struct kept_point *holds = mem_new_array(count + 1, sizeof *holds);

    for (size_t i = 0; i < count; i++) {
        struct hold hold;
        rc code = hold_load(
            &hold, expiry->store, &catalog->header.database_id, catalog->notes.holds[i], err);
        if (code == RC_NOT_FOUND)
            return error_wrap(err, RC_BUSY, "a hold was listed and is not there any more");
        if (code != RC_OK)
            return code;
        holds[i] = (struct kept_point){ .timeline = hold.timeline, .txid = hold.txid };
    }
    struct expire_input input = {
        .catalog = catalog,
        .rules = &expiry->options->rules,
        .holds = holds,
        .hold_count = count,
        .now_ms = expiry->options->now_ms,
    };
    return expire_plan_make(&expiry->plan, &input, err);
}

/* ---- report */

/* The time of the first mark at or behind TXID that any name tells; 0: none. */
static int64_t expiry_time_of(const struct catalog_timeline *timeline, uint64_t txid)
{
    uint64_t nearest = UINT64_MAX;
    int64_t time_ms = 0;

    for (size_t i = 0; i < timeline->log_count; i++) {
        const struct segment_name *name = &timeline->logs[i].name;
        if (name->max_txid >= txid && name->max_txid < nearest) {
            nearest = name->max_txid;
            time_ms = name->time_ms;
        }
    }
    for (size_t i = 0; i < timeline->merged_count; i++) {
        const struct segment_name *name = &timeline->merged[i].entry.name;
        if (name->max_txid >= txid && name->max_txid < nearest) {
            nearest = name->max_txid;
            time_ms = name->time_ms;
        }
    }
    for (size_t i = 0; i < timeline->snapshot_count; i++) {
        const struct segment_summary *summary = &timeline->snapshots[i].summary;
        if (summary->max_txid >= txid && summary->max_txid < nearest) {
            nearest = summary->max_txid;
            time_ms = summary->last_time_ms;
        }
    }
    return time_ms;
}

static void expiry_report_plan(struct expiry *expiry)
{
    struct expire_report *report = expiry->report;
    const struct expire_plan *plan = &expiry->plan;

    report->objects = mem_copy(plan->objects, (plan->object_count + 1) * sizeof plan->objects[0]);
    report->object_count = plan->object_count;
    report->object_size = plan->size;
    report->kept_count = plan->kept_count;
    report->kept_size = plan->kept_size;
    report->waiting_count = plan->waiting_count;
    report->later_count = plan->later_count;
    report->lost = mem_new_array(plan->lost_count + 1, sizeof report->lost[0]);
    report->lost_count = plan->lost_count;
    for (size_t i = 0; i < plan->lost_count; i++) {
        const struct expire_range *lost = &plan->lost[i];
        const struct catalog_timeline *timeline =
            &expiry->catalog.timelines[catalog_find(&expiry->catalog, lost->timeline)];
        report->lost[i] = (struct expire_lost){
            .timeline = lost->timeline,
            .first_txid = lost->range.first_txid,
            .last_txid = lost->range.last_txid,
            .first_ms = expiry_time_of(timeline, lost->range.first_txid),
            .last_ms = expiry_time_of(timeline, lost->range.last_txid),
        };
    }
}

/* ---- remove what was condemned long enough ago */

static unsigned object_level(const struct restore_object *object)
{
    return object->kind == SEGMENT_SNAPSHOT ? (unsigned)LEVEL_SNAPSHOT : object->level;
}

/*
 * The note was there from the moment when the store had it, by the later of the two clocks. One
 * whose time lies too far ahead was written by a clock that was wrong: it is replaced.
 */
static void expiry_find_ripe(struct expiry *expiry)
{
    const struct catalog_notes *notes = &expiry->catalog.notes;
    int64_t now_ms = expiry->options->now_ms;

    expiry->is_ripe = mem_new_array(notes->expire_count + 1, sizeof expiry->is_ripe[0]);
    expiry->is_spent = mem_new_array(notes->expire_count + 1, sizeof expiry->is_spent[0]);
    for (size_t i = 0; i < notes->expire_count; i++) {
        const struct catalog_expire *expire = &notes->expires[i];
        int64_t since_ms = expire->note.time_ms;
        if (expire->modified_ms > since_ms)
            since_ms = expire->modified_ms;
        int64_t age_ms = now_ms - since_ms;
        expiry->is_ripe[i] = age_ms >= expire->note.grace_ms;
        expiry->is_spent[i] = expiry->is_ripe[i] || (age_ms < 0 && -age_ms > expire->note.grace_ms);
    }
}

/* Whether OBJECT was condemned by a note whose grace is over; or by any. */
static bool expiry_is_condemned(
    const struct expiry *expiry, const struct restore_object *object, bool only_ripe)
{
    const struct catalog_notes *notes = &expiry->catalog.notes;

    for (size_t i = 0; i < notes->expire_count; i++) {
        if (only_ripe && !expiry->is_ripe[i])
            continue;
        if (!only_ripe && expiry->is_spent[i] && !expiry->is_ripe[i])
            continue; /* of a wrong clock */
        if (expire_note_has(
                &notes->expires[i].note, object->timeline, object_level(object), &object->name))
            return true;
    }
    return false;
}

static rc expiry_check_still(const struct expiry *expiry, struct error *err)
{
    if (expiry->options->cancel != NULL && cancel_asked(expiry->options->cancel))
        FAIL(err, RC_CANCELLED, "asked to stop");
    if (clock_monotonic_ms() - expiry->listed_at_ms > EXPIRE_LISTING_MS_MAX)
        FAIL(err, RC_BUSY, "the listing is too old to remove by it; the next run goes on");
    return RC_OK;
}

/* A store that refuses is an answer: an object lock, or a key that may not remove. */
static rc expiry_remove_keys(
    struct expiry *expiry, const char *const *keys, size_t count, struct error *err)
{
    struct error reason;

    TRY(expiry_check_still(expiry, err));
    rc code = store_remove(expiry->store, keys, count, &reason);
    if (code == RC_DENIED || code == RC_UNSUPPORTED) {
        expiry->report->is_refused = true;
        return RC_OK;
    }
    if (code != RC_OK && err != NULL)
        *err = reason;
    return code;
}

struct removal {
    char keys[EXPIRE_REMOVE_COUNT_MAX][REPLICA_KEY_SIZE];
    const char *pointers[EXPIRE_REMOVE_COUNT_MAX];
    size_t count;
    uint64_t size;
};

static rc expiry_flush(struct expiry *expiry, struct removal *removal, struct error *err)
{
    if (removal->count == 0 || expiry->report->is_refused)
        return RC_OK;
    TRY(expiry_remove_keys(expiry, removal->pointers, removal->count, err));
    if (!expiry->report->is_refused) {
        expiry->report->removed_count += removal->count;
        expiry->report->removed_size += removal->size;
    }
    removal->count = 0;
    removal->size = 0;
    return RC_OK;
}

static rc expiry_remove_objects(struct expiry *expiry, struct error *err)
{
    auto_free struct removal *removal = mem_new(sizeof *removal);

    for (size_t i = 0; i < expiry->plan.object_count; i++) {
        const struct restore_object *object = &expiry->plan.objects[i];
        if (!expiry_is_condemned(expiry, object, true))
            continue;
        restore_object_key(removal->keys[removal->count], object);
        removal->pointers[removal->count] = removal->keys[removal->count];
        removal->count++;
        removal->size += object->size;
        if (removal->count == EXPIRE_REMOVE_COUNT_MAX)
            TRY(expiry_flush(expiry, removal, err));
    }
    return expiry_flush(expiry, removal, err);
}

/* ---- condemn what is new */

/*
 * Objects that go, in the order of their names within one level, as ranges of transactions. An
 * object that stays must not lie within one: there a range ends before it. Where one that stays
 * lies within one that goes, which is rare, that range is left out, and so goes another time.
 */
struct condemning {
    struct expire_note *note;
    struct expire_range range; /* in the making; timeline 0: none */
    uint64_t kept_last_txid;   /* the first end of those that stay, since it began */
    bool is_spoilt;
};

static void condemning_end(struct condemning *condemning)
{
    struct expire_note *note = condemning->note;

    if (condemning->range.timeline != 0 && !condemning->is_spoilt &&
        note->condemned_count < NOTE_LINE_COUNT_MAX / 2)
        expire_range_add(&note->condemned, &note->condemned_count, &condemning->range);
    condemning->range.timeline = 0;
}

static void condemning_begin(struct condemning *condemning, uint32_t timeline, unsigned level,
    const struct segment_name *name)
{
    condemning_end(condemning);
    condemning->range = (struct expire_range){
        .timeline = timeline,
        .level = level,
        .range = { name->min_txid, name->max_txid },
    };
    condemning->kept_last_txid = UINT64_MAX;
    condemning->is_spoilt = false;
}

static void condemning_take(struct condemning *condemning, uint32_t timeline, unsigned level,
    const struct segment_name *name, bool goes)
{
    struct expire_range *range = &condemning->range;
    bool is_same = range->timeline == timeline && range->level == level;

    if (!goes && is_same) {
        if (name->max_txid <= range->range.last_txid)
            condemning->is_spoilt = true;
        if (name->max_txid < condemning->kept_last_txid)
            condemning->kept_last_txid = name->max_txid;
    }
    if (!goes)
        return;
    uint64_t last_txid = name->max_txid;
    if (is_same && range->range.last_txid > last_txid)
        last_txid = range->range.last_txid;
    if (!is_same || condemning->kept_last_txid <= last_txid)
        condemning_begin(condemning, timeline, level, name);
    else
        range->range.last_txid = last_txid;
}

/* Whether the next of the plan's objects is this one; both come in the same order. */
static bool expiry_goes(const struct expiry *expiry, size_t *next, uint32_t timeline,
    unsigned level, const struct segment_name *name)
{
    if (*next == expiry->plan.object_count)
        return false;
    const struct restore_object *object = &expiry->plan.objects[*next];
    bool goes = object->timeline == timeline && object_level(object) == level &&
                object->name.min_txid == name->min_txid &&
                object->name.max_txid == name->max_txid && object->name.time_ms == name->time_ms;
    *next += goes;
    return goes;
}

static void expiry_condemn_timeline(const struct expiry *expiry, struct condemning *condemning,
    const struct catalog_timeline *timeline, size_t *next)
{
    uint32_t number = timeline->timeline;

    for (size_t i = 0; i < timeline->log_count; i++) {
        const struct segment_name *name = &timeline->logs[i].name;
        condemning_take(condemning, number, LEVEL_LOG, name,
            expiry_goes(expiry, next, number, LEVEL_LOG, name));
    }
    for (size_t i = 0; i < timeline->merged_count; i++) {
        const struct segment_name *name = &timeline->merged[i].entry.name;
        unsigned level = timeline->merged[i].level;
        condemning_take(
            condemning, number, level, name, expiry_goes(expiry, next, number, level, name));
    }
    for (size_t i = 0; i < timeline->snapshot_count; i++) {
        const struct segment_name *name = &timeline->snapshots[i].name;
        condemning_take(condemning, number, LEVEL_SNAPSHOT, name,
            expiry_goes(expiry, next, number, LEVEL_SNAPSHOT, name));
    }
}

/* What no object tells of any more: by all notes and the plan, less what objects that stay tell. */
static void expiry_fill_gone(
    const struct expiry *expiry, struct expire_note *note, const struct catalog_timeline *timeline)
{
    auto_txid_set struct txid_set gone = TXID_SET_INIT;
    auto_txid_set struct txid_set told = TXID_SET_INIT;
    auto_txid_set struct txid_set rest = TXID_SET_INIT;

    catalog_gone(&gone, &expiry->catalog, timeline->timeline);
    for (size_t i = 0; i < timeline->log_count; i++)
        txid_set_add(&told, timeline->logs[i].name.min_txid, timeline->logs[i].name.max_txid);
    for (size_t i = 0; i < timeline->merged_count; i++) {
        const struct segment_name *name = &timeline->merged[i].entry.name;
        txid_set_add(&told, name->min_txid, name->max_txid);
    }
    txid_set_minus(&rest, &gone, &told);
    for (size_t i = 0; i < expiry->plan.gone_count; i++) {
        const struct expire_range *range = &expiry->plan.gone[i];
        if (range->timeline == timeline->timeline)
            txid_set_add(&rest, range->range.first_txid, range->range.last_txid);
    }
    for (size_t i = 0; i < rest.range_count && note->gone_count < NOTE_LINE_COUNT_MAX / 2; i++) {
        struct expire_range range = { .timeline = timeline->timeline, .range = rest.ranges[i] };
        expire_range_add(&note->gone, &note->gone_count, &range);
    }
}

static void expiry_make_note(const struct expiry *expiry, struct expire_note *note)
{
    const struct catalog *catalog = &expiry->catalog;
    struct condemning condemning = { .note = note };
    size_t next = 0;

    note->database_id = catalog->header.database_id;
    note->time_ms = expiry->options->now_ms;
    note->grace_ms = expiry->options->grace_ms;
    for (size_t i = 0; i < catalog->timeline_count; i++)
        expiry_condemn_timeline(expiry, &condemning, &catalog->timelines[i], &next);
    condemning_end(&condemning);
    assert(next == expiry->plan.object_count);
    for (size_t i = 0; i < catalog->timeline_count; i++)
        expiry_fill_gone(expiry, note, &catalog->timelines[i]);
}

static rc expiry_put_note(struct expiry *expiry, struct error *err)
{
    auto_expire_note struct expire_note note = EXPIRE_NOTE_INIT;
    auto_buf struct buf text = BUF_INIT(NOTE_SIZE_MAX);
    uint8_t random[8];
    char digits[2 * sizeof random + 1];
    char name[REPLICA_NOTE_NAME_SIZE];
    char key[REPLICA_KEY_SIZE];

    expiry_make_note(expiry, &note);
    expire_note_encode(&text, &note);
    random_fill(random, sizeof random);
    text_put_hex(digits, random, sizeof random);
    snprintf(name, sizeof name, "%013" PRId64 "-%s", note.time_ms, digits);
    replica_key_expire(key, name);
    TRY(expiry_check_still(expiry, err));
    return store_put(expiry->store, key, buf_bytes(&text), STORE_PUT_NEW, err);
}

/* ---- notes that did their work */

/* Whether an object that NOTE condemns is there and stays. */
static bool expiry_has_pardoned(const struct expiry *expiry, const struct expire_note *note)
{
    const struct catalog *catalog = &expiry->catalog;
    size_t next = 0;

    for (size_t t = 0; t < catalog->timeline_count; t++) {
        const struct catalog_timeline *timeline = &catalog->timelines[t];
        uint32_t number = timeline->timeline;
        bool is_found = false;

        for (size_t i = 0; i < timeline->log_count; i++) {
            const struct segment_name *name = &timeline->logs[i].name;
            bool goes = expiry_goes(expiry, &next, number, LEVEL_LOG, name);
            is_found = is_found || (!goes && expire_note_has(note, number, LEVEL_LOG, name));
        }
        for (size_t i = 0; i < timeline->merged_count; i++) {
            const struct segment_name *name = &timeline->merged[i].entry.name;
            unsigned level = timeline->merged[i].level;
            bool goes = expiry_goes(expiry, &next, number, level, name);
            is_found = is_found || (!goes && expire_note_has(note, number, level, name));
        }
        for (size_t i = 0; i < timeline->snapshot_count; i++) {
            const struct segment_name *name = &timeline->snapshots[i].name;
            bool goes = expiry_goes(expiry, &next, number, LEVEL_SNAPSHOT, name);
            is_found = is_found || (!goes && expire_note_has(note, number, LEVEL_SNAPSHOT, name));
        }
        if (is_found)
            return true;
    }
    return false;
}

/* Whether what NOTE says to be gone stands in OTHER as well. */
static bool note_gone_is_in(const struct expire_note *note, const struct expire_note *other)
{
    for (size_t i = 0; i < note->gone_count; i++) {
        const struct expire_range *gone = &note->gone[i];
        bool is_found = false;
        for (size_t k = 0; k < other->gone_count && !is_found; k++) {
            const struct expire_range *range = &other->gone[k];
            is_found = range->timeline == gone->timeline &&
                       range->range.first_txid <= gone->range.first_txid &&
                       range->range.last_txid >= gone->range.last_txid;
        }
        if (!is_found)
            return false;
    }
    return true;
}

/* Remove the notes that are spent; all that they say to be gone must stand in one that stays. */
static rc expiry_remove_notes(struct expiry *expiry, bool has_new, struct error *err)
{
    const struct catalog_notes *notes = &expiry->catalog.notes;

    for (size_t i = 0; i < notes->expire_count; i++) {
        bool is_newest = i + 1 == notes->expire_count;
        if (!expiry->is_spent[i] || (is_newest && !has_new))
            continue;
        if (!has_new && !note_gone_is_in(
                            &notes->expires[i].note, &notes->expires[notes->expire_count - 1].note))
            continue;
        char key[REPLICA_KEY_SIZE];
        replica_key_expire(key, notes->expires[i].name);
        const char *const keys[] = { key };
        TRY(expiry_remove_keys(expiry, keys, 1, err));
    }
    return RC_OK;
}

/* ---- the run */

/* Count what is condemned and what is not yet; whether a note has to be written. */
static bool expiry_wants_note(struct expiry *expiry)
{
    const struct catalog_notes *notes = &expiry->catalog.notes;
    struct expire_report *report = expiry->report;
    uint64_t new_count = 0;
    int64_t newest_ms = 0;
    bool has_pardoned = false;

    for (size_t i = 0; i < expiry->plan.object_count; i++) {
        const struct restore_object *object = &expiry->plan.objects[i];
        if (!expiry_is_condemned(expiry, object, false))
            new_count++;
        else if (!expiry_is_condemned(expiry, object, true))
            report->pending_count++;
    }
    for (size_t i = 0; i < notes->expire_count; i++) {
        const struct expire_note *note = &notes->expires[i].note;
        bool is_wrong = expiry->is_spent[i] && !expiry->is_ripe[i];
        if (is_wrong || (expiry->is_ripe[i] && expiry_has_pardoned(expiry, note)))
            has_pardoned = true;
        if (!is_wrong && note->condemned_count > 0 && note->time_ms > newest_ms)
            newest_ms = note->time_ms;
    }
    int64_t apart_ms = expiry->options->grace_ms / EXPIRE_NOTE_PARTS;
    bool is_time = expiry->options->now_ms - newest_ms >= apart_ms;
    bool has_room = notes->expire_count < EXPIRE_NOTE_COUNT_MAX;
    bool wants = has_pardoned || (new_count > 0 && is_time && has_room);
    if (wants)
        report->condemned_count = new_count;
    return wants;
}

static rc expiry_act(struct expiry *expiry, struct error *err)
{
    expiry_find_ripe(expiry);
    TRY(expiry_remove_objects(expiry, err));
    bool wants_note = expiry_wants_note(expiry) && !expiry->report->is_refused;
    if (wants_note)
        TRY(expiry_put_note(expiry, err));
    if (expiry->report->is_refused)
        return RC_OK;
    return expiry_remove_notes(expiry, wants_note, err);
}

rc expire_run(struct expire_report *ret, struct replica *replica,
    const struct expire_options *options, struct error *err)
{
    auto_expire_report struct expire_report report = EXPIRE_REPORT_INIT;
    auto_expiry struct expiry expiry = {
        .store = replica->store,
        .options = options,
        .report = &report,
    };

    TRY(rules_check(&options->rules, err));
    if (!options->rules.is_off) {
        TRY(expiry_load(&expiry, err));
        TRY(expiry_plan(&expiry, err));
        expiry_report_plan(&expiry);
        if (!options->dry_run)
            TRY(expiry_act(&expiry, err));
    }
    *ret = report;
    report = EXPIRE_REPORT_INIT;
    return RC_OK;
}
