/*
 * options - the tables of every configuration key
 */
#include "options_priv.h"

#include "base/alloc.h"
#include "base/text.h"

#include <assert.h>
#include <stdlib.h>

#define ROW(type_, key_, struct_, field_, fallback_, help_)                                        \
    {                                                                                              \
        .key = (key_), .type = (type_), .offset = offsetof(struct_, field_),                       \
        .fallback = (fallback_), .help = (help_)                                                   \
    }
#define LIMITED(type_, key_, struct_, field_, fallback_, min_, max_, help_)                        \
    {                                                                                              \
        .key = (key_), .type = (type_), .offset = offsetof(struct_, field_),                       \
        .fallback = (fallback_), .min = (min_), .max = (max_), .help = (help_)                     \
    }
#define IGNORED(key_, help_)                                                                       \
    {                                                                                              \
        .key = (key_), .type = OPTION_IGNORED, .help = (help_)                                     \
    }
#define REFUSED(key_, help_)                                                                       \
    {                                                                                              \
        .key = (key_), .type = OPTION_REFUSED, .help = (help_)                                     \
    }
#define SECTION(key_, section_, help_)                                                             \
    {                                                                                              \
        .key = (key_), .type = OPTION_SECTION, .section = &(section_), .help = (help_)             \
    }
#define RULES(help_)                                                                               \
    {                                                                                              \
        .key = "retention", .type = OPTION_RULES, .offset = offsetof(struct db_draft, retention),  \
        .help = (help_)                                                                            \
    }
#define PART(options_, offset_)                                                                    \
    {                                                                                              \
        .options = (options_), .option_count = array_count(options_), .offset = (offset_)          \
    }

enum { MS_PER_DAY = 24 * 60 * 60 * 1000 };

static const struct option_spec logging_options[] = {
    ROW(OPTION_LOG_LEVEL, "level", struct config, log_level, "info",
        "debug, info, warn or error; Litestream's trace is debug"),
    ROW(OPTION_LOG_FORMAT, "type", struct config, log_format, "text", "text (key=value) or json"),
    IGNORED("stderr", "logs always go to standard error"),
    IGNORED("source", "errors name where they come from at level debug"),
};
const struct option_section option_logging = { "logging", { PART(logging_options, 0) } };

static const struct option_spec snapshot_options[] = {
    ROW(OPTION_DURATION, "interval", struct db_draft, db.snapshot.interval_ms, "0",
        "a new snapshot at least this often while there are writes; 0: by volume only"),
    LIMITED(OPTION_COUNT, "log-percent", struct db_draft, db.snapshot.log_percent, "50", 1, 100000,
        "a new snapshot when the log behind the last one is this many percent of its size"),
    LIMITED(OPTION_DURATION, "retention", struct db_draft, retention.snapshot_keep_ms, NULL, 1, 0,
        "Litestream 0.5's way to say how far back windows are kept; see retention"),
};
const struct option_section option_snapshot = { "snapshot", { PART(snapshot_options, 0) } };

/* How to reach a store; at the top these are defaults for every replica. */
static const struct option_spec access_options[] = {
    ROW(OPTION_TEXT, "endpoint", struct db_draft, db.replica.endpoint, NULL,
        "host of an S3-compatible provider, with or without https://"),
    ROW(OPTION_TEXT, "region", struct db_draft, db.replica.region, NULL, "region of the bucket"),
    ROW(OPTION_TEXT, "access-key-id", struct db_draft, db.replica.access_key_id, NULL,
        "credentials; else those of the environment or the profile"),
    ROW(OPTION_TEXT, "secret-access-key", struct db_draft, db.replica.secret_access_key, NULL,
        "credentials; better written as ${VARIABLE}"),
    ROW(OPTION_TEXT, "session-token", struct db_draft, db.replica.session_token, NULL,
        "token of temporary credentials"),
    ROW(OPTION_TEXT, "profile", struct db_draft, db.replica.profile, NULL,
        "section of ~/.aws/credentials and ~/.aws/config"),
    ROW(OPTION_PATH, "ca-file", struct db_draft, db.replica.ca_file, NULL,
        "PEM file of certificate authorities used instead of the system's"),
    ROW(OPTION_TRISTATE, "force-path-style", struct db_draft, db.replica.options.path_style, NULL,
        "bucket in the path (true) or in the host name (false); default: path with an endpoint"),
    ROW(OPTION_TRISTATE, "skip-verify", struct db_draft, db.replica.options.skip_verify, NULL,
        "do not check TLS certificates; for tests only"),
    IGNORED("sign-payload", "payloads are always signed"),
    IGNORED("require-content-md5", "the store decides which checksum headers are needed"),
    IGNORED("storage-class", "the bucket's default class is used"),
    IGNORED("part-size", "chosen from the size of the object"),
    IGNORED("concurrency", "uploads of one database go one after the other"),
    IGNORED("auto-recover", "lost continuity is always answered by a resync"),
    IGNORED("max-sync-ltx-files", "the spool has no such limit"),
    IGNORED("validation-interval", "every restore is proved; scheduled checks are not there yet"),
    REFUSED("sse-customer-algorithm", "encryption by customer keys is not offered yet"),
    REFUSED("sse-customer-key", "encryption by customer keys is not offered yet"),
    REFUSED("sse-customer-key-path", "encryption by customer keys is not offered yet"),
    REFUSED("sse-kms-key-id", "choose the KMS key as the bucket's default encryption instead"),
    REFUSED("age", "encryption with age is not offered"),
};

