/*
 * names - see names.h
 */
#include "names.h"

#include "harness/check.h"

void names_add(struct catalog *catalog, const struct name_spec *spec)
{
    struct error err;
    struct replica_key key = {
        .kind = REPLICA_KEY_SEGMENT,
        .timeline = spec->timeline,
        .level = spec->level,
        .name = { .min_txid = spec->min_txid,
            .max_txid = spec->max_txid,
            .time_ms = spec->time_ms != 0 ? spec->time_ms : 1 },
    };
    CHECK_OK(catalog_add(catalog, &key, spec->size, &err));
}

void names_add_log(struct catalog *catalog, uint32_t timeline, uint64_t min, uint64_t max)
{
    struct name_spec spec = { .timeline = timeline, .min_txid = min, .max_txid = max, .size = 10 };
    names_add(catalog, &spec);
}

void names_claim(
    struct catalog *catalog, uint32_t timeline, uint32_t parent, uint64_t parent_txid, bool own)
{
    struct error err;
    struct replica_key key = { .kind = REPLICA_KEY_TIMELINE, .timeline = timeline };
    CHECK_OK(catalog_add(catalog, &key, 10, &err));
    struct catalog_timeline *entry = &catalog->timelines[catalog_find(catalog, timeline)];
    entry->is_loaded = true;
    entry->info = (struct replica_timeline){
        .timeline = timeline,
        .parent_timeline = parent,
        .parent_txid = parent_txid,
        .own_snapshot = own,
    };
}
