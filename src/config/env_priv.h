/*
 * env - $VARIABLES in configuration values
 *
 * $NAME and ${NAME} become the variable's value, $$ is a dollar, and a dollar before anything else
 * stands for itself. Values are expanded after the YAML was read, so that no value can become
 * structure. A variable that is not set is an error and not an empty text: a replica at the root of
 * a bucket because of a typing error is nothing that anybody wants.
 */
#ifndef SEAWAL_CONFIG_ENV_PRIV_H
#define SEAWAL_CONFIG_ENV_PRIV_H

#include "base/error.h"

enum { ENV_NAME_SIZE_MAX = 128, ENV_EXPANDED_SIZE_MAX = 65536 };

/* RC_USAGE names the variable. *RET is owned. */
must_use rc env_expand(char **ret, const char *text, struct error *err);

#endif
