# What is Prometheus' and Alertmanager's own in a revision, after
# workload/revision.sh. Expects PROGRAM, URL (where it answers) and CHECK (the
# command that tests a configuration) besides.
program=$PROGRAM

ask() { wget -q -T 5 -O - "$URL$1"; }

check() { $CHECK "$1/$MAIN"; }

loaded() { ask /metrics | grep "^${program}_config_last_reload_success_timestamp_seconds "; }

live() { now=$(loaded) && [ "$now" != "$before" ]; }

probe() {
    why="it is not ready"
    ask /-/ready >/dev/null
}

begin
# It reads its log of samples before it is ready.
try 120 probe || fail "$program does not run: see its log"
apply "$REVISION"
finish
say "$program runs it"
