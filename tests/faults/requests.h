/*
 * requests - the nth request to the S3 server of the test goes wrong
 *
 * The linker's --wrap sends http_client_run() here. Requests are counted as our code makes them,
 * each attempt by itself; that libcurl sends one again is no request of its own, and the server
 * misbehaves until it was given up.
 */
#ifndef SEAWAL_TESTS_FAULTS_REQUESTS_H
#define SEAWAL_TESTS_FAULTS_REQUESTS_H

#include "kind.h"

extern const struct kind request_kinds[];
extern const size_t request_kind_count;

#endif
