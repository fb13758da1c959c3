/*
 * credentials - who we are to an S3 store
 *
 * Looked up in this order, the first place that has any wins as a whole:
 *
 *   1. explicit options                    access key id, secret, session token; or a profile name
 *   2. environment                         SEAWAL_ACCESS_KEY_ID ..., AWS_ACCESS_KEY_ID ...,
 *                                          LITESTREAM_ACCESS_KEY_ID ...
 *   3. profile files                       ~/.aws/credentials and ~/.aws/config (or
 *                                          AWS_SHARED_CREDENTIALS_FILE, AWS_CONFIG_FILE), section
 *                                          AWS_PROFILE or "default"
 *
 * A place that is named explicitly and does not hold what it should is an error, never a reason to
 * look further.
 */
#ifndef SEAWAL_NET_CREDENTIALS_H
#define SEAWAL_NET_CREDENTIALS_H

#include "base/bytes.h"
#include "base/error.h"

#include <stdbool.h>

/* All owned; NULL where unknown. Region and endpoint only when a profile names them. */
struct credentials {
    char *access_key_id;
    char *secret_access_key;
    char *session_token;
    char *region;
    char *endpoint;
    char *source; /* where from, for people: "environment AWS_ACCESS_KEY_ID" */
};

#define CREDENTIALS_INIT ((struct credentials){ 0 })
#define auto_credentials __attribute__((cleanup(credentials_release)))
void credentials_release(struct credentials *credentials);

/* Borrowed; NULL or "" means not given. */
struct credentials_options {
    const char *access_key_id;
    const char *secret_access_key;
    const char *session_token;
    const char *profile;
};

/*
 * RC_DENIED when nothing is found, listing where was looked; RC_USAGE when a place is incomplete or
 * a named profile is missing; RC_UNSUPPORTED when a profile asks for what is not offered (SSO,
 * roles, credential processes).
 */
must_use rc credentials_load(
    struct credentials *ret, const struct credentials_options *options, struct error *err);

/*
 * Take what section [NAME] (or [profile NAME]) of a profile file says into RET, which keeps what it
 * has already; *RET_FOUND tells whether there is such a section. RC_USAGE names the line.
 */
must_use rc credentials_parse_profile(struct credentials *ret, struct bytes text, const char *name,
    bool *ret_found, struct error *err);

/* The first of NAMES (ends with NULL) that is set and not empty in the environment, or NULL. */
const char *credentials_environment(const char *const *names);

#endif
