# Restarts replicas that hang. It asks each replica of the revision that serves again
# and again; any answer is a sign of life. One that has answered no question for
# HANG_TIMEOUT is restarted, by the engine, which is reached through a filter.
#
# Expects LIST (URL of the replicas' names), APP_PORT, HEALTH_PATH, DOMAIN, in seconds
# HANG_TIMEOUT and START_TIMEOUT, and METRICS (nginx's configuration, which shows the
# file metrics). What it knows of a replica lies in files of the replica's name:
#   unanswered   the number of questions since the last answer; below 0 as long as it
#                may be starting
#   starting     is there if it was taken to start, and has not answered since
#   hangs        how often it was restarted
set -eu
trap 'exit 0' TERM
cd /tmp
mkdir -p unanswered starting hangs
pause=$((HANG_TIMEOUT / 5)) # seconds between two questions, which may take five times as long
[ "$pause" -ge 1 ] || pause=1
[ "$pause" -le 15 ] || pause=15
hung=$(((HANG_TIMEOUT - 1) / pause))           # so many unanswered questions after an answer are too many
grace=$(((START_TIMEOUT + pause - 1) / pause)) # so many a replica that starts has besides
names=

say() { # LEVEL MESSAGE REPLICA
    printf '{"time":"%s","level":"%s","msg":"%s","replica":"%s"}\n' "$(date -u +%Y-%m-%dT%H:%M:%SZ)" "$1" "$2" "$3"
}

# engine REQUEST: leaves the status in $status, and the answer in a file.
engine() {
    : >answer
    status=$(curl --silent --max-time 30 --output answer --write-out '%{http_code}' --request POST \
        --unix-socket /engine/docker.sock "http://docker/containers/$1") || true
}

starts() { # REPLICA: it is not judged before its time to start is over
    : >"starting/$1"
    echo "-$grace" >"unanswered/$1"
}

# restart REPLICA: it may be paused, or its process stopped, which no other signal
# reaches then. What does not run was stopped by somebody, or the engine starts it.
restart() {
    engine "$1/unpause"
    engine "$1/kill?signal=CONT"
    case $status in 404 | 409) return 0 ;; esac
    read -r count <"hangs/$1"
    echo $((count + 1)) >"hangs/$1"
    show
    say warn "replica does not answer, restarting it" "$1"
    engine "$1/restart?t=2"
    if [ "$status" != 204 ]; then
        say error "replica is not restarted, status $status: $(tr -d '"\\\n' <answer)" "$1"
        return 1
    fi
}

show() { # writes the metrics
    {
        echo '# HELP replica_hangs_total Restarts of a replica because it did not answer.'
        echo '# TYPE replica_hangs_total counter'
        for name in $names; do
            read -r count <"hangs/$name"
            echo "replica_hangs_total{container=\"$name\"} $count"
        done
    } >metrics.next
    mv metrics.next metrics
}

follow() { # LIST: watches these replicas from now on
    names=$1
    for name in $names; do
        [ -e "unanswered/$name" ] || { echo 0 >"unanswered/$name"; echo 0 >"hangs/$name"; }
    done
    for file in unanswered/*; do
        name=${file#*/}
        echo "$names" | grep -qxF "$name" || rm -f "unanswered/$name" "starting/$name" "hangs/$name"
    done
    show
}

# ask SECONDS REPLICA...: asks the replicas at once, as a client of the proxy would, waits that
# long, and notes each answer when it comes.
ask() {
    limit=$1; shift
    for name; do
        printf 'url = "http://%s:%s%s"\noutput = "/dev/null"\n' "${name#starting/}" "$APP_PORT" "${HEALTH_PATH:-/}"
    done | curl --config - --parallel --parallel-max 100 --silent --globoff --path-as-is --ipv4 --max-time "$limit" \
        --header "Host: $DOMAIN" --header "X-Forwarded-Proto: https" \
        --write-out '%{stderr}%{exitcode} %{http_code} %{url_effective}\n' 2>&1 >/dev/null |
        while read -r code status url; do
            name=${url#http://}
            note "${name%%:*}" "$code" "$status"
        done
}

note() { # REPLICA CODE STATUS: of curl
    [ -e "unanswered/$1" ] || return 0
    if [ "$3" != 000 ]; then
        echo 0 >"unanswered/$1"
        [ ! -e "starting/$1" ] || rm -f "starting/$1"
    elif [ "$2" = 6 ] || [ "$2" = 7 ]; then
        # Nobody is there: the engine may be starting it again.
        [ -e "starting/$1" ] || starts "$1"
    fi
}

# rest SECONDS: meanwhile it asks those that start, for one that has answered may hang
# right after.
rest() {
    left=$1
    while [ "$left" -gt 0 ]; do
        step=$left
        set -- starting/*
        if [ -e "$1" ]; then
            step=1
            (ask 3 "$@" &)
        fi
        sleep "$step" &
        wait $!
        left=$((left - step))
    done
}

printf '%s' "$METRICS" >nginx.conf
show
nginx -e stderr -c /tmp/nginx.conf || say error "the metrics are not shown" ""
while :; do
    if list=$(curl --silent --fail --max-time 2 "$LIST") && [ "$list" != "$names" ]; then
        follow "$list"
    fi
    for name in $names; do
        read -r count <"unanswered/$name" || continue # it is just being written
        if [ "$count" -ge "$hung" ]; then
            ! restart "$name" || starts "$name"
        else
            echo $((count + 1)) >"unanswered/$name"
        fi
    done
    [ -z "$names" ] || (ask $((5 * pause)) $names &) # a shell's own background jobs would add up
    rest $pause
done
