/*
 * merge_files - the files of a merger: what waits, and what is kept
 */
#ifndef SEAWAL_REPLICA_MERGE_FILES_PRIV_H
#define SEAWAL_REPLICA_MERGE_FILES_PRIV_H

#include "base/error.h"
#include "merge_book_priv.h"
#include "segment/dir.h"

/* FOLDER/<level>; the caller frees it. */
char *merge_folder(const char *folder, unsigned level);

/* The segments of FOLDER/<level>; none when it is not there. */
must_use rc merge_folder_list(
    struct segment_list *ret, const char *folder, unsigned level, struct error *err);

/* From WINDOWS to KEPT, both of LEVEL. */
must_use rc merge_file_keep(const char *windows, const char *kept, unsigned level,
    const struct segment_name *name, struct error *err);

/* Remove from KEPT what BOOK does not know, then the oldest until SIZE_MAX_ bytes are left. */
must_use rc merge_files_sweep(
    const char *kept, const struct merge_book *book, uint64_t size_max, struct error *err);

#endif
