/*
 * version - which seawal, which SQLite
 */
#include "base/alloc.h"
#include "command.h"
#include "output.h"
#include "sqlite/database.h"

#include <stdio.h>

struct version_flags {
    bool json;
};

static const struct flag_spec version_flag_specs[] = {
    { "json", FLAG_BOOL, offsetof(struct version_flags, json), NULL, "print as JSON" },
};

static int version_command(
    const struct command *self, const void *parsed, const struct positionals *positionals)
{
    const struct version_flags *flags = parsed;

    (void)self;
    (void)positionals;
    bool has_bug = sqlite_has_wal_reset_bug(sqlite_library_number());
    if (flags->json) {
        json_t *object = json_object();

        json_object_set_new(object, "version", json_string(SEAWAL_VERSION));
        json_object_set_new(object, "sqlite", json_string(sqlite_library_version()));
        json_object_set_new(object, "sqlite_wal_reset_bug", json_boolean(has_bug));
        output_json(object);
        return EXIT_DONE;
    }
    printf("seawal %s\nSQLite %s\n", SEAWAL_VERSION, sqlite_library_version());
    if (has_bug)
        printf("note: this SQLite has the WAL-reset bug (sqlite.org/wal.html#walresetbug). It\n"
               "cannot strike through seawal, and while seawal runs, an application with such\n"
               "a SQLite is safe from it as well; else one needs SQLite 3.51.3 or later.\n");
    return EXIT_DONE;
}

const struct command command_version = {
    .name = "version",
    .summary = "print the versions of seawal and of SQLite",
    .arguments = "[flags]",
    .description = "Also says whether the linked SQLite has the WAL-reset bug.\n",
    .flags = version_flag_specs,
    .flags_size = sizeof(struct version_flags),
    .flag_count = array_count(version_flag_specs),
    .run = version_command,
};
