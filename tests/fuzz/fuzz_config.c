/* Any bytes as a configuration file: settings or an error with text, never more. */
#include "config/config.h"

#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    auto_config struct config config = CONFIG_INIT;
    struct error err;
    rc result = config_parse(&config, "fuzz.yml", bytes_of(data, size), NULL, &err);

    if (result != RC_OK) {
        assert(result == RC_USAGE);
        assert(err.code == RC_USAGE);
        assert(strncmp(err.text, "fuzz.yml:", 9) == 0);
        return 0;
    }
    for (size_t index = 0; index < config.db_count; index++) {
        assert(config.dbs[index].path[0] == '/');
        assert(config.dbs[index].replica.url != NULL);
        assert(config_find_db(&config, config.dbs[index].path) == &config.dbs[index]);
    }
    return 0;
}
