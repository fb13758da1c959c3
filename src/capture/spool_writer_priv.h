/*
 * spool_writer - one level-0 segment in the making, with the digest map in step
 *
 * Calling sequence:
 *
 *   spool_writer_begin(), then for each transaction spool_writer_add_frame() one or more times
 * and spool_writer_end_transaction(), then spool_writer_commit() or spool_writer_abort()
 *
 * Commit is the one atomic step: after it the spool, the digest map and the capture's position say
 * the same; before it all of them say what they said at begin. Abort takes the digest map back.
 *
 * Commit is spool_writer_seal(), spool_writer_publish() and spool_writer_accept() in a row. Publish
 * waits for the disk and touches nothing but the file, so it may run in a thread of its own.
 */
#ifndef SEAWAL_CAPTURE_SPOOL_WRITER_PRIV_H
#define SEAWAL_CAPTURE_SPOOL_WRITER_PRIV_H

#include "base/pending_file.h"
#include "capture_priv.h"
#include "segment/log_encoder.h"
#include "segment/name.h"

struct spool_writer {
    struct capture *capture; /* NULL when nothing is in progress */
    struct pending_file pending;
    struct log_encoder *encoder;
    uint64_t first_txid;
    struct capture_position position; /* after the last whole transaction */
    struct log_place place;           /* likewise */

    /* The transaction in progress. */
    uint64_t digest;
    uint64_t frame_count;
    uint32_t pgno_max;
    uint64_t transaction_count; /* whole ones */
    uint64_t looked_size;       /* of the segment when room was last looked at */

    /* From seal on. */
    char *folder; /* owned */
    struct segment_name name;
    uint64_t stored_size;
};
#define SPOOL_WRITER_INIT ((struct spool_writer){ .pending = PENDING_FILE_INIT })

must_use rc spool_writer_begin(
    struct spool_writer *writer, struct capture *capture, struct error *err);

static inline bool spool_writer_is_open(const struct spool_writer *writer)
{
    return writer->capture != NULL;
}

/* PAGE is the new image of PGNO, BASE the one before it or empty. */
must_use rc spool_writer_add_frame(struct spool_writer *writer, uint32_t pgno, struct bytes page,
    struct bytes base, struct error *err);

/* PAGE_COUNT pages after it, PLACE behind it in the log; FLAGS as in segment_transaction. */
must_use rc spool_writer_end_transaction(struct spool_writer *writer, uint32_t page_count,
    const struct log_place *place, uint32_t flags, struct error *err);

/* Large enough to be cut here, or as large as the room that is left allows. */
bool spool_writer_is_full(struct spool_writer *writer);

must_use rc spool_writer_commit(struct spool_writer *writer, struct error *err);

/* The segment is complete, and not on disk for certain. */
must_use rc spool_writer_seal(struct spool_writer *writer, struct error *err);

/* Onto the disk, under its name. */
must_use rc spool_writer_publish(struct spool_writer *writer, struct error *err);

/* PUBLISHED is what publish answered; anything but RC_OK comes back, the writer stays for abort. */
must_use rc spool_writer_accept(struct spool_writer *writer, rc published);

/* Nothing happens when nothing is in progress. A digest map that cannot be taken back fails
 * capture. */
void spool_writer_abort(struct spool_writer *writer);

#endif
