/*
 * place - the replica that "DB|URL" on a command line means
 */
#include "place.h"

#include "base/fs.h"
#include "base/text.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

void place_close(struct place *place)
{
    replica_free(place->replica);
    if (place->store != NULL)
        store_free(place->store);
    config_release(&place->config);
    *place = PLACE_INIT;
}

/* Where the file is, and whether somebody asked for that one. */
static const char *place_config_file(const struct config_flags *flags, bool *ret_asked)
{
    static const char *const variables[] = { "SEAWAL_CONFIG", "LITESTREAM_CONFIG" };

    *ret_asked = true;
    if (flags->file != NULL)
        return flags->file;
    for (size_t index = 0; index < 2; index++) {
        const char *file = getenv(variables[index]);

        if (file != NULL && file[0] != '\0')
            return file;
    }
    *ret_asked = false;
    return CONFIG_FILE_DEFAULT;
}

rc place_load_config(
    struct config *ret, const struct config_flags *flags, bool optional, struct error *err)
{
    struct config_options options = { .keep_dollars = flags->no_expand_env };
    bool asked;
    const char *file = place_config_file(flags, &asked);

    if (optional && !asked && !fs_exists(file)) {
        config_set_defaults(ret);
        return RC_OK;
    }
    /* Whatever is wrong with it, it is the configuration that has to be mended. */
    if (config_load(ret, file, &options, err) == RC_OK)
        return RC_OK;
    err->code = RC_USAGE;
    return RC_USAGE;
}

static rc place_connect(struct place *place, const char *url, const struct store_options *known,
    struct cancel *cancel, struct error *err)
{
    struct store_options options = { 0 };

    if (known != NULL)
        options = *known;
    options.cancel = cancel;
    TRY(store_open(&place->store, url, &options, err));
    place->replica = replica_new(place->store);
    return RC_OK;
}

rc place_open_db(struct place *ret, const struct db_config *db, struct cancel *cancel,
    int64_t deadline_ms, struct error *err)
{
    struct store_options options = db->replica.options;

    assert(ret->store == NULL);
    ret->db = db;
    options.request_deadline_ms = deadline_ms;
    return place_connect(ret, db->replica.url, &options, cancel, err);
}

/* A URL that the file knows as well is opened with what the file says about it. */
static rc place_open_url(struct place *place, const char *url, const struct config_flags *flags,
    struct cancel *cancel, struct error *err)
{
    const struct store_options *known = NULL;

    TRY(store_check_url(url, err));
    if (flags->file != NULL)
        TRY(place_load_config(&place->config, flags, false, err));
    for (size_t index = 0; index < place->config.db_count; index++)
        if (text_equal(place->config.dbs[index].replica.url, url))
            known = &place->config.dbs[index].replica.options;
    return place_connect(place, url, known, cancel, err);
}

static rc place_open_folder(
    struct place *place, const char *name, struct cancel *cancel, struct error *err)
{
    struct stat status;
    bool is_there = fs_stat(&status, name, NULL) == RC_OK;

    if (is_there && !S_ISDIR(status.st_mode))
        FAIL(err, RC_USAGE,
            "'%s' is a file and no database of the configuration; name its replica instead", name);
    if (!is_there && place->config.file != NULL)
        FAIL(err, RC_USAGE, "'%s' is neither a database of %s nor a folder", name,
            place->config.file);
    TRY(store_check_url(name, err));
    return place_connect(place, name, NULL, cancel, err);
}

rc place_open(struct place *ret, const char *name, const struct config_flags *flags,
    struct cancel *cancel, struct error *err)
{
    assert(ret->store == NULL);
    if (name[0] == '\0')
        FAIL(err, RC_USAGE, "an empty name where a database or a replica URL belongs");
    if (strstr(name, "://") != NULL && !text_has_prefix(name, "sqlite"))
        return place_open_url(ret, name, flags, cancel, err);

    TRY(place_load_config(&ret->config, flags, true, err));
    const struct db_config *db = config_find_db(&ret->config, name);
    if (db != NULL)
        return place_open_db(ret, db, cancel, 0, err);
    return place_open_folder(ret, name, cancel, err);
}
