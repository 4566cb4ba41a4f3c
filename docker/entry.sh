#!/bin/sh
# Starts a service with its secrets, and refuses to start it with one that a stranger could guess.
#
#   entry.sh COMMAND...
#
# NAME_FILE=/run/secrets/FILE in the environment becomes NAME=what the file holds. Every NAME in
# POLYSPACE_NEEDS must then be set, to 16 characters or more that are no example and no default; of
# a user:password, the password. Runs in any image that has a POSIX shell.
set -eu

folder=${POLYSPACE_SECRETS_FOLDER:-/run/secrets}

refuse() {
    echo "error: secret $1 $2: make one with sh docker/make-secrets.sh docker/secrets" >&2
    exit 78
}

check() {
    secret=${2##*:}
    [ -n "$secret" ] || refuse "$1" "is empty"
    [ ${#secret} -ge 16 ] || refuse "$1" "is shorter than 16 characters"
    case $(printf %s "$secret" | tr '[:upper:]' '[:lower:]') in
    *change*me* | *replace*me* | *example* | *password* | *secret* | *default* | *admin* | *postgres* | *minio* | *mlflow* | *prefect* | *polyspace* | *12345678* | *qwerty*)
        refuse "$1" "is an example or a default"
        ;;
    esac
    [ "$(printf %s "$secret" | fold -w 1 | sort -u | wc -l)" -ge 8 ] || refuse "$1" "repeats itself"
}

for name in $(env | sed -n "s|^\([A-Z][A-Z0-9_]*\)_FILE=$folder/[a-z0-9_]*$|\1|p"); do
    eval "file=\$${name}_FILE"
    [ -r "$file" ] || refuse "$name" "can't be read from $file"
    value=$(cat "$file")
    check "$name" "$value"
    export "$name=$value"
    unset "${name}_FILE"
done

for name in ${POLYSPACE_NEEDS:?says which secrets this service needs}; do
    eval "value=\${$name-}"
    check "$name" "$value"
done

exec "$@"
