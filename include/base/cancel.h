/*
 * cancel - the token that every wait looks at
 *
 * One owner cancels, any thread asks. A token never becomes uncancelled.
 */
#ifndef SEAWAL_BASE_CANCEL_H
#define SEAWAL_BASE_CANCEL_H

#include "base/error.h"

#include <stdbool.h>
#include <stdint.h>

struct cancel;

struct cancel *cancel_new(void);
void cancel_free(struct cancel *cancel);

/* Safe from any thread, not from signal handlers. */
void cancel_now(struct cancel *cancel);

/* False for NULL, so that callers without a token need no branch. */
bool cancel_asked(const struct cancel *cancel);

/* Wait MS milliseconds or until cancelled; true when cancelled. CANCEL may be NULL. */
bool cancel_wait_ms(struct cancel *cancel, int64_t ms);

#endif
