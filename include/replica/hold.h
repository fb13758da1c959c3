/*
 * hold - named restore points that retention keeps
 *
 * A hold is an object holds/<name>.txt of the replica, made with STORE_PUT_NEW and never changed.
 * As long as it is there, retention (expire.h) keeps everything that a restore of its point needs.
 */
#ifndef SEAWAL_REPLICA_HOLD_H
#define SEAWAL_REPLICA_HOLD_H

#include "base/error.h"
#include "replica/replica.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    REPLICA_HOLD_NAME_SIZE = 65, /* with the terminator */
    REPLICA_HOLD_COUNT_MAX = 1000,
};

struct restore_target;

struct hold {
    char name[REPLICA_HOLD_NAME_SIZE];
    uint32_t timeline;
    uint64_t txid;
    int64_t time_ms; /* of the transaction */
    int64_t made_ms;
};

/* Letters, digits, '.', '_' and '-', not beginning with '.': 1 to 64 of them. */
bool replica_hold_name_is_good(const char *name);

/*
 * Hold the point that TARGET means, by the rules of restore_plan_make(). RC_NOT_FOUND: it cannot
 * be restored, or retention has condemned what it needs; RC_EXISTS: the name is taken (text says by
 * which point); RC_USAGE: a bad name; RC_UNSUPPORTED: too many. RET tells the exact point.
 */
must_use rc replica_hold(struct replica *replica, const char *name,
    const struct restore_target *target, struct hold *ret, struct error *err);

/* All of them, by name; owned by the caller. */
must_use rc replica_holds(
    struct replica *replica, struct hold **ret, size_t *ret_count, struct error *err);

/* RC_NOT_FOUND: there is none of that name. */
must_use rc replica_release(struct replica *replica, const char *name, struct error *err);

#endif
