# shellcheck shell=bash
# packages.sh - install the Debian packages of a list, or say which are missing
#
# Sourced by packaging/quickstart and tests/run.

# missing_packages LIST...: the packages of the lists that are not installed.
missing_packages() {
    local name
    sed -e 's/#.*//' -e '/^[[:space:]]*$/d' "$@" | while read -r name; do
        dpkg-query -W -f '${Status}' "$name" 2>/dev/null | grep -q 'ok installed' || echo "$name"
    done
}

# install_packages LIST...: asks nothing. Where it may not install, it says what to install and fails.
install_packages() {
    local missing
    if ! command -v dpkg-query >/dev/null; then
        echo "This is not a Debian system. Please make sure that these are installed (Debian's names):" >&2
        sed -e 's/#.*//' -e '/^[[:space:]]*$/d' -e 's/^/    /' "$@" >&2
        return 0
    fi
    missing=$(missing_packages "$@" | tr '\n' ' ')
    [ -n "$missing" ] || return 0
    if [ "$(id -u)" != 0 ]; then
        echo "These packages are needed, and installing them needs root. Please run:" >&2
        echo "    sudo apt-get install -y --no-install-recommends $missing" >&2
        return 1
    fi
    echo "Installing packages: $missing"
    export DEBIAN_FRONTEND=noninteractive
    apt-get -qq -o DPkg::Lock::Timeout=300 update || return 1
    # shellcheck disable=SC2086  # a list of names
    apt-get -qq -o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0 install -y --no-install-recommends $missing \
        >/dev/null
}
