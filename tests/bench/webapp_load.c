/*
 * webapp_load - databases and load as web applications make them, at a given rate
 *
 *   webapp_load make webapp|updates DB MEGABYTES
 *   webapp_load run webapp|updates DB [--rate N] [--arrivals grid|random] [--seconds N] [--seed N]
 *                   [--begin immediate|read] [--busy-timeout MS] [--record FILE]
 *
 * webapp: sessions, events, users, jobs, posts and comments with ten indexes; of the transactions
 * 45 % touch a session and add an event, 20 % touch a session, 8 % sign in, 5 % comment, count and
 * queue a job, 14 % claim or finish a job, 5 % post, 3 % sign up. Users are skewed: few are busy.
 * Content is JSON, UUIDs, user agents and prose. updates: four random rows of a large table
 * (balance and time) in each transaction.
 *
 * --rate 0 (the default) is as fast as it goes. At a rate, transactions begin on a fixed grid, or
 * independently of each other (random), and the latency counts from there, so that a stall is not
 * hidden. --begin read reads first and writes then, in a transaction that did not say so at its
 * begin: SQLite refuses that at once, whatever the timeout. What is refused is counted and tried
 * again. One line of JSON is printed at the
 * end. The record file gets "<number> <monotonic ns>" after each commit; table bench_marks is not
 * used: the number of a transaction is the rowid of its row in marks.
 */
#include "random_text.h"

#include <fcntl.h>
#include <inttypes.h>
#include <math.h>
#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static const char webapp_schema[] =
    "CREATE TABLE users(id INTEGER PRIMARY KEY, uuid TEXT NOT NULL, email TEXT NOT NULL, name TEXT,"
    " settings TEXT, post_count INTEGER DEFAULT 0, seen_at REAL, created_at REAL);"
    "CREATE TABLE sessions(id INTEGER PRIMARY KEY, token TEXT NOT NULL, user_id INTEGER NOT NULL,"
    " agent TEXT, data TEXT, updated_at REAL, created_at REAL);"
    "CREATE TABLE events(id INTEGER PRIMARY KEY, user_id INTEGER, kind TEXT, properties TEXT,"
    " created_at REAL);"
    "CREATE TABLE jobs(id INTEGER PRIMARY KEY, queue TEXT, state INTEGER, arguments TEXT,"
    " run_at REAL, worker TEXT, finished_at REAL);"
    "CREATE TABLE posts(id INTEGER PRIMARY KEY, user_id INTEGER, slug TEXT, title TEXT, body TEXT,"
    " comment_count INTEGER DEFAULT 0, created_at REAL);"
    "CREATE TABLE comments(id INTEGER PRIMARY KEY, post_id INTEGER, user_id INTEGER, body TEXT,"
    " created_at REAL);";

static const char webapp_indexes[] = "CREATE UNIQUE INDEX users_email ON users(email);"
                                     "CREATE UNIQUE INDEX users_uuid ON users(uuid);"
                                     "CREATE UNIQUE INDEX sessions_token ON sessions(token);"
                                     "CREATE INDEX sessions_user ON sessions(user_id);"
                                     "CREATE INDEX events_user ON events(user_id, created_at);"
                                     "CREATE INDEX events_kind ON events(kind, created_at);"
                                     "CREATE INDEX jobs_next ON jobs(queue, state, run_at);"
                                     "CREATE UNIQUE INDEX posts_slug ON posts(slug);"
                                     "CREATE INDEX posts_user ON posts(user_id);"
                                     "CREATE INDEX comments_post ON comments(post_id);";

static const char updates_schema[] = "CREATE TABLE accounts(id INTEGER PRIMARY KEY, owner TEXT,"
                                     " balance INTEGER, note TEXT, updated_at REAL);";

