/*
 * replicate - from the command line and the configuration file to a running daemon
 */
#include "replicate.h"

#include "base/alloc.h"
#include "base/text.h"
#include "restore_db.h"

#include <inttypes.h>
#include <stdlib.h>

static const struct flag_spec replicate_flag_specs[] = {
    { "exec", FLAG_TEXT, offsetof(struct replicate_flags, exec), "COMMAND",
        "run the application as a child and end with it, with its exit status" },
    { "once", FLAG_BOOL, offsetof(struct replicate_flags, once), NULL,
        "make everything that is committed now durable, then end" },
    { "new-timeline", FLAG_BOOL, offsetof(struct replicate_flags, new_timeline), NULL,
        "let a database that is not the replica's begin a new timeline there" },
    { "convert-to-wal", FLAG_BOOL, offsetof(struct replicate_flags, convert_to_wal), NULL,
        "switch databases in another journal mode to WAL" },
    { "restore-if-db-not-exists", FLAG_BOOL,
        offsetof(struct replicate_flags, restore_if_db_not_exists), NULL,
        "first restore databases that are missing here from replicas that exist" },
    { "sync-interval", FLAG_DURATION, offsetof(struct replicate_flags, sync_interval_ms), "TIME",
        "how long commits may gather before they are shipped; 0: no wait (default: 1s)" },
    { "state-dir", FLAG_TEXT, offsetof(struct replicate_flags, state_dir), "FOLDER",
        "where state folders go (default: each beside its database)" },
    { "log-level", FLAG_TEXT, offsetof(struct replicate_flags, log_level), "LEVEL",
        "debug, info, warn or error (default: info)" },
    { "log-format", FLAG_TEXT, offsetof(struct replicate_flags, log_format), "FORMAT",
        "text or json (default: text)" },
    CONFIG_FLAGS(struct replicate_flags, config),
};

static rc replicate_config_of_line(
    struct config *ret, const struct positionals *positionals, struct error *err)
{
    if (positionals->count % 2 != 0)
        FAIL(err, RC_USAGE, "'%s' has no replica URL behind it; expected: DB URL [DB URL ...]",
            positionals->texts[positionals->count - 1]);
    config_set_defaults(ret);
    for (size_t index = 0; index < positionals->count; index += 2)
        TRY(config_add_db(ret, positionals->texts[index], positionals->texts[index + 1], err));
    return RC_OK;
}

static rc replicate_config(struct config *ret, const struct replicate_flags *flags,
    const struct positionals *positionals, struct error *err)
{
    if (positionals->count > 0 && flags->config.file != NULL)
        FAIL(err, RC_USAGE, "either -config or databases on the command line");
    if (positionals->count > 0)
        return replicate_config_of_line(ret, positionals, err);
    TRY(place_load_config(ret, &flags->config, false, err));
    if (ret->db_count == 0)
        FAIL(err, RC_USAGE, "%s names no database", ret->file);
    return RC_OK;
}

static rc replicate_log_settings(
    struct config *config, const struct replicate_flags *flags, struct error *err)
{
    const char *level = flags->log_level != NULL ? flags->log_level : getenv("LOG_LEVEL");

    if (level != NULL && level[0] != '\0')
        TRY_AS(err, log_level_parse(&config->log_level, level, err), "-log-level");
    if (flags->log_format == NULL)
        return RC_OK;
    if (text_equal(flags->log_format, "json"))
        config->log_format = LOG_FORMAT_JSON;
    else if (text_equal(flags->log_format, "text"))
        config->log_format = LOG_FORMAT_TEXT;
    else
        FAIL(err, RC_USAGE, "-log-format: '%s' is neither text nor json", flags->log_format);
    return RC_OK;
}

/* Flags win over the file. */
static rc replicate_enter_flags(
    struct config *config, const struct replicate_flags *flags, struct error *err)
{
    TRY(replicate_log_settings(config, flags, err));
    if (flags->exec != NULL) {
        free(config->exec);
        config->exec = text_copy(flags->exec);
    }
    if (flags->once && config->exec != NULL)
        FAIL(err, RC_USAGE, "-once and a command to execute contradict each other");
    for (size_t index = 0; index < config->db_count; index++) {
        struct db_config *db = &config->dbs[index];

        db->convert_to_wal |= flags->convert_to_wal;
        db->restore_if_db_not_exists |= flags->restore_if_db_not_exists;
        if (flags->sync_interval_ms >= 0)
            db->sync_interval_ms = flags->sync_interval_ms;
    }
    if (flags->state_dir != NULL)
        config_set_state_root(config, flags->state_dir);
    return RC_OK;
}

static void replicate_log_warnings(const struct config *config)
{
    for (size_t index = 0; index < config->warning_count; index++)
        log_event(LOG_WARN, "configuration", "note", config->warnings[index], NULL);
    for (size_t index = 0; index < config->db_count; index++)
        if (config->dbs[index].replica.options.skip_verify)
            log_event(LOG_WARN, "certificates are not checked", "db", config->dbs[index].path,
                "replica", config->dbs[index].replica.url, NULL);
}

static rc replicate_restore_missing(const struct config *config, struct error *err)
{
    for (size_t index = 0; index < config->db_count; index++) {
        const struct db_config *db = &config->dbs[index];
        struct restore_report report;
        bool restored = false;

        if (!db->restore_if_db_not_exists)
            continue;
        /* TERM ends the process here: a restore that is killed leaves no file at its output. */
        TRY(restore_db_if_missing(db, NULL, &restored, &report, err));
        if (restored)
            log_event(
                LOG_INFO, "restored", "db", db->path, "txid", log_u64(report.position.txid), NULL);
    }
    return RC_OK;
}

static const struct replicate_flags replicate_defaults = { .sync_interval_ms = -1 };

static int replicate_command(
    const struct command *self, const void *parsed, const struct positionals *positionals)
{
    const struct replicate_flags *flags = parsed;
    auto_config struct config config = CONFIG_INIT;
    struct error err;

    rc result = replicate_config(&config, flags, positionals, &err);
    if (result == RC_OK)
        result = replicate_enter_flags(&config, flags, &err);
    if (result != RC_OK)
        return command_fail(self, result, &err, EXIT_WHILE_REPLICATING);

    log_set_level(config.log_level);
    log_set_format(config.log_format);
    replicate_log_warnings(&config);
    result = replicate_restore_missing(&config, &err);
    if (result != RC_OK)
        return command_fail(self, result, &err, EXIT_WHILE_RESTORING);
    return replicate_run(self, &config, flags);
}

const struct command command_replicate = {
    .name = "replicate",
    .summary = "follow databases and ship every transaction to their replicas",
    .arguments = "[flags] [DB URL ...]",
    .description =
        "Without DB and URL, the databases of the configuration file. URL is\n"
        "s3://bucket/prefix with ?endpoint=... and ?region=... where needed, file:///path or\n"
        "a folder. Runs until TERM or INT; then what was committed is shipped, for at most\n"
        "the shutdown-timeout of the configuration, and the exit code is 0 only when\n"
        "everything is durable.\n",
    .flags = replicate_flag_specs,
    .flags_size = sizeof(struct replicate_flags),
    .flag_defaults = &replicate_defaults,
    .flag_count = array_count(replicate_flag_specs),
    .positional_max = 1 << 16,
    .run = replicate_command,
};
