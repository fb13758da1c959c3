/*
 * txid_set - a set of transaction numbers as ranges, ascending and apart
 */
#ifndef SEAWAL_REPLICA_TXID_SET_PRIV_H
#define SEAWAL_REPLICA_TXID_SET_PRIV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct txid_range {
    uint64_t first_txid;
    uint64_t last_txid;
};

struct txid_set {
    struct txid_range *ranges; /* never touching each other */
    size_t range_count;
    size_t capacity;
};
#define TXID_SET_INIT ((struct txid_set){ 0 })
#define auto_txid_set __attribute__((cleanup(txid_set_release)))
void txid_set_release(struct txid_set *set);

/* FIRST <= LAST. Cheap at the end of the set, O(ranges) elsewhere. */
void txid_set_add(struct txid_set *set, uint64_t first_txid, uint64_t last_txid);
void txid_set_add_all(struct txid_set *set, const struct txid_set *other);

/* RET, which must be TXID_SET_INIT: what is in both; what is in LEFT alone. */
void txid_set_common(
    struct txid_set *ret, const struct txid_set *left, const struct txid_set *right);
void txid_set_minus(
    struct txid_set *ret, const struct txid_set *left, const struct txid_set *right);

bool txid_set_has_all(const struct txid_set *set, uint64_t first_txid, uint64_t last_txid);

/* Index of the first range that ends at or behind TXID; range_count when there is none. */
size_t txid_set_at(const struct txid_set *set, uint64_t txid);

#endif
