/*
 * config - from a tree of YAML to complete settings
 *
 * A section of the file is walked twice: plain values first, then what is nested in it, so that the
 * defaults of the whole file are known when the first database is read, wherever they stand.
 */
#include "config/config.h"

#include "base/alloc.h"
#include "base/buf.h"
#include "base/fs.h"
#include "base/text.h"
#include "config/suggest.h"
#include "env_priv.h"
#include "options_priv.h"
#include "replica_url_priv.h"
#include "retention_priv.h"
#include "yaml_priv.h"

#include <assert.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

enum { CONFIG_WARNING_COUNT_MAX = 128, CONFIG_CAUSE_SIZE_MAX = 400 };

struct loader {
    const char *file;
    struct config_options options;
    struct draft draft;
    struct node *dbs; /* read when everything else was */
    size_t db_capacity;
    const struct option_spec *warned[CONFIG_WARNING_COUNT_MAX]; /* each key once */
    size_t warned_count;
};

/* ---- life */

static void config_release_replica(struct replica_config *replica)
{
    free(replica->url);
    free(replica->endpoint);
    free(replica->region);
    free(replica->access_key_id);
    free(replica->secret_access_key);
    free(replica->session_token);
    free(replica->profile);
    free(replica->ca_file);
}

void config_release(struct config *config)
{
    for (size_t index = 0; index < config->db_count; index++) {
        free(config->dbs[index].path);
        free(config->dbs[index].state_dir);
        config_release_replica(&config->dbs[index].replica);
    }
    for (size_t index = 0; index < config->warning_count; index++)
        free(config->warnings[index]);
    free(config->dbs);
    free(config->warnings);
    free(config->exec);
    free(config->metrics_address);
    free(config->file);
    *config = CONFIG_INIT;
}

static void draft_init(struct draft *draft)
{
    *draft = (struct draft){ 0 };
    option_set_defaults(&option_top, draft);
    option_set_defaults(&option_logging, &draft->config);
    option_set_defaults(&option_snapshot, &draft->defaults);
    retention_draft_init(&draft->defaults.retention);
}

static void db_draft_release(struct db_draft *draft)
{
    option_release_texts(&option_db, draft);
    option_release_texts(&option_replica, draft);
}

static void draft_release(struct draft *draft)
{
    config_release(&draft->config);
    db_draft_release(&draft->defaults);
    free(draft->state_root);
    *draft = (struct draft){ 0 };
}

static void loader_release(struct loader *loader)
{
    draft_release(&loader->draft);
}

/* The defaults with texts of its own. */
static struct db_draft db_draft_copy(const struct db_draft *defaults)
{
    struct db_draft draft = *defaults;

    option_copy_texts(&option_db, &draft);
    option_copy_texts(&option_replica, &draft);
    return draft;
}

/* ---- one section */

/*
 * Put the place, and the key where it is known, before ERR's text. A long value that the text
 * quotes is cut first: the place must not be lost to it.
 */
static rc loader_at(
    const struct loader *loader, unsigned line, const char *key, rc code, struct error *err)
{
    if (code == RC_OK || err == NULL)
        return code;
    if (strlen(err->text) > CONFIG_CAUSE_SIZE_MAX)
        memcpy(err->text + CONFIG_CAUSE_SIZE_MAX - 3, "...", 4);
    if (key == NULL)
        return error_wrap(err, code, "%s:%u", loader->file, line);
    return error_wrap(err, code, "%s:%u: '%s'", loader->file, line, key);
}

static rc loader_unknown(struct loader *loader, const struct option_section *section,
    const struct node *node, struct error *err)
{
    struct suggestion suggestion = suggestion_for(node->key);
    const char *where = section->name[0] != '\0' ? section->name : "the top level";

    for (size_t part = 0; part < OPTION_PART_COUNT_MAX; part++)
        for (size_t row = 0; row < section->parts[part].option_count; row++)
            suggestion_consider(&suggestion, section->parts[part].options[row].key);
    if (suggestion.best == NULL)
        FAIL(err, RC_USAGE, "%s:%u: unknown key '%s' in %s", loader->file, node->key_line,
            node->key, where);
    FAIL(err, RC_USAGE, "%s:%u: unknown key '%s' in %s; did you mean '%s'?", loader->file,
        node->key_line, node->key, where, suggestion.best);
}

