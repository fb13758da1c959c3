/* What is written in a configuration file is what the daemon gets; what cannot be meant is refused.
 */
#include "config/config.h"

#include "base/alloc.h"
#include "base/text.h"
#include "harness/check.h"
#include "harness/scratch.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define GOOD "dbs:\n  - path: /d/app.db\n    replica:\n      url: s3://bucket/app\n"

static rc parse(struct config *ret, const char *text, struct error *err)
{
    return config_parse(ret, "f.yml", bytes_of_text(text), NULL, err);
}

static void config_fills_in_defaults(void **state)
{
    auto_config struct config config = CONFIG_INIT;
    struct error err;

    (void)state;
    CHECK_OK(parse(&config, GOOD, &err));
    assert_string_equal(config.file, "f.yml");
    assert_int_equal(config.log_level, LOG_INFO);
    assert_int_equal(config.log_format, LOG_FORMAT_TEXT);
    assert_null(config.exec);
    assert_int_equal(config.shutdown_timeout_ms, 30000);
    assert_int_equal(config.capture_workers, 2);
    assert_int_equal(config.upload_workers, 4);
    assert_int_equal(config.snapshot_workers, 1);
    assert_int_equal(config.warning_count, 0);
    assert_int_equal(config.db_count, 1);

    const struct db_config *db = &config.dbs[0];
    assert_string_equal(db->path, "/d/app.db");
    assert_null(db->state_dir);
    assert_int_equal(db->line, 2);
    assert_int_equal(db->sync_interval_ms, 1000);
    assert_int_equal(db->check_interval_ms, 60000);
    assert_int_equal(db->min_checkpoint_page_count, 1000);
    assert_int_equal(db->truncate_size, 64 << 20);
    assert_int_equal(db->spool_size, 640 << 20);
    assert_int_equal(db->write_lock_budget_ms, 20);
    assert_false(db->convert_to_wal);
    assert_false(db->restore_if_db_not_exists);
    assert_int_equal(db->snapshot.interval_ms, 0);
    assert_int_equal(db->snapshot.log_percent, 50);
    assert_string_equal(db->replica.url, "s3://bucket/app");
    assert_null(db->replica.options.access_key_id);
    assert_int_equal(db->replica.options.path_style, 0);
    assert_int_equal(db->replica.options.skip_verify, 0);
}

