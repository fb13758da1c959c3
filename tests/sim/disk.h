/*
 * disk - what of the simulated disk is on the platter, and what a power cut leaves
 *
 * Files are real files under ROOT/disk, so every process sees them as they are now. Beside each
 * stands its copy under ROOT/platter: what was synced, and what the disk wrote back by itself.
 * A power cut makes of each sector that differs either the one or the other, and undoes names
 * whose folder was not synced. A file keeps its inode through all that (a second link under
 * ROOT/inodes), as it would through a restart of the machine.
 *
 * What this assumes of a disk is what SQLite does: a sector of 512 bytes is old or new, and what
 * was synced stays.
 */
#ifndef SEAWAL_TESTS_SIM_DISK_H
#define SEAWAL_TESTS_SIM_DISK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { DISK_NO_FILE = -1 };

/* ROOT with the folders above; before the first child. */
void disk_start(const char *root);
void disk_end(void);

/* Everything that is there now is on the platter. */
void disk_settle(void);

/* Whether PATH lies on the simulated disk. */
bool disk_has(const char *path);

/* The file behind FD, which was opened as PATH; made known when it is new. */
int disk_file(int fd, const char *path);

void disk_note_write(int file, uint64_t offset, uint64_t size);
void disk_note_size(int file, uint64_t size);
void disk_note_mapped(int file);

/*
 * FD is the caller's own descriptor of it. (To close another one would drop the process's POSIX
 * locks, which are SQLite's.)
 */
void disk_note_sync(int file, int fd);
void disk_note_failed_sync(int file);
void disk_note_folder_sync(const char *path);
void disk_note_folder(const char *path);
void disk_note_removed(const char *path);
void disk_note_renamed(const char *from, const char *to);

/* The disk writes something back by itself. The scheduler alone may do this, and what follows. */
void disk_write_back(void);

/* All processes are dead. */
void disk_cut(void);

#endif
