/*
 * outage: the store is away for twelve hours while the application writes
 *
 * On a simulated clock, with real requests that are refused. How often is asked, how much is said,
 * and what lies on the disk have a bound that does not follow the time; then all of it drains.
 */
#include "rig.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/path.h"
#include "base/text.h"
#include "harness/fault.h"
#include "harness/fault_sqlite.h"
#include "harness/s3_server.h"
#include "replica/restore.h"
#include "simulated_time.h"

enum {
    HOURS = 12,
    MINUTE_MS = 60 * 1000,
    TRUNCATE_SIZE = 64 << 10,
    SPOOL_SIZE = 256 << 10,
    LARGEST = 32 << 10, /* of a transaction on disk */
    LOG_SIZE_MAX = 4 * TRUNCATE_SIZE,

    /* Of an upload that tries for a minute with pauses up to half of that, and then pauses. */
    REQUESTS_PER_HOUR_MAX = 2000,
    REQUESTS_PER_HOUR_MIN = 60, /* it is noticed within a minute that the store is back */
    TOLD_PER_HOUR_MAX = 4 * 60, /* each trouble once a minute */
    REQUESTS_TO_DRAIN_MAX = 200,
};

static uint64_t file_size(const char *path)
{
    struct stat status;

    assert_int_equal(stat(path, &status), 0);
    return (uint64_t)status.st_blocks * 512;
}

/* All files under PATH, as on disk. */
static uint64_t folder_size(const char *path)
{
    DIR *folder = opendir(path);
    uint64_t size = 0;

    assert_non_null(folder);
    for (const struct dirent *entry; (entry = readdir(folder)) != NULL;) {
        if (text_equal(entry->d_name, ".") || text_equal(entry->d_name, ".."))
            continue;
        auto_free char *inner = path_join(path, entry->d_name);
        size += entry->d_type == DT_DIR ? folder_size(inner) : file_size(inner);
    }
    closedir(folder);
    return size;
}

/* Every request is refused until the next statement of the application. */
static void refuse_all(void)
{
    fault_arm_plan(&(struct fault_plan){
        .calls = FAULT_CALLS_HTTP,
        .nth = 1,
        .times = UINT64_MAX,
        .sys_errno = S3_REFUSE,
    });
}

static void count_all(void)
{
    fault_arm_plan(&(struct fault_plan){ .calls = FAULT_CALLS_HTTP, .nth = UINT64_MAX });
}

struct hour {
    uint64_t requests;
    unsigned told;
    uint64_t spool_size; /* the largest */
    uint64_t log_size;
};

static struct hour pass_hour(struct rig *rig, const char *spool, const char *log)
{
    struct hour hour = { 0 };

    rig_hush();
    for (unsigned minute = 0; minute < 60; minute++) {
        rig_sql(rig, "UPDATE t SET v = randomblob(9000) WHERE id = 1 + abs(random() % 4)");
        refuse_all();
        rig_run(rig, MINUTE_MS);
        hour.requests += fault_passed();
        uint64_t spool_size = folder_size(spool);
        uint64_t log_size = file_size(log);
        hour.spool_size = spool_size > hour.spool_size ? spool_size : hour.spool_size;
        hour.log_size = log_size > hour.log_size ? log_size : hour.log_size;
    }
    hour.told = rig_told();
    return hour;
}

static void what_an_outage_costs_does_not_follow_its_length(void **state)
{
    struct rig rig;

    (void)state;
    s3_server_start();
    rig_begin(&rig, s3_server_url());
    rig.config.dbs[0].truncate_size = TRUNCATE_SIZE;
    rig.config.dbs[0].spool_size = SPOOL_SIZE;
    rig.config.dbs[0].min_checkpoint_page_count = 32;
    auto_free char *state_dir = config_state_dir_of(&rig.config.dbs[0]);
    auto_free char *spool = path_join(state_dir, "spool");
    auto_free char *log = text_format("%s-wal", rig.path);
    rig_start(&rig);
    rig_must_settle(&rig);
    rig_remember(&rig);

    /* As spool_priv.h says, and what is in the making beside it. */
    uint64_t database_size = (uint64_t)4 * 9000 + (64 << 10);
    uint64_t spool_max = 3 * database_size + SPOOL_SIZE + LARGEST;
    for (unsigned number = 0; number < HOURS; number++) {
        struct hour hour = pass_hour(&rig, spool, log);
        print_message("hour %2u: %llu requests, %u told, spool %llu KiB, log %llu KiB\n",
            number + 1, (unsigned long long)hour.requests, hour.told,
            (unsigned long long)hour.spool_size >> 10, (unsigned long long)hour.log_size >> 10);
        assert_in_range(hour.requests, REQUESTS_PER_HOUR_MIN, REQUESTS_PER_HOUR_MAX);
        assert_in_range(hour.told, 1, TOLD_PER_HOUR_MAX);
        assert_in_range(hour.spool_size, 1, spool_max);
        assert_in_range(hour.log_size, 1, LOG_SIZE_MAX);
    }

    /* It is back. */
    fault_disarm();
    count_all();
    rig_run(&rig, MINUTE_MS);
    rig_must_settle(&rig);
    print_message("%llu requests to drain\n", (unsigned long long)fault_passed());
    assert_in_range(fault_passed(), 1, REQUESTS_TO_DRAIN_MAX);
    fault_disarm();
    rig_check(&rig);
    rig_end(&rig);
    assert_int_equal(s3_server_overwritten(), 0);
    assert_int_equal(s3_server_unfinished(), 0);
    s3_server_stop();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_an_outage_costs_does_not_follow_its_length),
    };

    if (access("/dev/shm", W_OK | X_OK) == 0)
        setenv("TMPDIR", "/dev/shm", 0);
    fault_skip_syncs();
    fault_sqlite_install();
    return cmocka_run_group_tests_name("outage", tests, NULL, NULL);
}
