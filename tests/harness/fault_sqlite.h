/*
 * fault_sqlite - the nth call that SQLite makes, or that we make of SQLite, fails
 *
 * For programs that link fault_sqlite_dep. Whoever runs SQL as the application disarms first: a
 * plan strikes every connection of the process.
 *
 * Never refused, because the code relies on it and says so (src/sqlite/conn.c): unlocking, closing,
 * and the end of a read transaction.
 */
#ifndef SEAWAL_TESTS_HARNESS_FAULT_SQLITE_H
#define SEAWAL_TESTS_HARNESS_FAULT_SQLITE_H

/* From now on the system calls of SQLite's unix VFS are counted as FAULT_SQLITE_OPEN and so on, and
 * it waits for nothing. */
void fault_sqlite_install(void);

/*
 * From now on an fsync of a database file that fails loses what was written since the last one, as
 * when the kernel drops the pages that it could not write. What was written before this call is
 * safe.
 */
void fault_sqlite_track_writes(void);

#endif
