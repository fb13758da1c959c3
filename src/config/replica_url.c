/*
 * replica_url - one URL from the ways a replica's place can be written
 */
#include "replica_url_priv.h"

#include "base/alloc.h"
#include "base/text.h"
#include "base/url.h"

#include <stdlib.h>
#include <string.h>

static rc replica_url_s3(struct db_draft *draft, struct error *err)
{
    if (draft->replica_bucket == NULL)
        FAIL(err, RC_USAGE, "a replica of type s3 needs a bucket, or a url");

    const char *path = draft->replica_path != NULL ? draft->replica_path : "";
    while (path[0] == '/')
        path++;
    auto_free char *prefix = url_escape(path, 1);
    draft->db.replica.url = text_format("s3://%s/%s", draft->replica_bucket, prefix);
    return RC_OK;
}

static rc replica_url_file(struct db_draft *draft, struct error *err)
{
    if (draft->replica_bucket != NULL)
        FAIL(err, RC_USAGE, "a bucket belongs to type s3; say 'type: s3'");
    if (draft->replica_path == NULL)
        FAIL(err, RC_USAGE, "a replica needs a url (or type, bucket and path)");
    draft->db.replica.url = text_copy(draft->replica_path);
    return RC_OK;
}

static const struct {
    const char *type;
    rc (*make)(struct db_draft *draft, struct error *err);
} replica_url_types[] = {
    { "file", replica_url_file },
    { "s3", replica_url_s3 },
};

static rc replica_url_make(struct db_draft *draft, struct error *err)
{
    const char *type = draft->replica_type;

    if (type == NULL)
        type = draft->replica_bucket != NULL ? "s3" : "file";
    for (size_t index = 0; index < array_count(replica_url_types); index++)
        if (text_equal(type, replica_url_types[index].type))
            return replica_url_types[index].make(draft, err);
    FAIL(err, RC_USAGE, "replica type '%s' is not offered; s3 and file are", type);
}

rc replica_url_complete(struct db_draft *draft, struct error *err)
{
    struct replica_config *replica = &draft->db.replica;

    if (replica->url == NULL)
        TRY(replica_url_make(draft, err));
    else if (draft->replica_path != NULL || draft->replica_bucket != NULL)
        FAIL(err, RC_USAGE, "a replica has either a url, or a bucket and a path");
    /* Checked as it was written: "s3:bucket" must not become a folder of that name. */
    TRY(store_check_url(replica->url, err));
    if (strstr(replica->url, "://") != NULL)
        return RC_OK;

    char *absolute;
    TRY(option_absolute_path(&absolute, replica->url, err));
    free(replica->url);
    replica->url = absolute;
    return RC_OK;
}
