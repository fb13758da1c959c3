/* child: the application's status comes back as a shell would tell it, and it starts unblocked */
#include "child_priv.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "harness/scratch.h"

enum { PATIENCE_MS = 60 * 1000 };

/* Until COMMAND, which was told the name, has made the file READY. */
static void wait_until_there(const char *ready)
{
    for (int try = 0; try < PATIENCE_MS && access(ready, F_OK) != 0; try++)
        clock_pause_us(1000);
    assert_int_equal(access(ready, F_OK), 0);
}

/* The status of COMMAND, which gets SIGNAL_NUMBER unless that is 0, as soon as it has made
 * "$READY". */
static int run(const char *command, int signal_number)
{
    auto_scratch struct scratch scratch = scratch_new();
    auto_free char *ready = scratch_path(&scratch, "ready");
    struct child child = { 0 };

    setenv("READY", ready, 1);
    assert_int_equal(child_start(&child, command, NULL), RC_OK);
    if (signal_number != 0) {
        wait_until_there(ready);
        child_signal(&child, signal_number);
    }
    for (int try = 0; try < PATIENCE_MS; try++) {
        if (child_reap(&child)) {
            assert_int_equal(child.pid, 0);
            return child.exit_code;
        }
        clock_pause_us(1000);
    }
    fail();
    return -1;
}

static void test_child_status(void **state)
{
    (void)state;
    assert_int_equal(run("exit 7", 0), 7);
    assert_int_equal(run("/bin/true", 0), 0);
    assert_int_equal(run("kill -9 $$", 0), 128 + SIGKILL);
    assert_int_equal(run("no-such-command-of-seawal 2>/dev/null", 0), 127);
}

static void test_child_gets_signals_that_we_block(void **state)
{
    (void)state;
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigprocmask(SIG_BLOCK, &set, NULL);
    assert_int_equal(run("touch \"$READY\"; exec sleep 120", SIGTERM), 128 + SIGTERM);
    /* The sleep that stays behind must not keep the test's output open. */
    assert_int_equal(
        run("trap 'exit 3' TERM; sleep 120 >/dev/null 2>&1 & touch \"$READY\"; wait", SIGTERM), 3);
    /* A plain command stands in the shell's place, so the signal is its own to handle. */
    assert_int_equal(run("perl -e '$SIG{TERM} = sub { exit 9 };"
                         " open my $f, q(>), $ENV{READY}; close $f; sleep 120'",
                         SIGTERM),
        9);
    assert_int_equal(run("cat 'a;b' 2>/dev/null; exit 4", 0), 4);
    sigprocmask(SIG_UNBLOCK, &set, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_child_status),
        cmocka_unit_test(test_child_gets_signals_that_we_block),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
