/*
 * random_text - repeatable random numbers and texts like those of web applications
 */
#include "random_text.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* ---- random content ----------------------------------------------------------------------------
 */

uint64_t random_next(struct random_source *random)
{
    uint64_t x = random->state;

    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    random->state = x;
    return x >> 8;
}

uint64_t random_below(struct random_source *random, uint64_t bound)
{
    return bound == 0 ? 0 : random_next(random) % bound;
}

int64_t random_skewed(struct random_source *random, uint64_t count)
{
    uint64_t range = count;

    while (range > 20 && random_below(random, 5) != 0)
        range = range / 5 + 1;
    return (int64_t)(1 + random_below(random, range < count ? range : count));
}

static const char *const words[] = { "the", "of", "order", "and", "invoice", "to", "a", "in",
    "that", "customer", "we", "is", "was", "it", "for", "server", "on", "as", "with", "shipment",
    "be", "at", "by", "database", "this", "had", "not", "are", "but", "from", "payment", "or",
    "have", "an", "they", "which", "one", "you", "were", "all", "there", "would", "their",
    "project", "review", "window", "release", "meeting", "Tuesday", "market", "question", "answer",
    "garden", "light" };

size_t random_prose(struct random_source *random, char *out, size_t word_count)
{
    size_t size = 0;

    for (size_t i = 0; i < word_count; i++) {
        const char *word = words[random_below(random, sizeof words / sizeof words[0])];
        size_t length = strlen(word);

        memcpy(out + size, word, length);
        size += length;
        out[size++] = random_below(random, 12) == 0 ? '.' : ' ';
    }
    out[size] = '\0';
    return size;
}

const char *random_uuid(struct random_source *random, char out[UUID_SIZE])
{
    snprintf(out, UUID_SIZE,
        "%08" PRIx64 "-%04" PRIx64 "-4%03" PRIx64 "-8%03" PRIx64 "-%012" PRIx64,
        random_below(random, UINT64_C(1) << 32), random_below(random, 65536),
        random_below(random, 4096), random_below(random, 4096),
        random_below(random, UINT64_C(1) << 48));
    return out;
}

const char *random_agent(struct random_source *random, char out[AGENT_SIZE])
{
    static const char *const systems[] = { "Windows NT 10.0; Win64; x64",
        "Macintosh; Intel Mac OS X 10_15_7", "X11; Linux x86_64", "iPhone; CPU iPhone OS 17_5" };

    snprintf(out, AGENT_SIZE,
        "Mozilla/5.0 (%s) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/%" PRIu64 ".0.%" PRIu64
        ".%" PRIu64 " Safari/537.36",
        systems[random_below(random, 4)], 110 + random_below(random, 20),
        random_below(random, 7000), random_below(random, 200));
    return out;
}