static const struct option_spec retention_options[] = {
    ROW(OPTION_BOOL, "enabled", struct retention_draft, is_on, NULL,
        "Litestream's name of 'retention: off' when false"),
};
const struct option_section option_retention = { "retention", { PART(retention_options, 0) } };

static const struct option_spec rule_options[] = {
    ROW(OPTION_EVERY, "every", struct rule, every_ms, NULL,
        "'transaction', or windows of which the last transaction is kept"),
    ROW(OPTION_KEEP, "keep", struct rule, keep_ms, NULL, "for how long, or 'forever'"),
};
const struct option_section option_rule = { "rules", { PART(rule_options, 0) } };

static const struct option_spec level_options[] = {
    { .key = "interval",
        .type = OPTION_DURATION,
        .min = RULE_EVERY_MS_MIN,
        .help = "windows of which the last transaction is kept for snapshot.retention" },
};
const struct option_section option_level = { "levels", { PART(level_options, 0) } };

/* How one database is followed; at the top these are defaults for every database. */
static const struct option_spec shared_options[] = {
    ROW(OPTION_DURATION, "sync-interval", struct db_draft, db.sync_interval_ms, "1s",
        "how long commits may gather before they are shipped; 0: until the last upload is done"),
    LIMITED(OPTION_DURATION, "check-interval", struct db_draft, db.check_interval_ms, "1m", 0,
        MS_PER_DAY, "how often a look is taken without having been woken; 0: never"),
    LIMITED(OPTION_COUNT, "min-checkpoint-page-count", struct db_draft,
        db.min_checkpoint_page_count, "1000", 1, 0,
        "pages in the log from which a checkpoint is worth it"),
    LIMITED(OPTION_SIZE, "truncate-size", struct db_draft, db.truncate_size, "64MiB", 65536, 0,
        "size of the log file from which it is cut after a checkpoint"),
    LIMITED(OPTION_SIZE, "spool-size", struct db_draft, db.spool_size, NULL, 65536, 0,
        "bytes that may wait for the store before they are merged; default 10 x truncate-size"),
    LIMITED(OPTION_DURATION, "write-lock-budget", struct db_draft, db.write_lock_budget_ms, "20ms",
        1, 10000, "how long a checkpoint may hold the database's write lock"),
    ROW(OPTION_BOOL, "convert-to-wal", struct db_draft, db.convert_to_wal, "false",
        "whether a database in another journal mode is switched to WAL"),
    ROW(OPTION_BOOL, "restore-if-db-not-exists", struct db_draft, db.restore_if_db_not_exists,
        "false", "whether a missing database is restored from its replica before replication"),
    SECTION("snapshot", option_snapshot, "when whole copies are made"),
    RULES("which points are kept for how long: rules, or off"),
    LIMITED(OPTION_DURATION, "retention-check-interval", struct db_draft,
        db.retention_check_interval_ms, "1h", 1, 0,
        "how often what no rule keeps is looked for and removed"),
    ROW(OPTION_DURATION, "retention-grace", struct db_draft, db.retention_grace_ms, "24h",
        "how long an object stays after it was condemned; longer than a restore takes"),
    IGNORED("monitor-interval", "commits are noticed at once; see check-interval"),
    IGNORED("checkpoint-interval", "checkpoints go by the size of the log"),
    IGNORED("max-checkpoint-page-count", "writers are never made to wait for a checkpoint"),
    IGNORED("truncate-page-n", "see truncate-size"),
    IGNORED("busy-timeout", "see write-lock-budget"),
    IGNORED("max-sync-wal-bytes", "memory is bounded whatever the transaction's size"),
};

