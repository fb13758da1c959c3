/*
 * suggest - the known word that a mistyped one is nearest to
 */
#include "config/suggest.h"

#include <assert.h>
#include <string.h>

static size_t suggest_least(size_t first, size_t second, size_t third)
{
    size_t least = first < second ? first : second;

    return least < third ? least : third;
}

/* Levenshtein's distance, one row of the matrix at a time. Both words are short enough. */
static size_t suggest_distance(const char *word, const char *candidate)
{
    size_t row[SUGGEST_WORD_SIZE_MAX + 1];
    size_t word_size = strlen(word);
    size_t candidate_size = strlen(candidate);

    for (size_t index = 0; index <= word_size; index++)
        row[index] = index;
    for (size_t candidate_index = 1; candidate_index <= candidate_size; candidate_index++) {
        size_t diagonal = row[0];

        row[0] = candidate_index;
        for (size_t index = 1; index <= word_size; index++) {
            size_t above = row[index];
            size_t changed = diagonal + (word[index - 1] != candidate[candidate_index - 1]);

            row[index] = suggest_least(above + 1, row[index - 1] + 1, changed);
            diagonal = above;
        }
    }
    return row[word_size];
}

struct suggestion suggestion_for(const char *word)
{
    assert(word != NULL);
    size_t size = strlen(word);

    /* About a third of the letters may be wrong. */
    return (struct suggestion){
        .word = word,
        .distance = size > SUGGEST_WORD_SIZE_MAX ? 0 : size / 3 + 1,
    };
}

void suggestion_consider(struct suggestion *suggestion, const char *candidate)
{
    assert(candidate != NULL);

    if (suggestion->distance == 0 || strlen(candidate) > SUGGEST_WORD_SIZE_MAX)
        return;
    size_t distance = suggest_distance(suggestion->word, candidate);
    /* The first of several equally near ones stays. */
    if (distance < suggestion->distance + (suggestion->best == NULL)) {
        suggestion->best = candidate;
        suggestion->distance = distance;
    }
}
