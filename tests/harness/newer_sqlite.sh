#!/bin/bash
# A newer SQLite than the system's, as a shared library that LD_LIBRARY_PATH puts before it
#
#   newer_sqlite.sh FOLDER   leaves FOLDER/libsqlite3.so.0 there and prints its version
#
# The source is the amalgamation that an npm package carries, of one exact version whose checksum is checked, fetched
# by npm from whatever registry it is set up for. Exit status 77: it cannot be had here, and the last line says why;
# 1: what was fetched is not what was expected, or does not build.
set -uo pipefail

package=better-sqlite3@13.2.0
package_sha256=40487589df3496f2ee0079d22b73c63fccebe7db0e8ee9a2c42421861e321e0b
version=3.54.1
fetch_seconds=60

fail() {
    echo "$2" >&2
    exit "$1"
}

folder=${1:?folder}
mkdir -p "$folder" && cd "$folder" || exit 1
if [ -e libsqlite3.so.0 ]; then
    echo "$version"
    exit 0
fi
command -v npm >/dev/null || fail 77 "npm is not installed, so $package cannot be fetched"

archive=$(timeout -k 5 "$fetch_seconds" npm pack --ignore-scripts --silent --fetch-retries=1 "$package" 2>npm.log | tail -n 1)
[ -n "$archive" ] && [ -e "$archive" ] ||
    fail 77 "npm could not fetch $package: $(grep -m 1 -i 'error' npm.log || echo "no answer in $fetch_seconds s")"
echo "$package_sha256  $archive" | sha256sum --check --quiet - || fail 1 "$package is not the package that was expected"
tar -xzf "$archive" --strip-components=3 package/deps/sqlite3 || fail 1 "$package holds no amalgamation"
grep -q "^#define SQLITE_VERSION  *\"$version\"" sqlite3.h || fail 1 "$package holds another SQLite than $version"

# Threads and whatever tests use of it, like a distribution's build.
cc -O1 -g -shared -fPIC -Wl,-soname,libsqlite3.so.0 -DSQLITE_THREADSAFE=1 -DHAVE_USLEEP=1 \
    -DSQLITE_ENABLE_COLUMN_METADATA -DSQLITE_ENABLE_DBSTAT_VTAB -DSQLITE_ENABLE_FTS5 -DSQLITE_ENABLE_RTREE \
    -DSQLITE_ENABLE_MATH_FUNCTIONS -DSQLITE_ENABLE_UNLOCK_NOTIFY sqlite3.c -o building.so -lm -lpthread -ldl ||
    fail 1 "SQLite $version does not build"
mv building.so libsqlite3.so.0
rm -f sqlite3.c "$archive"
echo "$version"
