/*
 * writers - a hostile application, for the pin_stress test
 *
 *   writers DATABASE SECONDS SEED ACKNOWLEDGED [KILL_MS]
 *
 * Twelve processes: writers that auto-checkpoint, giant transactions that spill and roll back,
 * readers that stay, checkpoints of every mode from outside, VACUUM, schema changes, openers that
 * come and go. About every KILL_MS milliseconds one of them is killed and started anew; now and
 * then all of them end and start together. Each commit that SQLite confirmed is appended to
 * ACKNOWLEDGED as two numbers, which are also a row of the table ledger.
 */
#include <fcntl.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
    KEY_MAX = 5000,
    QUIET_EVERY_MS_MIN = 6000,
    QUIET_EVERY_MS_MAX = 18000,
};

static const char roles[] = "WWWGRRRKVDOO";
enum { ROLE_COUNT = sizeof roles - 1 };

static const char *database_path;
static int acknowledged;
static uint64_t random_state;
static volatile sig_atomic_t is_ending;
static sqlite3 *db;
static uint32_t writer_id;
static uint32_t sequence;

static int64_t now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static int pick(int first, int last)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return first + (int)((random_state >> 16) % (uint64_t)(last - first + 1));
}

static void rest_us(int first, int last)
{
    usleep((useconds_t)pick(first, last));
}

static void on_end(int signal_number)
{
    (void)signal_number;
    is_ending = 1;
}

/* Being refused is part of the game; damage is not. */
static int __attribute__((format(printf, 1, 2))) run(const char *format, ...)
{
    va_list values;
    char *message = NULL;

    va_start(values, format);
    char *sql = sqlite3_vmprintf(format, values);
    va_end(values);
    int result = sqlite3_exec(db, sql, NULL, NULL, &message);
    if ((result & 0xff) == SQLITE_CORRUPT || (result & 0xff) == SQLITE_NOTADB ||
        (result & 0xff) == SQLITE_IOERR)
        fprintf(stderr, "APPLICATION %d: %s: %.60s\n", result, message, sql);
    sqlite3_free(sql);
    sqlite3_free(message);
    return result;
}

static bool open_database(void)
{
    static const int automatic[] = { 1000, 1000, 100, 10, 0 };

    if (sqlite3_open_v2(database_path, &db, SQLITE_OPEN_READWRITE, NULL) != SQLITE_OK)
        return false;
    sqlite3_busy_timeout(db, pick(0, 3) > 0 ? pick(50, 3000) : 0);
    run("PRAGMA synchronous=%d; PRAGMA wal_autocheckpoint=%d; PRAGMA journal_size_limit=%d; "
        "PRAGMA mmap_size=%d",
        pick(0, 2), automatic[pick(0, 4)], pick(0, 3) > 0 ? -1 : pick(0, 200000),
        pick(0, 3) > 0 ? 0 : 1 << 28);
    return true;
}

static int change_rows(void)
{
    int choice = pick(0, 9);

    if (choice < 5)
        return run(
            "INSERT INTO t(k,x) VALUES(%d,randomblob(%d))", pick(0, KEY_MAX), pick(10, 3000));
    if (choice < 8)
        return run(
            "UPDATE t SET x=randomblob(%d) WHERE id IN (SELECT id FROM t WHERE k=%d LIMIT 3)",
            pick(10, 2000), pick(0, KEY_MAX));
    return run("DELETE FROM t WHERE k=%d", pick(0, KEY_MAX));
}

static void change_under_savepoint(void)
{
    run("SAVEPOINT s");
    run("UPDATE t SET k=k+1 WHERE id%%97=%d", pick(0, 96));
    run("%s", pick(0, 1) ? "ROLLBACK TO s; RELEASE s" : "RELEASE s");
}

static void transaction(bool is_giant)
{
    if (run("BEGIN IMMEDIATE") != SQLITE_OK)
        return;

    int count = is_giant ? pick(100, 2500) : pick(1, 6);
    int result = SQLITE_OK;
    sequence++;
    for (int i = 0; i < count && result == SQLITE_OK; i++) {
        result = change_rows();
        if (is_giant && i % 300 == 7)
            change_under_savepoint();
    }
    if (result == SQLITE_OK)
        result =
            run("INSERT INTO ledger(wid,seq,p) VALUES(%u,%u,%d)", writer_id, sequence, getpid());
    if (result != SQLITE_OK || (is_giant && pick(0, 9) < 3) || run("COMMIT") != SQLITE_OK) {
        run("ROLLBACK");
        return;
    }

    uint32_t record[2] = { writer_id, sequence };
    if (write(acknowledged, record, sizeof record) != (ssize_t)sizeof record)
        abort();
}

