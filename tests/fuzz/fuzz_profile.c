/* Any bytes as a file of AWS profiles: what its section says, or an error that names the line. */
#include "net/credentials.h"

#include <assert.h>
#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    auto_credentials struct credentials found = CREDENTIALS_INIT;
    struct error err = { 0 };
    bool is_found = false;
    rc parsed = credentials_parse_profile(&found, bytes_of(data, size), "default", &is_found, &err);

    if (parsed != RC_OK) {
        assert(parsed == RC_USAGE || parsed == RC_UNSUPPORTED);
        assert(strncmp(err.text, "line ", 5) == 0);
        return 0;
    }
    if (!is_found)
        assert(found.access_key_id == NULL && found.region == NULL);
    if (found.access_key_id != NULL)
        assert(found.access_key_id[0] != '\0');
    return 0;
}
