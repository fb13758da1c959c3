/*
 * stream - where bytes go and where they come from, without knowing what is behind
 *
 * A sink takes bytes in order; a source gives any range. Both borrow their payload.
 */
#ifndef SEAWAL_BASE_STREAM_H
#define SEAWAL_BASE_STREAM_H

#include "base/buf.h"
#include "base/error.h"

struct sink {
    rc (*write)(void *payload, struct bytes bytes, struct error *err);
    void *payload;
};

struct source {
    /* Append exactly SIZE bytes from OFFSET to OUT. */
    rc (*read)(void *payload, uint64_t offset, uint64_t size, struct buf *out, struct error *err);
    void *payload;
    uint64_t size; /* of the whole */
};

#endif
