#!/bin/bash
# A real S3 server for tests: Ceph's RGW with one monitor and one object daemon in memory, on 127.0.0.1 only.
#
#   ceph.sh install   the Debian packages it needs (as root)
#   ceph.sh start     begins with an empty store, one user and one bucket; prints what `env` prints
#   ceph.sh env       shell assignments: eval "$(ceph.sh env)"
#   ceph.sh down      an outage: connections are refused, the objects stay;  ceph.sh up  ends it
#   ceph.sh pause     another: connections are accepted and nothing is answered;  ceph.sh resume  ends it
#   ceph.sh stop      ends everything; the folder stays for its logs, removing it is the caller's
#   ceph.sh pids      of what runs;  ceph.sh admin ARGS...  is radosgw-admin
#
# Several run side by side when each has its own S3_DIR and its own ports: S3_PORT answers http, S3_PORT+1 https
# (with TLS=1; the authority is S3_DIR/ca.pem), S3_PORT+10 to S3_PORT+40 are the daemons' own.
set -euo pipefail

port=${S3_PORT:-8100}
dir=${S3_DIR:-${TMPDIR:-/tmp}/seawal-ceph-$port}
access_key=${S3_AK:-AKIDCEPHTEST}
secret_key=${S3_SK:-secretcephtestsecret}
bucket=${S3_BUCKET:-test}
tls=${TLS:-}
memory=${S3_SIZE:-4294967296}

fsid=5ea3a100-0000-4000-8000-000000000001
osd_id=5ea3a100-0000-4000-8000-000000000002
monitor="[v2:127.0.0.1:$((port + 10)),v1:127.0.0.1:$((port + 11))]"
conf=$dir/ceph.conf
daemons=(client.rgw osd.0 mon.a)

fail() {
    echo "ceph.sh: $*" >&2
    exit 1
}

# Run, quietly; what it said is shown when it fails.
quiet() {
    local log=$dir/log/$1.out
    shift
    "$@" >"$log" 2>&1 </dev/null || {
        tail -n 5 "$log" >&2
        fail "'$*' failed"
    }
}

