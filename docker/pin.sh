#!/bin/sh
# Writes the digest of every foreign image to docker/.env, which compose.yaml refuses to start without.
#
#   sh docker/pin.sh            needs docker with buildx, and a way to the registry
#
# The versions stand in compose.yaml and the Dockerfiles; the digest says which bytes that version
# was on the day you looked. Keep docker/.env in your own repository: it holds no secret.
set -eu
cd "$(dirname "$0")"

pin() {
    digest=$(docker buildx imagetools inspect "$2" --format '{{.Manifest.Digest}}')
    case $digest in
    sha256:*) echo "$1=$digest" ;;
    *) echo "error: $2 has no digest, it answered \"$digest\"" >&2 && exit 1 ;;
    esac
}

version() {
    sed -n "s|.*\($1:[a-z0-9.-]*\)@.*|\1|p" "$2" | head -n 1
}

new=$(mktemp .env.XXXXXX)
trap 'rm -f "$new"' EXIT
[ ! -e .env ] || sed '/_DIGEST=/d' .env >"$new"
{
    pin POSTGRES_DIGEST "$(version postgres compose.yaml)"
    pin OBJECTS_DIGEST "$(version versity/versitygw compose.yaml)"
    pin CADDY_DIGEST "$(version caddy compose.yaml)"
    pin PYTHON_DIGEST "$(version python Dockerfile)"
} >>"$new"
chmod 0644 "$new"
mv "$new" .env