static void config_takes_every_setting(void **state)
{
    auto_config struct config config = CONFIG_INIT;
    struct error err;

    (void)state;
    setenv("SEAWAL_TEST_SECRET", "s3cr$t", 1);
    CHECK_OK(parse(&config,
        "dbs:\n"
        "  - path: /d/a.db\n"
        "    state-dir: /s/a\n"
        "    sync-interval: 0\n"
        "    snapshot: {log-percent: 75, interval: 12h}\n"
        "    replica:\n"
        "      type: s3\n"
        "      bucket: bkt\n"
        "      path: /my apps/a\n"
        "      region: eu-central-1\n"
        "      force-path-style: false\n"
        "  - path: /d/b.db\n"
        "    convert-to-wal: yes\n"
        "    spool-size: 1MiB\n"
        "    replica: {url: /r/b, sync-interval: 250ms, access-key-id: B, secret-access-key: T}\n"
        "logging: {level: WARN, type: json}\n"
        "exec: rails server\n"
        "shutdown-timeout: 1m\n"
        "upload-workers: 8\n"
        "endpoint: minio:9000\n"
        "skip-verify: true\n"
        "access-key-id: AK\n"
        "secret-access-key: ${SEAWAL_TEST_SECRET}\n"
        "session-token: tok$$en\n"
        "ca-file: /etc/ca.pem\n"
        "sync-interval: 5s\n"
        "check-interval: 2m\n"
        "min-checkpoint-page-count: 50\n"
        "truncate-size: 1GiB\n"
        "write-lock-budget: 5ms\n"
        "restore-if-db-not-exists: true\n"
        "snapshot: {interval: 24h}\n"
        "state-dir: /state\n",
        &err));
    assert_int_equal(config.log_level, LOG_WARN);
    assert_int_equal(config.log_format, LOG_FORMAT_JSON);
    assert_string_equal(config.exec, "rails server");
    assert_int_equal(config.shutdown_timeout_ms, 60000);
    assert_int_equal(config.upload_workers, 8);
    assert_int_equal(config.db_count, 2);

    const struct db_config *a = &config.dbs[0];
    assert_string_equal(a->state_dir, "/s/a");
    assert_int_equal(a->sync_interval_ms, 0);
    assert_int_equal(a->check_interval_ms, 120000);
    assert_int_equal(a->min_checkpoint_page_count, 50);
    assert_int_equal(a->truncate_size, 1 << 30);
    assert_true(a->spool_size == (uint64_t)10 << 30);
    assert_int_equal(a->write_lock_budget_ms, 5);
    assert_true(a->restore_if_db_not_exists);
    assert_int_equal(a->snapshot.interval_ms, 12 * 3600 * 1000);
    assert_int_equal(a->snapshot.log_percent, 75);
    assert_string_equal(a->replica.url, "s3://bkt/my%20apps/a");
    assert_string_equal(a->replica.options.region, "eu-central-1");
    assert_string_equal(a->replica.options.endpoint, "minio:9000");
    assert_string_equal(a->replica.options.access_key_id, "AK");
    assert_string_equal(a->replica.options.secret_access_key, "s3cr$t");
    assert_string_equal(a->replica.options.session_token, "tok$en");
    assert_string_equal(a->replica.options.ca_file, "/etc/ca.pem");
    assert_int_equal(a->replica.options.path_style, -1);
    assert_int_equal(a->replica.options.skip_verify, 1);

    const struct db_config *b = &config.dbs[1];
    assert_string_equal(b->state_dir, "/state/d-b.db");
    assert_true(b->convert_to_wal);
    assert_int_equal(b->spool_size, 1 << 20);
    assert_int_equal(b->sync_interval_ms, 250);
    assert_int_equal(b->snapshot.interval_ms, 24 * 3600 * 1000);
    assert_string_equal(b->replica.url, "/r/b");
    assert_string_equal(b->replica.options.access_key_id, "B");
    assert_string_equal(b->replica.options.secret_access_key, "T");
    assert_null(b->replica.options.region);
}

/* Litestream 0.3, with its list of replicas. */
static void config_takes_a_litestream_03_file(void **state)
{
    auto_config struct config config = CONFIG_INIT;
    struct error err;

    (void)state;
    CHECK_OK(parse(&config,
        "access-key-id: AK\n"
        "secret-access-key: SK\n"
        "addr: \":9090\"\n"
        "dbs:\n"
        "  - path: /var/lib/db\n"
        "    meta-path: /var/lib/db-meta\n"
        "    monitor-interval: 1s\n"
        "    checkpoint-interval: 1m\n"
        "    min-checkpoint-page-count: 500\n"
        "    max-checkpoint-page-count: 10000\n"
        "    replicas:\n"
        "      - type: s3\n"
        "        name: main\n"
        "        bucket: mybkt\n"
        "        path: db\n"
        "        region: us-east-1\n"
        "        retention: 72h\n"
        "        retention-check-interval: 1h\n"
        "        snapshot-interval: 12h\n"
        "        validation-interval: 12h\n"
        "        sync-interval: 10s\n",
        &err));
    assert_int_equal(config.db_count, 1);

    const struct db_config *db = &config.dbs[0];
    assert_string_equal(db->state_dir, "/var/lib/db-meta");
    assert_int_equal(db->min_checkpoint_page_count, 500);
    assert_int_equal(db->sync_interval_ms, 10000);
    assert_int_equal(db->snapshot.interval_ms, 12 * 3600 * 1000);
    assert_string_equal(db->replica.url, "s3://mybkt/db");
    assert_string_equal(config.metrics_address, "127.0.0.1:9090");
    assert_int_equal(config.warning_count, 5);
    assert_non_null(strstr(config.warnings[0], "'monitor-interval' has no effect"));
}

