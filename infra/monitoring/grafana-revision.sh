# What is Grafana's own in a revision, after workload/revision.sh: it takes
# dashboards and data sources while it runs, each from a file whose path stays.
# Expects PASSWORD besides.
program=Grafana

ask() { curl --silent --fail --output /dev/null --max-time 10 "$@"; }

healthy() { ask http://127.0.0.1:3000/grafana/api/health; }

reload() { ask --user "admin:$PASSWORD" --request POST "http://127.0.0.1:3000/grafana/api/admin/provisioning/$1/reload"; }

place() { # FILE PATH: puts the file there, atomically
    cp "$1" "$2.next"
    mv -f "$2.next" "$2"
}

begin
try 120 healthy || fail "$program does not run: see its log"
mkdir -p stack datasources dashboards
place "$REVISION/datasources.yml" datasources/stack.yml
place "$REVISION/dashboards.yml" dashboards/stack.yml
for dashboard in "$REVISION"/*.json; do
    place "$dashboard" "stack/${dashboard##*/}"
done
for dashboard in stack/*.json; do
    [ -e "$REVISION/${dashboard##*/}" ] || rm "$dashboard"
done
rm -rf "$REVISION"
if reload datasources && reload dashboards; then
    say "$program runs it"
else
    say "$program does not take the generated password: it reads the dashboards within 10 seconds, and data sources when it starts again"
fi
