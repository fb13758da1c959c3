/*
 * position - where a history stands on local disk
 *
 * In steady state the newest level-0 segment is the position: its identity and trailer say
 * timeline, txid, digest, page count and the place in the log. The file `position` in the state
 * folder speaks where no segment can (the history or the timeline just began, the digests came from
 * a replica, a resync found nothing to ship) and wins when its txid is not older than the newest
 * segment's. It also says which file the state was made from. Layout, all big-endian, 152 bytes:
 *
 *     0  magic "seawpos1"
 *     8  database id (16 bytes)
 *    24  timeline, page size, page count, zero (32 bits each)
 *    40  txid
 *    48  database digest
 *    56  time in ms of the last transaction
 *    64  place in the log: salt[2], checkpoint sequence, frame count, checksum[2], (32 bits each)
 *    88  first txid of this timeline when it began with a snapshot instead of a segment, else 0
 *    96  the file: device, inode, birth time in ns (0: unknown)
 *   120  the machine: digest of its id (0: unknown)
 *   128  flags (32 bits): 1 the position must be departed from
 *   132  zero (12 bytes, room)
 *   144  digest of bytes 0..143
 */
#ifndef SEAWAL_CAPTURE_POSITION_PRIV_H
#define SEAWAL_CAPTURE_POSITION_PRIV_H

#include "base/bytes.h"
#include "base/error.h"
#include "capture/capture.h"
#include "segment/name.h"
#include "segment/segment.h"

#include <stdbool.h>
#include <stdint.h>

enum { POSITION_FILE_SIZE = 152 };

/* Which file a state was made from. Inode numbers are reused at once, birth times are not. */
struct file_mark {
    uint64_t device;
    uint64_t inode;
    int64_t birth_ns;
};

struct position_file {
    struct capture_position position;
    struct log_place place;
    uint64_t origin_txid;
    struct file_mark file;
    uint64_t machine;
    bool must_depart; /* not ours to go on with in its timeline: the replica said it */
};

/*
 * The machine that this is, by the file PATH (machine-id(5)); 0: it has no identity. Copies of a
 * machine that run beside each other have different ones, or SQLite's locks would not be the only
 * thing to mix.
 */
uint64_t machine_mark_read(const char *path);

/* Of the file that PATH names; does not open it (a close would drop SQLite's locks). */
must_use rc file_mark_read(struct file_mark *ret, const char *path, struct error *err);

/* Same inode, and same birth where both are known, else same device. */
bool file_mark_same(const struct file_mark *left, const struct file_mark *right);

void position_file_encode(uint8_t out[POSITION_FILE_SIZE], const struct position_file *file);
must_use rc position_file_decode(struct position_file *ret, struct bytes in, struct error *err);

/* Atomic and durable. */
must_use rc position_file_write(
    const char *path, const struct position_file *file, struct error *err);

/* RC_NOT_FOUND when there is none. */
must_use rc position_file_read(struct position_file *ret, const char *path, struct error *err);

/* What the segment NAME in FOLDER says. */
must_use rc position_from_segment(struct capture_position *ret, struct log_place *ret_place,
    const char *folder, const struct segment_name *name, struct error *err);

#endif
