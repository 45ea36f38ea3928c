# Starts a program on the last revision of its configuration that proved good, or
# on the bootstrap configuration if there was none. Expects PREFIX (the folder of
# all revisions), MAIN (a revision's main file), BOOTSTRAP (its content until the
# first revision), and the program with its arguments.
set -eu
cd "$PREFIX"
if [ ! -e good ]; then
    mkdir -p bootstrap
    printf '%s\n' "$BOOTSTRAP" >"bootstrap/$MAIN"
fi
ln -sfn "$(readlink good || echo bootstrap)" current || [ -e current ] # the disk may be full
exec "$@"
