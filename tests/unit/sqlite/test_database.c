/* Opening: what is refused, with which words, and that nothing is left behind or written. */
#include "sqlite/database.h"

#include "base/alloc.h"
#include "base/fs.h"
#include "base/text.h"
#include "database_priv.h"
#include "harness/check.h"
#include "wal_fixture.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static const struct database_options default_options = { .convert_to_wal = false };

static unsigned open_descriptor_count(void)
{
    DIR *folder = opendir("/proc/self/fd");
    unsigned count = 0;

    assert_non_null(folder);
    while (readdir(folder) != NULL)
        count++;
    closedir(folder);
    return count;
}

static void sql(const char *path, const char *command)
{
    struct other_process app = other_process_start(path);

    other_process_run(&app, command);
    other_process_stop(&app);
}

static void fill_random(uint8_t *out, size_t size)
{
    uint32_t state = 12345;

    for (size_t i = 0; i < size; i++) {
        state = state * 1664525 + 1013904223;
        out[i] = (uint8_t)(state >> 24);
    }
}

static void make_nothing(const struct scratch *scratch)
{
    (void)scratch;
}

static void make_empty(const struct scratch *scratch)
{
    scratch_write(scratch, "app.db", bytes_of("", 0));
}

static void make_text(const struct scratch *scratch)
{
    scratch_write(scratch, "app.db", bytes_of_text("this is a file that somebody pointed us at\n"));
}

static void make_folder(const struct scratch *scratch)
{
    auto_free char *path = scratch_path(scratch, "app.db");

    assert_int_equal(mkdir(path, 0700), 0);
}

static void make_encrypted(const struct scratch *scratch)
{
    uint8_t bytes[8192];

    fill_random(bytes, sizeof bytes);
    scratch_write(scratch, "app.db", bytes_of(bytes, sizeof bytes));
}

static void make_rollback(const struct scratch *scratch)
{
    auto_free char *path = scratch_path(scratch, "app.db");

    sql(path, "CREATE TABLE t(x)");
}

/* SQLCipher with a plain header: the first bytes are SQLite's, what follows is not. */
static void make_plain_header(const struct scratch *scratch)
{
    auto_free char *path = scratch_path(scratch, "app.db");
    struct error err = { 0 };
    uint8_t bytes[4096 - 32];
    int fd = -1;

    sql(path, "CREATE TABLE t(x)");
    fill_random(bytes, sizeof bytes);
    CHECK_OK(fs_open(&fd, path, O_RDWR, 0, &err));
    CHECK_OK(fs_write_at(fd, bytes_of(bytes, sizeof bytes), 32, &err));
    close(fd);
}

static void make_future(const struct scratch *scratch)
{
    auto_free char *path = scratch_path(scratch, "app.db");
    struct error err = { 0 };
    int fd = -1;

    sql(path, "CREATE TABLE t(x)");
    CHECK_OK(fs_open(&fd, path, O_RDWR, 0, &err));
    CHECK_OK(fs_write_at(fd, bytes_of("\3\3", 2), 18, &err));
    close(fd);
}

static void what_cannot_be_opened_is_said_precisely(void **state)
{
    static const struct {
        void (*make)(const struct scratch *scratch);
        rc code;
        const char *text;
    } cases[] = {
        { make_nothing, RC_NOT_FOUND, "app.db" },
        { make_empty, RC_MISMATCH, "empty" },
        { make_text, RC_CORRUPT, "not an SQLite database" },
        { make_folder, RC_CORRUPT, "is not a file" },
        { make_encrypted, RC_UNSUPPORTED, "encrypted" },
        { make_plain_header, RC_UNSUPPORTED, "encrypted" },
        { make_rollback, RC_MISMATCH, "PRAGMA journal_mode=wal" },
        { make_future, RC_UNSUPPORTED, "format version" },
    };

    (void)state;
    for (size_t i = 0; i < array_count(cases); i++) {
        auto_scratch struct scratch scratch = scratch_new();
        auto_free char *path = scratch_path(&scratch, "app.db");
        struct database *database = NULL;
        struct error err = { 0 };

        cases[i].make(&scratch);
        size_t name_count = scratch_name_count(&scratch);
        unsigned descriptor_count = open_descriptor_count();
        CHECK_RC(database_open(&database, path, &default_options, &err), cases[i].code);
        assert_null(database);
        if (strstr(err.text, cases[i].text) == NULL)
            fail_msg("case %zu says: %s", i, err.text);
        assert_int_equal(scratch_name_count(&scratch), name_count);
        assert_int_equal(open_descriptor_count(), descriptor_count);
    }
}