/* Litestream 0.5, with everything that has no counterpart. */
static void config_takes_a_litestream_05_file(void **state)
{
    auto_config struct config config = CONFIG_INIT;
    struct error err;

    (void)state;
    CHECK_OK(parse(&config,
        "mcp-addr: \":3001\"\n"
        "socket: {enabled: true, path: /run/l.sock, permissions: 0600}\n"
        "levels: [{interval: 30s}, {interval: 5m}]\n"
        "snapshot: {interval: 24h, retention: 168h}\n"
        "l0-retention: 5m\n"
        "verify-compaction: true\n"
        "retention: {enabled: true}\n"
        "validation: {interval: 6h}\n"
        "heartbeat-url: https://example.com/ping\n"
        "heartbeat-interval: 5m\n"
        "shutdown-sync-timeout: 10s\n"
        "shutdown-sync-interval: 500ms\n"
        "logging: {level: trace, type: pretty, stderr: true}\n"
        "dbs:\n"
        "  - path: sqlite:///var/lib/app.db\n"
        "    busy-timeout: 1s\n"
        "    truncate-page-n: 121359\n"
        "    restore-if-db-not-exists: true\n"
        "    replica:\n"
        "      url: s3://bkt/p\n"
        "      part-size: 5MB\n"
        "      concurrency: 5\n"
        "      auto-recover: true\n",
        &err));
    assert_int_equal(config.shutdown_timeout_ms, 10000);
    assert_int_equal(config.log_level, LOG_DEBUG);
    assert_string_equal(config.dbs[0].path, "/var/lib/app.db");
    assert_true(config.dbs[0].restore_if_db_not_exists);
    assert_int_equal(config.dbs[0].snapshot.interval_ms, 24 * 3600 * 1000);
}

static void config_warns_once_for_each_key(void **state)
{
    auto_config struct config config = CONFIG_INIT;
    struct error err;

    (void)state;
    CHECK_OK(parse(&config,
        "dbs:\n"
        "  - {path: /a, monitor-interval: 1s, replica: {url: /r/a}}\n"
        "  - {path: /b, monitor-interval: 1s, replica: {url: /r/b}}\n",
        &err));
    assert_int_equal(config.warning_count, 1);
    assert_string_equal(config.warnings[0],
        "f.yml:2: 'monitor-interval' has no effect: commits are noticed at once; see "
        "check-interval");
}

