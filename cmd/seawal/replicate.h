/*
 * replicate - the flags of the daemon, and where it is called
 */
#ifndef SEAWAL_CMD_SEAWAL_REPLICATE_H
#define SEAWAL_CMD_SEAWAL_REPLICATE_H

#include "command.h"
#include "config/config.h"
#include "place.h"

#include <stdbool.h>
#include <stdint.h>

struct replicate_flags {
    struct config_flags config;
    const char *exec; /* NULL: the configuration's */
    bool once;
    bool new_timeline;
    bool convert_to_wal;
    bool restore_if_db_not_exists;
    const char *log_level;    /* NULL: the configuration's */
    const char *log_format;   /* NULL: the configuration's */
    const char *state_dir;    /* NULL: not given */
    int64_t sync_interval_ms; /* -1: the configuration's */
};

/*
 * Run the daemon over CONFIG, in which every flag that is a setting has been entered already; its
 * exit code: that of the child where one ran to its end, else by exit_code_of().
 */
int replicate_run(
    const struct command *self, const struct config *config, const struct replicate_flags *flags);

#endif
