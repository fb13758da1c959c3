/*
 * replicate_run - where the daemon is called
 */
#include "daemon/daemon.h"
#include "replicate.h"

int replicate_run(
    const struct command *self, const struct config *config, const struct replicate_flags *flags)
{
    struct daemon_options options = {
        .config = config,
        .exec_command = config->exec,
        .once = flags->once,
        .new_timeline = flags->new_timeline,
    };
    int child_status = -1;
    struct error err;
    rc result = daemon_run(&options, &child_status, &err);

    /* The child's own failure is what its caller wants to hear of; ours counts when it went well.
     */
    if (result != RC_OK && child_status > 0)
        command_say(self, "%s", err.text);
    if (child_status > 0)
        return child_status;
    if (result != RC_OK)
        return command_fail(self, result, &err, EXIT_WHILE_REPLICATING);
    return EXIT_DONE;
}
