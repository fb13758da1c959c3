/*
 * peek - what a state folder says, for somebody who only looks
 *
 * No lock is taken and nothing is written, so it works beside a running daemon and after one. Never
 * for use in the process that has the database open: the -shm file is opened and closed here, which
 * would drop that process's own POSIX locks.
 */
#ifndef SEAWAL_CAPTURE_PEEK_H
#define SEAWAL_CAPTURE_PEEK_H

#include "base/error.h"
#include "capture/capture.h"
#include "segment/dir.h"

enum capture_peek_log {
    CAPTURE_PEEK_UNKNOWN,  /* nothing can be said about the log, or it is being changed just now */
    CAPTURE_PEEK_CAPTURED, /* every committed frame is in the spool or further */
    CAPTURE_PEEK_AHEAD,    /* there are commits that were not captured yet */
};

struct capture_peek {
    struct capture_position position; /* txid 0: none */
    struct segment_list spool; /* of both levels; the newest is kept also when it is uploaded */
    enum capture_peek_log log;
};
#define CAPTURE_PEEK_INIT ((struct capture_peek){ 0 })
#define auto_capture_peek __attribute__((cleanup(capture_peek_release)))
void capture_peek_release(struct capture_peek *peek);

/*
 * RC_NOT_FOUND: there is no state folder. RC_CORRUPT: its content is not what it must be. Segments
 * may come and go while this looks; the answer is one that was true at some moment.
 */
must_use rc capture_peek(
    struct capture_peek *ret, const char *state_dir, const char *database_path, struct error *err);

#endif
