/*
 * url - scheme://host/path?key=value, taken apart
 */
#ifndef SEAWAL_BASE_URL_H
#define SEAWAL_BASE_URL_H

#include "base/error.h"

#include <stddef.h>

enum { URL_PARAM_COUNT_MAX = 32, URL_SIZE_MAX = 4096 };

struct url_param {
    char *key;
    char *value;
};

struct url {
    char *scheme; /* lower case */
    char *user;   /* NULL when absent; unescaped */
    char *password;
    char *host; /* "" when absent; with the port as "host:port" */
    char *path; /* unescaped, with its leading slash, or "" */
    struct url_param params[URL_PARAM_COUNT_MAX];
    size_t param_count;
};

#define URL_INIT ((struct url){ 0 })
#define auto_url __attribute__((cleanup(url_release)))

/* RC_USAGE with the reason when TEXT is not a URL. */
must_use rc url_parse(struct url *ret, const char *text, struct error *err);
void url_release(struct url *url);

/* The value of KEY, borrowed, or NULL. */
const char *url_param(const struct url *url, const char *key);

/*
 * Percent-encoding as RFC 3986 and S3's signature want it: all but A-Z a-z 0-9 - . _ ~ become %XX
 * (upper case); '/' is kept when KEEP_SLASH is not 0. Owned.
 */
char *url_escape(const char *text, int keep_slash);

#endif
