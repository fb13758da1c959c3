/* small_server - the S3 server of other tests (harness/s3_server.h) runs before main() begins */
#include "harness/s3_server.h"

__attribute__((constructor)) static void small_server_begin(void)
{
    s3_server_start();
}

__attribute__((destructor)) static void small_server_end(void)
{
    s3_server_stop();
}