enum statement {
    SQL_BEGIN,
    SQL_BEGIN_TO_READ,
    SQL_READ,
    SQL_BEGIN_TO_WRITE,
    SQL_ROLLBACK,
    SQL_COMMIT,
    SQL_OF_BOTH = SQL_COMMIT,
    SQL_SESSION_TOUCH,
    SQL_SESSION_NEW,
    SQL_EVENT,
    SQL_USER_SEEN,
    SQL_USER_NEW,
    SQL_JOB_NEW,
    SQL_JOB_CLAIM,
    SQL_JOB_DONE,
    SQL_POST_NEW,
    SQL_POST_COUNT,
    SQL_COMMENT,
    SQL_ACCOUNT,
    SQL_COUNT,
};
static const char *const statement_text[SQL_COUNT] = {
    [SQL_BEGIN] = "BEGIN IMMEDIATE",
    [SQL_BEGIN_TO_READ] = "BEGIN",
    [SQL_READ] = "SELECT count(*) FROM sqlite_schema",
    [SQL_BEGIN_TO_WRITE] = "PRAGMA user_version = 1",
    [SQL_ROLLBACK] = "ROLLBACK",
    [SQL_COMMIT] = "COMMIT",
    [SQL_SESSION_TOUCH] = "UPDATE sessions SET data = ?2, updated_at = ?3 WHERE id = ?1",
    [SQL_SESSION_NEW] = "INSERT INTO sessions(token, user_id, agent, data, updated_at, created_at)"
                        " VALUES(?1, ?2, ?3, ?4, ?5, ?5)",
    [SQL_EVENT] =
        "INSERT INTO events(user_id, kind, properties, created_at) VALUES(?1, ?2, ?3, ?4)",
    [SQL_USER_SEEN] = "UPDATE users SET seen_at = ?2 WHERE id = ?1",
    [SQL_USER_NEW] = "INSERT INTO users(uuid, email, name, settings, seen_at, created_at)"
                     " VALUES(?1, ?2, ?3, ?4, ?5, ?5)",
    [SQL_JOB_NEW] = "INSERT INTO jobs(queue, state, arguments, run_at) VALUES(?1, 0, ?2, ?3)",
    [SQL_JOB_CLAIM] = "UPDATE jobs SET state = 1, worker = ?1 WHERE id = (SELECT id FROM jobs"
                      " WHERE queue = ?2 AND state = 0 ORDER BY run_at LIMIT 1)",
    [SQL_JOB_DONE] = "UPDATE jobs SET state = 2, finished_at = ?1 WHERE id = (SELECT id FROM jobs"
                     " WHERE queue = ?2 AND state = 1 ORDER BY run_at LIMIT 1)",
    [SQL_POST_NEW] = "INSERT INTO posts(user_id, slug, title, body, created_at)"
                     " VALUES(?1, ?2, ?3, ?4, ?5)",
    [SQL_POST_COUNT] = "UPDATE posts SET comment_count = comment_count + 1 WHERE id = ?1",
    [SQL_COMMENT] = "INSERT INTO comments(post_id, user_id, body, created_at)"
                    " VALUES(?1, ?2, ?3, ?4)",
    [SQL_ACCOUNT] = "UPDATE accounts SET balance = balance + ?2, updated_at = ?3 WHERE id = ?1",
};

enum workload { WEBAPP, UPDATES };

struct load {
    sqlite3 *connection;
    sqlite3_stmt *statements[SQL_COUNT];
    enum workload workload;
    struct random_source random;
    uint64_t user_count;
    uint64_t session_count;
    uint64_t post_count;
    uint64_t account_count;
    double clock; /* what the application believes the time is, seconds */
    char text[8192];

    int frames_before; /* in the log after the previous commit */
    uint64_t frame_count;
    bool reads_first;
    uint64_t refused_count;
    uint64_t checkpoint_count;
};

static _Noreturn void die(struct load *load, const char *what)
{
    fprintf(stderr, "webapp_load: %s: %s\n", what,
        load->connection ? sqlite3_errmsg(load->connection) : "");
    exit(1);
}

static uint64_t now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * UINT64_C(1000000000) + (uint64_t)now.tv_nsec;
}

static void sleep_until(uint64_t ns)
{
    struct timespec then = { .tv_sec = (time_t)(ns / UINT64_C(1000000000)),
        .tv_nsec = (long)(ns % UINT64_C(1000000000)) };

    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &then, NULL);
}

/* ---- content ----------------------------------------------------------------------------------
 */

