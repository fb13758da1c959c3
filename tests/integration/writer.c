/*
 * writer - one application process that writes, and keeps its own record of what it committed
 *
 *   writer DB [--id N] [--seed N] [--record FILE] [--busy-timeout MS] [--mix small|mixed|big|blob]
 *          [--refused FILE] [--count N] [--seconds N] [--pause-us N] [--autocheckpoint N]
 *          [--rows N]
 *
 * Every transaction adds a row (seq, writer, sum, count) to the table ledger, where sum is the sum
 * of the hashes of all rows of items and pairs after that transaction. After the commit has
 * returned, the same numbers are appended to the record file. So each state of the database can be
 * checked in itself (the sum over the tables is the newest ledger row's) and against what the
 * application knows.
 *
 * The refused file gets "<wall clock ms> <extended code>" whenever SQLite says busy.
 *
 * workload.py has the same hash and the same tables. Ends on SIGTERM after the current transaction.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <zlib.h>

enum mix { MIX_SMALL, MIX_MIXED, MIX_BIG, MIX_BLOB, MIX_COUNT };
static const char *const mix_names[MIX_COUNT] = { "small", "mixed", "big", "blob" };

enum statement {
    SQL_BEGIN,
    SQL_COMMIT,
    SQL_ROLLBACK,
    SQL_LAST,
    SQL_LEDGER,
    SQL_PICK,
    SQL_INSERT,
    SQL_UPDATE,
    SQL_DELETE,
    SQL_PAIR_GET,
    SQL_PAIR_SET,
    SQL_DOCUMENT,
    SQL_COUNT,
};
static const char *const statement_text[SQL_COUNT] = {
    [SQL_BEGIN] = "BEGIN IMMEDIATE",
    [SQL_COMMIT] = "COMMIT",
    [SQL_ROLLBACK] = "ROLLBACK",
    [SQL_LAST] = "SELECT seq, sum, count FROM ledger ORDER BY seq DESC LIMIT 1",
    [SQL_LEDGER] = "INSERT INTO ledger(seq, writer, sum, count) VALUES(?1, ?2, ?3, ?4)",
    [SQL_PICK] = "SELECT id, body FROM items WHERE id >= ?1 ORDER BY id LIMIT 1",
    [SQL_INSERT] = "INSERT INTO items(id, tag, body) VALUES(?1, ?2, ?3)",
    [SQL_UPDATE] = "UPDATE items SET body = ?2, tag = ?3 WHERE id = ?1",
    [SQL_DELETE] = "DELETE FROM items WHERE id = ?1",
    [SQL_PAIR_GET] = "SELECT value FROM pairs WHERE name = ?1",
    [SQL_PAIR_SET] = "INSERT OR REPLACE INTO pairs(name, value) VALUES(?1, ?2)",
    [SQL_DOCUMENT] = "INSERT INTO documents(body) VALUES(?1)",
};

struct options {
    const char *database;
    const char *record;
    const char *refused;
    uint64_t id;
    uint64_t seed;
    uint64_t busy_timeout_ms;
    uint64_t count;
    uint64_t seconds;
    uint64_t pause_us;
    uint64_t autocheckpoint;
    uint64_t rows;
    enum mix mix;
};

struct writer {
    struct options options;
    sqlite3 *connection;
    sqlite3_stmt *statements[SQL_COUNT];
    int record_fd;
    int refused_fd;
    uint64_t random_state;
    uint64_t seq;
    uint64_t sum;
    uint64_t row_count;
    uint64_t committed;
    uint64_t busy;
};

enum { BODY_SIZE_MAX = 4 << 20 };
static unsigned char body_buffer[BODY_SIZE_MAX];
static volatile sig_atomic_t asked_to_stop;

static void on_signal(int number)
{
    (void)number;
    asked_to_stop = 1;
}

static _Noreturn void die(struct writer *writer, const char *what)
{
    fprintf(stderr, "writer %" PRIu64 ": %s: %s\n", writer->options.id, what,
        writer->connection ? sqlite3_errmsg(writer->connection) : "");
    exit(1);
}

static uint64_t random_next(struct writer *writer)
{
    uint64_t x = writer->random_state;

    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    writer->random_state = x;
    return x >> 11;
}

static uint64_t random_between(struct writer *writer, uint64_t low, uint64_t high)
{
    return low + random_next(writer) % (high - low + 1);
}

static uint64_t row_hash(uint64_t id, const void *body, size_t size)
{
    uint64_t crc = crc32(0, body, (unsigned)size);

    return ((id * UINT64_C(0xC2B2AE3D27D4EB4F)) ^ crc) * UINT64_C(0x9E3779B97F4A7C15);
}

static uint64_t pair_id(const char *name)
{
    return (uint64_t)crc32(0, (const void *)name, (unsigned)strlen(name)) | UINT64_C(1) << 40;
}

static long long wall_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    return (long long)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Between when and when, on the wall clock, and how: one line each. */
static void note_refused(struct writer *writer, long long began_ms)
{
    if (writer->refused_fd >= 0)
        dprintf(writer->refused_fd, "%lld %lld %d\n", began_ms, wall_ms(),
            sqlite3_extended_errcode(writer->connection));
}