static rc loader_want(struct loader *loader, const struct node *node, enum node_kind kind,
    const char *name, struct error *err)
{
    if (node->kind != kind)
        FAIL(err, RC_USAGE, "%s:%u: '%s' must be %s, not %s", loader->file, node->line, name,
            node_kind_text(kind), node_kind_text(node->kind));
    return RC_OK;
}

static void loader_warn(
    struct loader *loader, const struct option_spec *option, const struct node *node)
{
    struct config *config = &loader->draft.config;

    for (size_t index = 0; index < loader->warned_count; index++)
        if (loader->warned[index] == option)
            return;
    assert(loader->warned_count < CONFIG_WARNING_COUNT_MAX);
    loader->warned[loader->warned_count++] = option;
    config->warnings =
        mem_resize(config->warnings, (config->warning_count + 1) * sizeof *config->warnings);
    config->warnings[config->warning_count++] = text_format(
        "%s:%u: '%s' has no effect: %s", loader->file, node->key_line, option->key, option->help);
}

/* What the scalar NODE says, with its variables expanded. Owned. */
static rc loader_text(
    struct loader *loader, const char *key, const struct node *node, char **ret, struct error *err)
{
    TRY(loader_want(loader, node, NODE_SCALAR, key, err));
    if (loader->options.keep_dollars) {
        *ret = text_copy(node->text);
        return RC_OK;
    }
    return loader_at(loader, node->line, key, env_expand(ret, node->text, err), err);
}

/* A value into its field. What was left empty is not set. */
static rc loader_value(struct loader *loader, const struct option_spec *option,
    const struct node *node, void *field, struct error *err)
{
    if (node_is_null(node))
        return RC_OK;
    auto_free char *text = NULL;
    TRY(loader_text(loader, option->key, node, &text, err));
    return loader_at(loader, node->line, option->key, option_parse(option, text, field, err), err);
}

static bool option_is_nested(const struct option_spec *option)
{
    return option->type == OPTION_SECTION || option->type == OPTION_DBS ||
           option->type == OPTION_REPLICAS;
}

static rc loader_leaf(struct loader *loader, const struct option_section *section,
    const struct node *node, void *base, struct error *err);

/* One rule of the list, of which both values must be there. */
static rc loader_rule(
    struct loader *loader, const struct node *node, struct rules *rules, struct error *err)
{
    struct rule rule = { .every_ms = -1, .keep_ms = -1 };

    TRY(loader_leaf(loader, &option_rule, node, &rule, err));
    if (rule.every_ms < 0 || rule.keep_ms < 0)
        FAIL(err, RC_USAGE, "%s:%u: a rule of 'retention' needs 'every' and 'keep'", loader->file,
            node->line);
    if (rules->count == RULES_COUNT_MAX)
        FAIL(err, RC_USAGE, "%s:%u: more than %d rules of 'retention'", loader->file, node->line,
            RULES_COUNT_MAX);
    rules->rules[rules->count++] = rule;
    return RC_OK;
}

/* A list of rules, Litestream's {enabled: ...}, "off", or Litestream 0.3's duration. */
static rc loader_retention(struct loader *loader, const struct node *node,
    struct retention_draft *draft, struct error *err)
{
    if (node_is_null(node))
        return RC_OK;
    draft->line = node->line;
    if (node->kind == NODE_MAP)
        return loader_leaf(loader, &option_retention, node, draft, err);
    if (node->kind == NODE_SCALAR) {
        auto_free char *text = NULL;
        TRY(loader_text(loader, "retention", node, &text, err));
        return loader_at(loader, node->line, "retention", retention_word(draft, text, err), err);
    }

