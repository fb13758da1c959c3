/* A real other process with the database open: fork, exec of sql_process, two pipes. */
#include "other_process.h"

#include "harness/check.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

struct other_process other_process_start(const char *path)
{
    struct other_process process = { 0 };
    const char *program = getenv("SQL_PROCESS");
    int in[2];
    int out[2];

    assert_non_null(program);
    assert_int_equal(pipe2(in, O_CLOEXEC), 0);
    assert_int_equal(pipe2(out, O_CLOEXEC), 0);
    process.pid = fork();
    assert_true(process.pid >= 0);
    if (process.pid == 0) {
        dup2(in[0], STDIN_FILENO);
        dup2(out[1], STDOUT_FILENO);
        execl(program, program, path, (char *)NULL);
        _exit(127);
    }
    close(in[0]);
    close(out[1]);
    process.commands = fdopen(in[1], "w");
    process.answers = fdopen(out[0], "r");
    other_process_run(&process, ".busy 5000");
    /* A checkpoint on a connection that has not read yet does nothing. Empty and foreign files may
     * refuse. */
    (void)other_process_try(&process, "PRAGMA user_version");
    return process;
}

void other_process_send(struct other_process *process, const char *command)
{
    fprintf(process->commands, "%s\n", command);
    assert_int_equal(fflush(process->commands), 0);
}

int other_process_answer(struct other_process *process)
{
    char line[sizeof process->value + 16];
    char *rest = NULL;

    assert_non_null(fgets(line, sizeof line, process->answers));
    line[strcspn(line, "\n")] = '\0';
    int result = (int)strtol(line, &rest, 10);
    snprintf(process->value, sizeof process->value, "%s", *rest == ' ' ? rest + 1 : rest);
    return result;
}

int other_process_try(struct other_process *process, const char *command)
{
    other_process_send(process, command);
    return other_process_answer(process);
}

void other_process_run(struct other_process *process, const char *command)
{
    int result = other_process_try(process, command);

    if (result != 0)
        fail_msg("sqlite code %d: %s", result, command);
}

long other_process_number(struct other_process *process, const char *query)
{
    other_process_run(process, query);
    return strtol(process->value, NULL, 10);
}

static void other_process_reap(struct other_process *process)
{
    int status;

    fclose(process->answers);
    assert_int_equal(waitpid(process->pid, &status, 0), process->pid);
    *process = (struct other_process){ 0 };
}

void other_process_stop(struct other_process *process)
{
    fclose(process->commands);
    other_process_reap(process);
}

void other_process_kill(struct other_process *process)
{
    kill(process->pid, SIGKILL);
    fclose(process->commands);
    other_process_reap(process);
}