static const char *session_data(struct load *load)
{
    char token[UUID_SIZE];

    snprintf(load->text, sizeof load->text,
        "{\"csrf\":\"%s\",\"locale\":\"en\",\"cart\":[%" PRIu64 ",%" PRIu64 "],\"flash\":null,"
        "\"last_path\":\"/posts/%" PRIu64 "\",\"hits\":%" PRIu64 "}",
        random_uuid(&load->random, token), random_below(&load->random, 90000),
        random_below(&load->random, 90000), random_below(&load->random, 500000),
        random_below(&load->random, 400));
    return load->text;
}

/* ---- one statement each ------------------------------------------------------------------------
 */

static void run(struct load *load, enum statement which)
{
    sqlite3_stmt *statement = load->statements[which];
    int code = sqlite3_step(statement);

    sqlite3_reset(statement);
    if (code != SQLITE_DONE && code != SQLITE_ROW)
        die(load, statement_text[which]);
}

static void bind_text(struct load *load, enum statement which, int place, const char *text)
{
    sqlite3_bind_text(load->statements[which], place, text, -1, SQLITE_TRANSIENT);
}

static void bind_number(struct load *load, enum statement which, int place, int64_t value)
{
    sqlite3_bind_int64(load->statements[which], place, value);
}

static void bind_clock(struct load *load, enum statement which, int place)
{
    sqlite3_bind_double(load->statements[which], place, load->clock);
}

static void touch_session(struct load *load)
{
    bind_number(load, SQL_SESSION_TOUCH, 1, random_skewed(&load->random, load->session_count));
    bind_text(load, SQL_SESSION_TOUCH, 2, session_data(load));
    bind_clock(load, SQL_SESSION_TOUCH, 3);
    run(load, SQL_SESSION_TOUCH);
}

static void add_session(struct load *load, int64_t user)
{
    char token[UUID_SIZE];
    char browser[AGENT_SIZE];

    bind_text(load, SQL_SESSION_NEW, 1, random_uuid(&load->random, token));
    bind_number(load, SQL_SESSION_NEW, 2, user);
    bind_text(load, SQL_SESSION_NEW, 3, random_agent(&load->random, browser));
    bind_text(load, SQL_SESSION_NEW, 4, session_data(load));
    bind_clock(load, SQL_SESSION_NEW, 5);
    run(load, SQL_SESSION_NEW);
    load->session_count++;
}

static void add_event(struct load *load)
{
    static const char *const kinds[] = { "page.view", "button.click", "search", "cart.add",
        "post.read", "api.call" };
    const char *kind = kinds[random_below(&load->random, 6)];
    char request[UUID_SIZE];

    snprintf(load->text, sizeof load->text,
        "{\"request_id\":\"%s\",\"path\":\"/posts/%" PRIu64 "\",\"method\":\"GET\",\"status\":200,"
        "\"ms\":%" PRIu64 ",\"ip\":\"10.%" PRIu64 ".%" PRIu64 ".%" PRIu64 "\"}",
        random_uuid(&load->random, request), random_below(&load->random, 500000),
        random_below(&load->random, 900), random_below(&load->random, 256),
        random_below(&load->random, 256), random_below(&load->random, 256));
    bind_number(load, SQL_EVENT, 1, random_skewed(&load->random, load->user_count));
    bind_text(load, SQL_EVENT, 2, kind);
    bind_text(load, SQL_EVENT, 3, load->text);
    bind_clock(load, SQL_EVENT, 4);
    run(load, SQL_EVENT);
}

static void add_user(struct load *load)
{
    char id[UUID_SIZE];

    bind_text(load, SQL_USER_NEW, 1, random_uuid(&load->random, id));
    snprintf(
        load->text, sizeof load->text, "user%" PRIu64 ".%.6s@example.org", load->user_count, id);
    bind_text(load, SQL_USER_NEW, 2, load->text);
    random_prose(&load->random, load->text, 2);
    bind_text(load, SQL_USER_NEW, 3, load->text);
    bind_text(load, SQL_USER_NEW, 4,
        "{\"theme\":\"dark\","
        "\"mail\":{\"weekly\":true,\"mentions\":true},\"zone\":\"Europe/Berlin\"}");
    bind_clock(load, SQL_USER_NEW, 5);
    run(load, SQL_USER_NEW);
    load->user_count++;
}

