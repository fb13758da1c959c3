/* path - joining and taking apart file names and store keys */
#include "base/path.h"

#include "base/alloc.h"
#include "base/text.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { PATH_KEY_SIZE_MAX = 1024 };

char *path_join(const char *folder, const char *name)
{
    if (folder == NULL || folder[0] == '\0')
        return text_copy(name);

    size_t size = strlen(folder);
    while (size > 0 && folder[size - 1] == '/')
        size--;
    while (*name == '/')
        name++;
    return text_format("%.*s/%s", (int)size, folder, name);
}

char *path_parent(const char *path)
{
    const char *slash = strrchr(path, '/');

    if (slash == NULL)
        return text_copy(".");
    while (slash > path && slash[-1] == '/')
        slash--;
    return slash == path ? text_copy("/") : text_format("%.*s", (int)(slash - path), path);
}

const char *path_name(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash == NULL ? path : slash + 1;
}

/* A last component that can be made: not "", "." or "..". */
static bool path_is_name(const char *name)
{
    return name[0] != '\0' && !text_equal(name, ".") && !text_equal(name, "..");
}

rc path_resolve(char **ret, const char *path, struct error *err)
{
    if (path[0] == '\0')
        FAIL(err, RC_USAGE, "path is empty");

    auto_free char *whole = realpath(path, NULL);
    if (whole != NULL) {
        *ret = TAKE(whole);
        return RC_OK;
    }
    if (errno != ENOENT || !path_is_name(path_name(path)))
        FAIL_SYS(err, "path '%s'", path);

    auto_free char *parent = path_parent(path);
    auto_free char *folder = realpath(parent, NULL);
    if (folder == NULL)
        FAIL_SYS(err, "folder '%s'", parent);
    *ret = path_join(folder, path_name(path));
    return RC_OK;
}

static bool path_is_safe_component(const char *component, size_t size)
{
    if (size == 0)
        return false;
    if (component[0] != '.')
        return true;
    return size > 2 || (size == 2 && component[1] != '.');
}

bool path_is_safe_key(const char *key)
{
    if (strnlen(key, PATH_KEY_SIZE_MAX + 1) > PATH_KEY_SIZE_MAX)
        return false;

    for (;;) {
        size_t size = strcspn(key, "/");
        if (!path_is_safe_component(key, size))
            return false;
        if (key[size] == '\0')
            return true;
        key += size + 1;
    }
}
