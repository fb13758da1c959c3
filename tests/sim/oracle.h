/*
 * oracle - every state that the application's database was ever in, and what must be true of them
 *
 * After each turn of any process the WAL-index is looked at; when it says something new, the whole
 * database is read as a reader would (the log's frames over the file) and remembered by its digest.
 * The history in the store must then be those states in their order, and nothing else.
 */
#ifndef SEAWAL_TESTS_SIM_ORACLE_H
#define SEAWAL_TESTS_SIM_ORACLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct sim_claim;

struct oracle_state {
    uint64_t digest; /* as the product computes it */
    uint64_t image;  /* a hash of all bytes */
    uint64_t epoch;  /* sim->epoch when it was seen */
    bool is_pinned;  /* the daemon held its pin then */
    bool is_lost;    /* a power cut took it away again, or brought it back */
};

void oracle_start(const char *path);
void oracle_end(void);

/* Look for a new state; every process stands still. */
void oracle_look(void);

/* A step that committed was acknowledged; its state must survive what a synced commit survives. */
void oracle_acknowledge(void);

/* A process died, or (POWER) all did and unsynced bytes are lost; the next look follows recovery.
 */
void oracle_note_death(bool power);

/* The epoch at which a transaction was first known to be captured. */
uint64_t oracle_captured_epoch(uint32_t timeline, uint64_t txid);

/* What was called captured, one after the other; NULL behind the last. */
const struct sim_claim *oracle_captured(size_t index);

size_t oracle_count(void);
const struct oracle_state *oracle_at(size_t index);

/* The first state from FROM on with DIGEST; oracle_count(): none. */
size_t oracle_find(uint64_t digest, size_t from);

/* ---- history.c: what is in the store against what was */

struct history_counts {
    uint64_t transactions;
    uint64_t resyncs;
    uint64_t timelines;
    uint64_t merged;
    uint64_t restores;
};
extern struct history_counts history_counts;

/* All of it; SIM_BROKEN says what is wrong. IS_FINAL: the last state must be there too. */
void history_check(const char *remote, bool is_final);

/* Restore what the daemon called durable last, now. */
void history_check_claim(const char *remote, const char *scratch);

/* Restore COUNT random points. */
void history_check_restores(const char *remote, const char *scratch, unsigned count);
void history_release_points(void);

#endif
