#!/bin/sh
# Makes every password and key that the services need; those that are there stay as they are.
#
#   make-secrets.sh FOLDER [MODE]
#
# The folder is its owner's alone. The files in it may be read by everyone who gets there (0444),
# because a container sees them with the owner and mode that they have here; MODE says otherwise.
set -eu
umask 077
folder=${1:?usage: make-secrets.sh FOLDER [MODE]}
mode=${2:-0444}
mkdir -p "$folder"
chmod 0700 "$folder"

make() {
    [ -e "$folder/$1" ] || printf '%s' "$2" >"$folder/$1"
    chmod "$mode" "$folder/$1"
}

# 40 letters and digits: 238 bits.
letters() {
    head -c 4096 /dev/urandom | LC_ALL=C tr -dc 'A-Za-z0-9' | head -c 40
}

make postgres_password "$(letters)"
make prefect_database_password "$(letters)"
make mlflow_database_password "$(letters)"
make prefect_auth "polyspace:$(letters)"
# A Fernet key: 32 bytes in URL-safe base64.
make prefect_encryption_key "$(head -c 32 /dev/urandom | base64 | tr '+/' '-_')"
make mlflow_admin_password "$(letters)"
make mlflow_flask_key "$(letters)"
make mlflow_worker_password "$(letters)"
make objects_access_key "$(letters | head -c 20)"
make objects_secret_key "$(letters)"