static const char *queue_name(struct load *load)
{
    return random_below(&load->random, 4) == 0 ? "mailers" : "default";
}

static void add_job(struct load *load)
{
    char id[UUID_SIZE];

    bind_text(load, SQL_JOB_NEW, 1, queue_name(load));
    snprintf(load->text, sizeof load->text,
        "{\"job_class\":\"NotifyJob\",\"job_id\":\"%s\",\"arguments\":[{\"_aj_globalid\":"
        "\"gid://app/Post/%" PRIu64 "\"}],\"executions\":0,\"locale\":\"en\"}",
        random_uuid(&load->random, id), random_below(&load->random, 500000));
    bind_text(load, SQL_JOB_NEW, 2, load->text);
    bind_clock(load, SQL_JOB_NEW, 3);
    run(load, SQL_JOB_NEW);
}

static void claim_job(struct load *load)
{
    char worker[60];

    snprintf(worker, sizeof worker, "worker-%" PRIu64, random_below(&load->random, 8));
    bind_text(load, SQL_JOB_CLAIM, 1, worker);
    bind_text(load, SQL_JOB_CLAIM, 2, queue_name(load));
    run(load, SQL_JOB_CLAIM);
}

static void finish_job(struct load *load)
{
    bind_clock(load, SQL_JOB_DONE, 1);
    bind_text(load, SQL_JOB_DONE, 2, queue_name(load));
    run(load, SQL_JOB_DONE);
}

static void add_post(struct load *load)
{
    char slug[60];

    snprintf(slug, sizeof slug, "post-%" PRIu64 "-%" PRIx64, load->post_count,
        random_below(&load->random, 1 << 20));
    bind_number(load, SQL_POST_NEW, 1, random_skewed(&load->random, load->user_count));
    bind_text(load, SQL_POST_NEW, 2, slug);
    random_prose(&load->random, load->text, 6);
    bind_text(load, SQL_POST_NEW, 3, load->text);
    random_prose(&load->random, load->text, 40 + (size_t)random_below(&load->random, 300));
    bind_text(load, SQL_POST_NEW, 4, load->text);
    bind_clock(load, SQL_POST_NEW, 5);
    run(load, SQL_POST_NEW);
    load->post_count++;
}

static void add_comment(struct load *load)
{
    int64_t post = random_skewed(&load->random, load->post_count);

    bind_number(load, SQL_COMMENT, 1, post);
    bind_number(load, SQL_COMMENT, 2, random_skewed(&load->random, load->user_count));
    random_prose(&load->random, load->text, 8 + (size_t)random_below(&load->random, 60));
    bind_text(load, SQL_COMMENT, 3, load->text);
    bind_clock(load, SQL_COMMENT, 4);
    run(load, SQL_COMMENT);
    bind_number(load, SQL_POST_COUNT, 1, post);
    run(load, SQL_POST_COUNT);
}

static void sign_in(struct load *load)
{
    int64_t user = random_skewed(&load->random, load->user_count);

    bind_number(load, SQL_USER_SEEN, 1, user);
    bind_clock(load, SQL_USER_SEEN, 2);
    run(load, SQL_USER_SEEN);
    add_session(load, user);
    add_event(load);
}

static void webapp_request(struct load *load)
{
    uint64_t choice = random_below(&load->random, 100);

    if (choice < 45) {
        touch_session(load);
        add_event(load);
    } else if (choice < 65) {
        touch_session(load);
    } else if (choice < 73) {
        sign_in(load);
    } else if (choice < 78) {
        add_comment(load);
        add_job(load);
    } else if (choice < 85) {
        claim_job(load);
    } else if (choice < 92) {
        finish_job(load);
    } else if (choice < 97) {
        add_post(load);
        add_job(load);
    } else {
        add_user(load);
        add_job(load);
    }
}

