/*
 * catalog_notes - what retention noted in a replica, and a catalog without what is condemned
 */
#include "catalog_priv.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "object_source_priv.h"

void catalog_notes_release(struct catalog_notes *notes)
{
    for (size_t i = 0; i < notes->expire_count; i++)
        expire_note_release(&notes->expires[i].note);
    free(notes->expires);
    free(notes->holds);
    *notes = CATALOG_NOTES_INIT;
}

rc catalog_notes_add(struct catalog_notes *notes, const struct replica_key *key, struct error *err)
{
    if (key->kind == REPLICA_KEY_HOLD) {
        if (notes->hold_count == REPLICA_HOLD_COUNT_MAX)
            FAIL(err, RC_UNSUPPORTED, "more than %d holds in one replica", REPLICA_HOLD_COUNT_MAX);
        notes->holds = mem_resize(notes->holds, (notes->hold_count + 1) * sizeof notes->holds[0]);
        memcpy(notes->holds[notes->hold_count++], key->note, sizeof notes->holds[0]);
        return RC_OK;
    }
    assert(key->kind == REPLICA_KEY_EXPIRE);
    if (notes->expire_count == CATALOG_EXPIRE_COUNT_MAX)
        FAIL(err, RC_UNSUPPORTED, "more than %d notes of retention in one replica",
            CATALOG_EXPIRE_COUNT_MAX);
    notes->expires =
        mem_resize(notes->expires, (notes->expire_count + 1) * sizeof notes->expires[0]);
    struct catalog_expire *added = &notes->expires[notes->expire_count++];
    memset(added, 0, sizeof *added);
    memcpy(added->name, key->note, sizeof added->name);
    return RC_OK;
}

static rc catalog_load_expire(const struct catalog *catalog, struct store *store,
    struct catalog_expire *expire, struct error *err)
{
    char key[REPLICA_KEY_SIZE];
    auto_buf struct buf text = BUF_INIT(NOTE_SIZE_MAX);

    replica_key_expire(key, expire->name);
    TRY(store_get(store, key, 0, 0, &text, err));
    TRY_AS(err, expire_note_decode(&expire->note, buf_bytes(&text), err), "'%s'", key);
    if (memcmp(&expire->note.database_id, &catalog->header.database_id,
            sizeof(struct database_id)) != 0)
        FAIL(err, RC_CORRUPT, "'%s' belongs to another database", key);
    return RC_OK;
}

rc catalog_load_notes(struct catalog *catalog, struct store *store, struct error *err)
{
    for (size_t i = 0; i < catalog->notes.expire_count; i++)
        TRY(catalog_load_expire(catalog, store, &catalog->notes.expires[i], err));
    return RC_OK;
}

/* ---- what is condemned */

bool expire_note_has(const struct expire_note *note, uint32_t timeline, unsigned level,
    const struct segment_name *name)
{
    for (size_t i = 0; i < note->condemned_count; i++) {
        const struct expire_range *range = &note->condemned[i];
        if (range->timeline == timeline && range->level == level &&
            range->range.first_txid <= name->min_txid && name->max_txid <= range->range.last_txid)
            return true;
    }
    return false;
}

bool catalog_is_condemned(const struct catalog *catalog, uint32_t timeline, unsigned level,
    const struct segment_name *name)
{
    for (size_t i = 0; i < catalog->notes.expire_count; i++) {
        if (expire_note_has(&catalog->notes.expires[i].note, timeline, level, name))
            return true;
    }
    return false;
}

static void timeline_hide_condemned(struct catalog *catalog, struct catalog_timeline *timeline)
{
    uint32_t number = timeline->timeline;
    size_t kept = 0;

    for (size_t i = 0; i < timeline->snapshot_count; i++) {
        const struct catalog_snapshot *snapshot = &timeline->snapshots[i];
        if (!catalog_is_condemned(catalog, number, LEVEL_SNAPSHOT, &snapshot->name))
            timeline->snapshots[kept++] = *snapshot;
    }
    catalog->notes.hidden_count += timeline->snapshot_count - kept;
    timeline->snapshot_count = kept;

    kept = 0;
    for (size_t i = 0; i < timeline->log_count; i++) {
        if (!catalog_is_condemned(catalog, number, LEVEL_LOG, &timeline->logs[i].name))
            timeline->logs[kept++] = timeline->logs[i];
    }
    catalog->notes.hidden_count += timeline->log_count - kept;
    timeline->log_count = kept;

    kept = 0;
    for (size_t i = 0; i < timeline->merged_count; i++) {
        const struct catalog_segment *merged = &timeline->merged[i];
        if (!catalog_is_condemned(catalog, number, merged->level, &merged->entry.name))
            timeline->merged[kept++] = *merged;
    }
    catalog->notes.hidden_count += timeline->merged_count - kept;
    timeline->merged_count = kept;
}

void catalog_hide_condemned(struct catalog *catalog)
{
    if (catalog->notes.expire_count == 0)
        return;
    for (size_t i = 0; i < catalog->timeline_count; i++)
        timeline_hide_condemned(catalog, &catalog->timelines[i]);
}

/* ---- what is gone */

void catalog_gone(struct txid_set *ret, const struct catalog *catalog, uint32_t timeline)
{
    for (size_t i = 0; i < catalog->notes.expire_count; i++) {
        const struct expire_note *note = &catalog->notes.expires[i].note;
        for (size_t k = 0; k < note->gone_count; k++) {
            const struct txid_range *range = &note->gone[k].range;
            if (note->gone[k].timeline == timeline)
                txid_set_add(ret, range->first_txid, range->last_txid);
        }
    }
}

bool chain_is_gone(const struct chain *chain, uint64_t first_txid, uint64_t last_txid)
{
    auto_txid_set struct txid_set all = TXID_SET_INIT;

    if (first_txid > last_txid || chain->catalog->notes.expire_count == 0)
        return false;
    for (size_t i = 0; i < chain->span_count; i++) {
        const struct chain_span *span = &chain->spans[i];
        auto_txid_set struct txid_set gone = TXID_SET_INIT;
        auto_txid_set struct txid_set own = TXID_SET_INIT;
        auto_txid_set struct txid_set both = TXID_SET_INIT;

        if (span->after_txid >= span->limit_txid)
            continue;
        catalog_gone(&gone, chain->catalog, chain_timeline(chain, i)->timeline);
        txid_set_add(&own, span->after_txid + 1, span->limit_txid);
        txid_set_common(&both, &gone, &own);
        txid_set_add_all(&all, &both);
    }
    return txid_set_has_all(&all, first_txid, last_txid);
}
