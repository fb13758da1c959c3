/*
 * error - what went wrong, for the program and for the human
 *
 * Every function that can fail returns an rc and takes a struct error as its last parameter. RC_OK
 * leaves the error alone; any other code has filled it. The rc is for decisions, the text for the
 * operator: lower case, no full stop, values in single quotes, a hint after a semicolon where the
 * operator can act. err may be NULL where the caller wants the code alone.
 *
 * Thread rules: a struct error belongs to one thread at a time; there is no global state.
 */
#ifndef SEAWAL_BASE_ERROR_H
#define SEAWAL_BASE_ERROR_H

#include <stdarg.h>

#define must_use           __attribute__((warn_unused_result))
#define printf_like(f, va) __attribute__((format(printf, f, va)))

typedef enum rc {
    RC_OK = 0,
    RC_NOT_FOUND,   /* the named thing does not exist; often an answer, not an accident */
    RC_EXISTS,      /* the name is taken; the answer of a conditional put that lost */
    RC_BUSY,        /* somebody holds it; the same call may work later */
    RC_CANCELLED,   /* we were asked to stop */
    RC_NET,         /* the far end could not be reached or gave up; worth a retry */
    RC_DENIED,      /* credentials or permissions; a retry will not help */
    RC_NO_SPACE,    /* disk or quota */
    RC_IO,          /* the operating system or SQLite refused; sys_errno may say how */
    RC_CORRUPT,     /* bytes break their own format */
    RC_MISMATCH,    /* well formed, but not what we hold or not its successor */
    RC_UNSUPPORTED, /* understood, and not offered here */
    RC_USAGE,       /* the operator asked for something that makes no sense */
    RC_COUNT,
} rc;

enum { ERROR_TEXT_SIZE = 768 };

struct error {
    rc code;
    int sys_errno;    /* 0 when no system call is to blame */
    const char *file; /* where the error was born, not where it was printed */
    int line;
    char text[ERROR_TEXT_SIZE]; /* "database '/d/app.db': open wal: permission denied" */
};

/* The short stable word for CODE, as logs and JSON show it: "not-found". */
const char *rc_name(rc code);

/* The rc that callers should decide by after a system call failed with SYS_ERRNO. */
rc rc_from_errno(int sys_errno);

/* Whether the same call may succeed later without anybody changing anything. */
int rc_is_transient(rc code);

/* Fill ERR (may be NULL) and return CODE. When SYS_ERRNO is not 0 its text is appended. */
rc error_set(struct error *err, rc code, int sys_errno, const char *file, int line,
    const char *format, ...) printf_like(6, 7);

/* Put "FORMAT: " before the text ERR already has, and return CODE. */
rc error_wrap(struct error *err, rc code, const char *format, ...) printf_like(3, 4);

/* Fill ERR (may be NULL) with what FROM says, and return its code. */
rc error_copy(struct error *err, const struct error *from);

/* The only control-flow macros of the tree; an early return is always safe because locals own. */
#define FAIL(err, code, ...) return error_set((err), (code), 0, __FILE__, __LINE__, __VA_ARGS__)
#define FAIL_SYS(err, ...)                                                                         \
    return error_set((err), rc_from_errno(errno), errno, __FILE__, __LINE__, __VA_ARGS__)
#define TRY(call)                                                                                  \
    do {                                                                                           \
        rc try_rc_ = (call);                                                                       \
        if (try_rc_ != RC_OK)                                                                      \
            return try_rc_;                                                                        \
    } while (0)
#define TRY_AS(err, call, ...)                                                                     \
    do {                                                                                           \
        rc try_rc_ = (call);                                                                       \
        if (try_rc_ != RC_OK)                                                                      \
            return error_wrap((err), try_rc_, __VA_ARGS__);                                        \
    } while (0)

#endif
