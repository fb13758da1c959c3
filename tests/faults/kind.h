/*
 * kind - one way to fail, of those that a flow is struck with
 */
#ifndef SEAWAL_TESTS_FAULTS_KIND_H
#define SEAWAL_TESTS_FAULTS_KIND_H

#include "harness/fault.h"

#include <stddef.h>

struct kind {
    const char *name;
    struct fault_plan plan; /* but for nth */
    unsigned share;         /* how many of a flow are struck in a short run, in units of a test;
                               0: a few, since it takes long */
};

#endif
