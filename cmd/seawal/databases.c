/*
 * databases - what the configuration file says
 */
#include "base/alloc.h"
#include "command.h"
#include "output.h"
#include "place.h"

#include <stdlib.h>

struct databases_flags {
    struct config_flags config;
    bool json;
};

static const struct flag_spec databases_flag_specs[] = {
    { "json", FLAG_BOOL, offsetof(struct databases_flags, json), NULL, "print as JSON" },
    CONFIG_FLAGS(struct databases_flags, config),
};

struct databases_row {
    const char *path;
    const char *replica;
    char *state_dir;
    int64_t sync_interval_ms;
};

#define DATABASES_COLUMN(...) COLUMN_OF(struct databases_row, __VA_ARGS__)
static const struct column databases_columns[] = {
    DATABASES_COLUMN("path", "database", COLUMN_TEXT, path),
    DATABASES_COLUMN("replica", "replica", COLUMN_TEXT, replica),
    DATABASES_COLUMN("sync_interval_ms", "sync interval", COLUMN_SPAN, sync_interval_ms),
    DATABASES_COLUMN("state_dir", "state folder", COLUMN_TEXT, state_dir),
};

static void databases_print(const struct config *config, bool json)
{
    auto_free struct databases_row *rows = mem_new_array(config->db_count + 1, sizeof *rows);
    struct output_rows list = { databases_columns, array_count(databases_columns), rows,
        sizeof *rows, config->db_count };

    for (size_t index = 0; index < config->db_count; index++)
        rows[index] = (struct databases_row){
            .path = config->dbs[index].path,
            .replica = config->dbs[index].replica.url,
            .state_dir = config_state_dir_of(&config->dbs[index]),
            .sync_interval_ms = config->dbs[index].sync_interval_ms,
        };
    if (json)
        output_json(output_list(&list));
    else
        output_table(&list, 0);
    for (size_t index = 0; index < config->db_count; index++)
        free(rows[index].state_dir);
}

static int databases_command(
    const struct command *self, const void *parsed, const struct positionals *positionals)
{
    const struct databases_flags *flags = parsed;
    auto_config struct config config = CONFIG_INIT;
    struct error err;

    (void)positionals;
    rc result = place_load_config(&config, &flags->config, false, &err);
    if (result != RC_OK)
        return command_fail(self, result, &err, EXIT_WHILE_ASKING);
    for (size_t index = 0; index < config.warning_count; index++)
        command_say(self, "warning: %s", config.warnings[index]);
    databases_print(&config, flags->json);
    return EXIT_DONE;
}

const struct command command_databases = {
    .name = "databases",
    .summary = "list the databases of the configuration file",
    .arguments = "[flags]",
    .description = "Reads the configuration file and nothing else, so it also checks the file.\n",
    .flags = databases_flag_specs,
    .flags_size = sizeof(struct databases_flags),
    .flag_count = array_count(databases_flag_specs),
    .run = databases_command,
};