static void config_refuses(void **state)
{
    static const struct {
        const char *text;
        const char *message;
    } rows[] = {
        { "colour: red\n" GOOD, "f.yml:1: unknown key 'colour' in the top level" },
        { "sync-intervall: 1s\n" GOOD,
            "f.yml:1: unknown key 'sync-intervall' in the top level; did you mean "
            "'sync-interval'?" },
        { "dbs:\n  - path: /a\n    replcia: {url: /r}\n",
            "f.yml:3: unknown key 'replcia' in dbs; did you mean 'replica'?" },
        { GOOD "      buckt: x\n",
            "f.yml:5: unknown key 'buckt' in replica; did you mean 'bucket'?" },
        { "logging: {levle: info}\n",
            "f.yml:1: unknown key 'levle' in logging; did you mean 'level'?" },
        { "snapshot:\n  when: 1h\n", "f.yml:2: unknown key 'when' in snapshot" },
        { GOOD "dbs: []\n", "f.yml:5: 'dbs' stands here twice" },
        { GOOD "      url: x\n", "f.yml:5: 'url' stands here twice" },
        { "dbs:\n  path: /a\n", "f.yml:2: 'dbs' must be a list, not a map" },
        { "dbs:\n  - [a, b]\n", "f.yml:2: 'a database' must be a map, not a list" },
        { "- a\n", "f.yml:1: 'the file' must be a map, not a list" },
        { "sync-interval: [1s]\n", "f.yml:1: 'sync-interval' must be a value, not a list" },
        { "logging: info\n", "f.yml:1: 'logging' must be a map, not a value" },
        { "dbs:\n  - replica: {url: /r}\n", "f.yml:2: a database needs a path" },
        { "dbs:\n  - path: /a\n", "f.yml:2: database '/a' has no replica" },
        { "dbs:\n  - path: /a\n    replica:\n", "f.yml:2: database '/a' has no replica" },
        { "dbs:\n  - path: /a/\n    replica: {url: /r}\n",
            "f.yml:3: database path '/a/' ends with a slash" },
        { "dbs:\n  - path: /a\n    replica: {region: x}\n",
            "f.yml:3: a replica needs a url (or type, bucket and path)" },
        { "dbs:\n  - path: /a\n    replica: {type: s3, path: x}\n",
            "f.yml:3: a replica of type s3 needs a bucket, or a url" },
        { "dbs:\n  - path: /a\n    replica: {type: gs, bucket: x}\n",
            "f.yml:3: replica type 'gs' is not offered; s3 and file are" },
        { "dbs:\n  - path: /a\n    replica: {url: s3://b/x, bucket: y}\n",
            "f.yml:3: a replica has either a url, or a bucket and a path" },
        { "dbs:\n  - path: /a\n    replica: {url: /r, access-key-id: y}\n",
            "f.yml:3: access-key-id without secret-access-key" },
        { "dbs:\n  - path: /a\n    replicas: [{url: /r}, {url: /s}]\n",
            "f.yml:3: a second replica; a database has exactly one" },
        { "dbs:\n  - path: /a\n    replica: {url: /r}\n    replicas: [{url: /s}]\n",
            "f.yml:4: a second replica; a database has exactly one" },
        { "dbs:\n  - {path: /a, replica: {url: /r}}\n  - {path: /a, replica: {url: /s}}\n",
            "f.yml:3: database '/a' stands in line 2 already" },
        { "dbs:\n  - {dir: /a, replica: {url: /r}}\n",
            "f.yml:2: 'dir': folders of databases are not offered yet; name each with path" },
        { GOOD "      age: {identities: [x]}\n",
            "f.yml:5: 'age': encryption with age is not offered" },
        { "convert-to-wal: maybe\n",
            "f.yml:1: 'convert-to-wal': 'maybe' is neither true nor false" },
        { "addr: 9090\n",
            "f.yml:1: 'addr': '9090' is not HOST:PORT, as in 127.0.0.1:9090 or :9090" },
        { "addr: 'localhost:65536'\n",
            "f.yml:1: 'addr': 'localhost:65536' is not HOST:PORT, as in 127.0.0.1:9090 or :9090" },
        { "addr: '::1:9090'\n",
            "f.yml:1: 'addr': '::1' is not a host; an IPv6 address stands in brackets" },
        { "addr: 'http://host:80'\n",
            "f.yml:1: 'addr': 'http://host' is not a host; an IPv6 address stands in brackets" },
        { "logging: {type: xml}\n", "f.yml:1: 'type': 'xml' is neither text nor json" },
        { "logging: {level: loud}\n",
            "f.yml:1: 'level': 'loud' is none of debug, info, warn, error" },
        { "upload-workers: 0\n",
            "f.yml:1: 'upload-workers': '0' is not in the range that makes sense here" },
        { "write-lock-budget: 1h\n",
            "f.yml:1: 'write-lock-budget': '1h' is not in the range that makes sense here" },
        { "exec: $SEAWAL_TEST_NONE\n",
            "f.yml:1: 'exec': environment variable 'SEAWAL_TEST_NONE' is not set; write $$ for a "
            "dollar" },
    };

    (void)state;
    unsetenv("SEAWAL_TEST_NONE");
    for (size_t index = 0; index < sizeof rows / sizeof rows[0]; index++) {
        auto_config struct config config = CONFIG_INIT;
        struct error err;

        CHECK_RC(parse(&config, rows[index].text, &err), RC_USAGE);
        assert_string_equal(err.text, rows[index].message);
    }
}

/* Without a host it is loopback: nobody else is told what databases there are unless it is asked
 * for. */
