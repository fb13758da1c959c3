/*
 * options - the tables of every configuration key: type, place, default, limits, help
 *
 * Parsing, defaults, suggestions and the manual's check all read the same rows. A section is what
 * may stand in one map; it is made of parts, since replica settings may also stand at the top as
 * defaults for every replica.
 */
#ifndef SEAWAL_CONFIG_OPTIONS_PRIV_H
#define SEAWAL_CONFIG_OPTIONS_PRIV_H

#include "config/config.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { LITESTREAM_LEVEL_COUNT_MAX = 8 };

/* What was written about retention: our list of rules, or Litestream's keys. */
struct retention_draft {
    bool is_on;         /* false: nothing is removed, whatever else stands here */
    struct rules rules; /* count 0: no list */
    int64_t keep_ms;    /* 0.3's "retention" of a replica; -1: not written */

    int64_t log_keep_ms;      /* 0.5's "l0-retention"; 0: for ever; -1: not written */
    int64_t snapshot_keep_ms; /* 0.5's "snapshot.retention"; 0: not written */
    int64_t levels_ms[LITESTREAM_LEVEL_COUNT_MAX]; /* 0.5's "levels", ascending */
    size_t level_count;                            /* 0: not written */

    unsigned line; /* of the last of them that is no plain value; 0: none */
};

/* One database while it is read. */
struct db_draft {
    struct db_config db;
    struct retention_draft retention;
    char *replica_type;
    char *replica_bucket;
    char *replica_path;
    unsigned replica_line; /* 0: no replica was written */
};

/* The whole file while it is read. */
struct draft {
    struct config config;
    struct db_draft defaults; /* what every database starts from */
    char *state_root;         /* holds the state folders; NULL: each beside its database */
};

enum option_type {
    OPTION_TEXT,
    OPTION_PATH,     /* made absolute, ~/ is the home folder */
    OPTION_ADDRESS,  /* HOST:PORT to listen at */
    OPTION_DURATION, /* int64_t milliseconds */
    OPTION_COUNT,    /* uint32_t */
    OPTION_SIZE,     /* uint64_t bytes */
    OPTION_BOOL,
    OPTION_TRISTATE, /* int: 1 for true, -1 for false, 0 not set */
    OPTION_LOG_LEVEL,
    OPTION_LOG_FORMAT,
    OPTION_SECTION,  /* a map of its own: see section */
    OPTION_DBS,      /* the list of databases */
    OPTION_REPLICAS, /* Litestream 0.3's list, of which one element is allowed */
    OPTION_EVERY,    /* int64_t milliseconds, "transaction" is 0 */
    OPTION_KEEP,     /* int64_t milliseconds, "forever" is RULE_KEEP_FOREVER */
    OPTION_RULES,   /* struct retention_draft: "off", a duration, a list of rules, {enabled: ...} */
    OPTION_LEVELS,  /* struct retention_draft: Litestream's list of levels */
    OPTION_IGNORED, /* Litestream's, without effect here: a warning */
    OPTION_REFUSED, /* understood, and ignoring it would harm: an error */
};

struct option_spec {
    const char *key;
    enum option_type type;
    size_t offset;        /* in the part's struct */
    const char *fallback; /* parsed like the user's own text; NULL: not set */
    uint64_t min;         /* of durations (ms), counts and sizes */
    uint64_t max;         /* 0: what the type holds */
    const struct option_section *section;
    bool other_name; /* another row of the section has the same field */
    const char *help;
};

struct option_part {
    const struct option_spec *options;
    size_t option_count;
    size_t offset; /* of the part's struct in the section's */
};

enum { OPTION_PART_COUNT_MAX = 5, OPTION_COUNT_MAX = 96 };

struct option_section {
    const char *name; /* in messages and for the manual; "" at the top */
    struct option_part parts[OPTION_PART_COUNT_MAX];
};

extern const struct option_section option_top;          /* in a struct draft */
extern const struct option_section option_logging;      /* in a struct config */
extern const struct option_section option_db;           /* in a struct db_draft */
extern const struct option_section option_snapshot;     /* in a struct db_draft */
extern const struct option_section option_replica;      /* in a struct db_draft */
extern const struct option_section option_retention;    /* in a struct retention_draft */
extern const struct option_section option_rule;         /* in a struct rule */
extern const struct option_section option_level;        /* in an int64_t */
extern const struct option_section *const option_all[]; /* NULL-terminated, for the manual */

/* The row of KEY and where its value goes below BASE; NULL: unknown. *RET_INDEX is below
 * OPTION_COUNT_MAX. */
const struct option_spec *option_find(const struct option_section *section, const char *key,
    void *base, void **ret_field, size_t *ret_index);

/* Fill in every default of SECTION below BASE. */
void option_set_defaults(const struct option_section *section, void *base);

/* Give back, or deepen into copies of its own, every text of SECTION below BASE. */
void option_release_texts(const struct option_section *section, void *base);
void option_copy_texts(const struct option_section *section, void *base);

/* Parse TEXT into FIELD. RC_USAGE tells what was expected, without file and line. */
must_use rc option_parse(
    const struct option_spec *option, const char *text, void *field, struct error *err);

/* PATH as an absolute one, "~/" and Litestream's "sqlite://" understood; nothing is looked up. */
must_use rc option_absolute_path(char **ret, const char *path, struct error *err);

#endif
