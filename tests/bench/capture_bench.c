/*
 * capture_bench - how fast the log is captured, into how many bytes, in how much memory
 *
 *   capture_bench FOLDER [DATABASE_MB [TRANSACTIONS [BIG_MB]]]
 *
 * Three loads over one database: web-like transactions (a user, a session, an event, a job, with
 * indexes), random updates of single rows, and one transaction of BIG_MB. Each is written by
 * another process while nothing is captured, and then captured in syncs of one second's worth (200
 * transactions): the times are this process's CPU times.
 */
#include "base/alloc.h"
#include "base/clock.h"
#include "base/text.h"
#include "capture/capture.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { TRANSACTIONS_PER_SYNC = 200 };

static void die(const char *what, const char *why)
{
    fprintf(stderr, "capture_bench: %s: %s\n", what, why);
    exit(1);
}

static void run(sqlite3 *db, const char *sql)
{
    char *message = NULL;

    if (sqlite3_exec(db, sql, NULL, NULL, &message) != SQLITE_OK)
        die(sql, message);
}

/* ---- the loads, in a process of their own */

static const char schema[] =
    "PRAGMA journal_mode=WAL; PRAGMA synchronous=OFF;"
    "CREATE TABLE users(id INTEGER PRIMARY KEY, email TEXT UNIQUE, name TEXT, seen INT, bio TEXT);"
    "CREATE TABLE sessions(token TEXT PRIMARY KEY, user INT, data TEXT, at INT) WITHOUT ROWID;"
    "CREATE TABLE events(id INTEGER PRIMARY KEY, user INT, kind TEXT, at INT, body TEXT);"
    "CREATE INDEX events_user ON events(user, at);"
    "CREATE TABLE jobs(id INTEGER PRIMARY KEY, state TEXT, run_at INT, payload TEXT);"
    "CREATE INDEX jobs_due ON jobs(state, run_at);";

static void load_fill(sqlite3 *db, unsigned megabytes)
{
    char *sql = sqlite3_mprintf(
        "BEGIN; WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c LIMIT %u)"
        " INSERT INTO users SELECT x, 'u' || x || '@example.org', 'User ' || x, x,"
        " hex(randomblob(150)) FROM c;"
        "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c LIMIT %u)"
        " INSERT INTO events SELECT x, abs(random()) %% %u, 'visit', x, hex(randomblob(100)) FROM c;"
        "COMMIT; PRAGMA wal_checkpoint(TRUNCATE)",
        megabytes * 1000, megabytes * 2000, megabytes * 1000);

    run(db, schema);
    run(db, sql);
    sqlite3_free(sql);
}

static void load_web(sqlite3 *db, unsigned count, unsigned users)
{
    for (unsigned n = 0; n < count; n++) {
        char *sql =
            sqlite3_mprintf("BEGIN IMMEDIATE;"
                            "UPDATE users SET seen = %u WHERE id = abs(random()) %% %u;"
                            "INSERT INTO sessions VALUES(hex(randomblob(16)), %u, 'x', %u);"
                            "INSERT INTO events(user, kind, at, body) VALUES(%u, 'click', %u,"
                            " 'path=/orders/%u&ms=12');"
                            "UPDATE jobs SET state = 'done' WHERE id = %u - 20;"
                            "INSERT INTO jobs(state, run_at, payload) VALUES('new', %u, '{}');"
                            "COMMIT",
                n, users, n, n, n % users, n, n, n, n);
        run(db, sql);
        sqlite3_free(sql);
    }
}

static void load_random(sqlite3 *db, unsigned count, unsigned users)
{
    char *sql =
        sqlite3_mprintf("UPDATE users SET seen = seen + 1 WHERE id = abs(random()) %% %u", users);

    for (unsigned n = 0; n < count; n++)
        run(db, sql);
    sqlite3_free(sql);
}

static void load_big(sqlite3 *db, unsigned megabytes)
{
    char *sql = sqlite3_mprintf(
        "CREATE TABLE big(x);"
        "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c LIMIT %u)"
        " INSERT INTO big SELECT hex(randomblob(25)) || zeroblob(0) || printf('%%1900d', x) FROM c",
        megabytes * 500);

    run(db, sql);
    sqlite3_free(sql);
}

static int load(const char *verb, const char *path, unsigned count, unsigned users)
{
    sqlite3 *db = NULL;

    if (sqlite3_open(path, &db) != SQLITE_OK)
        die(path, "cannot be opened");
    sqlite3_busy_timeout(db, 10000);
    run(db, "PRAGMA wal_autocheckpoint=0; PRAGMA synchronous=OFF");
    if (strcmp(verb, "fill") == 0)
        load_fill(db, count);
    else if (strcmp(verb, "web") == 0)
        load_web(db, count, users);
    else if (strcmp(verb, "random") == 0)
        load_random(db, count, users);
    else
        load_big(db, count);
    return sqlite3_close(db) == SQLITE_OK ? 0 : 1;
}

