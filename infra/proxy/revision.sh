# Applies one revision of the proxy's configuration. It runs among the proxy's
# processes and in its network, and expects REVISION, PREFIX (the folder of all
# revisions), DOMAIN and PORT. current.conf links to the configuration that nginx
# runs, good.conf to the last one that was probed: whatever fails, that one serves.
set -eu
cd "$PREFIX"

say() { echo "revision $REVISION: $*"; }

# try SECONDS COMMAND...: repeats the command until it succeeds.
try() {
    end=$(($(date +%s) + $1)); shift
    until "$@"; do
        [ "$(date +%s)" -lt "$end" ] || return 1
        sleep 0.05
    done
}

point() { # LINK FILE: lets the link point to the file, atomically
    ln -sfn "$2" "$1.next"
    mv -f "$1.next" "$1"
}

switch() { # FILE: lets nginx run the configuration
    point current.conf "$1"
    kill -HUP 1
}

fail() {
    say "$*"
    good=$(readlink good.conf || echo bootstrap/nginx.conf)
    if [ -n "$switched" ]; then
        switch "$good"
        say "taken back, $good serves on"
    fi
    for folder in "$REVISION" "$REVISION-joining"; do
        [ "$good" = "$folder/nginx.conf" ] || rm -rf "$folder"
    done
    exit 1
}

# A replica answers if it speaks HTTP, whatever it says. Leaves its address.
answers() {
    address=$(curl --silent --ipv4 --output /dev/null --max-time 2 --write-out '%{remote_ip}:%{remote_port}' "http://$1/")
}

# joined: each of the joining addresses has answered a request of nginx's.
joined() {
    seen=$(curl --silent --max-time 5 --output /dev/null --write-out '%header{x-upstream}\n' \
        "http://127.0.0.1:8081/service?[1-$attempts]") || true
    joining=$(echo "$joining" | grep -vxF "$seen") || return 0
    return 1
}

serving() { curl --silent --max-time 2 http://127.0.0.1:8081/; }

live() { [ "$(serving)" = "$1" ]; }

probe() {
    status=$(curl --silent --show-error --output /tmp/body --write-out '%{http_code}' --max-time 5 \
        --cacert "$REVISION/ca.crt" --resolve "$DOMAIN:$PORT:127.0.0.1" "https://$DOMAIN:$PORT/" 2>/tmp/error) || return 1
    case $status in 502 | 503 | 504) return 1 ;; esac
}

apply() { # REVISION: tests it, switches to it, waits until it is live, probes
    nginx -q -t -c "$PREFIX/$1/nginx.conf" || fail "nginx refuses it"
    switched=yes
    switch "$1/nginx.conf"
    try 10 live "$1" || fail "nginx does not take it: see the proxy's log"
    try 10 probe || fail "the service does not answer through it: status ${status:-none} $(cat /tmp/error)"
}

workers() { grep -ls 'nginx: worke[r]' /proc/[0-9]*/cmdline | cut -d / -f 3; }

drained() { # the workers from before the switch are gone
    for worker in $old; do
        [ ! -e "/proc/$worker" ] || return 1
    done
}

servers() { sed -n 's/^server \([^ ]*\) .*/\1/p' "$1"; }

switched=
# One at a time: a run that was killed may have left another one behind.
exec 9>lock
try 60 flock -n 9 || fail "another revision is being applied"
try 10 serving >/dev/null || fail "the proxy does not run"
before=$(dirname "$(readlink current.conf)")
[ -e "$before/servers.conf" ] || { mkdir -p "$before"; : >"$before/servers.conf"; }

joining=
for server in $(servers "$REVISION/servers.conf"); do
    try 10 answers "$server" || fail "$server does not answer: is app.port right?"
    servers "$before/servers.conf" | grep -qxF "$server" || joining="$joining$address
"
done

# nginx knows no address of a server that is new to it for a moment after the
# switch. So where old servers leave and new ones join, both serve meanwhile.
if leaving=$(grep -vxFf "$REVISION/servers.conf" "$before/servers.conf") && [ -n "$joining" ]; then
    both=$REVISION-joining
    rm -rf "$both"
    cp -rp "$REVISION" "$both"
    sed -i "s/$REVISION/$both/" "$both/nginx.conf"
    echo "$leaving" >>"$both/servers.conf"
    apply "$both"
    joining=${joining%?}
    attempts=$((2 * $(servers "$both/servers.conf" | wc -l)))
    try 20 joined || fail "nginx does not reach $joining"
fi
old=$(workers)
apply "$REVISION"
point good.conf "$REVISION/nginx.conf"

# Servers that leave are removed after this: workers that know them must be gone,
# or busy with nothing but requests that those servers will finish.
if [ -n "$leaving" ]; then
    try 2 drained || say "long requests are still under way"
fi
for folder in */; do
    case ${folder%/} in bootstrap | "$REVISION") ;; *) rm -rf "$folder" ;; esac
done
say "serves $(servers "$REVISION/servers.conf" | wc -l) replicas"