static const struct option_spec place_options[] = {
    ROW(OPTION_TEXT, "url", struct db_draft, db.replica.url, NULL,
        "s3://bucket/prefix, file:///path or a plain path"),
    ROW(OPTION_TEXT, "type", struct db_draft, replica_type, NULL,
        "s3 or file, where there is no url"),
    ROW(OPTION_TEXT, "bucket", struct db_draft, replica_bucket, NULL,
        "bucket, where there is no url"),
    ROW(OPTION_TEXT, "path", struct db_draft, replica_path, NULL,
        "prefix in the bucket, or the folder, where there is no url"),
    ROW(OPTION_DURATION, "sync-interval", struct db_draft, db.sync_interval_ms, NULL,
        "Litestream's place for it; the same as the database's"),
    ROW(OPTION_DURATION, "snapshot-interval", struct db_draft, db.snapshot.interval_ms, NULL,
        "Litestream 0.3's name of snapshot.interval"),
    RULES("Litestream 0.3's place for it; the same as the database's"),
    ROW(OPTION_DURATION, "retention-check-interval", struct db_draft,
        db.retention_check_interval_ms, NULL,
        "Litestream 0.3's place for it; the same as the database's"),
    IGNORED("name", "a database has one replica"),
};
const struct option_section option_replica = { "replica",
    { PART(place_options, 0), PART(access_options, 0) } };

static const struct option_spec db_options[] = {
    ROW(OPTION_PATH, "path", struct db_draft, db.path, NULL, "the database"),
    ROW(OPTION_PATH, "state-dir", struct db_draft, db.state_dir, NULL,
        "folder for the spool and the position; default .NAME-seawal beside the database"),
    { .key = "meta-path",
        .type = OPTION_PATH,
        .offset = offsetof(struct db_draft, db.state_dir),
        .other_name = true,
        .help = "Litestream's name of state-dir" },
    SECTION("replica", option_replica, "where the copy is kept"),
    { .key = "replicas",
        .type = OPTION_REPLICAS,
        .help = "Litestream 0.3's list; one element is allowed" },
    REFUSED("dir", "folders of databases are not offered yet; name each with path"),
    REFUSED("pattern", "folders of databases are not offered yet; name each with path"),
    REFUSED("recursive", "folders of databases are not offered yet; name each with path"),
    REFUSED("watch", "folders of databases are not offered yet; name each with path"),
    REFUSED("meta-dir", "folders of databases are not offered yet; name each with path"),
};
const struct option_section option_db = { "dbs", { PART(db_options, 0), PART(shared_options, 0) } };