static void a_rollback_database_is_converted_only_when_allowed(void **state)
{
    auto_scratch struct scratch scratch = scratch_new();
    auto_free char *path = scratch_path(&scratch, "app.db");
    struct database_options options = { .convert_to_wal = true };
    struct database *database = NULL;
    struct error err = { 0 };

    (void)state;
    make_rollback(&scratch);
    CHECK_RC(database_open(&database, path, &default_options, &err), RC_MISMATCH);
    CHECK_OK(database_open(&database, path, &options, &err));
    database_close(database);
    CHECK_OK(database_open(&database, path, &default_options, &err));
    database_close(database);
}

static void a_rollback_database_in_use_is_not_converted(void **state)
{
    auto_scratch struct scratch scratch = scratch_new();
    auto_free char *path = scratch_path(&scratch, "app.db");
    struct database_options options = { .convert_to_wal = true };
    struct database *database = NULL;
    struct error err = { 0 };

    (void)state;
    make_rollback(&scratch);
    struct other_process app = other_process_start(path);
    other_process_run(&app, "BEGIN IMMEDIATE");
    CHECK_RC(database_open(&database, path, &options, &err), RC_BUSY);
    other_process_run(&app, "COMMIT");
    other_process_stop(&app);
}

static void an_exclusive_lock_is_recognised(void **state)
{
    struct wal_fixture fixture;
    struct database *database = NULL;
    struct error err = { 0 };

    (void)state;
    wal_fixture_open(&fixture, 0);
    other_process_stop(&fixture.app);
    fixture.app = other_process_start(fixture.path);
    other_process_run(&fixture.app, "PRAGMA locking_mode=exclusive");
    other_process_run(&fixture.app, "INSERT INTO t(v) VALUES(1)");
    CHECK_RC(database_open(&database, fixture.path, &default_options, &err), RC_UNSUPPORTED);
    assert_non_null(strstr(err.text, "locking_mode=NORMAL"));
    wal_fixture_close(&fixture);
}

static void one_file_is_opened_once_whatever_its_name(void **state)
{
    struct wal_fixture fixture;
    struct database *second = NULL;
    struct error err = { 0 };

    (void)state;
    wal_fixture_open(&fixture, 0);
    wal_fixture_open_database(&fixture);
    auto_free char *hard = scratch_path(&fixture.scratch, "hard.db");
    auto_free char *symbolic = scratch_path(&fixture.scratch, "symbolic.db");
    assert_int_equal(link(fixture.path, hard), 0);
    assert_int_equal(symlink(fixture.path, symbolic), 0);

    CHECK_RC(database_open(&second, fixture.path, &default_options, &err), RC_BUSY);
    CHECK_RC(database_open(&second, hard, &default_options, &err), RC_BUSY);
    CHECK_RC(database_open(&second, symbolic, &default_options, &err), RC_BUSY);
    assert_non_null(strstr(err.text, "two names"));
    CHECK_RC(database_check_integrity(fixture.path, true, &err), RC_BUSY);
    database_close(fixture.database);
    CHECK_OK(database_open(&fixture.database, symbolic, &default_options, &err));
    assert_string_equal(database_path(fixture.database), fixture.path);
    wal_fixture_close(&fixture);
}

