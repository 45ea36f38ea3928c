# What is the proxy's own in a revision, after workload/revision.sh: old and new
# replicas. Expects DOMAIN and PORT besides.
program=nginx

check() { nginx -q -t -c "$PREFIX/$1/nginx.conf"; }

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
    why="the service does not answer through it"
    status=$(curl --silent --show-error --output /tmp/body --write-out '%{http_code}' --max-time 5 \
        --cacert "$REVISION/ca.crt" --resolve "$DOMAIN:$PORT:127.0.0.1" "https://$DOMAIN:$PORT/" 2>/tmp/error) || { why="$why: $(cat /tmp/error)"; return 1; }
    case $status in 502 | 503 | 504) why="$why: status $status"; return 1 ;; esac
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

joining=
for server in $(servers "$REVISION/servers.conf"); do
    try 10 answers "$server" || fail "$server does not answer: is app.port right?"
    servers "$running/servers.conf" | grep -qxF "$server" || joining="$joining$address
"
done

# nginx knows no address of a server that is new to it for a moment after the
# switch. So where old servers leave and new ones join, both serve meanwhile.
if leaving=$(grep -vxFf "$REVISION/servers.conf" "$running/servers.conf") && [ -n "$joining" ]; then
    both=$REVISION-joining
    rm -rf "$both"
    cp -rp "$REVISION" "$both"
    sed -i "s|$PREFIX/$REVISION/|$PREFIX/$both/|; s|return 200 \"$REVISION|return 200 \"$both|" "$both/nginx.conf"
    echo "$leaving" >>"$both/servers.conf"
    apply "$both"
    joining=${joining%?}
    attempts=$((2 * $(servers "$both/servers.conf" | wc -l)))
    try 20 joined || fail "nginx does not reach $joining"
fi
old=$(workers)
apply "$REVISION"
finish

# Servers that leave are removed after this: workers that know them must be gone,
# or busy with nothing but requests that those servers will finish.
if [ -n "$leaving" ]; then
    try 2 drained || say "long requests are still under way"
fi
say "serves $(servers "$REVISION/servers.conf" | wc -l) replicas"
