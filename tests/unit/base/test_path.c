/* test_path - joining, taking apart, and keys that stay inside */
#include "base/path.h"

#include "base/alloc.h"
#include "base/fs.h"
#include "base/text.h"
#include "harness/check.h"
#include "harness/scratch.h"

#include <errno.h>
#include <unistd.h>

static void joining_puts_one_slash(void **state)
{
    (void)state;
    const char *const rows[][3] = {
        { "a", "b", "a/b" },
        { "a/", "b", "a/b" },
        { "a//", "/b", "a/b" },
        { "/", "b", "/b" },
        { "//", "b", "/b" },
        { "", "b", "b" },
        { NULL, "b", "b" },
        { "", "/b", "/b" },
        { "a", "b/c", "a/b/c" },
        { "a", "", "a/" },
    };

    for (size_t i = 0; i < array_count(rows); i++) {
        auto_free char *joined = path_join(rows[i][0], rows[i][1]);
        assert_string_equal(joined, rows[i][2]);
    }
}

static void paths_come_apart(void **state)
{
    (void)state;
    const char *const rows[][3] = {
        { "a/b", "a", "b" },
        { "/a/b", "/a", "b" },
        { "/a", "/", "a" },
        { "a", ".", "a" },
        { "a/", "a", "" },
        { "a//b", "a", "b" },
        { "//a", "/", "a" },
        { "/", "/", "" },
        { "", ".", "" },
        { "../a", "..", "a" },
    };

    for (size_t i = 0; i < array_count(rows); i++) {
        auto_free char *parent = path_parent(rows[i][0]);
        assert_string_equal(parent, rows[i][1]);
        assert_string_equal(path_name(rows[i][0]), rows[i][2]);
    }
}

static void check_resolves(const char *path, const char *expected)
{
    auto_free char *resolved = NULL;
    struct error err;

    CHECK_OK(path_resolve(&resolved, path, &err));
    assert_string_equal(resolved, expected);
}

static void resolving_follows_links_and_allows_a_new_name(void **state)
{
    (void)state;
    auto_scratch struct scratch scratch = scratch_new();
    auto_free char *folder = scratch_path(&scratch, "real");
    auto_free char *link = scratch_path(&scratch, "link");
    auto_free char *file = scratch_path(&scratch, "real/file");
    auto_free char *file_link = scratch_path(&scratch, "file-link");
    auto_free char *fresh = scratch_path(&scratch, "real/new");
    struct error err;

    CHECK_OK(fs_make_folders(folder, 0700, &err));
    scratch_write(&scratch, "real/file", bytes_of_text("x"));
    assert_int_equal(symlink("real", link), 0);
    assert_int_equal(symlink("link/file", file_link), 0);
    assert_int_equal(chdir(scratch.folder), 0);
    check_resolves("link/file", file);
    check_resolves("./real/../link//file", file);
    check_resolves("file-link", file);
    check_resolves("link/new", fresh);
    check_resolves("real/", folder);
    check_resolves(".", scratch.folder);
    check_resolves("/", "/");
    check_resolves("/not-there", "/not-there");
    assert_int_equal(chdir("/"), 0);
}

static void what_cannot_be_resolved_says_why(void **state)
{
    (void)state;
    auto_scratch struct scratch scratch = scratch_new();
    auto_free char *orphan = scratch_path(&scratch, "no/new");
    auto_free char *slash = scratch_path(&scratch, "no/");
    auto_free char *dots = scratch_path(&scratch, "no/..");
    auto_free char *loop = scratch_path(&scratch, "loop");
    auto_free char *below = scratch_path(&scratch, "file/x");
    struct error err;
    char *resolved = NULL;

    CHECK_RC(path_resolve(&resolved, "", &err), RC_USAGE);
    CHECK_RC(path_resolve(&resolved, orphan, &err), RC_NOT_FOUND);
    CHECK_RC(path_resolve(&resolved, slash, &err), RC_NOT_FOUND);
    CHECK_RC(path_resolve(&resolved, dots, &err), RC_NOT_FOUND);
    assert_int_equal(symlink("loop", loop), 0);
    CHECK_RC(path_resolve(&resolved, loop, &err), RC_IO);
    assert_int_equal(err.sys_errno, ELOOP);
    scratch_write(&scratch, "file", bytes_of_text("x"));
    CHECK_RC(path_resolve(&resolved, below, &err), RC_IO);
    assert_null(resolved);
}

static void keys_stay_inside(void **state)
{
    (void)state;
    const char *const good[] = { "a", "a/b", "seawal.json", "...", ".a", "a/..b/c", "a/.../b",
        "00000001/0/x.seg", "a b", "\xc3\xa9" };
    const char *const bad[] = { "", "/", "/a", "a/", "a//b", ".", "..", "./a", "../a", "a/.",
        "a/..", "a/./b", "a/../b", "//" };
    char longest[1026];

    for (size_t i = 0; i < array_count(good); i++)
        assert_true(path_is_safe_key(good[i]));
    for (size_t i = 0; i < array_count(bad); i++)
        assert_false(path_is_safe_key(bad[i]));
    memset(longest, 'k', sizeof longest - 1);
    longest[1025] = '\0';
    assert_false(path_is_safe_key(longest));
    longest[1024] = '\0';
    assert_true(path_is_safe_key(longest));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(joining_puts_one_slash),
        cmocka_unit_test(paths_come_apart),
        cmocka_unit_test(resolving_follows_links_and_allows_a_new_name),
        cmocka_unit_test(what_cannot_be_resolved_says_why),
        cmocka_unit_test(keys_stay_inside),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
