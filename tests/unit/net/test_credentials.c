/* credentials - which place wins, and what is said when none holds what it should */
#include "net/credentials.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/alloc.h"
#include "harness/check.h"
#include "harness/scratch.h"

static const char *const variables[] = {
    "SEAWAL_ACCESS_KEY_ID",
    "SEAWAL_SECRET_ACCESS_KEY",
    "SEAWAL_SESSION_TOKEN",
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "LITESTREAM_ACCESS_KEY_ID",
    "LITESTREAM_SECRET_ACCESS_KEY",
    "AWS_PROFILE",
    "AWS_SHARED_CREDENTIALS_FILE",
    "AWS_CONFIG_FILE",
    "HOME",
};

static int forget_environment(void **state)
{
    (void)state;
    for (size_t index = 0; index < array_count(variables); index++)
        unsetenv(variables[index]);
    return 0;
}

static void check_loaded(const struct credentials_options *options, const char *access_key_id,
    const char *secret, const char *source)
{
    struct error err;
    auto_credentials struct credentials found = CREDENTIALS_INIT;
    CHECK_OK(credentials_load(&found, options, &err));
    assert_string_equal(found.access_key_id, access_key_id);
    assert_string_equal(found.secret_access_key, secret);
    assert_string_equal(found.source, source);
}

static void check_refused(const struct credentials_options *options, rc expected, const char *text)
{
    struct error err = { 0 };
    auto_credentials struct credentials found = CREDENTIALS_INIT;
    CHECK_RC(credentials_load(&found, options, &err), expected);
    if (strstr(err.text, text) == NULL)
        fail_msg("'%s' is not in '%s'", text, err.text);
    assert_null(found.access_key_id);
}

static const struct credentials_options nothing = { 0 };

static void explicit_options_win(void **state)
{
    (void)state;
    setenv("AWS_ACCESS_KEY_ID", "env", 1);
    setenv("AWS_SECRET_ACCESS_KEY", "env-secret", 1);
    const struct credentials_options given = { .access_key_id = "id", .secret_access_key = "s" };
    check_loaded(&given, "id", "s", "configuration");
}

static void half_a_pair_is_refused(void **state)
{
    (void)state;
    const struct credentials_options id_only = { .access_key_id = "id" };
    const struct credentials_options secret_only = { .secret_access_key = "s" };
    check_refused(&id_only, RC_USAGE, "without a secret access key");
    check_refused(&secret_only, RC_USAGE, "without an access key id");
    setenv("AWS_ACCESS_KEY_ID", "env", 1);
    check_refused(&nothing, RC_USAGE, "environment AWS_ACCESS_KEY_ID");
}

static void the_environment_is_asked_in_order(void **state)
{
    (void)state;
    setenv("LITESTREAM_ACCESS_KEY_ID", "l", 1);
    setenv("LITESTREAM_SECRET_ACCESS_KEY", "ls", 1);
    check_loaded(&nothing, "l", "ls", "environment LITESTREAM_ACCESS_KEY_ID");
    setenv("AWS_ACCESS_KEY_ID", "a", 1);
    setenv("AWS_SECRET_ACCESS_KEY", "as", 1);
    check_loaded(&nothing, "a", "as", "environment AWS_ACCESS_KEY_ID");
    setenv("SEAWAL_ACCESS_KEY_ID", "s", 1);
    setenv("SEAWAL_SECRET_ACCESS_KEY", "ss", 1);
    check_loaded(&nothing, "s", "ss", "environment SEAWAL_ACCESS_KEY_ID");
    setenv("SEAWAL_ACCESS_KEY_ID", "", 1);
    setenv("SEAWAL_SECRET_ACCESS_KEY", "", 1);
    check_loaded(&nothing, "a", "as", "environment AWS_ACCESS_KEY_ID");
}

static void the_session_token_comes_along(void **state)
{
    (void)state;
    struct error err;
    auto_credentials struct credentials found = CREDENTIALS_INIT;
    setenv("AWS_ACCESS_KEY_ID", "a", 1);
    setenv("AWS_SECRET_ACCESS_KEY", "as", 1);
    setenv("AWS_SESSION_TOKEN", "token", 1);
    CHECK_OK(credentials_load(&found, &nothing, &err));
    assert_string_equal(found.session_token, "token");
}

static void nothing_anywhere_names_the_places(void **state)
{
    (void)state;
    check_refused(&nothing, RC_DENIED, "~/.aws/credentials");
}

static const char profiles[] = "# a comment\r\n"
                               "[default]\r\n"
                               "aws_access_key_id = d\r\n"
                               "aws_secret_access_key=d/+=x\r\n"
                               "\r\n"
                               "; another\n"
                               "[profile work]\n"
                               "  nested = ignored\n"
                               "aws_access_key_id=w\n"
                               "aws_secret_access_key =  w s  \n"
                               "aws_session_token = wt\n"
                               "region = eu-north-1\n"
                               "s3 =\n"
                               "    addressing_style = path\n"
                               "endpoint_url = https://s3.example.net\n"
                               "[half]\n"
                               "aws_access_key_id = h\n"
                               "[sso]\n"
                               "sso_session = corp\n"
                               "[region-only]\n"
                               "region = x\n"
                               "[last]\n"
                               "aws_access_key_id = z\n"
                               "aws_secret_access_key = zs";

