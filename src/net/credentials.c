/*
 * credentials - who we are to an S3 store
 */
#include "net/credentials.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/fs.h"
#include "base/path.h"
#include "base/text.h"

enum { CREDENTIALS_FILE_SIZE_MAX = 1 << 20, CREDENTIALS_VALUE_SIZE_MAX = 16 << 10 };

struct environment_names {
    const char *access_key_id;
    const char *secret_access_key;
    const char *session_token;
};

static const struct environment_names environments[] = {
    { "SEAWAL_ACCESS_KEY_ID", "SEAWAL_SECRET_ACCESS_KEY", "SEAWAL_SESSION_TOKEN" },
    { "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN" },
    { "LITESTREAM_ACCESS_KEY_ID", "LITESTREAM_SECRET_ACCESS_KEY", "LITESTREAM_SESSION_TOKEN" },
};

/* Ways of a profile to come to credentials that later versions may learn. */
static const char *const unsupported_keys[] = {
    "credential_process",
    "credential_source",
    "role_arn",
    "sso_session",
    "sso_start_url",
    "web_identity_token_file",
};

void credentials_release(struct credentials *credentials)
{
    free(credentials->access_key_id);
    if (credentials->secret_access_key != NULL)
        explicit_bzero(credentials->secret_access_key, strlen(credentials->secret_access_key));
    free(credentials->secret_access_key);
    free(credentials->session_token);
    free(credentials->region);
    free(credentials->endpoint);
    free(credentials->source);
    *credentials = CREDENTIALS_INIT;
}

static bool is_given(const char *text)
{
    return text != NULL && text[0] != '\0';
}

const char *credentials_environment(const char *const *names)
{
    for (; *names != NULL; names++) {
        const char *value = getenv(*names);
        if (is_given(value))
            return value;
    }
    return NULL;
}

/* A line of a profile file, cut out of it and trimmed; NUL-terminated, owned by the parser. */
struct profile_parser {
    struct bytes rest;
    unsigned line;
    char *text; /* of the current line */
};

static bool profile_next_line(struct profile_parser *parser)
{
    free(TAKE(parser->text));
    if (parser->rest.size == 0)
        return false;
    const uint8_t *end = memchr(parser->rest.data, '\n', parser->rest.size);
    size_t size = end == NULL ? parser->rest.size : (size_t)(end - parser->rest.data);
    size_t step = end == NULL ? size : size + 1;
    parser->text = mem_new(size + 1);
    if (size > 0)
        memcpy(parser->text, parser->rest.data, size);
    parser->rest = bytes_part(parser->rest, step, parser->rest.size - step);
    parser->line++;
    return true;
}

/* Cut blanks off both ends, in place; the result lies within TEXT. */
static char *profile_trim(char *text)
{
    static const char blanks[] = " \t\r";
    text += strspn(text, blanks);
    size_t size = strlen(text);
    while (size > 0 && strchr(blanks, text[size - 1]) != NULL)
        text[--size] = '\0';
    return text;
}

/* Whether the header line TEXT ("[...]") is that of section NAME; NULL text inside means malformed.
 */
static rc profile_match_header(
    bool *ret, char *text, const char *name, unsigned line, struct error *err)
{
    char *end = strchr(text, ']');
    if (end == NULL)
        FAIL(err, RC_USAGE, "line %u: section header without ']'", line);
    *end = '\0';
    char *title = profile_trim(text + 1);
    const char *rest = text_after_prefix(title, "profile");
    if (rest != NULL && (rest[0] == ' ' || rest[0] == '\t'))
        title = profile_trim(title + strlen("profile"));
    *ret = text_equal(title, name);
    return RC_OK;
}

static void profile_keep(char **field, const char *value)
{
    if (*field == NULL && value[0] != '\0')
        *field = text_copy(value);
}

