/*
 * digest_map - the digest that every page has at the captured position, in a mapped file
 *
 * Two files in the state folder, both in native byte order since they never leave the machine:
 *
 *   digests   offset  0  magic "seawmap1"
 *                     8  byte-order mark 0x0102030405060708
 *                    16  page size (32 bits), zero (32 bits)
 *                    24  database id (16 bytes)
 *                  4096  8 bytes a page, from page 1; 0: unknown or not there
 *
 *   undo      offset  0  magic "seawund1"
 *                     8  byte-order mark
 *                    16  active: first txid of the segment in progress, 0 when there is none
 *                    24  count of entries
 *                  4096  entries of 16 bytes: page number, digest before
 *
 * While a segment is in progress every change of the map is written to the undo file first. Both
 * are shared mappings, so that after kill -9 the files hold a prefix of our stores in program
 * order; on open the journal of a segment that never appeared is played back and the map again says
 * what the newest segment says. Power loss may lose more; then the sum does not match and the map
 * is rebuilt.
 *
 * Space is allocated before it is mapped, so a full disk is RC_NO_SPACE and not a signal.
 */
#ifndef SEAWAL_CAPTURE_DIGEST_MAP_PRIV_H
#define SEAWAL_CAPTURE_DIGEST_MAP_PRIV_H

#include "base/error.h"
#include "segment/segment.h"

#include <stdbool.h>
#include <stdint.h>

/* A mapped window of a file that we own. */
struct mapped_file {
    int fd;
    char *path;
    uint8_t *memory;
    uint64_t offset; /* of the window in the file */
    size_t size;     /* of the window */
    uint64_t file_size;
};
#define MAPPED_FILE_INIT ((struct mapped_file){ .fd = -1 })

must_use rc mapped_file_open(struct mapped_file *file, const char *path, struct error *err);
void mapped_file_release(struct mapped_file *file);

/* At least SIZE bytes, allocated on disk. The window is not touched. */
must_use rc mapped_file_reserve(struct mapped_file *file, uint64_t size, struct error *err);
must_use rc mapped_file_shrink(struct mapped_file *file, uint64_t size, struct error *err);

/* Map [OFFSET, OFFSET + SIZE) in place of the present window; both are multiples of 4,096. */
must_use rc mapped_file_window(
    struct mapped_file *file, uint64_t offset, size_t size, struct error *err);

struct digest_map;

/* Opens or creates the files in FOLDER. What they hold is only looked at by the calls below. */
must_use rc digest_map_open(struct digest_map **ret, const char *folder, struct error *err);
void digest_map_close(struct digest_map *map);

/* Whether nothing was ever written into the file. */
bool digest_map_is_blank(const struct digest_map *map);

/* Whether the file is a map for this database and page size. */
bool digest_map_belongs(
    const struct digest_map *map, const struct database_id *id, uint32_t page_size);

/* Empty, for this database and page size. Not journaled: the position must be gone before. */
must_use rc digest_map_reset(
    struct digest_map *map, const struct database_id *id, uint32_t page_size, struct error *err);

/* Play back the journal of a segment that never appeared; LAST_TXID is the position's. */
must_use rc digest_map_recover(struct digest_map *map, uint64_t last_txid, struct error *err);

/* The digest of page PGNO; PAGE_DIGEST_UNKNOWN beyond the end. */
uint64_t digest_map_page(const struct digest_map *map, uint32_t pgno);

/* The sum over pages 1..PAGE_COUNT but the lock page; false when one of them is not known. */
bool digest_map_sum(const struct digest_map *map, uint32_t page_count, uint64_t *ret);

/* Pages behind PAGE_COUNT are not there: unknown from now on. */
void digest_map_clear_behind(struct digest_map *map, uint32_t page_count);

/* Changes between begin and commit are journaled and can be taken back. TXID is not 0. */
must_use rc digest_map_begin(struct digest_map *map, uint64_t txid, struct error *err);
must_use rc digest_map_set(
    struct digest_map *map, uint32_t pgno, uint64_t digest, struct error *err);
void digest_map_commit(struct digest_map *map);
must_use rc digest_map_abort(struct digest_map *map, struct error *err);

/* Set without a journal: only while there is no position that the map must agree with. */
must_use rc digest_map_fill(
    struct digest_map *map, uint32_t pgno, uint64_t digest, struct error *err);

#endif
