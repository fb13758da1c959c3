/*
 * format - every constant of format version 1, asserted against each other
 *
 * FORMAT.md is the specification in prose; a number that is in both stands here for the compiler.
 *
 *   header | blocks | index chunks | directory | trailer
 */
#ifndef SEAWAL_SEGMENT_FORMAT_PRIV_H
#define SEAWAL_SEGMENT_FORMAT_PRIV_H

#include "segment/segment.h"

#include <assert.h>

enum { SEGMENT_FORMAT_VERSION = 1 };

enum { SEGMENT_MAGIC_SIZE = 8 };
#define SEGMENT_HEADER_MAGIC  "\x89seawal\n"
#define SEGMENT_TRAILER_MAGIC "\nlawaes\x89"
_Static_assert(sizeof SEGMENT_HEADER_MAGIC == SEGMENT_MAGIC_SIZE + 1, "eight bytes");
_Static_assert(sizeof SEGMENT_TRAILER_MAGIC == SEGMENT_MAGIC_SIZE + 1, "eight bytes");

/* Sizes of stored parts. */
enum {
    SEGMENT_CHECKSUM_SIZE = 8,
    SEGMENT_DIGEST_SIZE = 8,
    SEGMENT_IDENTITY_SIZE = 2 + 2 + 4 + DATABASE_ID_SIZE + 4 + 4 + 8 + 8 + 4,
    SEGMENT_KEY_SIZE_MAX = 1024, /* room for a sealed data key; empty in version 1 */
    SEGMENT_HEADER_SIZE_MIN =
        SEGMENT_MAGIC_SIZE + 2 + SEGMENT_IDENTITY_SIZE + 2 + SEGMENT_CHECKSUM_SIZE,
    SEGMENT_HEADER_SIZE_MAX = SEGMENT_HEADER_SIZE_MIN + SEGMENT_KEY_SIZE_MAX,
    SEGMENT_PLACE_SIZE = 6 * 4,
    SEGMENT_SUMMARY_SIZE = 8 + 8 + 4 + 8 + 8 + SEGMENT_PLACE_SIZE + 8 + 8,
    SEGMENT_LAYOUT_SIZE = 2 + 8 + 8 + 4 + 4 + SEGMENT_CHECKSUM_SIZE + SEGMENT_CHECKSUM_SIZE,
    SEGMENT_TRAILER_SIZE = SEGMENT_IDENTITY_SIZE + SEGMENT_SUMMARY_SIZE + SEGMENT_LAYOUT_SIZE + 2 +
                           2 + SEGMENT_CHECKSUM_SIZE + SEGMENT_MAGIC_SIZE,
};
_Static_assert(SEGMENT_IDENTITY_SIZE == 52, "as in FORMAT.md");
_Static_assert(SEGMENT_HEADER_SIZE_MIN == 72, "as in FORMAT.md");
_Static_assert(SEGMENT_TRAILER_SIZE == 190, "as in FORMAT.md");

/* What grows has a maximum; a reader refuses more before it allocates. */
enum {
    SEGMENT_FIRST_READ_SIZE = 64 << 10, /* what opening reads of the tail; a reader's choice */
    LOG_BLOCK_RAW_MAX = 256 << 10, /* operations, literals and dense pages of a block together */
    LOG_BLOCK_STORED_MAX = LOG_BLOCK_RAW_MAX,
    LOG_CHUNK_RAW_TARGET = 128 << 10, /* the encoder closes a chunk there */
    PAGES_BLOCK_RAW_MAX = 64 << 10,
    DIGESTS_PER_CHUNK_MAX = 8192,
    CHUNK_RAW_MAX = 1 << 20,
    CHUNK_PLAIN_MAX = 1 << 20,
    CHUNK_COUNT_MAX = 1 << 20,
    DIRECTORY_ENTRY_SIZE_MAX = 2 + 7 * 10 + SEGMENT_CHECKSUM_SIZE,
    DIRECTORY_ENTRY_SIZE_MIN = 2 + 7 + SEGMENT_CHECKSUM_SIZE,
    DIRECTORY_SIZE_MAX = 64 << 20,
};
_Static_assert(LOG_BLOCK_RAW_MAX / (int)PAGE_SIZE_MAX >= 1, "a whole page fits into a block");
_Static_assert(PAGES_BLOCK_RAW_MAX / (int)PAGE_SIZE_MAX >= 1, "a block holds at least one page");

/* How a part is packed. Unknown encodings are RC_UNSUPPORTED: they may come in a later version. */
enum segment_encoding {
    ENCODING_STORED = 0,
    ENCODING_ZLIB = 1,
    /* 2 is set aside for zstd */
};

/* Kinds of index chunk. */
enum chunk_kind {
    CHUNK_FRAMES = 1,  /* log: blocks, transactions and frames */
    CHUNK_DIGESTS = 2, /* log: digests of distinct pages, behind all chunks of frames */
    CHUNK_PAGES = 3,   /* merged, snapshot: blocks, page numbers, digests */
};

/* Kinds of frame as stored. */
enum frame_code {
    FRAME_CODE_DIFFERENCE = 0, /* operations and literals */
    FRAME_CODE_WHOLE = 1,      /* the page in the literals */
    FRAME_CODE_DENSE = 2,      /* the page in the third column, which is never compressed */
    FRAME_CODE_ZERO = 3,       /* nothing stored */
};

#endif
