/*
 * path - joining and taking apart file names and store keys
 */
#ifndef SEAWAL_BASE_PATH_H
#define SEAWAL_BASE_PATH_H

#include "base/error.h"

#include <stdbool.h>

/* FOLDER/NAME with exactly one slash between; owned. An empty or NULL FOLDER gives NAME. */
char *path_join(const char *folder, const char *name);

/* Everything before the last slash; "." when there is none, "/" for a name in the root. Owned. */
char *path_parent(const char *path);

/* Behind the last slash; borrowed from PATH. */
const char *path_name(const char *path);

/* Absolute form of PATH whose parent must exist; symbolic links are resolved. Owned. */
must_use rc path_resolve(char **ret, const char *path, struct error *err);

/* A key is relative, uses '/', is at most 1024 bytes and has no empty, "." or ".." component. */
bool path_is_safe_key(const char *key);

#endif