static void update_accounts(struct load *load)
{
    for (int i = 0; i < 4; i++) {
        bind_number(
            load, SQL_ACCOUNT, 1, (int64_t)(1 + random_below(&load->random, load->account_count)));
        bind_number(load, SQL_ACCOUNT, 2, (int64_t)random_below(&load->random, 2000) - 1000);
        bind_clock(load, SQL_ACCOUNT, 3);
        run(load, SQL_ACCOUNT);
    }
}

/* ---- opening and making ------------------------------------------------------------------------
 */

static void execute(struct load *load, const char *sql)
{
    if (sqlite3_exec(load->connection, sql, NULL, NULL, NULL) != SQLITE_OK)
        die(load, sql);
}

static uint64_t count_of(struct load *load, const char *sql)
{
    sqlite3_stmt *statement;
    uint64_t count;

    if (sqlite3_prepare_v2(load->connection, sql, -1, &statement, NULL) != SQLITE_OK ||
        sqlite3_step(statement) != SQLITE_ROW)
        die(load, sql);
    count = (uint64_t)sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    return count;
}

/* SQLite's own auto-checkpoint, which also counts the frames that a commit added to the log. */
static int on_commit(void *payload, sqlite3 *connection, const char *name, int frames)
{
    struct load *load = payload;

    load->frame_count +=
        (uint64_t)(frames > load->frames_before ? frames - load->frames_before : frames);
    load->frames_before = frames;
    if (frames >= 1000) {
        load->checkpoint_count++;
        sqlite3_wal_checkpoint(connection, name);
    }
    return SQLITE_OK;
}

static void load_open(struct load *load, const char *path, int flags)
{
    if (sqlite3_open_v2(path, &load->connection, SQLITE_OPEN_READWRITE | flags, NULL) != SQLITE_OK)
        die(load, path);
    sqlite3_busy_timeout(load->connection, 10000);
    load->clock = 1.75e9;
}

static void load_prepare(struct load *load)
{
    for (int i = 0; i < SQL_COUNT; i++) {
        bool of_updates = i == SQL_ACCOUNT;
        bool of_both = i <= SQL_OF_BOTH;

        if (!of_both && of_updates != (load->workload == UPDATES))
            continue;
        if (sqlite3_prepare_v3(load->connection, statement_text[i], -1, SQLITE_PREPARE_PERSISTENT,
                &load->statements[i], NULL) != SQLITE_OK)
            die(load, statement_text[i]);
    }
}

static void load_close(struct load *load)
{
    for (int i = 0; i < SQL_COUNT; i++)
        sqlite3_finalize(load->statements[i]);
    sqlite3_close(load->connection);
}

/* Rows in the proportions of an application that has run for long. */
static void fill_webapp(struct load *load, uint64_t megabytes)
{
    uint64_t unit_count = megabytes * 116; /* each user and what is theirs is about 8.6 kB */

    for (uint64_t i = 0; i < unit_count; i++) {
        load->clock = 1.75e9 - (double)(unit_count - i);
        add_user(load);
        add_post(load);
        for (int k = 0; k < 3; k++)
            add_session(load, (int64_t)(1 + random_below(&load->random, load->user_count)));
        for (int k = 0; k < 20; k++)
            add_event(load);
        for (int k = 0; k < 4; k++)
            add_comment(load);
        for (int k = 0; k < 4; k++) {
            add_job(load);
            if (random_below(&load->random, 20) != 0) {
                claim_job(load);
                finish_job(load);
            }
        }
    }
}

static void fill_updates(struct load *load, uint64_t megabytes)
{
    sqlite3_stmt *insert;
    uint64_t row_count = megabytes * 5760;

    if (sqlite3_prepare_v2(load->connection,
            "INSERT INTO accounts(owner, balance, note, updated_at) VALUES(?1, ?2, ?3, ?4)", -1,
            &insert, NULL) != SQLITE_OK)
        die(load, "prepare");
    for (uint64_t i = 0; i < row_count; i++) {
        char owner[UUID_SIZE];

        sqlite3_bind_text(insert, 1, random_uuid(&load->random, owner), -1, SQLITE_TRANSIENT);
        /* Both columns keep their stored size when they change: an integer of three bytes and a
         * time that is no whole number. Rows that grow would split full pages, which is another
         * workload. */
        sqlite3_bind_int64(insert, 2, (int64_t)(1000000 + random_below(&load->random, 7000000)));
        random_prose(&load->random, load->text, 22);
        sqlite3_bind_text(insert, 3, load->text, -1, SQLITE_TRANSIENT);
        sqlite3_bind_double(insert, 4, load->clock + 0.5);
        if (sqlite3_step(insert) != SQLITE_DONE)
            die(load, "insert");
        sqlite3_reset(insert);
    }
    sqlite3_finalize(insert);
}