static const struct option_spec top_options[] = {
    { .key = "dbs", .type = OPTION_DBS, .help = "the list of databases" },
    SECTION("logging", option_logging, "what is logged, and how"),
    ROW(OPTION_TEXT, "exec", struct config, exec, NULL,
        "command that runs as a child; replication ends with it"),
    ROW(OPTION_ADDRESS, "addr", struct config, metrics_address, NULL,
        "HOST:PORT where Prometheus finds the metrics; without HOST on this machine only"),
    ROW(OPTION_DURATION, "shutdown-timeout", struct config, shutdown_timeout_ms, "30s",
        "how long the last uploads may take after TERM"),
    ROW(OPTION_DURATION, "shutdown-sync-timeout", struct config, shutdown_timeout_ms, NULL,
        "Litestream's name of shutdown-timeout"),
    LIMITED(OPTION_COUNT, "capture-workers", struct config, capture_workers, "2", 1, 64,
        "threads that read logs"),
    LIMITED(OPTION_COUNT, "upload-workers", struct config, upload_workers, "4", 1, 64,
        "threads that upload"),
    LIMITED(OPTION_COUNT, "snapshot-workers", struct config, snapshot_workers, "1", 1, 16,
        "threads that make snapshots"),
    IGNORED("mcp-addr", "not offered"),
    IGNORED("socket", "the control socket is not there yet"),
    IGNORED("l0-retention-check-interval", "see retention-check-interval"),
    IGNORED("verify-compaction", "segments are not merged yet"),
    IGNORED("validation", "every restore is proved; scheduled checks are not there yet"),
    IGNORED("heartbeat-url", "not there yet"),
    IGNORED("heartbeat-interval", "not there yet"),
    IGNORED("shutdown-sync-interval", "the last uploads are retried at the usual pace"),
};
static const struct option_spec root_options[] = {
    { .key = "levels",
        .type = OPTION_LEVELS,
        .offset = offsetof(struct draft, defaults.retention),
        .help = "Litestream 0.5's windows; each is kept for snapshot.retention" },
    ROW(OPTION_DURATION, "l0-retention", struct draft, defaults.retention.log_keep_ms, NULL,
        "Litestream 0.5's way to say how long every transaction is kept; 0: for ever"),
    ROW(OPTION_PATH, "state-dir", struct draft, state_root, NULL,
        "folder that holds the state folder of each database that names none"),
};
const struct option_section option_top = { "",
    { PART(top_options, offsetof(struct draft, config)), PART(root_options, 0),
        PART(shared_options, offsetof(struct draft, defaults)),
        PART(access_options, offsetof(struct draft, defaults)) } };

const struct option_section *const option_all[] = {
    &option_top,
    &option_logging,
    &option_snapshot,
    &option_db,
    &option_replica,
    &option_retention,
    &option_rule,
    &option_level,
    NULL,
};

_Static_assert(array_count(top_options) + array_count(root_options) + array_count(shared_options) +
                       array_count(access_options) <=
                   OPTION_COUNT_MAX,
    "every key of a section has a place in its set of keys that were seen");

const struct option_spec *option_find(const struct option_section *section, const char *key,
    void *base, void **ret_field, size_t *ret_index)
{
    size_t index = 0;

    for (size_t part_index = 0; part_index < OPTION_PART_COUNT_MAX; part_index++) {
        const struct option_part *part = &section->parts[part_index];

        for (size_t row = 0; row < part->option_count; row++, index++) {
            if (!text_equal(part->options[row].key, key))
                continue;
            *ret_field = (char *)base + part->offset + part->options[row].offset;
            *ret_index = index;
            return &part->options[row];
        }
    }
    return NULL;
}

/* Call EACH for every row of SECTION with its field, and of the sections inside it. */
typedef void option_each_fn(const struct option_spec *option, void *field);

static void option_each_row(const struct option_part *part, void *base, option_each_fn *each)
{
    for (size_t row = 0; row < part->option_count; row++)
        each(&part->options[row], (char *)base + part->offset + part->options[row].offset);
}

static void option_each(const struct option_section *section, void *base, option_each_fn *each)
{
    for (size_t index = 0; index < OPTION_PART_COUNT_MAX; index++)
        option_each_row(&section->parts[index], base, each);
}

static void option_set_default(const struct option_spec *option, void *field)
{
    if (option->fallback == NULL)
        return;
    struct error err;
    rc result = option_parse(option, option->fallback, field, &err);
    assert(result == RC_OK);
}

void option_set_defaults(const struct option_section *section, void *base)
{
    option_each(section, base, option_set_default);
}

static bool option_is_text(const struct option_spec *option)
{
    return option->type == OPTION_TEXT || option->type == OPTION_PATH ||
           option->type == OPTION_ADDRESS;
}

static void option_release_text(const struct option_spec *option, void *field)
{
    if (!option_is_text(option))
        return;
    char **text = field;
    free(*text);
    *text = NULL;
}

void option_release_texts(const struct option_section *section, void *base)
{
    option_each(section, base, option_release_text);
}

static void option_copy_text(const struct option_spec *option, void *field)
{
    if (!option_is_text(option) || option->other_name)
        return;
    char **text = field;
    *text = text_copy(*text);
}

void option_copy_texts(const struct option_section *section, void *base)
{
    option_each(section, base, option_copy_text);
}