static void profiles_are_read(void **state)
{
    (void)state;
    struct error err;
    bool is_found = false;
    auto_credentials struct credentials work = CREDENTIALS_INIT;
    CHECK_OK(credentials_parse_profile(&work, bytes_of_text(profiles), "work", &is_found, &err));
    assert_true(is_found);
    assert_string_equal(work.access_key_id, "w");
    assert_string_equal(work.secret_access_key, "w s");
    assert_string_equal(work.session_token, "wt");
    assert_string_equal(work.region, "eu-north-1");
    assert_string_equal(work.endpoint, "https://s3.example.net");

    auto_credentials struct credentials last = CREDENTIALS_INIT;
    CHECK_OK(credentials_parse_profile(&last, bytes_of_text(profiles), "last", &is_found, &err));
    assert_string_equal(last.secret_access_key, "zs");

    auto_credentials struct credentials none = CREDENTIALS_INIT;
    CHECK_OK(credentials_parse_profile(&none, bytes_of_text(profiles), "none", &is_found, &err));
    assert_false(is_found);
    assert_null(none.access_key_id);
}

static void malformed_profiles_name_the_line(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *said;
    } cases[] = {
        { "[default]\nwhat is this\n", "line 2: neither a section nor 'key = value'" },
        { "\n\n[default\n", "line 3: section header without ']'" },
        { "[default]\nrole_arn = arn:x\n", "line 2: 'role_arn' is not supported" },
    };
    for (size_t index = 0; index < array_count(cases); index++) {
        struct error err = { 0 };
        bool is_found;
        auto_credentials struct credentials found = CREDENTIALS_INIT;
        rc parsed = credentials_parse_profile(
            &found, bytes_of_text(cases[index].text), "default", &is_found, &err);
        assert_int_not_equal(parsed, RC_OK);
        assert_non_null(strstr(err.text, cases[index].said));
    }
}

static void profile_files_are_found_and_combined(void **state)
{
    (void)state;
    auto_scratch struct scratch scratch = scratch_new();
    auto_free char *credentials = scratch_path(&scratch, "credentials");
    auto_free char *config = scratch_path(&scratch, "config");
    scratch_write(&scratch, "credentials",
        bytes_of_text("[default]\naws_access_key_id=c\naws_secret_access_key=cs\n"));
    scratch_write(&scratch, "config", bytes_of_text(profiles));
    setenv("AWS_SHARED_CREDENTIALS_FILE", credentials, 1);
    setenv("AWS_CONFIG_FILE", config, 1);

    check_loaded(&nothing, "c", "cs", "profile 'default'");
    const struct credentials_options work = { .profile = "work" };
    check_loaded(&work, "w", "w s", "profile 'work'");
    setenv("AWS_PROFILE", "last", 1);
    check_loaded(&nothing, "z", "zs", "profile 'last'");
    setenv("AWS_PROFILE", "half", 1);
    check_refused(&nothing, RC_USAGE, "profile 'half' has only one of");
    setenv("AWS_PROFILE", "gone", 1);
    check_refused(&nothing, RC_USAGE, "profile 'gone' is in neither");
    setenv("AWS_PROFILE", "sso", 1);
    check_refused(&nothing, RC_UNSUPPORTED, "sso_session");
    setenv("AWS_PROFILE", "region-only", 1);
    check_refused(&nothing, RC_USAGE, "has no aws_access_key_id");

    /* Keys in the environment come before a profile that only the environment names. */
    setenv("AWS_ACCESS_KEY_ID", "a", 1);
    setenv("AWS_SECRET_ACCESS_KEY", "as", 1);
    check_loaded(&nothing, "a", "as", "environment AWS_ACCESS_KEY_ID");
    check_loaded(&work, "w", "w s", "profile 'work'");
}

static void profiles_lie_in_the_home_folder(void **state)
{
    (void)state;
    auto_scratch struct scratch scratch = scratch_new();
    auto_free char *command_folder = scratch_path(&scratch, ".aws");
    assert_int_equal(mkdir(command_folder, 0700), 0);
    scratch_write(&scratch, ".aws/credentials", bytes_of_text(profiles));
    setenv("HOME", scratch.folder, 1);
    check_loaded(&nothing, "d", "d/+=x", "profile 'default'");
}

#define CLAIM(name) cmocka_unit_test_setup(name, forget_environment)

int main(void)
{
    const struct CMUnitTest claims[] = {
        CLAIM(explicit_options_win),
        CLAIM(half_a_pair_is_refused),
        CLAIM(the_environment_is_asked_in_order),
        CLAIM(the_session_token_comes_along),
        CLAIM(nothing_anywhere_names_the_places),
        CLAIM(profiles_are_read),
        CLAIM(malformed_profiles_name_the_line),
        CLAIM(profile_files_are_found_and_combined),
        CLAIM(profiles_lie_in_the_home_folder),
    };
    return cmocka_run_group_tests_name("credentials", claims, NULL, NULL);
}