static void config_completes_an_address(void **state)
{
    static const struct {
        const char *text;
        const char *address;
    } rows[] = {
        { "addr: ':9090'\n", "127.0.0.1:9090" },
        { "addr: localhost:1\n", "localhost:1" },
        { "addr: '0.0.0.0:65535'\n", "0.0.0.0:65535" },
        { "addr: '[::1]:0'\n", "[::1]:0" },
    };

    (void)state;
    for (size_t index = 0; index < sizeof rows / sizeof rows[0]; index++) {
        auto_config struct config config = CONFIG_INIT;
        struct error err;

        CHECK_OK(parse(&config, rows[index].text, &err));
        assert_string_equal(config.metrics_address, rows[index].address);
    }
}

/* These texts come from other layers: what counts is that the place and the value are named. */
static void config_names_place_and_value(void **state)
{
    static const struct {
        const char *text;
        const char *place;
        const char *value;
    } rows[] = {
        { GOOD "      sync-interval: soon\n", "f.yml:5: ", "soon" },
        { GOOD "      sync-interval: -1s\n", "f.yml:5: ", "-1s" },
        { "min-checkpoint-page-count: many\n", "f.yml:1: ", "many" },
        { "min-checkpoint-page-count: 99999999999\n", "f.yml:1: ", "99999999999" },
        { "truncate-size: big\n", "f.yml:1: ", "big" },
        { "spool-size: 1KiB\n", "f.yml:1: ", "1KiB" },
        { "dbs:\n  - path: /a\n    replica:\n      url: gopher://x/y\n", "f.yml:4: ", "gopher" },
        { "dbs:\n  - path: /a\n    replica: {url: 's3:///x'}\n", "f.yml:3: ", "bucket" },
    };

    (void)state;
    for (size_t index = 0; index < sizeof rows / sizeof rows[0]; index++) {
        auto_config struct config config = CONFIG_INIT;
        struct error err;

        CHECK_RC(parse(&config, rows[index].text, &err), RC_USAGE);
        assert_ptr_equal(strstr(err.text, rows[index].place), err.text);
        assert_non_null(strstr(err.text, rows[index].value));
    }
}

static void config_keeps_dollars_when_asked(void **state)
{
    auto_config struct config config = CONFIG_INIT;
    struct config_options options = { .keep_dollars = true };
    struct error err;

    (void)state;
    CHECK_OK(
        config_parse(&config, "f.yml", bytes_of_text("exec: echo $HOME $$\n"), &options, &err));
    assert_string_equal(config.exec, "echo $HOME $$");
}

static void config_makes_paths_absolute(void **state)
{
    auto_config struct config config = CONFIG_INIT;
    auto_free char *here = getcwd(NULL, 0);
    auto_free char *path = text_format("%s/rel/app.db", here);
    auto_free char *url = text_format("%s/backup", here);
    struct error err;

    (void)state;
    setenv("HOME", "/home/me", 1);
    CHECK_OK(parse(&config,
        "dbs:\n"
        "  - {path: rel/app.db, replica: {url: ./backup}}\n"
        "  - {path: ~/app.db, replica: {type: file, path: ~/backup}}\n",
        &err));
    assert_string_equal(config.dbs[0].path, path);
    assert_string_equal(config.dbs[0].replica.url, url);
    assert_string_equal(config.dbs[1].path, "/home/me/app.db");
    assert_string_equal(config.dbs[1].replica.url, "/home/me/backup");
    assert_ptr_equal(config_find_db(&config, "rel/app.db"), &config.dbs[0]);
    assert_ptr_equal(config_find_db(&config, "/home/me/app.db"), &config.dbs[1]);
    assert_null(config_find_db(&config, "/home/me/other.db"));
}

