/*
 * database_header - what the first bytes of a file say about it
 *
 * From SQLite's file format, section 1.3:
 *
 *      0  "SQLite format 3" and a zero byte
 *     16  page size, big-endian; 1 stands for 65536
 *     18  write version, 19 read version: 1 rollback journal, 2 write-ahead log
 *     21  the fractions 64, 32, 32
 *     72  20 bytes of zeros, kept for expansion
 *     96  the release of SQLite that wrote the header last
 *    100  type of the first b-tree page: 5 or 13
 *
 * Encryption extensions encrypt the whole first page, or leave a plain header in front: what then
 * follows looks random. That is a guess, made only to give a better hint; nothing is opened because
 * of it.
 */
#ifndef SEAWAL_SQLITE_DATABASE_HEADER_PRIV_H
#define SEAWAL_SQLITE_DATABASE_HEADER_PRIV_H

#include "base/bytes.h"

#include <stdint.h>

enum { DATABASE_HEADER_SAMPLE_SIZE = 1024 };

enum database_file_kind {
    DATABASE_FILE_EMPTY,
    DATABASE_FILE_FOREIGN,   /* not a database */
    DATABASE_FILE_ENCRYPTED, /* probably */
    DATABASE_FILE_ROLLBACK,  /* a database in a rollback-journal mode */
    DATABASE_FILE_WAL,
    DATABASE_FILE_FUTURE, /* a version of the format that we do not know */
};

/* SAMPLE is the first DATABASE_HEADER_SAMPLE_SIZE bytes of a file of FILE_SIZE, zeros beyond its
 * end. */
enum database_file_kind database_header_judge(struct bytes sample, uint64_t file_size);

/* The SQLITE_VERSION_NUMBER of who wrote the header last; 0: older than 3.7.0, which told none. */
int database_header_writer_version(struct bytes sample);

/* 0 when the field is not a page size. */
uint32_t database_header_page_size(struct bytes sample);

#endif