/* SQLITE_ROW or SQLITE_DONE, and false for BUSY; anything else ends the program. */
static bool step(struct writer *writer, enum statement which, int *ret)
{
    long long began_ms = writer->refused_fd >= 0 ? wall_ms() : 0;
    int code = sqlite3_step(writer->statements[which]);

    if (ret)
        *ret = code;
    if (code == SQLITE_ROW)
        return true;
    sqlite3_reset(writer->statements[which]);
    if (code == SQLITE_DONE)
        return true;
    if ((code & 0xff) != SQLITE_BUSY)
        die(writer, statement_text[which]);
    writer->busy++;
    note_refused(writer, began_ms);
    return false;
}

static void must_step(struct writer *writer, enum statement which, int *ret)
{
    if (!step(writer, which, ret))
        die(writer, statement_text[which]);
}

/* Half of it text that compresses, the rest noise. */
static size_t make_body(struct writer *writer)
{
    uint64_t choice = random_between(writer, 0, 99);
    uint64_t high = choice < 80 ? 300 : choice < 95 ? 3000 : 20000;
    uint64_t size;

    if (writer->options.mix == MIX_BLOB)
        high = 600000;
    size = random_between(writer, 1, high);
    bool noise = choice % 2 != 0;
    for (uint64_t i = 0; i < size; i++) {
        uint64_t value = noise || i % 8 == 0 ? random_next(writer) : i;

        body_buffer[i] = (unsigned char)(noise ? value : 'a' + value % 26);
    }
    return (size_t)size;
}

static void insert_item(struct writer *writer)
{
    sqlite3_stmt *statement = writer->statements[SQL_INSERT];
    uint64_t id = random_next(writer) >> 8;
    size_t size = make_body(writer);

    sqlite3_bind_int64(statement, 1, (sqlite3_int64)id);
    sqlite3_bind_int64(statement, 2, (sqlite3_int64)random_between(writer, 0, 999));
    sqlite3_bind_blob(statement, 3, body_buffer, (int)size, SQLITE_STATIC);
    must_step(writer, SQL_INSERT, NULL);
    writer->sum += row_hash(id, body_buffer, size);
    writer->row_count++;
}

/* Changes or removes the first item at or after a random id. */
static void touch_item(struct writer *writer, bool remove)
{
    sqlite3_stmt *pick = writer->statements[SQL_PICK];
    sqlite3_stmt *change = writer->statements[remove ? SQL_DELETE : SQL_UPDATE];
    uint64_t id;
    int code;

    sqlite3_bind_int64(pick, 1, (sqlite3_int64)(random_next(writer) >> 8));
    must_step(writer, SQL_PICK, &code);
    if (code != SQLITE_ROW)
        return;
    id = (uint64_t)sqlite3_column_int64(pick, 0);
    writer->sum -=
        row_hash(id, sqlite3_column_blob(pick, 1), (size_t)sqlite3_column_bytes(pick, 1));
    sqlite3_reset(pick);

    sqlite3_bind_int64(change, 1, (sqlite3_int64)id);
    if (remove) {
        writer->row_count--;
    } else {
        size_t size = make_body(writer);

        sqlite3_bind_blob(change, 2, body_buffer, (int)size, SQLITE_STATIC);
        sqlite3_bind_int64(change, 3, (sqlite3_int64)random_between(writer, 0, 999));
        writer->sum += row_hash(id, body_buffer, size);
    }
    must_step(writer, remove ? SQL_DELETE : SQL_UPDATE, NULL);
}

