/*
 * exit_code - the three answers: done, certainly not there, could not tell
 */
#include "base/alloc.h"
#include "command.h"

#include <assert.h>

static const enum exit_code exit_codes[RC_COUNT][EXIT_CONTEXT_COUNT] = {
    /*                  asking               restoring            replicating */
    [RC_OK] = { EXIT_DONE, EXIT_DONE, EXIT_DONE },
    [RC_NOT_FOUND] = { EXIT_NOT_THERE, EXIT_NOT_THERE, EXIT_FAILED },
    [RC_EXISTS] = { EXIT_FAILED, EXIT_FAILED, EXIT_FAILED },
    [RC_BUSY] = { EXIT_FAILED, EXIT_FAILED, EXIT_FAILED },
    [RC_CANCELLED] = { EXIT_FAILED, EXIT_FAILED, EXIT_FAILED },
    [RC_NET] = { EXIT_COULD_NOT_TELL, EXIT_COULD_NOT_TELL, EXIT_COULD_NOT_TELL },
    [RC_DENIED] = { EXIT_COULD_NOT_TELL, EXIT_COULD_NOT_TELL, EXIT_COULD_NOT_TELL },
    [RC_NO_SPACE] = { EXIT_FAILED, EXIT_FAILED, EXIT_FAILED },
    [RC_IO] = { EXIT_COULD_NOT_TELL, EXIT_FAILED, EXIT_FAILED },
    [RC_CORRUPT] = { EXIT_DAMAGED, EXIT_DAMAGED, EXIT_FAILED },
    [RC_MISMATCH] = { EXIT_DAMAGED, EXIT_DAMAGED, EXIT_FAILED },
    [RC_UNSUPPORTED] = { EXIT_FAILED, EXIT_FAILED, EXIT_FAILED },
    [RC_USAGE] = { EXIT_USAGE, EXIT_USAGE, EXIT_USAGE },
};

enum exit_code exit_code_of(rc code, const struct error *err, enum exit_context context)
{
    assert(code < RC_COUNT);
    assert(context < EXIT_CONTEXT_COUNT);

    /* A file of ours that may not be touched is a plain failure; what a store denies is not. */
    if (code == RC_DENIED && context != EXIT_WHILE_ASKING && err->sys_errno != 0)
        return EXIT_FAILED;
    return exit_codes[code][context];
}
