/*
 * random_text - repeatable random numbers and texts like those of web applications
 */
#ifndef SEAWAL_BENCH_RANDOM_TEXT_H
#define SEAWAL_BENCH_RANDOM_TEXT_H

#include <stddef.h>
#include <stdint.h>

struct random_source {
    uint64_t state; /* not 0 */
};

uint64_t random_next(struct random_source *random);

/* 0..BOUND-1; 0 for BOUND 0. */
uint64_t random_below(struct random_source *random, uint64_t bound);

/* 1..COUNT, a fifth of them in four fifths of the draws, again and again. */
int64_t random_skewed(struct random_source *random, uint64_t count);

/* Words with a terminator; at most 12 bytes a word. Returns the size. */
size_t random_prose(struct random_source *random, char *out, size_t word_count);

enum { UUID_SIZE = 40, AGENT_SIZE = 160 };
const char *random_uuid(struct random_source *random, char out[UUID_SIZE]);
const char *random_agent(struct random_source *random, char out[AGENT_SIZE]);

#endif