static void set_pair(struct writer *writer)
{
    sqlite3_stmt *get = writer->statements[SQL_PAIR_GET];
    sqlite3_stmt *set = writer->statements[SQL_PAIR_SET];
    char name[40];
    size_t size;
    int code;

    snprintf(name, sizeof name, "user/%" PRIu64 "/session", random_between(writer, 0, 400));
    sqlite3_bind_text(get, 1, name, -1, SQLITE_STATIC);
    must_step(writer, SQL_PAIR_GET, &code);
    if (code == SQLITE_ROW) {
        writer->sum -= row_hash(
            pair_id(name), sqlite3_column_blob(get, 0), (size_t)sqlite3_column_bytes(get, 0));
        writer->row_count--;
        sqlite3_reset(get);
    }
    size = make_body(writer);
    sqlite3_bind_text(set, 1, name, -1, SQLITE_STATIC);
    sqlite3_bind_blob(set, 2, body_buffer, (int)size, SQLITE_STATIC);
    must_step(writer, SQL_PAIR_SET, NULL);
    writer->sum += row_hash(pair_id(name), body_buffer, size);
    writer->row_count++;
}

static void add_document(struct writer *writer)
{
    sqlite3_stmt *statement = writer->statements[SQL_DOCUMENT];
    char text[400];
    size_t size = 0;

    for (int i = 0; i < 30; i++)
        size += (size_t)snprintf(
            text + size, sizeof text - size, "word%" PRIu64 " ", random_between(writer, 0, 3000));
    sqlite3_bind_text(statement, 1, text, (int)size, SQLITE_STATIC);
    must_step(writer, SQL_DOCUMENT, NULL);
}

static uint64_t operation_count(struct writer *writer)
{
    switch (writer->options.mix) {
    case MIX_SMALL:
        return random_between(writer, 1, 3);
    case MIX_MIXED:
        return random_between(writer, 0, 9) == 0 ? random_between(writer, 20, 120)
                                                 : random_between(writer, 1, 12);
    case MIX_BIG:
        return random_between(writer, 300, 1500);
    case MIX_BLOB:
    case MIX_COUNT:
        break;
    }
    return 1;
}

static void change_something(struct writer *writer)
{
    uint64_t choice = random_between(writer, 0, 99);

    if (choice < 20)
        set_pair(writer);
    else if (choice < 23 && writer->options.mix != MIX_BLOB)
        add_document(writer);
    else if (choice < 60 && writer->row_count < writer->options.rows)
        insert_item(writer);
    else
        touch_item(writer, choice >= 88 || writer->row_count >= writer->options.rows);
}

static void pause_for(uint64_t us)
{
    struct timespec wait = { .tv_sec = (time_t)(us / 1000000),
        .tv_nsec = (long)(us % 1000000) * 1000 };

    nanosleep(&wait, NULL);
}

static void record(struct writer *writer)
{
    char line[100];
    int size = snprintf(line, sizeof line, "%" PRIu64 " %" PRIu64 " %" PRIu64 "\n", writer->seq,
        writer->sum, writer->row_count);

    if (writer->record_fd >= 0 && write(writer->record_fd, line, (size_t)size) != size)
        die(writer, "write record");
}

static void add_ledger_row(struct writer *writer)
{
    sqlite3_stmt *statement = writer->statements[SQL_LEDGER];

    writer->seq++;
    sqlite3_bind_int64(statement, 1, (sqlite3_int64)writer->seq);
    sqlite3_bind_int64(statement, 2, (sqlite3_int64)writer->options.id);
    sqlite3_bind_int64(statement, 3, (sqlite3_int64)writer->sum);
    sqlite3_bind_int64(statement, 4, (sqlite3_int64)writer->row_count);
    must_step(writer, SQL_LEDGER, NULL);
}

static void transact(struct writer *writer)
{
    sqlite3_stmt *last = writer->statements[SQL_LAST];
    int code;

    if (!step(writer, SQL_BEGIN, NULL)) {
        pause_for(random_between(writer, 200, 3000));
        return;
    }
    writer->seq = 0;
    writer->sum = 0;
    writer->row_count = 0;
    must_step(writer, SQL_LAST, &code);
    if (code == SQLITE_ROW) {
        writer->seq = (uint64_t)sqlite3_column_int64(last, 0);
        writer->sum = (uint64_t)sqlite3_column_int64(last, 1);
        writer->row_count = (uint64_t)sqlite3_column_int64(last, 2);
        sqlite3_reset(last);
    }
    for (uint64_t i = operation_count(writer); i > 0; i--)
        change_something(writer);

    /* Large ones that were spilled into the log and then rolled back must never be seen. */
    if (writer->options.mix == MIX_BIG && random_between(writer, 0, 3) == 0) {
        must_step(writer, SQL_ROLLBACK, NULL);
        return;
    }
    add_ledger_row(writer);
    while (!step(writer, SQL_COMMIT, NULL))
        pause_for(1000);
    record(writer);
    writer->committed++;
}

