# Starts nginx on the revision that served last, or on the bootstrap
# configuration if there was none. Expects PREFIX and BOOTSTRAP.
set -eu
cd "$PREFIX"
mkdir -p bootstrap
printf '%s\n' "$BOOTSTRAP" >bootstrap/nginx.conf
[ -e current.conf ] || ln -sf bootstrap/nginx.conf current.conf
exec nginx -c "$PREFIX/current.conf" -g 'daemon off;'
