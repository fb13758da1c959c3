/*
 * scheme - one table from URL schemes to drivers
 */
#include "store/scheme.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "base/text.h"
#include "base/url.h"
#include "store_driver.h"

struct scheme {
    const char *name;
    const char *form; /* how an operator writes it */
    rc (*check)(const struct url *url, struct error *err);
    rc (*open)(struct store **ret, const struct url *url, const struct store_options *options,
        struct error *err);
};

static rc scheme_check_file(const struct url *url, struct error *err)
{
    if (url->host[0] != '\0' && !text_equal(url->host, "localhost"))
        FAIL(err, RC_USAGE, "a file URL names no host, but this one names '%s'; write file:///path",
            url->host);
    if (url->user != NULL || url->password != NULL)
        FAIL(err, RC_USAGE, "a file URL has no user");
    if (url->param_count > 0)
        FAIL(err, RC_USAGE, "a file URL has no parameters, but this one has '%s'",
            url->params[0].key);
    if (url->path[0] != '/')
        FAIL(err, RC_USAGE, "a file URL needs a path; write file:///path");
    return RC_OK;
}

static rc scheme_open_file(struct store **ret, const struct url *url,
    const struct store_options *options, struct error *err)
{
    (void)options;
    return file_store_open(ret, url->path, err);
}

static const struct scheme schemes[] = {
    { "file", "file:///path", scheme_check_file, scheme_open_file },
    { "s3", "s3://bucket/prefix", s3_store_check_url, s3_store_open },
};

/* What stands before "://" when that is a scheme, or NULL: then TEXT is a path. Owned. */
static char *scheme_of(const char *text)
{
    const char *end = strstr(text, "://");
    size_t size = strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+.-");
    if (end == NULL || end == text || size != (size_t)(end - text))
        return NULL;
    char *name = text_format("%.*s", (int)size, text);
    for (char *p = name; *p != '\0'; p++)
        if (*p >= 'A' && *p <= 'Z')
            *p = (char)(*p - 'A' + 'a');
    return name;
}

static rc scheme_find(const struct scheme **ret, const char *name, struct error *err)
{
    auto_buf struct buf known = BUF_INIT(1024);
    for (size_t index = 0; index < array_count(schemes); index++) {
        if (text_equal(schemes[index].name, name)) {
            *ret = &schemes[index];
            return RC_OK;
        }
        buf_put_format(&known, "%s, ", schemes[index].form);
    }
    FAIL(err, RC_USAGE, "scheme '%.40s' is not known; known are %.*sand plain paths", name,
        (int)known.size, (const char *)known.data);
}

/* "s3:bucket" is a legal file name and never what was meant. */
static rc scheme_check_path(const char *text, struct error *err)
{
    if (text[0] == '\0')
        FAIL(err, RC_USAGE, "a replica URL or path is empty");
    for (size_t index = 0; index < array_count(schemes); index++) {
        const char *rest = text_after_prefix(text, schemes[index].name);
        if (rest != NULL && rest[0] == ':')
            FAIL(err, RC_USAGE, "'%.200s' is not a URL; write %s", text, schemes[index].form);
    }
    return RC_OK;
}

/* *RET_SCHEME is NULL for a plain path, and then URL stays empty. */
static rc scheme_parse(
    const struct scheme **ret_scheme, struct url *url, const char *text, struct error *err)
{
    auto_free char *name = scheme_of(text);
    if (name == NULL) {
        *ret_scheme = NULL;
        return scheme_check_path(text, err);
    }
    const struct scheme *scheme = NULL;
    TRY(scheme_find(&scheme, name, err));
    TRY(url_parse(url, text, err));
    TRY(scheme->check(url, err));
    *ret_scheme = scheme;
    return RC_OK;
}

rc store_check_url(const char *text, struct error *err)
{
    assert(text != NULL);

    auto_url struct url url = URL_INIT;
    const struct scheme *scheme = NULL;
    return scheme_parse(&scheme, &url, text, err);
}

rc store_open(
    struct store **ret, const char *text, const struct store_options *options, struct error *err)
{
    assert(ret != NULL);
    assert(text != NULL);

    static const struct store_options no_options;
    auto_url struct url url = URL_INIT;
    const struct scheme *scheme = NULL;
    TRY(scheme_parse(&scheme, &url, text, err));
    if (scheme == NULL)
        return file_store_open(ret, text, err);
    return scheme->open(ret, &url, options != NULL ? options : &no_options, err);
}