static uint64_t parse_number(const char *text)
{
    char *end;
    uint64_t value = strtoull(text, &end, 10);

    if (*text == '\0' || *end != '\0') {
        fprintf(stderr, "writer: not a number: '%s'\n", text);
        exit(2);
    }
    return value;
}

static enum mix parse_mix(const char *text)
{
    for (int i = 0; i < MIX_COUNT; i++) {
        if (strcmp(text, mix_names[i]) == 0)
            return (enum mix)i;
    }
    fprintf(stderr, "writer: unknown mix '%s'\n", text);
    exit(2);
}

static void parse_option(struct options *options, const char *name, const char *value)
{
    struct {
        const char *name;
        uint64_t *field;
    } numbers[] = {
        { "--id", &options->id },
        { "--seed", &options->seed },
        { "--busy-timeout", &options->busy_timeout_ms },
        { "--count", &options->count },
        { "--seconds", &options->seconds },
        { "--pause-us", &options->pause_us },
        { "--autocheckpoint", &options->autocheckpoint },
        { "--rows", &options->rows },
    };

    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        if (strcmp(name, numbers[i].name) == 0) {
            *numbers[i].field = parse_number(value);
            return;
        }
    }
    if (strcmp(name, "--record") == 0) {
        options->record = value;
    } else if (strcmp(name, "--refused") == 0) {
        options->refused = value;
    } else if (strcmp(name, "--mix") == 0) {
        options->mix = parse_mix(value);
    } else {
        fprintf(stderr, "writer: unknown option '%s'\n", name);
        exit(2);
    }
}

static void writer_open(struct writer *writer)
{
    char pragmas[200];

    if (sqlite3_open_v2(writer->options.database, &writer->connection, SQLITE_OPEN_READWRITE, NULL))
        die(writer, "open");
    /* Setting up may wait; the transactions themselves wait as long as was asked for. */
    sqlite3_busy_timeout(writer->connection, 120000);
    snprintf(pragmas, sizeof pragmas,
        "PRAGMA synchronous=NORMAL; PRAGMA wal_autocheckpoint=%" PRIu64 ";%s",
        writer->options.autocheckpoint,
        writer->options.mix == MIX_BIG ? "PRAGMA cache_size=20;" : "");
    if (sqlite3_exec(writer->connection, pragmas, NULL, NULL, NULL))
        die(writer, "pragmas");
    for (int i = 0; i < SQL_COUNT; i++) {
        if (sqlite3_prepare_v2(
                writer->connection, statement_text[i], -1, &writer->statements[i], NULL))
            die(writer, statement_text[i]);
    }
    sqlite3_busy_timeout(writer->connection, (int)writer->options.busy_timeout_ms);
    if (writer->options.refused) {
        writer->refused_fd =
            open(writer->options.refused, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
        if (writer->refused_fd < 0)
            die(writer, "open refused");
    }
    if (writer->options.record) {
        writer->record_fd =
            open(writer->options.record, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
        if (writer->record_fd < 0)
            die(writer, "open record");
    }
}

static void writer_close(struct writer *writer)
{
    for (int i = 0; i < SQL_COUNT; i++)
        sqlite3_finalize(writer->statements[i]);
    sqlite3_close(writer->connection);
    if (writer->record_fd >= 0)
        close(writer->record_fd);
}

static uint64_t now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

int main(int argc, char **argv)
{
    static struct writer writer = {
        .record_fd = -1,
        .refused_fd = -1,
        .options = { .id = 1,
            .seed = 1,
            .busy_timeout_ms = 5000,
            .autocheckpoint = 1000,
            .rows = 1500,
            .count = UINT64_MAX,
            .seconds = UINT64_MAX / 1000000 },
    };
    uint64_t end_ms;

    if (argc < 2 || argc % 2 != 0) {
        fprintf(stderr, "usage: writer DB [--option value ...]\n");
        return 2;
    }
    writer.options.database = argv[1];
    for (int i = 2; i < argc; i += 2)
        parse_option(&writer.options, argv[i], argv[i + 1]);
    writer.random_state = writer.options.seed * UINT64_C(0x9E3779B97F4A7C15) + 1;
    signal(SIGTERM, on_signal);
    signal(SIGINT, on_signal);

    writer_open(&writer);
    end_ms = now_ms() + writer.options.seconds * 1000;
    while (!asked_to_stop && writer.committed < writer.options.count && now_ms() < end_ms) {
        transact(&writer);
        if (writer.options.pause_us != 0)
            pause_for(random_between(&writer, 0, 2 * writer.options.pause_us));
    }
    printf("committed %" PRIu64 " busy %" PRIu64 "\n", writer.committed, writer.busy);
    writer_close(&writer);
    return 0;
}
