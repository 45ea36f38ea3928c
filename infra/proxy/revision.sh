# What is the proxy's own in a revision, after workload/revision.sh: old and new
# replicas. Expects besides SERVERS (host:port of each replica), DOMAIN and PORT,
# HEALTH_PATH (may be empty) and PROBE_PATH, and in seconds HEALTH_TIMEOUT (of one
# question), START_TIMEOUT, HANG_TIMEOUT and STOP_GRACE.
program=nginx
patience=$((70 + START_TIMEOUT + HANG_TIMEOUT)) # so long the one before may wait for its replicas

check() { nginx -q -t -c "$PREFIX/$1/nginx.conf"; }

# ask SERVER PATH [SECONDS]: what a client asks of the proxy, asked of a replica. Leaves its
# address, the status, curl's exit code and, in $why, what was answered.
ask() {
    failed=0
    answer=$(curl --silent --show-error --globoff --path-as-is --ipv4 --output /dev/null --max-time "${3:-$HEALTH_TIMEOUT}" \
        --header "Host: $DOMAIN" --header "X-Forwarded-Proto: https" \
        --write-out '%{remote_ip}:%{remote_port} %{http_code}' "http://$1$2" 2>/tmp/error) || failed=$?
    address=${answer% *}
    status=${answer##* }
    why="GET $2 is answered with status $status"
    [ "$failed" = 0 ] || { why="GET $2: $(cat /tmp/error)"; return 1; }
}

answers() { ask "$1" / "$HANG_TIMEOUT"; } # slow or not: it may be why there are to be more

# ready SERVER: without a health path every answer but a server error is good.
ready() {
    ask "$1" "${HEALTH_PATH:-/}" || return 1
    case $HEALTH_PATH:$status in :5?? | /*:[!23]??) return 1 ;; esac
}

serves() { # SERVER
    ask "$1" "$PROBE_PATH" || return 1
    case $status in 5??) return 1 ;; esac
}

left() { echo $((deadline - $(date +%s))); } # seconds of the start timeout

refuse() { # SERVER WHAT...
    case $failed in 6 | 7) why="$why. Does it run, and is app.port right?" ;; esac
    fail "replica $*: $why"
}

# joined: each of the joining addresses has answered a request of nginx's. The
# fragment, which is not sent, lets curl ask that often, and at once: of the old ones
# some may hang.
joined() {
    seen=$(curl --parallel --parallel-max 100 --parallel-immediate --silent --path-as-is --max-time "$HEALTH_TIMEOUT" --output /dev/null --header "Host: $DOMAIN" \
        --write-out '%header{x-upstream}\n' "http://127.0.0.1:8081/service$PROBE_PATH#[1-$attempts]") || true
    joining=$(echo "$joining" | grep -vxF "$seen") || return 0
    return 1
}

serving() { curl --silent --max-time 2 http://127.0.0.1:8081/; }

live() { [ "$(serving)" = "$1" ]; }

# probe: the service answers through the proxy, without a server error if $strict. It is
# not asked while old replicas are among those that may answer: they may hang.
probe() {
    [ "$strict" != no ] || return 0
    why="the service does not answer through it"
    status=$(curl --silent --show-error --globoff --path-as-is --output /dev/null --write-out '%{http_code}' --max-time "$HEALTH_TIMEOUT" \
        --cacert "$REVISION/ca.crt" --resolve "$DOMAIN:$PORT:127.0.0.1" --header "Host: $DOMAIN" \
        "https://$DOMAIN:$PORT$PROBE_PATH" 2>/tmp/error) || { why="$why: $(cat /tmp/error)"; return 1; }
    case $strict$status in yes5??) why="$why: GET $PROBE_PATH is answered with status $status"; return 1 ;; esac
}

workers() { grep -ls 'nginx: worke[r]' /proc/[0-9]*/cmdline | cut -d / -f 3; }

drained() { # the workers from before the switch are gone
    for worker in $old; do
        [ ! -e "/proc/$worker" ] || return 1
    done
}

servers() { sed -n 's/^server \([^ ]*\) .*/\1/p' "$1"; }

begin
try 10 serving >/dev/null || fail "the proxy does not run"
running=$(readlink current)
[ -e "$running/servers.conf" ] || { mkdir -p "$running"; : >"$running/servers.conf"; }

# No replica gets traffic before it has shown that it serves.
deadline=$(($(date +%s) + START_TIMEOUT))
pause=0.2
joining=
for server in $SERVERS; do
    if servers "$running/servers.conf" | grep -qxF "$server"; then
        # One that hangs is restarted meanwhile.
        try "$(($(left) + HANG_TIMEOUT + 10))" answers "$server" || refuse "$server" "does not answer"
        continue
    fi
    try "$(left)" ready "$server" || refuse "$server" "is not ready after ${START_TIMEOUT}s"
    try "$(left)" serves "$server" || refuse "$server" "is ready, but does not serve after ${START_TIMEOUT}s"
    joining="$joining$address
"
done
pause=0.05

# Where nobody joins, a service that had errors before may have them still.
strict=yes
[ -n "$joining" ] || probe || strict=

# nginx knows no address of a server that is new to it for a moment after the
# switch. So where old servers leave and new ones join, both serve meanwhile.
if leaving=$(grep -vxFf "$REVISION/servers.conf" "$running/servers.conf") && [ -n "$joining" ]; then
    both=$REVISION-joining
    rm -rf "$both"
    cp -rp "$REVISION" "$both"
    sed -i "s|$PREFIX/$REVISION/|$PREFIX/$both/|; s|return 200 \"$REVISION|return 200 \"$both|" "$both/nginx.conf"
    echo "$leaving" >>"$both/servers.conf"
    strict=no
    apply "$both"
    strict=yes
    joining=${joining%?}
    attempts=$((2 * $(servers "$both/servers.conf" | wc -l)))
    try $((20 + 4 * HEALTH_TIMEOUT)) joined || fail "nginx does not reach the new replica at $joining"
fi
old=$(workers)
apply "$REVISION"
finish

# Servers that leave are told to stop after this: workers that know them finish what
# they have, uploads that no server has seen yet among it, within the grace.
if [ -n "$leaving" ]; then
    try "$((STOP_GRACE + 1))" drained || say "some requests are still under way after ${STOP_GRACE}s"
fi
say "serves $(echo "$SERVERS" | wc -w) replicas"