    struct rules rules = { .count = 0 };
    for (const struct node *rule = node->first; rule != NULL; rule = rule->next)
        TRY(loader_rule(loader, rule, &rules, err));
    TRY(loader_at(loader, node->line, "retention", rules_check(&rules, err), err));
    retention_take_rules(draft, &rules);
    return RC_OK;
}

/* Litestream's levels. */
static rc loader_levels(struct loader *loader, const struct node *list,
    struct retention_draft *draft, struct error *err)
{
    if (node_is_null(list))
        return RC_OK;
    TRY(loader_want(loader, list, NODE_LIST, "levels", err));
    draft->line = list->line;
    draft->level_count = 0;
    for (const struct node *node = list->first; node != NULL; node = node->next) {
        int64_t interval_ms = 0;
        TRY(loader_leaf(loader, &option_level, node, &interval_ms, err));
        TRY(loader_at(
            loader, node->line, "levels", retention_add_level(draft, interval_ms, err), err));
    }
    return RC_OK;
}

static rc loader_plain(struct loader *loader, const struct option_spec *option,
    const struct node *node, void *field, struct error *err)
{
    if (option->type == OPTION_RULES)
        return loader_retention(loader, node, field, err);
    if (option->type == OPTION_LEVELS)
        return loader_levels(loader, node, field, err);
    if (option->type == OPTION_REFUSED && !node_is_null(node))
        FAIL(err, RC_USAGE, "%s:%u: '%s': %s", loader->file, node->key_line, option->key,
            option->help);
    if (option->type == OPTION_IGNORED)
        loader_warn(loader, option, node);
    if (option->type == OPTION_IGNORED || option->type == OPTION_REFUSED)
        return RC_OK;
    return loader_value(loader, option, node, field, err);
}

/* The plain values of the map NODE; every key is known and stands there once afterwards. */
static rc loader_plain_values(struct loader *loader, const struct option_section *section,
    const struct node *map, void *base, struct error *err)
{
    bool seen[OPTION_COUNT_MAX] = { false };

    for (const struct node *node = map->first; node != NULL; node = node->next) {
        void *field;
        size_t index;
        const struct option_spec *option = option_find(section, node->key, base, &field, &index);

        if (option == NULL)
            return loader_unknown(loader, section, node, err);
        if (seen[index])
            FAIL(err, RC_USAGE, "%s:%u: '%s' stands here twice", loader->file, node->key_line,
                node->key);
        seen[index] = true;
        if (!option_is_nested(option))
            TRY(loader_plain(loader, option, node, field, err));
    }
    return RC_OK;
}

/* The map of a section that has no further ones in it. */
static rc loader_leaf(struct loader *loader, const struct option_section *section,
    const struct node *node, void *base, struct error *err)
{
    if (node_is_null(node))
        return RC_OK;
    TRY(loader_want(loader, node, NODE_MAP, section->name, err));
    return loader_plain_values(loader, section, node, base, err);
}

/* ---- databases */

static rc loader_replica(
    struct loader *loader, const struct node *node, struct db_draft *draft, struct error *err)
{
    if (node_is_null(node))
        return RC_OK;
    if (draft->replica_line != 0)
        FAIL(err, RC_USAGE, "%s:%u: a second replica; a database has exactly one", loader->file,
            node->line);
    draft->replica_line = node->line;
    return loader_leaf(loader, &option_replica, node, draft, err);
}

static rc loader_replicas(
    struct loader *loader, const struct node *list, struct db_draft *draft, struct error *err)
{
    if (node_is_null(list))
        return RC_OK;
    TRY(loader_want(loader, list, NODE_LIST, "replicas", err));
    for (const struct node *node = list->first; node != NULL; node = node->next)
        TRY(loader_replica(loader, node, draft, err));
    return RC_OK;
}

