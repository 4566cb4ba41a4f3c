#!/bin/sh
# Writes the three databases to a folder, each as pg_dump's own format, with checksums.
#
#   backup.sh FOLDER            with PGHOST, PGPORT and PGPASSWORD where they are not the defaults
#
# Consistent for each database, while the services run. A folder that exists is refused.
set -eu
umask 077
folder=${1:?usage: backup.sh FOLDER}
[ ! -e "$folder" ] || { echo "error: $folder exists: name a new folder" >&2 && exit 1; }
mkdir -p "$folder.partial"
for database in prefect mlflow mlflow_auth; do
    pg_dump --username "${POSTGRES_USER:-postgres}" --format custom --file "$folder.partial/$database.dump" "$database"
done
(cd "$folder.partial" && sha256sum ./*.dump >SHA256SUMS)
mv "$folder.partial" "$folder"