static void config_can_be_made_without_a_file(void **state)
{
    auto_config struct config config = CONFIG_INIT;
    struct error err;

    (void)state;
    config_set_defaults(&config);
    assert_int_equal(config.db_count, 0);
    assert_null(config.file);
    assert_int_equal(config.capture_workers, 2);

    CHECK_OK(config_add_db(&config, "/d/a.db", "s3://bucket/a", &err));
    CHECK_OK(config_add_db(&config, "/d/my-b%.db", "/r/b", &err));
    CHECK_RC(config_add_db(&config, "/d/a.db", "/r/c", &err), RC_USAGE);
    assert_string_equal(err.text, "database '/d/a.db' is named twice");
    CHECK_RC(config_add_db(&config, "/d/c.db", "gopher://x/", &err), RC_USAGE);
    CHECK_RC(config_add_db(&config, "", "/r/c", &err), RC_USAGE);
    assert_int_equal(config.db_count, 2);
    assert_int_equal(config.dbs[1].sync_interval_ms, 1000);

    auto_free char *beside = config_state_dir_of(&config.dbs[0]);
    assert_string_equal(beside, "/d/.a.db-seawal");
    config_set_state_root(&config, "/s");
    assert_string_equal(config.dbs[0].state_dir, "/s/d-a.db");
    assert_string_equal(config.dbs[1].state_dir, "/s/d-my%2Db%25.db");
}

static void config_load_reads_a_file(void **state)
{
    struct scratch scratch = scratch_new();
    auto_free char *path = scratch_path(&scratch, "seawal.yml");
    auto_config struct config config = CONFIG_INIT;
    struct error err;

    (void)state;
    CHECK_RC(config_load(&config, path, NULL, &err), RC_USAGE);
    assert_non_null(strstr(err.text, path));
    scratch_write(&scratch, "seawal.yml", bytes_of_text(GOOD));
    CHECK_OK(config_load(&config, path, NULL, &err));
    assert_int_equal(config.db_count, 1);
    assert_string_equal(config.file, path);

    auto_config struct config empty = CONFIG_INIT;
    scratch_write(&scratch, "seawal.yml", bytes_of("", 0));
    CHECK_OK(config_load(&empty, path, NULL, &err));
    assert_int_equal(empty.db_count, 0);

    auto_config struct config other = CONFIG_INIT;
    auto_free char *large = mem_new(CONFIG_SIZE_MAX + 1);
    memset(large, '#', CONFIG_SIZE_MAX + 1);
    scratch_write(&scratch, "seawal.yml", bytes_of(large, CONFIG_SIZE_MAX + 1));
    CHECK_RC(config_load(&other, path, NULL, &err), RC_USAGE);
    scratch_release(&scratch);
}

static void config_of_nothing_has_no_database(void **state)
{
    static const char *const texts[] = { "", "# nothing\n", "~\n", "dbs:\n", "dbs: []\n" };

    (void)state;
    for (size_t index = 0; index < sizeof texts / sizeof texts[0]; index++) {
        auto_config struct config config = CONFIG_INIT;
        struct error err;

        CHECK_OK(parse(&config, texts[index], &err));
        assert_int_equal(config.db_count, 0);
        assert_int_equal(config.upload_workers, 4);
    }
}

static void count_key(
    void *payload, const char *section, const char *key, const char *kind, const char *help)
{
    size_t *count = payload;

    assert_non_null(section);
    assert_true(strlen(key) > 0);
    assert_true(strlen(kind) > 0);
    assert_true(strlen(help) > 0);
    *count += 1;
}

static void config_tells_every_key(void **state)
{
    size_t count = 0;

    (void)state;
    config_each_key(count_key, &count);
    assert_true(count > 80);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(config_fills_in_defaults),
        cmocka_unit_test(config_takes_every_setting),
        cmocka_unit_test(config_takes_a_litestream_03_file),
        cmocka_unit_test(config_takes_a_litestream_05_file),
        cmocka_unit_test(config_warns_once_for_each_key),
        cmocka_unit_test(config_refuses),
        cmocka_unit_test(config_completes_an_address),
        cmocka_unit_test(config_names_place_and_value),
        cmocka_unit_test(config_keeps_dollars_when_asked),
        cmocka_unit_test(config_makes_paths_absolute),
        cmocka_unit_test(config_can_be_made_without_a_file),
        cmocka_unit_test(config_load_reads_a_file),
        cmocka_unit_test(config_of_nothing_has_no_database),
        cmocka_unit_test(config_tells_every_key),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