static rc profile_take(
    struct credentials *ret, const char *key, const char *value, unsigned line, struct error *err)
{
    const struct {
        const char *key;
        char **field;
    } fields[] = {
        { "aws_access_key_id", &ret->access_key_id },
        { "aws_secret_access_key", &ret->secret_access_key },
        { "aws_session_token", &ret->session_token },
        { "region", &ret->region },
        { "endpoint_url", &ret->endpoint },
    };
    if (strlen(value) > CREDENTIALS_VALUE_SIZE_MAX)
        FAIL(err, RC_USAGE, "line %u: value of '%.40s' is longer than %d bytes", line, key,
            (int)CREDENTIALS_VALUE_SIZE_MAX);
    for (size_t index = 0; index < array_count(fields); index++)
        if (text_equal(key, fields[index].key))
            profile_keep(fields[index].field, value);
    for (size_t index = 0; index < array_count(unsupported_keys); index++)
        if (text_equal(key, unsupported_keys[index]) && !is_given(ret->access_key_id))
            FAIL(err, RC_UNSUPPORTED,
                "line %u: '%s' is not supported; put aws_access_key_id and aws_secret_access_key "
                "into the profile or the environment",
                line, key);
    return RC_OK;
}

static rc profile_take_line(struct credentials *ret, char *text, unsigned line, struct error *err)
{
    char *equals = strchr(text, '=');
    if (equals == NULL)
        FAIL(err, RC_USAGE, "line %u: neither a section nor 'key = value'", line);
    *equals = '\0';
    return profile_take(ret, profile_trim(text), profile_trim(equals + 1), line, err);
}

static rc profile_run(struct credentials *ret, struct profile_parser *parser, const char *name,
    bool *ret_found, struct error *err)
{
    bool is_inside = false;
    while (profile_next_line(parser)) {
        /* An indented line belongs to a nested setting (s3 =, services) that says nothing to us. */
        bool is_nested = parser->text[0] == ' ' || parser->text[0] == '\t';
        char *text = profile_trim(parser->text);
        if (text[0] == '\0' || text[0] == '#' || text[0] == ';' || is_nested)
            continue;
        if (text[0] == '[') {
            TRY(profile_match_header(&is_inside, text, name, parser->line, err));
            *ret_found = *ret_found || is_inside;
        } else if (is_inside) {
            TRY(profile_take_line(ret, text, parser->line, err));
        }
    }
    return RC_OK;
}

rc credentials_parse_profile(struct credentials *ret, struct bytes text, const char *name,
    bool *ret_found, struct error *err)
{
    assert(name != NULL);

    struct profile_parser parser = { .rest = text };
    *ret_found = false;
    rc parsed = profile_run(ret, &parser, name, ret_found, err);
    free(parser.text);
    return parsed;
}

static rc credentials_read_profile(struct credentials *found, const char *path, const char *name,
    bool *ret_found, struct error *err)
{
    auto_buf struct buf text = BUF_INIT(CREDENTIALS_FILE_SIZE_MAX);
    rc read = fs_read_file(&text, path, err);
    if (read == RC_NOT_FOUND) {
        *ret_found = false;
        return RC_OK;
    }
    TRY(read);
    TRY_AS(err, credentials_parse_profile(found, buf_bytes(&text), name, ret_found, err),
        "profile '%s' in '%s'", name, path);
    return RC_OK;
}

/* The path in VARIABLE, or ~/.aws/NAME; NULL when there is no home. Owned. */
static char *credentials_profile_path(const char *variable, const char *name)
{
    const char *path = getenv(variable);
    if (is_given(path))
        return text_copy(path);
    const char *home = getenv("HOME");
    return is_given(home) ? text_format("%s/.aws/%s", home, name) : NULL;
}

/* Both files may speak of one profile; the credentials file is asked first and so wins. */
static rc credentials_from_profile(
    struct credentials *found, const char *name, bool *ret_found, struct error *err)
{
    auto_free char *first = credentials_profile_path("AWS_SHARED_CREDENTIALS_FILE", "credentials");
    auto_free char *second = credentials_profile_path("AWS_CONFIG_FILE", "config");
    bool in_first = false;
    bool in_second = false;
    if (first != NULL)
        TRY(credentials_read_profile(found, first, name, &in_first, err));
    if (second != NULL)
        TRY(credentials_read_profile(found, second, name, &in_second, err));
    *ret_found = in_first || in_second;
    if (*ret_found)
        found->source = text_format("profile '%s'", name);
    return RC_OK;
}

