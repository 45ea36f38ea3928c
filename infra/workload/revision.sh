# Applies one revision of a program's configuration without a restart. It runs
# among the program's processes and in its network, and expects REVISION, PREFIX
# (the folder of all revisions). current links to the revision that the program
# runs, good to the last one that was probed: whatever fails, that one serves.
#
# The program's own script follows. It calls begin, and then apply and finish, for
# which it says what the program is and can:
#   program         its name
#   check FOLDER    tests the configuration there
#   loaded          prints something that changes when a configuration is taken
#   live FOLDER     the configuration there was taken; loaded was $before before
#   probe           what it does is good, or $why says what is not
set -eu
umask 077
cd "$PREFIX"
switched=
why=
patience=60 # seconds in which another revision must have been applied
pause=0.05  # seconds between two tries

say() { echo "revision $REVISION: $*"; }

# try SECONDS COMMAND...: repeats the command until it succeeds.
try() {
    end=$(($(date +%s) + $1)); shift
    until "$@"; do
        [ "$(date +%s)" -lt "$end" ] || return 1
        sleep "$pause"
    done
}

point() { # LINK FOLDER: lets the link point to the folder, atomically
    ln -sfn "$2" "$1.next"
    mv -fT "$1.next" "$1"
}

switch() { # FOLDER: lets the program run the configuration there
    point current "$1"
    kill -HUP 1
}

fail() {
    say "$*"
    good=$(readlink good || echo bootstrap)
    if [ -n "$switched" ]; then
        switch "$good"
        say "taken back, $good serves on"
    fi
    for folder in "$REVISION" "$REVISION"-*; do
        [ "$good" = "$folder" ] || rm -rf "$folder"
    done
    exit 1
}

# begin takes the revision's files, one revision at a time: a run that was killed
# may have left another one behind.
begin() {
    exec 9>lock
    try "$patience" flock -n 9 || fail "another revision is being applied"
    mkdir -p "$REVISION"
    cp -r /revision/. "$REVISION"
    rm -rf /revision 2>/dev/null || true # where the user may
}

loaded() { :; }

apply() { # FOLDER: tests it, switches to it, waits until it is live, probes
    check "$1" || fail "$program refuses it"
    before=$(loaded)
    switched=yes
    switch "$1"
    try 10 live "$1" || fail "$program does not take it: see its log"
    try 10 probe || fail "$why"
}

finish() { # this revision is the good one, and the only one; the next one may begin
    point good "$REVISION"
    for folder in */; do
        case ${folder%/} in bootstrap | current | good | "$REVISION") ;; *) rm -rf "$folder" ;; esac
    done
    exec 9>&-
}
