/*
 * env - $VARIABLES in configuration values
 */
#include "env_priv.h"

#include "base/buf.h"

#include <assert.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static bool env_is_name_start(char c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '_';
}

static size_t env_name_size(const char *text)
{
    size_t size = 0;

    if (!env_is_name_start(text[0]))
        return 0;
    while (env_is_name_start(text[size]) || (text[size] >= '0' && text[size] <= '9'))
        size++;
    return size;
}

static rc env_append(struct buf *out, const char *text, size_t size, struct error *err)
{
    if (buf_append(out, bytes_of(text, size), NULL) != RC_OK)
        FAIL(err, RC_USAGE, "longer than %d bytes with its variables", ENV_EXPANDED_SIZE_MAX);
    return RC_OK;
}

static rc env_append_variable(struct buf *out, const char *name, size_t size, struct error *err)
{
    char copy[ENV_NAME_SIZE_MAX + 1];

    if (size > ENV_NAME_SIZE_MAX)
        FAIL(err, RC_USAGE, "the name of a variable is longer than %d bytes", ENV_NAME_SIZE_MAX);
    memcpy(copy, name, size);
    copy[size] = '\0';

    const char *value = getenv(copy);
    if (value == NULL)
        FAIL(err, RC_USAGE, "environment variable '%s' is not set; write $$ for a dollar", copy);
    return env_append(out, value, strlen(value), err);
}

/* What stands at the dollar *AT; moves *AT behind it. */
static rc env_expand_one(struct buf *out, const char **at, struct error *err)
{
    assert(**at == '$');
    const char *behind = *at + 1;

    if (*behind == '$') {
        *at = behind + 1;
        return env_append(out, "$", 1, err);
    }
    if (*behind == '{') {
        size_t size = env_name_size(behind + 1);

        if (size == 0 || behind[1 + size] != '}')
            FAIL(err, RC_USAGE, "'%.20s' is not ${NAME}; write $$ for a dollar", *at);
        *at = behind + 1 + size + 1;
        return env_append_variable(out, behind + 1, size, err);
    }

    size_t size = env_name_size(behind);
    *at = behind + size;
    if (size == 0)
        return env_append(out, "$", 1, err);
    return env_append_variable(out, behind, size, err);
}

rc env_expand(char **ret, const char *text, struct error *err)
{
    auto_buf struct buf out = BUF_INIT(ENV_EXPANDED_SIZE_MAX);

    while (*text != '\0') {
        size_t plain_size = strcspn(text, "$");

        TRY(env_append(&out, text, plain_size, err));
        text += plain_size;
        if (*text == '$')
            TRY(env_expand_one(&out, &text, err));
    }
    *ret = buf_take_text(&out);
    return RC_OK;
}