static rc loader_db_nested(
    struct loader *loader, const struct node *node, struct db_draft *draft, struct error *err)
{
    void *field;
    size_t index;
    const struct option_spec *option = option_find(&option_db, node->key, draft, &field, &index);

    assert(option != NULL);
    if (option->type == OPTION_REPLICAS)
        return loader_replicas(loader, node, draft, err);
    if (option->section == &option_replica)
        return loader_replica(loader, node, draft, err);
    if (option->type == OPTION_SECTION)
        return loader_leaf(loader, option->section, node, field, err);
    return RC_OK;
}

/* The store's options borrow from the texts beside them; skip-verify has no third state there. */
static void replica_lend_options(struct replica_config *replica)
{
    struct store_options *options = &replica->options;

    options->endpoint = replica->endpoint;
    options->region = replica->region;
    options->access_key_id = replica->access_key_id;
    options->secret_access_key = replica->secret_access_key;
    options->session_token = replica->session_token;
    options->profile = replica->profile;
    options->ca_file = replica->ca_file;
    options->skip_verify = options->skip_verify > 0;
}

/* The state folder's name below a common root: the path with its slashes made harmless, reversibly.
 */
static char *state_dir_below(const char *root, const char *db_path)
{
    auto_buf struct buf name = BUF_INIT(CONFIG_SIZE_MAX);

    buf_put_text(&name, root);
    buf_put_text(&name, "/");
    for (const char *at = db_path + (db_path[0] == '/'); *at != '\0'; at++) {
        if (*at == '/')
            buf_put_text(&name, "-");
        else if (*at == '-' || *at == '%')
            buf_put_format(&name, "%%%02X", (unsigned)(unsigned char)*at);
        else
            buf_put(&name, bytes_of(at, 1));
    }
    return buf_take_text(&name);
}

/*
 * Ten logs: where there is room for the log that the operator allows, there is room for some of
 * them, and at 64 MiB it is hours of a busy application's transactions, none of them merged.
 */
static uint64_t spool_size_default(uint64_t truncate_size)
{
    enum { SPOOL_SIZE_FACTOR = 10 };

    return truncate_size < UINT64_MAX / SPOOL_SIZE_FACTOR ? truncate_size * SPOOL_SIZE_FACTOR
                                                          : UINT64_MAX;
}

static rc db_draft_complete(struct db_draft *draft, struct error *err)
{
    if (draft->db.path == NULL)
        FAIL(err, RC_USAGE, "a database needs a path");
    if (text_has_suffix(draft->db.path, "/"))
        FAIL(err, RC_USAGE, "database path '%s' ends with a slash", draft->db.path);
    if (draft->db.replica.access_key_id != NULL && draft->db.replica.secret_access_key == NULL)
        FAIL(err, RC_USAGE, "access-key-id without secret-access-key");
    if (draft->db.replica.access_key_id == NULL && draft->db.replica.secret_access_key != NULL)
        FAIL(err, RC_USAGE, "secret-access-key without access-key-id");
    if (draft->db.spool_size == 0)
        draft->db.spool_size = spool_size_default(draft->db.truncate_size);
    return replica_url_complete(draft, err);
}

/* Moves what DRAFT holds to the end of the list. */
static void config_append(struct config *config, size_t *capacity, struct db_draft *draft)
{
    if (config->db_count == *capacity) {
        *capacity = *capacity == 0 ? 4 : *capacity * 2;
        config->dbs = mem_resize(config->dbs, *capacity * sizeof *config->dbs);
    }
    config->dbs[config->db_count++] = draft->db;
    draft->db = (struct db_config){ 0 };
    replica_lend_options(&config->dbs[config->db_count - 1].replica);
}

