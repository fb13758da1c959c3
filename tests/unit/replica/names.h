/*
 * names - a catalog from made-up names, without a store
 */
#ifndef SEAWAL_TESTS_REPLICA_NAMES_H
#define SEAWAL_TESTS_REPLICA_NAMES_H

#include "../../../src/replica/catalog_priv.h"

/* A segment of SIZE bytes. */
struct name_spec {
    uint32_t timeline;
    unsigned level;
    uint64_t min_txid;
    uint64_t max_txid;
    uint64_t size;
    int64_t time_ms; /* 0: 1 */
};
void names_add(struct catalog *catalog, const struct name_spec *spec);

/* A log segment of 10 bytes. */
void names_add_log(struct catalog *catalog, uint32_t timeline, uint64_t min, uint64_t max);

/* Timeline TIMELINE was claimed, and its file says so. */
void names_claim(
    struct catalog *catalog, uint32_t timeline, uint32_t parent, uint64_t parent_txid, bool own);

#endif
