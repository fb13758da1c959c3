/*
 * check - what a test says about result codes, and about calls that must not return
 *
 * CHECK_RC() runs a call that fills a struct error named err in the scope of the test, and shows
 * the text of the error when the code is not the expected one. cmocka.h and what it needs come
 * along.
 */
#ifndef SEAWAL_TESTS_HARNESS_CHECK_H
#define SEAWAL_TESTS_HARNESS_CHECK_H

#include "base/error.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define CHECK_RC(call, expected)                                                                   \
    do {                                                                                           \
        rc check_rc_ = (call);                                                                     \
        if (check_rc_ != (expected))                                                               \
            fail_msg("%s: %s, expected %s: %s", #call, rc_name(check_rc_), rc_name(expected),      \
                check_rc_ == RC_OK ? "" : err.text);                                               \
    } while (0)

/* The same for the common case. */
#define CHECK_OK(call) CHECK_RC(call, RC_OK)

/* WORDS are somewhere in the text of ERR. */
#define CHECK_SAYS(err, words)                                                                     \
    do {                                                                                           \
        if (strstr((err).text, (words)) == NULL)                                                   \
            fail_msg("'%s' does not say '%s'", (err).text, (words));                               \
    } while (0)

/* True when BODY, run in a child process, ends it by SIGABRT: an assertion held. */
bool check_aborts(void (*body)(void *payload), void *payload);

/* _exit() for the end of a child process whose branches count in a build that measures coverage. */
_Noreturn void check_leave(int status);

#endif