static void make(struct load *load, const char *path, uint64_t megabytes)
{
    load_open(load, path, SQLITE_OPEN_CREATE);
    execute(load, "PRAGMA page_size=4096; PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF;"
                  "PRAGMA cache_size=-400000");
    execute(load, load->workload == WEBAPP ? webapp_schema : updates_schema);
    /* Claiming a job while filling needs its index; the others are faster when built at the end. */
    if (load->workload == WEBAPP)
        execute(load, webapp_indexes);
    load_prepare(load);
    execute(load, "BEGIN");
    if (load->workload == WEBAPP)
        fill_webapp(load, megabytes);
    else
        fill_updates(load, megabytes);
    execute(load, "COMMIT; PRAGMA journal_mode=WAL");
    load_close(load);
}

/* ---- running -----------------------------------------------------------------------------------
 */

struct plan {
    uint64_t rate;
    bool is_random;
    uint64_t seconds;
    int record_fd;
};

static int compare_u32(const void *left, const void *right)
{
    uint32_t a = *(const uint32_t *)left;
    uint32_t b = *(const uint32_t *)right;

    return a < b ? -1 : a > b;
}

/* Whether it was not refused. */
static bool attempt(struct load *load, enum statement which)
{
    int code = sqlite3_step(load->statements[which]);

    sqlite3_reset(load->statements[which]);
    if (code != SQLITE_DONE && code != SQLITE_ROW && code != SQLITE_BUSY)
        die(load, statement_text[which]);
    return code != SQLITE_BUSY;
}

static bool begin(struct load *load)
{
    if (!load->reads_first)
        return attempt(load, SQL_BEGIN);
    run(load, SQL_BEGIN_TO_READ);
    run(load, SQL_READ);
    if (attempt(load, SQL_BEGIN_TO_WRITE))
        return true;
    run(load, SQL_ROLLBACK);
    return false;
}

static void transact(struct load *load)
{
    for (; !begin(load); load->refused_count++)
        sleep_until(now_ns() + 100000);
    if (load->workload == WEBAPP)
        webapp_request(load);
    else
        update_accounts(load);
    run(load, SQL_COMMIT);
}

static void record(const struct plan *plan, uint64_t number)
{
    char line[64];
    int size;

    if (plan->record_fd < 0)
        return;
    size = snprintf(line, sizeof line, "%" PRIu64 " %" PRIu64 "\n", number, now_ns());
    if (write(plan->record_fd, line, (size_t)size) != size)
        exit(1);
}

static void report(
    const struct load *load, uint32_t *latencies, uint64_t count, uint64_t elapsed_ns)
{
    qsort(latencies, count, sizeof *latencies, compare_u32);
    printf("{\"transactions\":%" PRIu64 ",\"seconds\":%.3f,\"rate\":%.1f,\"log_bytes\":%" PRIu64
           ",\"checkpoints\":%" PRIu64 ",\"refused\":%" PRIu64
           ",\"p50_us\":%u,\"p99_us\":%u,\"p999_us\":%u,\"max_us\":%u}\n",
        count, (double)elapsed_ns / 1e9, (double)count * 1e9 / (double)elapsed_ns,
        load->frame_count * (4096 + 24), load->checkpoint_count, load->refused_count,
        latencies[count / 2], latencies[count * 99 / 100], latencies[count * 999 / 1000],
        latencies[count - 1]);
}

/* Until the next of arrivals that know nothing of each other. */
static uint64_t random_gap_ns(struct load *load, uint64_t rate)
{
    double chance = (double)(1 + random_below(&load->random, 1 << 24)) / (1 << 24);

    return (uint64_t)(-log(chance) * 1e9 / (double)rate);
}

