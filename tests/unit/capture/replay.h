/*
 * replay - rebuild a database from a snapshot and log segments, checking everything on the way
 */
#ifndef SEAWAL_TESTS_CAPTURE_REPLAY_H
#define SEAWAL_TESTS_CAPTURE_REPLAY_H

#include "segment/dir.h"
#include "world.h"

void replay_begin(struct replay *replay, const char *path, const struct capture_position *position);
void replay_release(struct replay *replay);
void replay_set_page(struct replay *replay, uint32_t pgno, const uint8_t *page);
void replay_read_page(struct replay *replay, uint32_t pgno, uint8_t *out);
void replay_segment(struct replay *replay, const char *folder, const struct segment_name *name);

/* A merged segment, from any transaction in it or the one before. */
void replay_merged(struct replay *replay, const char *folder, const struct segment_name *name);

#endif