static rc credentials_from_pair(struct credentials *found, const struct credentials_options *pair,
    const char *place, struct error *err)
{
    if (!is_given(pair->access_key_id) || !is_given(pair->secret_access_key))
        FAIL(err, RC_USAGE, "%s gives %s without %s", place,
            is_given(pair->access_key_id) ? "an access key id" : "a secret access key",
            is_given(pair->access_key_id) ? "a secret access key" : "an access key id");
    found->access_key_id = text_copy(pair->access_key_id);
    found->secret_access_key = text_copy(pair->secret_access_key);
    if (is_given(pair->session_token))
        found->session_token = text_copy(pair->session_token);
    found->source = text_copy(place);
    return RC_OK;
}

static rc credentials_from_environment(
    struct credentials *found, bool *ret_found, struct error *err)
{
    *ret_found = false;
    for (size_t index = 0; index < array_count(environments) && !*ret_found; index++) {
        const struct environment_names *names = &environments[index];
        struct credentials_options pair = {
            .access_key_id = getenv(names->access_key_id),
            .secret_access_key = getenv(names->secret_access_key),
            .session_token = getenv(names->session_token),
        };
        if (!is_given(pair.access_key_id) && !is_given(pair.secret_access_key))
            continue;
        auto_free char *place = text_format("environment %s", names->access_key_id);
        TRY(credentials_from_pair(found, &pair, place, err));
        *ret_found = true;
    }
    return RC_OK;
}

/* A profile may give a region only, beside keys from elsewhere; as a place of keys it must be
 * whole. */
static rc credentials_check_profile(
    const struct credentials *found, const char *name, struct error *err)
{
    if (is_given(found->access_key_id) && is_given(found->secret_access_key))
        return RC_OK;
    if (is_given(found->access_key_id) || is_given(found->secret_access_key))
        FAIL(err, RC_USAGE,
            "profile '%s' has only one of aws_access_key_id and "
            "aws_secret_access_key",
            name);
    FAIL(err, RC_USAGE, "profile '%s' has no aws_access_key_id", name);
}

static rc credentials_from_named_profile(
    struct credentials *found, const char *name, struct error *err)
{
    bool is_found = false;
    TRY(credentials_from_profile(found, name, &is_found, err));
    if (!is_found)
        FAIL(err, RC_USAGE, "profile '%s' is in neither of ~/.aws/credentials and ~/.aws/config",
            name);
    return credentials_check_profile(found, name, err);
}

static rc credentials_find(
    struct credentials *found, const struct credentials_options *options, struct error *err)
{
    if (is_given(options->access_key_id) || is_given(options->secret_access_key))
        return credentials_from_pair(found, options, "configuration", err);
    if (is_given(options->profile))
        return credentials_from_named_profile(found, options->profile, err);

    bool is_found = false;
    TRY(credentials_from_environment(found, &is_found, err));
    if (is_found)
        return RC_OK;
    const char *profile = getenv("AWS_PROFILE");
    if (is_given(profile))
        return credentials_from_named_profile(found, profile, err);
    TRY(credentials_from_profile(found, "default", &is_found, err));
    if (is_found && (is_given(found->access_key_id) || is_given(found->secret_access_key)))
        return credentials_check_profile(found, "default", err);
    FAIL(err, RC_DENIED,
        "no credentials; set access-key-id and secret-access-key, or "
        "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or a profile in ~/.aws/credentials");
}

rc credentials_load(
    struct credentials *ret, const struct credentials_options *options, struct error *err)
{
    assert(ret != NULL);
    assert(options != NULL);

    auto_credentials struct credentials found = CREDENTIALS_INIT;
    TRY(credentials_find(&found, options, err));
    *ret = found;
    found = CREDENTIALS_INIT;
    return RC_OK;
}
