/*
 * other_process - a real other process with the database open, one command at a time
 *
 *   struct other_process app = other_process_start(path);
 *   other_process_run(&app, "INSERT INTO t VALUES(1)");      fails the test when SQLite refuses
 *   other_process_stop(&app);
 *
 * SQLite's locks belong to processes, so nothing less shows what the application sees.
 */
#ifndef SEAWAL_TESTS_SQLITE_OTHER_PROCESS_H
#define SEAWAL_TESTS_SQLITE_OTHER_PROCESS_H

#include <stdio.h>
#include <sys/types.h>

struct other_process {
    pid_t pid;
    FILE *commands;
    FILE *answers;
    char value[4096]; /* first column of the last answer's first row */
};

struct other_process other_process_start(const char *path);

/* The result code of SQLite. */
int other_process_try(struct other_process *process, const char *command);
void other_process_run(struct other_process *process, const char *command);
long other_process_number(struct other_process *process, const char *query);

/* Send without waiting; the answer comes with other_process_answer(). */
void other_process_send(struct other_process *process, const char *command);
int other_process_answer(struct other_process *process);

void other_process_stop(struct other_process *process);
void other_process_kill(struct other_process *process);

#endif
