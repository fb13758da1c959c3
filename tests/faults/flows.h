/*
 * flows - what the product does, each from a prepared state, so that a call in it can fail
 */
#ifndef SEAWAL_TESTS_FAULTS_FLOWS_H
#define SEAWAL_TESTS_FAULTS_FLOWS_H

#include "rig.h"

struct flow {
    const char *name;
    void (*prepare)(struct rig *rig); /* nothing is refused */
    rc (*run)(
        struct rig *rig, struct error *err); /* calls fail; RC_OK: all that it is for is done */
    void (*end)(
        struct rig *rig, rc code, bool lasts); /* nothing is refused any more; may be NULL */
    bool needs_daemon;                         /* RUN leaves a daemon that goes on */
    bool is_unusual;    /* an operator is told of it, also when nothing fails */
    bool needs_listing; /* what it is about is not known while a listing lacks the newest objects */
};

extern const struct flow flows[];
extern const size_t flow_count;

#endif
