/*
 * catalog - what one listing of a replica says, in memory; and chains of timelines over it
 *
 * catalog_load() lists everything once and refuses foreign names. The JSON of a timeline and the
 * trailer of a snapshot are fetched when they are needed, once each. Everything behind that is
 * pure (route_priv.h): names alone.
 */
#ifndef SEAWAL_REPLICA_CATALOG_PRIV_H
#define SEAWAL_REPLICA_CATALOG_PRIV_H

#include "info_json_priv.h"
#include "layout_priv.h"
#include "note_priv.h"
#include "replica/restore.h"
#include "segment/dir.h"
#include "segment/segment.h"

#include <stdbool.h>

struct catalog_snapshot {
    struct segment_name name; /* min = max: where it began */
    uint64_t size;
    bool is_loaded; /* what follows was read from the object */
    struct segment_identity identity;
    struct segment_summary summary;
};

struct catalog_segment {
    unsigned level; /* 1..9 */
    struct segment_entry entry;
};

struct catalog_timeline {
    uint32_t timeline;
    bool is_claimed; /* its JSON file was listed */
    bool is_loaded;  /* info was read from it */
    struct replica_timeline info;
    struct catalog_snapshot *snapshots; /* ascending by name */
    size_t snapshot_count;
    struct segment_entry *logs; /* level 0, ascending by name */
    size_t log_count;
    struct catalog_segment *merged; /* the other levels, in order of their keys */
    size_t merged_count;
};

/* A note of what is condemned. */
struct catalog_expire {
    char name[REPLICA_NOTE_NAME_SIZE];
    int64_t modified_ms; /* the store's clock */
    struct expire_note note;
};

enum { CATALOG_EXPIRE_COUNT_MAX = 1024 };

struct catalog_notes {
    struct catalog_expire *expires; /* ascending by name, so by time */
    size_t expire_count;
    char (*holds)[REPLICA_NOTE_NAME_SIZE]; /* names; ascending */
    size_t hold_count;
    uint64_t hidden_count; /* objects that were left out */
};
#define CATALOG_NOTES_INIT ((struct catalog_notes){ 0 })
void catalog_notes_release(struct catalog_notes *notes);

struct catalog {
    struct replica_header header;
    struct catalog_timeline *timelines; /* ascending */
    size_t timeline_count;
    uint64_t object_count; /* segments */
    uint64_t object_size;
    bool has_header;
    bool is_empty; /* nothing at all was listed */
    struct catalog_notes notes;
};
#define CATALOG_INIT ((struct catalog){ 0 })
#define auto_catalog __attribute__((cleanup(catalog_release)))
void catalog_release(struct catalog *catalog);

/*
 * One listing, seawal.json and the notes of retention. What is condemned is left out: it goes soon,
 * and everything that is promised restores without it. RC_NOT_FOUND: certainly nothing there.
 */
must_use rc catalog_load(struct catalog *ret, struct store *store, struct error *err);

/* The same with what is condemned. */
must_use rc catalog_load_whole(struct catalog *ret, struct store *store, struct error *err);

/* catalog_notes.c: one more note, not fetched yet; fetch all of them. */
must_use rc catalog_notes_add(
    struct catalog_notes *notes, const struct replica_key *key, struct error *err);
must_use rc catalog_load_notes(struct catalog *catalog, struct store *store, struct error *err);

/* Whether NOTE, or any note, condemns an object; take out what is condemned. */
bool expire_note_has(const struct expire_note *note, uint32_t timeline, unsigned level,
    const struct segment_name *name);
bool catalog_is_condemned(const struct catalog *catalog, uint32_t timeline, unsigned level,
    const struct segment_name *name);
void catalog_hide_condemned(struct catalog *catalog);

/* The transactions of TIMELINE of which retention left nothing. */
void catalog_gone(struct txid_set *ret, const struct catalog *catalog, uint32_t timeline);

/* The listing alone, for tests and for catalog_load(): take one more object in. */
must_use rc catalog_add(
    struct catalog *catalog, const struct replica_key *key, uint64_t size, struct error *err);

/* As if a segment had not been listed; it is all right when it was not. */
void catalog_remove(struct catalog *catalog, const struct restore_object *object);

/* Every timeline that has segments must have been claimed. */
must_use rc catalog_check(const struct catalog *catalog, struct error *err);

/* What timelines/<TIMELINE>.json of the database ID says. */
must_use rc timeline_fetch(struct replica_timeline *ret, struct store *store, uint32_t timeline,
    const struct database_id *id, struct error *err);

/* Fetch and check the JSON of the timeline at INDEX unless it was. */
must_use rc catalog_load_timeline(
    struct catalog *catalog, struct store *store, size_t index, struct error *err);

/* Fetch and check the trailer of a snapshot unless it was. */
must_use rc catalog_load_snapshot(struct catalog *catalog, struct store *store,
    size_t timeline_index, size_t snapshot_index, struct error *err);

/* Index of TIMELINE, or timeline_count. */
size_t catalog_find(const struct catalog *catalog, uint32_t timeline);

/* ---- chains */

/* The part of a timeline that belongs to a chain: transactions after_txid < txid <= limit_txid. */
struct chain_span {
    size_t timeline_index;
    uint64_t after_txid;
    uint64_t limit_txid;   /* TXID_MAX for the last span */
    uint64_t limit_digest; /* of the database at limit_txid, as the child says; last span: 0 */
    bool own_snapshot;     /* its log does not continue that of the span before */
};

struct chain {
    const struct catalog *catalog;
    struct chain_span *spans; /* oldest timeline first */
    size_t span_count;
};
#define CHAIN_INIT ((struct chain){ 0 })
#define auto_chain __attribute__((cleanup(chain_release)))
void chain_release(struct chain *chain);

/* From the oldest parent to the timeline at LEAF_INDEX; all their infos must be loaded (asserted).
 */
must_use rc chain_build(
    struct chain *ret, const struct catalog *catalog, size_t leaf_index, struct error *err);

/* Load the infos along the parents of the timeline at LEAF_INDEX, then build. */
must_use rc chain_load(struct chain *ret, struct catalog *catalog, struct store *store,
    size_t leaf_index, struct error *err);

/*
 * The span that transaction TXID belongs to, seen from a snapshot in span FIRST: a span without
 * transactions of its own up to there holds no position.
 */
size_t chain_span_of(const struct chain *chain, size_t first, uint64_t txid);

/* Whether all of these transactions are gone because retention removed them, so are no damage. */
bool chain_is_gone(const struct chain *chain, uint64_t first_txid, uint64_t last_txid);

/* The timeline behind a span. */
const struct catalog_timeline *chain_timeline(const struct chain *chain, size_t span_index);

#endif
