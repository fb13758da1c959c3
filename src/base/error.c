/* error - codes, texts, and how one becomes the other */
#include "base/error.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

static const char *const rc_names[RC_COUNT] = {
    [RC_OK] = "ok",
    [RC_NOT_FOUND] = "not-found",
    [RC_EXISTS] = "exists",
    [RC_BUSY] = "busy",
    [RC_CANCELLED] = "cancelled",
    [RC_NET] = "net",
    [RC_DENIED] = "denied",
    [RC_NO_SPACE] = "no-space",
    [RC_IO] = "io",
    [RC_CORRUPT] = "corrupt",
    [RC_MISMATCH] = "mismatch",
    [RC_UNSUPPORTED] = "unsupported",
    [RC_USAGE] = "usage",
};

/* One row for each system error that has a better answer than RC_IO. */
static const struct {
    int sys_errno;
    rc code;
} rc_errnos[] = {
    { ENOENT, RC_NOT_FOUND },
    { EEXIST, RC_EXISTS },
    { ENOTEMPTY, RC_EXISTS },
    { EAGAIN, RC_BUSY },
    { EBUSY, RC_BUSY },
    { ETXTBSY, RC_BUSY },
    { EINTR, RC_BUSY },
    { EMFILE, RC_BUSY },
    { ENFILE, RC_BUSY },
    { ECANCELED, RC_CANCELLED },
    { ECONNREFUSED, RC_NET },
    { ECONNRESET, RC_NET },
    { ECONNABORTED, RC_NET },
    { ENETDOWN, RC_NET },
    { ENETUNREACH, RC_NET },
    { EHOSTDOWN, RC_NET },
    { EHOSTUNREACH, RC_NET },
    { ENOTCONN, RC_NET },
    { EPIPE, RC_NET },
    { ETIMEDOUT, RC_NET },
    { EACCES, RC_DENIED },
    { EPERM, RC_DENIED },
    { EROFS, RC_DENIED },
    { ENOSPC, RC_NO_SPACE },
    { EDQUOT, RC_NO_SPACE },
    { EFBIG, RC_NO_SPACE },
    { ENOSYS, RC_UNSUPPORTED },
    { EOPNOTSUPP, RC_UNSUPPORTED },
};

const char *rc_name(rc code)
{
    assert((unsigned)code < RC_COUNT);

    return rc_names[code];
}

rc rc_from_errno(int sys_errno)
{
    for (size_t i = 0; i < sizeof rc_errnos / sizeof rc_errnos[0]; i++) {
        if (rc_errnos[i].sys_errno == sys_errno)
            return rc_errnos[i].code;
    }
    return RC_IO;
}

int rc_is_transient(rc code)
{
    return code == RC_BUSY || code == RC_NET;
}

rc error_set(
    struct error *err, rc code, int sys_errno, const char *file, int line, const char *format, ...)
{
    assert(code != RC_OK);
    if (err == NULL)
        return code;

    /* An argument may be the text that is being replaced, so it is complete before it is stored. */
    char text[ERROR_TEXT_SIZE];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);

    size_t size = strlen(text);
    if (sys_errno != 0)
        snprintf(text + size, sizeof text - size, ": %s", strerror(sys_errno));

    *err = (struct error){ .code = code, .sys_errno = sys_errno, .file = file, .line = line };
    memcpy(err->text, text, strlen(text) + 1);
    return code;
}

rc error_copy(struct error *err, const struct error *from)
{
    assert(from->code != RC_OK);
    if (err != NULL)
        *err = *from;
    return from->code;
}

rc error_wrap(struct error *err, rc code, const char *format, ...)
{
    assert(code != RC_OK);
    if (err == NULL)
        return code;

    char prefix[ERROR_TEXT_SIZE];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(prefix, sizeof prefix, format, arguments);
    va_end(arguments);

    /* Where there is no room for both, the cause is worth more than the place. */
    static const char between[] = { ':', ' ' };
    size_t cause_size = strnlen(err->text, sizeof err->text - 1) + 1;
    size_t room = sizeof err->text - cause_size;
    if (room >= sizeof between) {
        size_t prefix_size = strnlen(prefix, room - sizeof between);
        memmove(err->text + prefix_size + sizeof between, err->text, cause_size);
        memcpy(err->text, prefix, prefix_size);
        memcpy(err->text + prefix_size, between, sizeof between);
    }
    err->code = code;
    return code;
}
