/*
 * url - scheme://user:password@host:port/path?key=value, taken apart
 *
 * The text of an error never repeats the URL: it may carry a password.
 */
#include "base/url.h"

#include "base/alloc.h"
#include "base/buf.h"
#include "base/text.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static bool url_is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool url_is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* RFC 3986 "unreserved". */
static bool url_is_unreserved(char c)
{
    return url_is_letter(c) || url_is_digit(c) || c == '-' || c == '.' || c == '_' || c == '~';
}

static int url_hex_value(char c)
{
    if (url_is_digit(c))
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static char *url_slice_copy(struct bytes slice)
{
    char *text = mem_new(slice.size + 1);

    if (slice.size > 0)
        memcpy(text, slice.data, slice.size);
    return text;
}

/* SLICE with %XX as bytes; %00 and a lone '%' are refused. */
static rc url_unescape(char **ret, struct bytes slice, const char *what, struct error *err)
{
    auto_free char *raw = url_slice_copy(slice);
    char *out = raw;

    for (const char *in = raw; *in != '\0'; in++) {
        if (*in != '%') {
            *out++ = *in;
            continue;
        }
        int high = url_hex_value(in[1]);
        int low = high < 0 ? -1 : url_hex_value(in[2]);
        if (low < 0)
            FAIL(err, RC_USAGE, "url: '%%' in the %s must be followed by two hex digits", what);
        if (high == 0 && low == 0)
            FAIL(err, RC_USAGE, "url: the %s must not hold a zero byte", what);
        *out++ = (char)(high * 16 + low);
        in += 2;
    }
    *out = '\0';
    *ret = TAKE(raw);
    return RC_OK;
}

/* The bytes of *REST up to the first of STOPS, stepped over. */
static struct bytes url_take_until(const char **rest, const char *stops)
{
    struct bytes slice = bytes_of(*rest, strcspn(*rest, stops));

    *rest += slice.size;
    return slice;
}

static rc url_check_text(const char *text, struct error *err)
{
    size_t size = strnlen(text, URL_SIZE_MAX + 1);

    if (size > URL_SIZE_MAX)
        FAIL(err, RC_USAGE, "url: longer than %d bytes", URL_SIZE_MAX);
    for (size_t i = 0; i < size; i++) {
        unsigned char c = (unsigned char)text[i];
        if (c < 0x20 || c == 0x7f)
            FAIL(err, RC_USAGE, "url: control character at byte %zu", i);
        if (c == '#')
            FAIL(err, RC_USAGE, "url: '#' at byte %zu; write it as %%23", i);
    }
    return RC_OK;
}

static rc url_parse_scheme(struct url *url, const char **rest, struct error *err)
{
    struct bytes scheme = url_take_until(rest, ":/?");
    const char *after = text_after_prefix(*rest, "://");

    if (scheme.size == 0 || after == NULL)
        FAIL(err, RC_USAGE, "url: must begin with a scheme and '://'");
    url->scheme = url_slice_copy(scheme);
    for (char *c = url->scheme; *c != '\0'; c++) {
        if (*c >= 'A' && *c <= 'Z')
            *c = (char)(*c - 'A' + 'a');
        bool is_first = c == url->scheme;
        bool is_mark = *c == '+' || *c == '-' || *c == '.';
        if (!url_is_letter(*c) && (is_first || !(url_is_digit(*c) || is_mark)))
            FAIL(err, RC_USAGE, "url: the scheme must be letters, digits, '+', '-' or '.'");
    }
    *rest = after;
    return RC_OK;
}

static rc url_parse_user(struct url *url, struct bytes userinfo, struct error *err)
{
    const uint8_t *colon = memchr(userinfo.data, ':', userinfo.size);
    size_t user_size = colon == NULL ? userinfo.size : (size_t)(colon - userinfo.data);

    TRY(url_unescape(&url->user, bytes_part(userinfo, 0, user_size), "user", err));
    if (colon == NULL)
        return RC_OK;
    size_t password_size = userinfo.size - user_size - 1;
    return url_unescape(
        &url->password, bytes_part(userinfo, user_size + 1, password_size), "password", err);
}

/* ":1" to ":65535", or nothing. */
static bool url_is_port(const char *text)
{
    uint64_t port;

    if (*text == '\0')
        return true;
    return *text == ':' && text_parse_u64(&port, text + 1, UINT16_MAX, NULL) == RC_OK && port > 0;
}

/* "name", "name:port", "[v6]" or "[v6]:port". */
static bool url_is_host(const char *host)
{
    if (*host == '[') {
        size_t size = strspn(host + 1, "0123456789abcdefABCDEF:.");
        return size > 0 && host[size + 1] == ']' && url_is_port(host + size + 2);
    }

    const char *p = host;
    while (url_is_unreserved(*p))
        p++;
    return (p > host || *p == '\0') && url_is_port(p);
}

static rc url_parse_authority(struct url *url, struct bytes authority, struct error *err)
{
    const uint8_t *at = memrchr(authority.data, '@', authority.size);
    size_t host_offset = 0;

    if (at != NULL) {
        size_t userinfo_size = (size_t)(at - authority.data);
        TRY(url_parse_user(url, bytes_part(authority, 0, userinfo_size), err));
        host_offset = userinfo_size + 1;
    }
    url->host = url_slice_copy(bytes_part(authority, host_offset, authority.size - host_offset));
    if (!url_is_host(url->host))
        FAIL(err, RC_USAGE,
            "url: the host must be a name, or an address in brackets, with or "
            "without ':port'");
    return RC_OK;
}

static rc url_parse_param(struct url *url, struct bytes pair, struct error *err)
{
    const uint8_t *equals = pair.size == 0 ? NULL : memchr(pair.data, '=', pair.size);
    size_t key_size = equals == NULL ? pair.size : (size_t)(equals - pair.data);
    struct bytes value = bytes_of(NULL, 0);

    if (equals != NULL)
        value = bytes_part(pair, key_size + 1, pair.size - key_size - 1);
    if (key_size == 0)
        FAIL(err, RC_USAGE, "url: a parameter has no name");
    if (url->param_count == URL_PARAM_COUNT_MAX)
        FAIL(err, RC_USAGE, "url: more than %d parameters", URL_PARAM_COUNT_MAX);

    auto_free char *key = NULL;
    TRY(url_unescape(&key, bytes_part(pair, 0, key_size), "name of a parameter", err));
    if (url_param(url, key) != NULL)
        FAIL(err, RC_USAGE, "url: parameter '%s' is given twice", key);

    struct url_param *param = &url->params[url->param_count];
    TRY(url_unescape(&param->value, value, "value of a parameter", err));
    param->key = TAKE(key);
    url->param_count++;
    return RC_OK;
}

static rc url_parse_params(struct url *url, const char *rest, struct error *err)
{
    while (*rest == '?' || *rest == '&') {
        rest++;
        TRY(url_parse_param(url, url_take_until(&rest, "&"), err));
    }
    return RC_OK;
}

rc url_parse(struct url *ret, const char *text, struct error *err)
{
    auto_url struct url url = URL_INIT;
    const char *rest = text;

    TRY(url_check_text(text, err));
    TRY(url_parse_scheme(&url, &rest, err));
    TRY(url_parse_authority(&url, url_take_until(&rest, "/?"), err));
    TRY(url_unescape(&url.path, url_take_until(&rest, "?"), "path", err));
    TRY(url_parse_params(&url, rest, err));

    *ret = url;
    url = URL_INIT;
    return RC_OK;
}

void url_release(struct url *url)
{
    free(url->scheme);
    free(url->user);
    free(url->password);
    free(url->host);
    free(url->path);
    for (size_t i = 0; i < url->param_count; i++) {
        free(url->params[i].key);
        free(url->params[i].value);
    }
    *url = URL_INIT;
}

const char *url_param(const struct url *url, const char *key)
{
    for (size_t i = 0; i < url->param_count; i++) {
        if (text_equal(url->params[i].key, key))
            return url->params[i].value;
    }
    return NULL;
}

char *url_escape(const char *text, int keep_slash)
{
    static const char digits[] = "0123456789ABCDEF";
    char *escaped = mem_new_array(strlen(text) + 1, 3);
    char *out = escaped;

    for (; *text != '\0'; text++) {
        if (url_is_unreserved(*text) || (*text == '/' && keep_slash != 0)) {
            *out++ = *text;
            continue;
        }
        *out++ = '%';
        *out++ = digits[(unsigned char)*text >> 4];
        *out++ = digits[(unsigned char)*text & 15];
    }
    return escaped;
}
