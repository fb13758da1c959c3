/*
 * name - the file name of a segment: <min txid>-<max txid>-<time ms>.seg
 *
 * txids are 16 lower-case hex digits, the time of the last transaction is 13 decimal digits, so
 * names sort by txid and one listing plans a restore. A name that does not parse is an error to its
 * reader, never a skip.
 */
#ifndef SEAWAL_SEGMENT_NAME_H
#define SEAWAL_SEGMENT_NAME_H

#include "base/error.h"

#include <stdint.h>

enum { SEGMENT_NAME_SIZE = 16 + 1 + 16 + 1 + 13 + 4 + 1 }; /* with the terminator */

struct segment_name {
    uint64_t min_txid;
    uint64_t max_txid;
    int64_t time_ms;
};

void segment_name_format(char out[SEGMENT_NAME_SIZE], const struct segment_name *name);

/* RC_CORRUPT when TEXT is not exactly such a name, or its range is empty. */
must_use rc segment_name_parse(struct segment_name *ret, const char *text, struct error *err);

#endif
