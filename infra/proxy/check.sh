# Tells whether an image can run the proxy, before the proxy is given it: the tools
# of its revisions, and the configuration that serves now. Expects PREFIX.
set -eu
for tool in nginx curl flock; do
    command -v "$tool" >/dev/null || { echo "the image has no $tool"; exit 1; }
done
cd "$PREFIX"
# A proxy from before that link pointed to a file, by another name.
[ -e good ] || [ ! -e good.conf ] || ln -s "$(dirname "$(readlink good.conf)")" good
[ ! -e good ] || nginx -q -t -c "$PREFIX/good/nginx.conf"
