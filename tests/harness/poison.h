/*
 * poison - the state that SQLite's WAL-reset bug leaves, without the bug
 */
#ifndef SEAWAL_TESTS_HARNESS_POISON_H
#define SEAWAL_TESTS_HARNESS_POISON_H

#include <stdint.h>

/*
 * Let the index of the log of database PATH claim that many copied frames. Another process does
 * it, because closing -shm here would drop our own locks.
 */
void poison_index(const char *path, uint32_t claimed_frames);

#endif
