/*
 * scheme - from a replica URL and its options to a store
 *
 * s3://bucket/prefix?endpoint=...&region=...&path-style=true   file:///path   /path   ./path
 *
 * Parameters of s3: endpoint, region, profile, ca-file, path-style, skip-verify.
 */
#ifndef SEAWAL_STORE_SCHEME_H
#define SEAWAL_STORE_SCHEME_H

#include "base/cancel.h"
#include "base/error.h"
#include "store/store.h"

#include <stdint.h>

/*
 * Everything a store may be told beside the URL. NULL and 0 mean: not configured here, so the URL's
 * parameters, then the environment (SEAWAL_*, AWS_*, LITESTREAM_* in that order), then the profile
 * files, then the default decide. All strings are borrowed for the call.
 */
struct store_options {
    const char *endpoint; /* "https://host[:port]" or "host[:port]" */
    const char *region;
    const char *access_key_id;
    const char *secret_access_key;
    const char *session_token;
    const char *profile;
    const char *ca_file; /* PEM bundle used instead of the system's */
    int path_style;      /* 0: decide (path style when an endpoint is given), 1: yes, -1: no */
    int skip_verify;     /* 1: do not check the TLS certificate; a WARN is the caller's duty */
    int64_t request_deadline_ms; /* for one call including retries, plus 1 s a 64 KiB; 0: 60 s */
    struct cancel *cancel;       /* looked at by every wait; may be NULL */
};

/*
 * RC_USAGE when URL is not understood, RC_DENIED when no credentials are found; the network is not
 * touched. The cancel token must outlive the store.
 */
must_use rc store_open(
    struct store **ret, const char *url, const struct store_options *options, struct error *err);

/* Whether URL names a store (a scheme that is known, or a path); RC_USAGE says why not. */
must_use rc store_check_url(const char *url, struct error *err);

#endif
