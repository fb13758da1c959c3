/*
 * sql_process - another process that uses a database, for tests (see other_process.h)
 *
 *   sql_process DATABASE
 *
 * Reads one command a line and answers each with one line, "RESULT VALUE": the code of SQLite's C
 * interface, and the first column of the first row (or nothing).
 *
 *   SQL           run it
 *   .checkpoint N a checkpoint of mode N of sqlite3_wal_checkpoint_v2()
 *   .busy MS      busy timeout
 *   .repeat SQL   run it again and again; the answer comes when the next line arrives: how often it
 * worked
 */
#include <poll.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { LINE_SIZE_MAX = 4096 };

static int sql_value(void *payload, int column_count, char **values, char **names)
{
    char *value = payload;

    (void)names;
    if (column_count > 0 && values[0] != NULL && value[0] == '\0')
        snprintf(value, LINE_SIZE_MAX, "%s", values[0]);
    return 0;
}

static unsigned long worked_count;
static unsigned long refused_count;

static void sql_repeat(sqlite3 *db, const char *sql)
{
    struct pollfd input = { .fd = STDIN_FILENO, .events = POLLIN };

    worked_count = 0;
    refused_count = 0;
    while (poll(&input, 1, 0) == 0) {
        if (sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK)
            worked_count++;
        else
            refused_count++;
    }
}

static int sql_line(sqlite3 *db, const char *line, char *value)
{
    if (strncmp(line, ".checkpoint ", 12) == 0)
        return sqlite3_wal_checkpoint_v2(db, "main", (int)strtol(line + 12, NULL, 10), NULL, NULL);
    if (strncmp(line, ".busy ", 6) == 0)
        return sqlite3_busy_timeout(db, (int)strtol(line + 6, NULL, 10));
    if (strncmp(line, ".repeat ", 8) == 0) {
        sql_repeat(db, line + 8);
        snprintf(value, LINE_SIZE_MAX, "%lu", refused_count);
        return SQLITE_OK;
    }
    if (strcmp(line, ".worked") == 0) {
        snprintf(value, LINE_SIZE_MAX, "%lu", worked_count);
        return SQLITE_OK;
    }
    return sqlite3_exec(db, line, sql_value, value, NULL);
}

int main(int argument_count, char **arguments)
{
    char line[LINE_SIZE_MAX];
    sqlite3 *db = NULL;

    if (argument_count != 2 || sqlite3_open(arguments[1], &db) != SQLITE_OK)
        return 1;

    setvbuf(stdin, NULL, _IONBF, 0); /* .repeat polls the descriptor */
    while (fgets(line, sizeof line, stdin) != NULL) {
        char value[LINE_SIZE_MAX] = "";

        line[strcspn(line, "\n")] = '\0';
        int result = sql_line(db, line, value);
        printf("%d %s\n", result, value);
        fflush(stdout);
    }
    return sqlite3_close(db) == SQLITE_OK ? 0 : 1;
}
