# Applies one revision of the proxy's configuration. It runs among the proxy's
# processes and in its network, and expects REVISION, PREFIX (the folder of all
# revisions), DOMAIN and PORT. Whatever fails, the revision before serves on.
set -eu
cd "$PREFIX"
previous=$(readlink current.conf)

say() { echo "revision $REVISION: $*"; }

# try SECONDS COMMAND...: repeats the command until it succeeds.
try() {
    end=$(($(date +%s) + $1)); shift
    until "$@"; do
        [ "$(date +%s)" -lt "$end" ] || return 1
        sleep 0.05
    done
}

switch() { # to a configuration file, atomically
    ln -s "$1" next.conf
    mv -f next.conf current.conf
    kill -HUP 1
}

fail() {
    say "$*"
    if [ "$(readlink current.conf)" != "$previous" ]; then
        switch "$previous"
        say "taken back, $previous serves on"
    fi
    rm -rf "$REVISION" "$REVISION-joining"
    exit 1
}

# A replica answers if it speaks HTTP, whatever it says. Leaves its address.
answers() { address=$(curl --silent --output /dev/null --max-time 2 --write-out '%{remote_ip}:%{remote_port}' "http://$1/"); }

# joined: each of the joining addresses has answered a request of nginx's.
joined() {
    seen=$(curl --silent --output /dev/null --max-time 2 --write-out '%header{x-upstream}' http://127.0.0.1:8081/service)
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

apply() { # a revision: test, switch, wait until it is live, probe
    nginx -q -t -c "$PREFIX/$1/nginx.conf" || fail "nginx refuses it"
    switch "$1/nginx.conf"
    try 10 live "$1" || fail "nginx does not take it: see the proxy's log"
    try 10 probe || fail "the service does not answer through it: status ${status:-none} $(cat /tmp/error)"
}

draining() { grep -l 'shutting dow[n]' /proc/[0-9]*/cmdline >/dev/null 2>&1; }
drained() { ! draining; }

servers() { sed -n 's/^server \([^ ]*\) .*/\1/p' "$1"; }

try 10 serving >/dev/null || fail "the proxy does not run"
before=$(dirname "$previous")
touch "$before/servers.conf"
joining=
for server in $(servers "$REVISION/servers.conf"); do
    try 10 answers "$server" || fail "$server does not answer: is app.port right?"
    servers "$before/servers.conf" | grep -qxF "$server" || joining="$joining$address
"
done

# nginx knows no address of a server that is new to it for a moment after the
# switch. So where old servers leave and new ones join, both serve meanwhile.
if [ -n "$joining" ] && leaving=$(grep -vxFf "$REVISION/servers.conf" "$before/servers.conf"); then
    both=$REVISION-joining
    rm -rf "$both"
    cp -rp "$REVISION" "$both"
    sed -i "s/$REVISION/$both/" "$both/nginx.conf"
    echo "$leaving" >>"$both/servers.conf"
    apply "$both"
    joining=${joining%?}
    try 10 joined || fail "nginx does not reach $joining"
fi
apply "$REVISION"

# Servers that leave are removed after this: workers that know them must be gone,
# or busy with nothing but requests that those servers will finish.
try 2 drained || say "long requests are still under way"
for folder in */; do
    case ${folder%/} in bootstrap | "$REVISION" | "$before") ;; *) rm -rf "$folder" ;; esac
done
say "serves $(servers "$REVISION/servers.conf" | wc -l) replicas"
