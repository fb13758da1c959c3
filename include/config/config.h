/*
 * config - what the operator wrote, checked and complete
 *
 * One YAML file, or databases named on the command line, become a struct config in which every
 * value is set: what was not written has its default from the tables in src/config/options.c.
 * Litestream's keys (0.3 and 0.5) are understood; those that have no effect here are accepted and
 * told in warnings. Everything else that is not understood is RC_USAGE with "FILE:LINE: " in front.
 *
 *   struct config config = CONFIG_INIT;      auto_config
 *   config_load(&config, "/etc/seawal.yml", ...)   or   config_set_defaults() and config_add_db()
 *
 * The network and the databases are not touched.
 */
#ifndef SEAWAL_CONFIG_CONFIG_H
#define SEAWAL_CONFIG_CONFIG_H

#include "base/bytes.h"
#include "base/error.h"
#include "base/log.h"
#include "replica/rules.h"
#include "store/scheme.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CONFIG_FILE_DEFAULT "/etc/seawal.yml"

enum {
    CONFIG_SIZE_MAX = 4 << 20, /* bytes of a configuration file */
    CONFIG_DB_COUNT_MAX = 100000,
};

struct snapshot_config {
    int64_t interval_ms; /* a new snapshot at least this often while there are writes; 0: by volume
                            only */
    uint64_t
        log_percent; /* and when the log behind the last one is this many percent of its size */
};

struct replica_config {
    char *url; /* as store_open() takes it, made from type, bucket and path where those are given */
    char *endpoint;
    char *region;
    char *access_key_id;
    char *secret_access_key;
    char *session_token;
    char *profile;
    char *ca_file;
    struct store_options
        options; /* the same again, borrowed from the strings above; cancel is NULL */
};

struct db_config {
    char *path;      /* absolute */
    char *state_dir; /* absolute; NULL: .NAME-seawal beside the database */
    unsigned line;   /* where it stands in the file; 0: command line */

    int64_t sync_interval_ms;  /* 0: as soon as the last upload is done */
    int64_t check_interval_ms; /* the slow unconditional look; 0: never */
    uint64_t
        min_checkpoint_page_count; /* frames in the log from which a reset is tried; 1 and up */
    uint64_t truncate_size;        /* log file bytes from which it is cut */
    uint64_t spool_size;           /* bytes that may wait for the store before they are merged */
    int64_t write_lock_budget_ms;  /* how long we may hold the write lock; 1 and up */
    bool convert_to_wal;           /* a database in another journal mode may be switched */
    bool restore_if_db_not_exists; /* before replication begins */
    struct snapshot_config snapshot;
    struct rules retention;              /* checked */
    int64_t retention_check_interval_ms; /* 1 and up */
    int64_t retention_grace_ms;          /* between condemned and removed */
    struct replica_config replica;
};

struct config {
    char *file; /* NULL: made from the command line */

    enum log_level log_level;
    enum log_format log_format;
    char *metrics_address;       /* HOST:PORT to answer Prometheus at; NULL: nowhere */
    char *exec;                  /* run the application as a child; NULL: none */
    int64_t shutdown_timeout_ms; /* grace for the final sync */
    uint32_t capture_workers;    /* threads, 1 and up */
    uint32_t upload_workers;
    uint32_t snapshot_workers;

    struct db_config *dbs; /* in the order of the file; paths are distinct */
    size_t db_count;

    char **warnings; /* "FILE:LINE: key 'levels' has no effect", for the caller to log */
    size_t warning_count;
};
#define CONFIG_INIT ((struct config){ 0 })
#define auto_config __attribute__((cleanup(config_release)))
void config_release(struct config *config);

struct config_options {
    bool keep_dollars; /* do not expand $VAR and ${VAR} */
};

/*
 * RC_USAGE for everything that the operator has to mend, with file and line; also when the file
 * does not exist. RC_DENIED, RC_IO: it could not be read. RET is untouched unless RC_OK.
 */
must_use rc config_load(
    struct config *ret, const char *file, const struct config_options *options, struct error *err);

/* The same for TEXT that came from FILE (a name for messages). */
must_use rc config_parse(struct config *ret, const char *file, struct bytes text,
    const struct config_options *options, struct error *err);

/* Every default, no database. */
void config_set_defaults(struct config *ret);

/* One more database with defaults, as from the command line. RC_USAGE: bad path, bad URL, a
 * duplicate. */
must_use rc config_add_db(
    struct config *config, const char *path, const char *url, struct error *err);

/* The database with that path (made absolute like those of the file), or NULL. */
const struct db_config *config_find_db(const struct config *config, const char *path);

/* Let STATE_DIR be the folder that holds the state folder of each database that names none. */
void config_set_state_root(struct config *config, const char *state_dir);

/* Where the state folder of DB is, its default filled in. Owned. */
char *config_state_dir_of(const struct db_config *db);

/*
 * Every key, for the manual's check: SECTION is "", "dbs", "replica" ... KIND is "setting",
 * "ignored" or "refused". EACH is called in the order of the tables.
 */
typedef void config_key_fn(
    void *payload, const char *section, const char *key, const char *kind, const char *help);
void config_each_key(config_key_fn *each, void *payload);

#endif