static void nothing_is_left_open_and_nothing_written(void **state)
{
    struct wal_fixture fixture;
    struct error err = { 0 };

    (void)state;
    wal_fixture_open(&fixture, 0);
    wal_fixture_insert(&fixture, 20, 3000);
    unsigned descriptor_count = open_descriptor_count();
    for (unsigned i = 0; i < 20; i++) {
        wal_fixture_open_database(&fixture);
        CHECK_OK(pin_hold(fixture.database, &err));
        CHECK_OK(pin_advance(fixture.database, &fixture.client, &err));
        CHECK_OK(pin_advance(fixture.database, &fixture.client, &err));
        struct wal_index_header header = wal_fixture_header(&fixture);
        assert_true(header.frame_count > 20); /* the close before this did not checkpoint */
        assert_int_equal(database_backfilled(fixture.database), 0);
        database_close(fixture.database);
        fixture.database = NULL;
        assert_int_equal(open_descriptor_count(), descriptor_count);
    }
    wal_fixture_close(&fixture);
}

static void replaced_and_removed_files_have_moved(void **state)
{
    static const char *const suffixes[] = { "", "-wal", "-shm" };

    (void)state;
    for (size_t i = 0; i < array_count(suffixes); i++) {
        struct wal_fixture fixture;
        char *path;
        char *aside;

        wal_fixture_open(&fixture, 0);
        wal_fixture_open_database(&fixture);
        assert_false(database_has_moved(fixture.database));
        path = text_format("%s%s", fixture.path, suffixes[i]);
        aside = text_format("%s.aside", path);
        assert_int_equal(rename(path, aside), 0);
        assert_true(database_has_moved(fixture.database));
        scratch_write(&fixture.scratch, strrchr(path, '/') + 1, bytes_of_text("another"));
        assert_true(database_has_moved(fixture.database));
        assert_int_equal(rename(aside, path), 0);
        assert_false(database_has_moved(fixture.database));
        free(path);
        free(aside);
        wal_fixture_close(&fixture);
    }
}

/* ---- what happens between SQLite's look at the files and ours */

static struct wal_fixture *replaced_fixture; /* whose index is replaced at the next look at it */
static struct other_process replaced_by;

rc __real_wal_index_region(
    struct database *database, size_t index, const volatile uint8_t **ret, struct error *err);
rc __wrap_wal_index_region(
    struct database *database, size_t index, const volatile uint8_t **ret, struct error *err);

rc __wrap_wal_index_region(
    struct database *database, size_t index, const volatile uint8_t **ret, struct error *err)
{
    if (replaced_fixture != NULL) {
        auto_free char *path = text_format("%s-shm", replaced_fixture->path);
        assert_int_equal(unlink(path), 0);
        replaced_by = other_process_start(replaced_fixture->path);
        other_process_run(&replaced_by, "INSERT INTO t(v) VALUES('in another index')");
        replaced_fixture = NULL;
    }
    return __real_wal_index_region(database, index, ret, err);
}

/* What SQLite has mapped then is a file that nobody changes again. */
static void an_index_that_is_replaced_meanwhile_is_not_looked_into(void **state)
{
    struct wal_fixture fixture;
    struct database *database = NULL;
    struct error err = { 0 };

    (void)state;
    wal_fixture_open(&fixture, 0);
    wal_fixture_insert(&fixture, 3, 100);
    replaced_fixture = &fixture;
    CHECK_RC(database_open(&database, fixture.path, &default_options, &err), RC_BUSY);
    CHECK_SAYS(err, "replaced while it was being opened");
    assert_null(replaced_fixture);
    CHECK_OK(database_open(&database, fixture.path, &default_options, &err));
    database_close(database);
    other_process_stop(&replaced_by);
    wal_fixture_close(&fixture);
}

