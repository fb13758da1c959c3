/* Every key of the tables is in the manual, and the manual has no other. Argument: seawal.yml.5. */
#include "options_priv.h"

#include "base/alloc.h"
#include "base/buf.h"
#include "base/fs.h"
#include "base/text.h"
#include "harness/check.h"

#include <stdlib.h>
#include <string.h>

enum { MANUAL_SIZE_MAX = 1 << 20 };

static const char *manual_path;

static int read_manual(void **state)
{
    struct buf text = BUF_INIT(MANUAL_SIZE_MAX);
    struct error err;

    CHECK_OK(fs_read_file(&text, manual_path, &err));
    *state = buf_take_text(&text);
    buf_release(&text);
    return 0;
}

static int free_manual(void **state)
{
    free(*state);
    return 0;
}

/* The text of the subsection TITLE. Owned. */
static char *subsection(const char *manual, const char *title)
{
    auto_free char *head = text_format(".Ss %s\n", title);
    const char *begin = strstr(manual, head);

    if (begin == NULL)
        fail_msg("no section '%s'", title);
    const char *body = begin + strlen(head);
    const char *end = strstr(body, "\n.S");
    return text_format("%.*s", (int)(end - body), body);
}

/* Whether a line of TEXT that names keys (".It Ic", ".Ic") has the word KEY. */
static bool names_key(const char *text, const char *key)
{
    size_t size = strlen(key);

    for (const char *at = strstr(text, key); at != NULL; at = strstr(at + 1, key)) {
        const char *line = at;

        while (line > text && line[-1] != '\n')
            line--;
        bool is_word = at[-1] == ' ' && (at[size] == ' ' || at[size] == '\n' || at[size] == '\0');
        if (is_word && (text_has_prefix(line, ".It Ic ") || text_has_prefix(line, ".Ic ")))
            return true;
    }
    return false;
}

struct check {
    const char *manual;
    size_t count;
};

static void check_key(
    void *payload, const char *section, const char *key, const char *kind, const char *help)
{
    struct check *check = payload;
    const char *title = NULL;

    (void)section;
    (void)help;
    if (text_equal(kind, "ignored"))
        title = "Keys without effect";
    if (text_equal(kind, "refused"))
        title = "Keys that are refused";
    auto_free char *text = title != NULL ? subsection(check->manual, title) : NULL;
    if (!names_key(title != NULL ? text : check->manual, key))
        fail_msg("key '%s' (%s) is not in the manual", key, kind);
    check->count++;
}

static void every_key_is_in_the_manual(void **state)
{
    struct check check = { .manual = *state };

    config_each_key(check_key, &check);
    assert_true(check.count > 80);
}

static void manual_check_can_fail(void **state)
{
    assert_true(names_key(*state, "sync-interval"));
    assert_false(names_key(*state, "sync-interva"));
    assert_false(names_key(*state, "colour"));
    assert_false(names_key(*state, "Default"));
}

/* A default that its own parser refuses would end the program at its start. */
static void every_default_is_accepted(void **state)
{
    (void)state;
    for (size_t index = 0; option_all[index] != NULL; index++)
        for (size_t part = 0; part < OPTION_PART_COUNT_MAX; part++)
            for (size_t row = 0; row < option_all[index]->parts[part].option_count; row++) {
                const struct option_spec *option = &option_all[index]->parts[part].options[row];
                uint64_t field[4] = { 0 };
                struct error err;

                if (option->fallback != NULL)
                    CHECK_OK(option_parse(option, option->fallback, field, &err));
            }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_key_is_in_the_manual),
        cmocka_unit_test(manual_check_can_fail),
        cmocka_unit_test(every_default_is_accepted),
    };

    assert_int_equal(argc, 2);
    manual_path = argv[1];
    return cmocka_run_group_tests(tests, read_manual, free_manual);
}
