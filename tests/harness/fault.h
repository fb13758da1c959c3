/*
 * fault - the nth system call fails
 *
 * A test that links fault_dep has the file system calls of our own code counted, and one of them
 * refused:
 *
 *   for (uint64_t nth = 1; fault_arm(nth, EIO); nth++) {
 *       ... run it; it reports the failure or was not hit ...
 *       fault_disarm();
 *       ... run it again; it heals ...
 *   }
 *
 * fault_arm() answers false once the run before did not reach its nth call. Calls inside shared
 * libraries are not counted; those of SQLite are, once fault_sqlite.h was asked for it.
 *
 * fault_arm_plan() chooses which calls count, how they fail, and whether they go on failing.
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
    FAULT_STAT,     /* stat, fstat, fstatat, lstat, statx, access */
    FAULT_LOCK,     /* flock */
    FAULT_MAP,      /* mmap */
    FAULT_ALLOCATE, /* posix_fallocate */
    FAULT_FOLDER,   /* opendir, readdir */
    FAULT_SPACE,    /* statvfs */
    FAULT_TEMP,     /* mkostemp */
    FAULT_RESOLVE,  /* realpath, getcwd */
    FAULT_OWN,      /* fchown */
    FAULT_THREAD,   /* pthread_create */

    /* Below SQLite, on our connections: the system calls of its unix VFS. */
    FAULT_SQLITE_OPEN,
    FAULT_SQLITE_READ,
    FAULT_SQLITE_WRITE,
    FAULT_SQLITE_SYNC,
    FAULT_SQLITE_TRUNCATE,
    FAULT_SQLITE_STAT,
    FAULT_SQLITE_LOCK, /* fcntl, when it takes a lock */
    FAULT_SQLITE_MAP,
    FAULT_SQLITE_REMOVE,

    /* SQLite itself: the errno of a plan is then one of its result codes. */
    FAULT_SQLITE_CALL,

    /* Requests to an S3 server of the test: the errno of a plan is then an enum s3_way. */
    FAULT_REQUEST_PUT, /* an object, a part, begin and end of an upload */
    FAULT_REQUEST_GET, /* HEAD as well */
    FAULT_REQUEST_LIST,
    FAULT_REQUEST_REMOVE,

    FAULT_CALL_COUNT,
};

#define FAULT_BIT(call) (UINT64_C(1) << (call))

/* What fault_arm() counts: where EIO is as possible as ENOSPC. */
#define FAULT_CALLS_PLAIN   (FAULT_BIT(FAULT_STAT) - 1)
#define FAULT_CALLS_OURS    (FAULT_BIT(FAULT_SQLITE_OPEN) - 1)
#define FAULT_CALLS_SQLITE  (FAULT_BIT(FAULT_SQLITE_CALL) - FAULT_BIT(FAULT_SQLITE_OPEN))
#define FAULT_CALLS_SQL_API FAULT_BIT(FAULT_SQLITE_CALL)
#define FAULT_CALLS_HTTP    (FAULT_BIT(FAULT_CALL_COUNT) - FAULT_BIT(FAULT_REQUEST_PUT))

enum fault_way {
    FAULT_REFUSE,  /* nothing happens, and errno says why */
    FAULT_SHORTEN, /* reads and writes alone: half of it is done (a byte at least), no error */
    FAULT_LOSE,    /* syncs alone: refused, and what is in the file is lost as well */
};

struct fault_plan {
    uint64_t calls; /* FAULT_BITs: these count */
    uint64_t nth;   /* of them, from 1 */
    uint64_t times; /* how many in a row fail; 0: 1; UINT64_MAX: all that follow */
    enum fault_way way;
    int sys_errno;
};

/* Counting begins anew. */
void fault_arm_plan(const struct fault_plan *plan);

/* Refuse the NTH call of FAULT_CALLS_PLAIN from now on, with SYS_ERRNO; false when the last one
 * armed was never reached, and then nothing is refused. The first of a loop (nth 1) is true. */
bool fault_arm(uint64_t nth, int sys_errno);

/* Refuse TIMES calls of one kind in a row, after SKIP of them. */
void fault_arm_call(enum fault_call call, uint64_t skip, uint64_t times, int sys_errno);

/* Reads and writes move at most SIZE bytes a call; 0: as many as asked. */
void fault_shorten(size_t size);

/* What statvfs() says of every file system from now on, files to spare but when FILES is 0; the
 * total 0: what is true. Outlasts a disarm. */
void fault_room(uint64_t free_size, uint64_t total_size, uint64_t files);

/* Nothing is refused any more; counts are kept. */
void fault_disarm(void);

/* Whether a call was refused since the last arm. */
bool fault_fired(void);

/* How many calls of the plan there were since it was armed. */
uint64_t fault_passed(void);

/* The name of the call that was refused last ("fdatasync"), for reports. */
const char *fault_name(void);

/* How many calls of one kind there were in this process. */
uint64_t fault_call_count(enum fault_call call);

/* fsync and fdatasync do nothing from now on: what is on disk after a power cut is not what this
 * program is about, and it runs many times as fast. */
void fault_skip_syncs(void);

/* ---- for the other files of the harness */

/* True when CALL, named NAME, is refused; errno says why. */
bool fault_refuses(enum fault_call call, const char *name);

/* The same for calls that answer an error code themselves; 0: go on. */
int fault_code(enum fault_call call, const char *name);

/* What is left of SIZE; true: refused. */
bool fault_resizes(enum fault_call call, const char *name, size_t *size);

/* fsync or fdatasync of FD by its system call NUMBER. */
int fault_sync(enum fault_call call, const char *name, long number, int fd);

#endif