static void pages_are_read_as_of_a_frame(void **state)
{
    struct wal_fixture fixture;
    struct error err = { 0 };
    uint8_t page[4096];

    (void)state;
    wal_fixture_open(&fixture, 0);
    wal_fixture_open_database(&fixture);
    CHECK_OK(pin_hold(fixture.database, &err));
    uint32_t bounds[20];
    for (unsigned i = 0; i < 20; i++) {
        char *command =
            text_format("INSERT INTO t(v) VALUES(cast('marker-%c' as blob))", (char)('a' + i));
        other_process_run(&fixture.app, command);
        free(command);
        bounds[i] = wal_fixture_header(&fixture).frame_count;
    }
    for (unsigned i = 0; i < 20; i++) {
        char present[16];
        char absent[16];
        snprintf(present, sizeof present, "marker-%c", (char)('a' + i));
        snprintf(absent, sizeof absent, "marker-%c", (char)('a' + i + 1));
        CHECK_OK(database_read_page(fixture.database, 2, bounds[i], page, &err));
        assert_non_null(memmem(page, sizeof page, present, 8));
        assert_null(memmem(page, sizeof page, absent, 8));
    }
    memset(page, 0xff, sizeof page);
    CHECK_OK(database_read_file_page(fixture.database, 1000, page, &err));
    assert_true(bytes_are_zero(bytes_of(page, sizeof page)));
    wal_fixture_close(&fixture);
}

/* As another user, in another process: root may write everywhere. */
static void folders_and_files_that_cannot_be_written_are_denied(void **state)
{
    static const struct {
        mode_t file;
        mode_t folder;
        const char *text;
    } cases[] = { { 0644, 0777, "app.db' cannot be written" }, { 0666, 0755, "folder '" } };

    (void)state;
    if (geteuid() != 0) {
        print_message("SKIP: only root can become another user\n");
        skip();
    }
    for (size_t i = 0; i < array_count(cases); i++) {
        struct wal_fixture fixture;
        int status = 0;

        wal_fixture_open(&fixture, 0);
        other_process_stop(&fixture.app); /* leaves no -wal and no -shm */
        assert_int_equal(chmod(fixture.scratch.folder, cases[i].folder), 0);
        assert_int_equal(chmod(fixture.path, cases[i].file), 0);
        pid_t pid = fork();
        if (pid == 0) {
            struct database *database = NULL;
            struct error err = { 0 };
            if (setuid(65534) != 0)
                _exit(3);
            rc code = database_open(&database, fixture.path, &default_options, &err);
            _exit(code != RC_DENIED ? 1 : strstr(err.text, cases[i].text) == NULL ? 2 : 0);
        }
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_int_equal(status, 0);
        wal_fixture_close(&fixture);
    }
}

static void releases_with_the_reset_bug_are_known(void **state)
{
    static const int have[] = { 3007000, 3040001, 3044005, 3045000, 3050006, 3051000, 3051002 };
    static const int have_not[] = { 3006023, 3044006, 3050007, 3051003, 3052000, 3053000 };

    (void)state;
    for (size_t i = 0; i < array_count(have); i++)
        assert_true(sqlite_has_wal_reset_bug(have[i]));
    for (size_t i = 0; i < array_count(have_not); i++)
        assert_false(sqlite_has_wal_reset_bug(have_not[i]));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_cannot_be_opened_is_said_precisely),
        cmocka_unit_test(a_rollback_database_is_converted_only_when_allowed),
        cmocka_unit_test(a_rollback_database_in_use_is_not_converted),
        cmocka_unit_test(an_exclusive_lock_is_recognised),
        cmocka_unit_test(one_file_is_opened_once_whatever_its_name),
        cmocka_unit_test(nothing_is_left_open_and_nothing_written),
        cmocka_unit_test(replaced_and_removed_files_have_moved),
        cmocka_unit_test(an_index_that_is_replaced_meanwhile_is_not_looked_into),
        cmocka_unit_test(pages_are_read_as_of_a_frame),
        cmocka_unit_test(folders_and_files_that_cannot_be_written_are_denied),
        cmocka_unit_test(releases_with_the_reset_bug_are_known),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
