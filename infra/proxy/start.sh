# Starts nginx on the last revision that proved good, or on the bootstrap
# configuration if there was none. Expects PREFIX and BOOTSTRAP.
set -eu
cd "$PREFIX"
mkdir -p bootstrap
printf '%s\n' "$BOOTSTRAP" >bootstrap/nginx.conf
ln -sfn "$(readlink good.conf || echo bootstrap/nginx.conf)" current.conf
exec nginx -c "$PREFIX/current.conf" -g 'daemon off;'