wait_for() {
    local tries
    for tries in $(seq 300); do
        if "$@" >/dev/null 2>&1; then return 0; fi
        sleep 0.1
    done
    tail -n 5 "$dir"/log/* >&2 || :
    fail "waited $((tries / 10)) s for '$*'"
}

pid_of() {
    local file=$dir/run/$1.pid
    [ ! -s "$file" ] || cat "$file"
}

is_running() {
    # A dead process that nobody waited for is still in /proc.
    [ -e "/proc/$1/stat" ] && ! grep -q ') Z ' "/proc/$1/stat"
}

end_daemon() {
    local pid tries
    pid=$(pid_of "$1")
    [ -n "$pid" ] || return 0
    kill -KILL "$pid" 2>/dev/null || :
    for tries in $(seq 100); do
        is_running "$pid" || break
        sleep 0.05
    done
    rm -f "$dir/run/$1.pid" "$dir/run/$1.asok"
}

write_conf() {
    local frontend="beast tcp_nodelay=1 endpoint=127.0.0.1:$port"
    [ -z "$tls" ] || frontend+=" ssl_endpoint=127.0.0.1:$((port + 1)) ssl_certificate=$dir/server.pem"
    cat <<END
[global]
fsid = $fsid
mon host = $monitor
mon initial members = a
public network = 127.0.0.0/8
cluster network = 127.0.0.0/8
public addr = 127.0.0.1
cluster addr = 127.0.0.1
ms bind port min = $((port + 20))
ms bind port max = $((port + 40))
auth allow insecure global id reclaim = false
keyring = $dir/keyring
run dir = $dir/run
admin socket = $dir/run/\$name.asok
pid file = $dir/run/\$name.pid
log file = $dir/log/\$name.log
crash dir = $dir/run
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 4
osd pool default pgp num = 4
osd pool default pg autoscale mode = off
osd crush chooseleaf type = 0
mon allow pool size one = true
mon max pg per osd = 2000
mon data avail warn = 1
mon data avail crit = 0
# One monitor needs no time to agree with itself: the start takes two seconds instead of twenty.
paxos propose interval = 0.05
paxos min wait = 0.01
[mon]
mon data = $dir/mon
[osd]
osd data = $dir/osd
osd objectstore = memstore
memstore device bytes = $memory
osd class update on start = false
osd op num shards = 2
[client.rgw]
rgw frontends = $frontend
rgw dns name = localhost
rgw thread pool size = 32
rgw run sync thread = false
rgw enable usage log = false
rgw gc obj min wait = 5
rgw gc processor period = 10
rgw gc processor max time = 10
END
}

make_certificate() {
    quiet openssl openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost \
        -addext 'subjectAltName=DNS:localhost,DNS:*.localhost,IP:127.0.0.1' \
        -keyout "$dir/key.pem" -out "$dir/ca.pem"
    cat "$dir/key.pem" "$dir/ca.pem" >"$dir/server.pem"
}

make_keys() {
    local name
    quiet keyring ceph-authtool --create-keyring "$dir/keyring" --gen-key -n mon. --cap mon 'allow *'
    for name in client.admin client.rgw osd.0; do
        quiet keyring ceph-authtool "$dir/keyring" --gen-key -n "$name" \
            --cap mon 'allow *' --cap osd 'allow *' --cap mgr 'allow *'
    done
}

start_monitor() {
    quiet monmap monmaptool --create --addv a "$monitor" --fsid "$fsid" "$dir/monmap"
    quiet mon-mkfs ceph-mon -c "$conf" -i a --mkfs --monmap "$dir/monmap" --keyring "$dir/keyring"
    quiet mon ceph-mon -c "$conf" -i a
}

start_objects() {
    quiet osd-new ceph -c "$conf" osd new "$osd_id" 0
    quiet osd-mkfs ceph-osd -c "$conf" -i 0 --mkfs --osd-uuid "$osd_id"
    quiet osd ceph-osd -c "$conf" -i 0
}

start_gateway() {
    quiet rgw radosgw -c "$conf" -n client.rgw
    wait_for curl -fs -o /dev/null "http://127.0.0.1:$port/"
}

make_bucket() {
    wait_for curl -fs -o /dev/null --aws-sigv4 aws:amz:us-east-1:s3 -u "$access_key:$secret_key" \
        -H 'x-amz-content-sha256: UNSIGNED-PAYLOAD' -X PUT "http://127.0.0.1:$port/$bucket"
}

start() {
    local name
    for name in "${daemons[@]}"; do end_daemon "$name"; done
    rm -rf "$dir"
    mkdir -p "$dir"/{run,log,mon,osd}
    write_conf >"$conf"
    [ -z "$tls" ] || make_certificate
    make_keys
    start_monitor
    start_objects
    quiet user radosgw-admin -c "$conf" -n client.rgw user create --uid=test --display-name=test \
        --access-key="$access_key" --secret-key="$secret_key"
    start_gateway
    make_bucket
    print_env
}

print_env() {
    printf 'export AWS_ENDPOINT_URL=http://127.0.0.1:%s AWS_REGION=us-east-1' "$port"
    printf ' AWS_ACCESS_KEY_ID=%s AWS_SECRET_ACCESS_KEY=%s S3_BUCKET=%s' "$access_key" "$secret_key" "$bucket"
    [ -z "$tls" ] || printf ' S3_TLS_URL=https://localhost:%s S3_CA=%s' "$((port + 1))" "$dir/ca.pem"
    echo
}

signal_gateway() {
    local pid
    pid=$(pid_of client.rgw)
    [ -n "$pid" ] || fail "the gateway does not run"
    kill "-$1" "$pid"
}

case ${1:-} in
install)
    apt-get -o DPkg::Lock::Timeout=300 install -y --no-install-recommends \
        ceph-mon ceph-osd radosgw curl openssl
    ;;
start) start ;;
env) print_env ;;
down) end_daemon client.rgw ;;
up) start_gateway ;;
pause) signal_gateway STOP ;;
resume) signal_gateway CONT ;;
stop) for name in "${daemons[@]}"; do end_daemon "$name"; done ;;
pids) for name in "${daemons[@]}"; do pid_of "$name"; done ;;
admin)
    shift
    radosgw-admin -c "$conf" --admin-socket= -n client.rgw "$@"
    ;;
*)
    sed -n '2,14s/^# \{0,1\}//p' "$0"
    exit 2
    ;;
esac