static void run_load(struct load *load, const struct plan *plan)
{
    enum { LATENCY_COUNT_MAX = 1 << 24 };
    uint32_t *latencies = malloc(LATENCY_COUNT_MAX * sizeof *latencies);
    uint64_t start = now_ns();
    uint64_t end = start + plan->seconds * UINT64_C(1000000000);
    uint64_t due = start;
    uint64_t count = 0;

    if (latencies == NULL)
        die(load, "out of memory");
    for (uint64_t began = start; count < LATENCY_COUNT_MAX; count++) {
        uint64_t done;

        if (plan->rate != 0) {
            began = plan->is_random ? due : start + count * UINT64_C(1000000000) / plan->rate;
            due += random_gap_ns(load, plan->rate);
            sleep_until(began);
        } else {
            began = now_ns();
        }
        if (began >= end)
            break;
        load->clock += 0.0051;
        transact(load);
        done = now_ns();
        latencies[count] = (uint32_t)((done - began) / 1000);
        record(plan, count + 1);
    }
    if (count == 0)
        die(load, "no transaction");
    report(load, latencies, count, now_ns() - start);
    free(latencies);
}

static uint64_t number_of(const char *text)
{
    char *end;
    uint64_t value = strtoull(text, &end, 10);

    if (*text == '\0' || *end != '\0') {
        fprintf(stderr, "webapp_load: not a number: '%s'\n", text);
        exit(2);
    }
    return value;
}

static void run_command(struct load *load, const char *path, int argc, char **argv)
{
    struct plan plan = { .seconds = 10, .record_fd = -1 };
    uint64_t seed = 1;
    int busy_timeout_ms = 10000;

    for (int i = 0; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--rate") == 0)
            plan.rate = number_of(argv[i + 1]);
        else if (strcmp(argv[i], "--seconds") == 0)
            plan.seconds = number_of(argv[i + 1]);
        else if (strcmp(argv[i], "--seed") == 0)
            seed = number_of(argv[i + 1]);
        else if (strcmp(argv[i], "--arrivals") == 0)
            plan.is_random = strcmp(argv[i + 1], "random") == 0;
        else if (strcmp(argv[i], "--begin") == 0)
            load->reads_first = strcmp(argv[i + 1], "read") == 0;
        else if (strcmp(argv[i], "--busy-timeout") == 0)
            busy_timeout_ms = (int)number_of(argv[i + 1]);
        else if (strcmp(argv[i], "--record") == 0)
            plan.record_fd = open(argv[i + 1], O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
        else
            die(load, argv[i]);
    }
    /* Not the numbers that the database was made with: its unique keys are taken. */
    load->random.state ^= (seed + 1) * UINT64_C(0x9E3779B97F4A7C15);
    load_open(load, path, 0);
    execute(load, "PRAGMA synchronous=NORMAL; PRAGMA cache_size=-64000");
    sqlite3_busy_timeout(load->connection, busy_timeout_ms);
    sqlite3_wal_hook(load->connection, on_commit, load);
    load_prepare(load);
    if (load->workload == WEBAPP) {
        load->user_count = count_of(load, "SELECT max(id) FROM users");
        load->session_count = count_of(load, "SELECT max(id) FROM sessions");
        load->post_count = count_of(load, "SELECT max(id) FROM posts");
    } else {
        load->account_count = count_of(load, "SELECT max(id) FROM accounts");
    }
    run_load(load, &plan);
    load_close(load);
}

int main(int argc, char **argv)
{
    static struct load load = { .random = { UINT64_C(0x853c49e6748fea9b) } };

    if (argc < 4) {
        fprintf(stderr, "usage: webapp_load make|run webapp|updates DB ...\n");
        return 2;
    }
    load.workload = strcmp(argv[2], "updates") == 0 ? UPDATES : WEBAPP;
    if (strcmp(argv[1], "make") == 0 && argc == 5)
        make(&load, argv[3], number_of(argv[4]));
    else if (strcmp(argv[1], "run") == 0)
        run_command(&load, argv[3], argc - 4, argv + 4);
    else
        die(&load, "usage: make|run");
    return 0;
}
