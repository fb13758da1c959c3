/*
 * suggest - the known word that a mistyped one is nearest to
 *
 *   struct suggestion suggestion = suggestion_for("sync-intervall");
 *   suggestion_consider(&suggestion, "sync-interval");     for every known word
 *   suggestion.best                                        NULL when none is near enough
 */
#ifndef SEAWAL_CONFIG_SUGGEST_H
#define SEAWAL_CONFIG_SUGGEST_H

#include <stddef.h>

enum { SUGGEST_WORD_SIZE_MAX = 48 }; /* longer words have no suggestion */

struct suggestion {
    const char *word; /* borrowed */
    const char *best; /* borrowed from a candidate; NULL: none */
    size_t
        distance; /* edits from WORD to BEST, and the most that is accepted before there is one */
};

struct suggestion suggestion_for(const char *word);
void suggestion_consider(struct suggestion *suggestion, const char *candidate);

#endif
