/*
 * fault - the nth system call fails
 *
 * A test that links fault_dep has the file system calls of base/fs counted, and one of them
 * refused:
 *
 *   for (uint64_t nth = 1; fault_arm(nth, EIO); nth++) {
 *       ... run it; it reports the failure or was not hit ...
 *       fault_disarm();
 *       ... run it again; it heals ...
 *   }
 *
 * fault_arm() answers false once the run before did not reach its nth call. Calls inside shared
 * libraries (SQLite's own) are not counted.
 */
#ifndef SEAWAL_TESTS_HARNESS_FAULT_H
#define SEAWAL_TESTS_HARNESS_FAULT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum fault_call {
    FAULT_OPEN,
    FAULT_READ,
    FAULT_WRITE,
    FAULT_SYNC,
    FAULT_TRUNCATE,
    FAULT_RENAME,
    FAULT_LINK,
    FAULT_REMOVE,
    FAULT_MKDIR,
    FAULT_CALL_COUNT,
};

/* Refuse the NTH call of any kind from now on, with SYS_ERRNO; false when the last one armed was
 * never reached. The first of a loop (nth 1) is always true. */
bool fault_arm(uint64_t nth, int sys_errno);

/* Refuse TIMES calls of one kind in a row, after SKIP of them. */
void fault_arm_call(enum fault_call call, uint64_t skip, uint64_t times, int sys_errno);

/* Reads and writes move at most SIZE bytes a call; 0: as many as asked. */
void fault_shorten(size_t size);

/* Nothing is refused any more; counts are kept. */
void fault_disarm(void);

/* Whether a call was refused since the last arm. */
bool fault_fired(void);

/* How many calls of one kind there were in this process. */
uint64_t fault_call_count(enum fault_call call);

#endif