static rc loader_db_complete(
    struct loader *loader, const struct node *map, struct db_draft *draft, struct error *err)
{
    if (draft->db.path != NULL && draft->replica_line == 0)
        FAIL(err, RC_USAGE, "%s:%u: database '%s' has no replica", loader->file, map->line,
            draft->db.path);
    unsigned rules_line = draft->retention.line != 0 ? draft->retention.line : map->line;
    TRY(loader_at(loader, rules_line, "retention", retention_complete(draft, err), err));
    unsigned line = draft->db.path == NULL ? map->line : draft->replica_line;
    TRY(loader_at(loader, line, NULL, db_draft_complete(draft, err), err));
    draft->db.line = map->line;
    if (draft->db.state_dir == NULL && loader->draft.state_root != NULL)
        draft->db.state_dir = state_dir_below(loader->draft.state_root, draft->db.path);
    config_append(&loader->draft.config, &loader->db_capacity, draft);
    return RC_OK;
}

static rc loader_db(struct loader *loader, const struct node *map, struct error *err)
{
    TRY(loader_want(loader, map, NODE_MAP, "a database", err));
    if (loader->draft.config.db_count == CONFIG_DB_COUNT_MAX)
        FAIL(err, RC_USAGE, "%s:%u: more than %d databases", loader->file, map->line,
            CONFIG_DB_COUNT_MAX);

    __attribute__((cleanup(db_draft_release))) struct db_draft draft =
        db_draft_copy(&loader->draft.defaults);
    TRY(loader_plain_values(loader, &option_db, map, &draft, err));
    for (const struct node *node = map->first; node != NULL; node = node->next)
        TRY(loader_db_nested(loader, node, &draft, err));
    return loader_db_complete(loader, map, &draft, err);
}

static int config_compare_paths(const void *left, const void *right)
{
    const struct db_config *const *one = left;
    const struct db_config *const *other = right;
    int order = strcmp((*one)->path, (*other)->path);

    return order != 0 ? order : ((*one)->line > (*other)->line) - ((*one)->line < (*other)->line);
}

static rc loader_check_distinct(struct loader *loader, struct error *err)
{
    const struct config *config = &loader->draft.config;
    auto_free const struct db_config **sorted = mem_new_array(config->db_count + 1, sizeof *sorted);

    for (size_t index = 0; index < config->db_count; index++)
        sorted[index] = &config->dbs[index];
    qsort(sorted, config->db_count, sizeof *sorted, config_compare_paths);
    for (size_t index = 1; index < config->db_count; index++)
        if (text_equal(sorted[index - 1]->path, sorted[index]->path))
            FAIL(err, RC_USAGE, "%s:%u: database '%s' stands in line %u already", loader->file,
                sorted[index]->line, sorted[index]->path, sorted[index - 1]->line);
    return RC_OK;
}

static rc loader_dbs(struct loader *loader, const struct node *list, struct error *err)
{
    if (node_is_null(list))
        return RC_OK;
    TRY(loader_want(loader, list, NODE_LIST, "dbs", err));
    for (const struct node *node = list->first; node != NULL; node = node->next)
        TRY(loader_db(loader, node, err));
    return loader_check_distinct(loader, err);
}

/* ---- the file */

static rc loader_top_nested(struct loader *loader, const struct node *node, struct error *err)
{
    void *field;
    size_t index;
    const struct option_spec *option =
        option_find(&option_top, node->key, &loader->draft, &field, &index);

    assert(option != NULL);
    if (option->type == OPTION_SECTION)
        return loader_leaf(loader, option->section, node, field, err);
    return RC_OK;
}

static rc loader_top(struct loader *loader, const struct node *map, struct error *err)
{
    const struct node *dbs = NULL;

    TRY(loader_want(loader, map, NODE_MAP, "the file", err));
    TRY(loader_plain_values(loader, &option_top, map, &loader->draft, err));
    for (const struct node *node = map->first; node != NULL; node = node->next) {
        TRY(loader_top_nested(loader, node, err));
        if (text_equal(node->key, "dbs"))
            dbs = node;
    }
    return dbs != NULL ? loader_dbs(loader, dbs, err) : RC_OK;
}