static void load_elsewhere(const char *verb, const char *path, unsigned count, unsigned users)
{
    auto_free char *count_text = text_format("%u", count);
    auto_free char *users_text = text_format("%u", users);
    int status = 0;
    pid_t child = fork();

    if (child == 0) {
        execl("/proc/self/exe", "capture_bench", "--load", verb, path, count_text, users_text,
            (char *)NULL);
        _exit(127);
    }
    if (waitpid(child, &status, 0) != child || !WIFEXITED(status) || WEXITSTATUS(status) != 0)
        die(verb, "the load failed");
}

/* ---- capture */

static long memory_peak_kb(void)
{
    char line[256];
    long peak = 0;
    FILE *file = fopen("/proc/self/status", "r");

    if (file == NULL)
        return 0;
    while (fgets(line, sizeof line, file) != NULL) {
        if (strncmp(line, "VmHWM:", 6) == 0)
            peak = strtol(line + 6, NULL, 10);
    }
    fclose(file);
    return peak;
}

struct bench {
    struct capture *capture;
    const char *path;
    unsigned users;
    struct capture_sync_report total;
    int64_t cpu_ms;
};

static void bench_sync(struct bench *bench)
{
    struct error err = { 0 };
    struct capture_sync_report report;
    struct capture_maintain_report maintain;
    int64_t begin_ms = clock_cpu_ms();

    if (capture_sync(bench->capture, clock_wall_ms(), &report, &err) != RC_OK)
        die("sync", err.text);
    bench->cpu_ms += clock_cpu_ms() - begin_ms;
    bench->total.transaction_count += report.transaction_count;
    bench->total.frame_count += report.frame_count;
    bench->total.stored_size += report.stored_size;
    bench->total.segment_count += report.segment_count;
    if (report.resynced)
        die("sync", "a resync was needed");
    if (capture_maintain(bench->capture, clock_monotonic_ms(), clock_wall_ms(), &maintain, &err) !=
        RC_OK)
        die("maintain", err.text);
}

static void bench_report(struct bench *bench, const char *name)
{
    double megabytes = (double)bench->total.frame_count * 4120 / 1e6;
    double seconds = (double)bench->cpu_ms / 1000;

    printf("%-8s %7llu transactions %8.1f MB of log %7.1f MB per core-second %9.1f bytes per "
           "transaction, peak memory %ld KB\n",
        name, (unsigned long long)bench->total.transaction_count, megabytes,
        seconds > 0 ? megabytes / seconds : 0.0,
        (double)bench->total.stored_size / (double)bench->total.transaction_count,
        memory_peak_kb());
    fflush(stdout);
    bench->total = (struct capture_sync_report){ 0 };
    bench->cpu_ms = 0;
}

static void bench_load(struct bench *bench, const char *verb, unsigned count)
{
    for (unsigned done = 0; done < count; done += TRANSACTIONS_PER_SYNC) {
        load_elsewhere(verb, bench->path, TRANSACTIONS_PER_SYNC, bench->users);
        bench_sync(bench);
    }
    bench_report(bench, verb);
}

int main(int argc, char **argv)
{
    struct error err = { 0 };

    if (argc == 6 && strcmp(argv[1], "--load") == 0)
        return load(argv[2], argv[3], (unsigned)strtoul(argv[4], NULL, 10),
            (unsigned)strtoul(argv[5], NULL, 10));
    if (argc < 2)
        die("usage", "capture_bench FOLDER [DATABASE_MB [TRANSACTIONS [BIG_MB]]]");

    unsigned megabytes = argc > 2 ? (unsigned)strtoul(argv[2], NULL, 10) : 100;
    unsigned count = argc > 3 ? (unsigned)strtoul(argv[3], NULL, 10) : 4000;
    unsigned big = argc > 4 ? (unsigned)strtoul(argv[4], NULL, 10) : 200;
    auto_free char *path = text_format("%s/capture_bench.db", argv[1]);
    struct bench bench = { .path = path, .users = megabytes * 1000 };
    struct capture_options options = { .path = path };
    struct database_id id = { { 'b', 'e', 'n', 'c', 'h' } };

    load_elsewhere("fill", path, megabytes, bench.users);
    if (capture_open(&bench.capture, &options, &err) != RC_OK ||
        capture_begin(bench.capture, NULL, &id, 1, &err) != RC_OK)
        die(path, err.text);
    bench_load(&bench, "web", count);
    bench_load(&bench, "random", count);
    load_elsewhere("big", path, big, 0);
    bench_sync(&bench);
    bench_report(&bench, "big");
    capture_close(bench.capture);
    return 0;
}
