/*
 * place - the replica that "DB|URL" on a command line means
 *
 * With "://" in it, it is a replica URL. Else it is a database of the configuration file, or, where
 * none matches, a folder that is a replica. A name that could be a mistyped database never becomes
 * a folder: "certainly no backup" must not come from a typing error.
 */
#ifndef SEAWAL_CMD_SEAWAL_PLACE_H
#define SEAWAL_CMD_SEAWAL_PLACE_H

#include "base/cancel.h"
#include "config/config.h"
#include "replica/replica.h"
#include "store/store.h"

/* What every command with a configuration file accepts; part of its own struct of flags. */
struct config_flags {
    const char *file; /* NULL: not given */
    bool no_expand_env;
};
#define CONFIG_FLAGS(struct_, field_)                                                              \
    { "config", FLAG_TEXT, offsetof(struct_, field_.file), "FILE",                                 \
        "configuration file (default: $SEAWAL_CONFIG, $LITESTREAM_CONFIG, " CONFIG_FILE_DEFAULT    \
        ")" },                                                                                     \
    {                                                                                              \
        "no-expand-env", FLAG_BOOL, offsetof(struct_, field_.no_expand_env), NULL,                 \
            "leave $VAR and ${VAR} in the file as they are"                                        \
    }

/* The configuration file; with OPTIONAL, one that was not asked for and is not there is no error.
 */
must_use rc place_load_config(
    struct config *ret, const struct config_flags *flags, bool optional, struct error *err);

struct place {
    struct config config;
    const struct db_config *db; /* NULL: the replica was named directly */
    struct store *store;
    struct replica *replica;
};
#define PLACE_INIT ((struct place){ 0 })
#define auto_place __attribute__((cleanup(place_close)))
void place_close(struct place *place);

/* The network is not touched. CANCEL may be NULL and must live longer than the place. */
must_use rc place_open(struct place *ret, const char *name, const struct config_flags *flags,
    struct cancel *cancel, struct error *err);

/*
 * The same for a database whose configuration the caller keeps; a request takes DEADLINE_MS at
 * most, with its retries (0: as long as the store's own default).
 */
must_use rc place_open_db(struct place *ret, const struct db_config *db, struct cancel *cancel,
    int64_t deadline_ms, struct error *err);

#endif