rc config_parse(struct config *ret, const char *file, struct bytes text,
    const struct config_options *options, struct error *err)
{
    assert(file != NULL);

    auto_tree struct tree tree = TREE_INIT;
    TRY(tree_parse(&tree, file, text, err));

    __attribute__((cleanup(loader_release))) struct loader loader = { .file = file };
    if (options != NULL)
        loader.options = *options;
    draft_init(&loader.draft);
    loader.draft.config.file = text_copy(file);
    if (tree.root != NULL && !node_is_null(tree.root))
        TRY(loader_top(&loader, tree.root, err));
    *ret = loader.draft.config;
    loader.draft.config = CONFIG_INIT;
    return RC_OK;
}

rc config_load(
    struct config *ret, const char *file, const struct config_options *options, struct error *err)
{
    auto_buf struct buf text = BUF_INIT(CONFIG_SIZE_MAX);
    rc result = fs_read_file(&text, file, err);

    if (result == RC_NOT_FOUND || result == RC_CORRUPT)
        return error_wrap(err, RC_USAGE, "configuration file");
    if (result != RC_OK)
        return error_wrap(err, result, "configuration file");
    return config_parse(ret, file, buf_bytes(&text), options, err);
}

/* ---- without a file */

void config_set_defaults(struct config *ret)
{
    struct draft draft;

    draft_init(&draft);
    *ret = draft.config;
    draft.config = CONFIG_INIT;
    draft_release(&draft);
}

rc config_add_db(struct config *config, const char *path, const char *url, struct error *err)
{
    struct draft defaults;

    draft_init(&defaults);
    __attribute__((cleanup(db_draft_release))) struct db_draft draft =
        db_draft_copy(&defaults.defaults);
    draft_release(&defaults);

    TRY_AS(err, option_absolute_path(&draft.db.path, path, err), "database");
    TRY(retention_complete(&draft, err));
    draft.db.replica.url = text_copy(url);
    TRY_AS(err, db_draft_complete(&draft, err), "database '%s'", path);
    if (config_find_db(config, draft.db.path) != NULL)
        FAIL(err, RC_USAGE, "database '%s' is named twice", path);
    size_t capacity = config->db_count;
    config_append(config, &capacity, &draft);
    return RC_OK;
}

const struct db_config *config_find_db(const struct config *config, const char *path)
{
    auto_free char *absolute = NULL;

    if (option_absolute_path(&absolute, path, NULL) != RC_OK)
        return NULL;
    for (size_t index = 0; index < config->db_count; index++)
        if (text_equal(config->dbs[index].path, absolute))
            return &config->dbs[index];
    return NULL;
}

void config_set_state_root(struct config *config, const char *state_dir)
{
    auto_free char *root = NULL;

    if (option_absolute_path(&root, state_dir, NULL) != RC_OK)
        root = text_copy(state_dir);
    for (size_t index = 0; index < config->db_count; index++)
        if (config->dbs[index].state_dir == NULL)
            config->dbs[index].state_dir = state_dir_below(root, config->dbs[index].path);
}

char *config_state_dir_of(const struct db_config *db)
{
    if (db->state_dir != NULL)
        return text_copy(db->state_dir);
    const char *slash = strrchr(db->path, '/');
    assert(slash != NULL);
    return text_format("%.*s/.%s-seawal", (int)(slash - db->path), db->path, slash + 1);
}

/* ---- for the manual */

static const char *option_kind_text(enum option_type type)
{
    if (type == OPTION_IGNORED)
        return "ignored";
    return type == OPTION_REFUSED ? "refused" : "setting";
}

void config_each_key(config_key_fn *each, void *payload)
{
    for (size_t index = 0; option_all[index] != NULL; index++) {
        const struct option_section *section = option_all[index];

        for (size_t part = 0; part < OPTION_PART_COUNT_MAX; part++)
            for (size_t row = 0; row < section->parts[part].option_count; row++) {
                const struct option_spec *option = &section->parts[part].options[row];

                each(payload, section->name, option->key, option_kind_text(option->type),
                    option->help);
            }
    }
}