static void read_for_a_while(void)
{
    run("BEGIN; SELECT count(*),sum(length(x)) FROM t");
    if (pick(0, 9) > 0)
        rest_us(100, 20000);
    else
        rest_us(100000, 1500000);
    run("SELECT max(id) FROM t; COMMIT");
    rest_us(0, 3000);
}

static void shrink(void)
{
    if (pick(0, 2) == 0)
        run("VACUUM");
    else
        run("DELETE FROM t WHERE id%%3=%d AND id<(SELECT max(id)-20000 FROM t)", pick(0, 2));
    rest_us(500000, 2500000);
}

static void change_schema(void)
{
    run("CREATE TABLE IF NOT EXISTS z%d(a,b)", pick(0, 9));
    run("INSERT INTO z%d VALUES(randomblob(5000),1)", pick(0, 9));
    run("%s", pick(0, 1) ? "CREATE INDEX IF NOT EXISTS iz ON t(k,id)" : "DROP INDEX IF EXISTS iz");
    if (pick(0, 2) == 0)
        run("DROP TABLE IF EXISTS z%d", pick(0, 9));
    rest_us(10000, 300000);
}

static void come_and_go(void)
{
    if (open_database())
        transaction(false);
    sqlite3_close(db);
    db = NULL;
    rest_us(0, 20000);
}

static void act(char role)
{
    switch (role) {
    case 'W':
        transaction(false);
        if (pick(0, 3) == 0)
            rest_us(0, 3000);
        return;
    case 'G':
        transaction(true);
        rest_us(0, 50000);
        return;
    case 'R':
        read_for_a_while();
        return;
    case 'K':
        sqlite3_wal_checkpoint_v2(db, "main", pick(0, 3), NULL, NULL);
        rest_us(0, 60000);
        return;
    case 'V':
        shrink();
        return;
    case 'D':
        change_schema();
        return;
    case 'O':
        come_and_go();
        return;
    default:
        abort();
    }
}

static pid_t start(int index)
{
    pid_t pid = fork();

    if (pid != 0)
        return pid;
    signal(SIGTERM, on_end);
    random_state ^= (uint64_t)getpid() << 33;
    for (int i = 0; i < 9; i++)
        pick(0, 1);
    writer_id = (uint32_t)pick(0, INT32_MAX - 1) ^ (uint32_t)getpid();
    if (roles[index] != 'O' && !open_database())
        _exit(1);
    if (roles[index] == 'G')
        run("PRAGMA cache_size=%d; PRAGMA cache_spill=1", pick(5, 60));
    while (!is_ending)
        act(roles[index]);
    run("ROLLBACK");
    sqlite3_close(db);
    _exit(0);
}

static void end_all(const pid_t *pids)
{
    for (int i = 0; i < ROLE_COUNT; i++)
        kill(pids[i], SIGTERM);
    for (int i = 0; i < ROLE_COUNT; i++)
        waitpid(pids[i], NULL, 0);
}

static void start_ended(pid_t *pids)
{
    pid_t pid;

    while ((pid = waitpid(-1, NULL, WNOHANG)) > 0) {
        for (int i = 0; i < ROLE_COUNT; i++) {
            if (pids[i] == pid)
                pids[i] = start(i);
        }
    }
}

int main(int argument_count, char **arguments)
{
    pid_t pids[ROLE_COUNT];

    if (argument_count < 5)
        return 2;
    database_path = arguments[1];
    int64_t until_ms = now_ms() + (int64_t)(strtod(arguments[2], NULL) * 1000);
    random_state = strtoull(arguments[3], NULL, 10) * 0x9E3779B97F4A7C15ull + 1;
    acknowledged = open(arguments[4], O_WRONLY | O_CREAT | O_APPEND, 0600);
    int kill_ms = argument_count > 5 ? (int)strtol(arguments[5], NULL, 10) : 150;
    unsigned kill_count = 0;

    for (int i = 0; i < ROLE_COUNT; i++)
        pids[i] = start(i);
    int64_t next_kill_ms = now_ms() + kill_ms;
    int64_t next_quiet_ms = now_ms() + QUIET_EVERY_MS_MIN;
    while (now_ms() < until_ms) {
        usleep(5000);
        start_ended(pids);
        random_state++;
        if (kill_ms > 0 && now_ms() > next_kill_ms) {
            next_kill_ms = now_ms() + pick(1, 2 * kill_ms);
            kill(pids[pick(0, ROLE_COUNT - 1)], SIGKILL);
            kill_count++;
        }
        if (now_ms() > next_quiet_ms) {
            next_quiet_ms = now_ms() + pick(QUIET_EVERY_MS_MIN, QUIET_EVERY_MS_MAX);
            end_all(pids);
            rest_us(0, 500000);
            for (int i = 0; i < ROLE_COUNT; i++)
                pids[i] = start(i);
        }
    }
    end_all(pids);
    printf("writers killed=%u\n", kill_count);
    return 0;
}
