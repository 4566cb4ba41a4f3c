#!/bin/sh
# Puts the three databases back as backup.sh wrote them; what is in them now is lost.
#
#   restore.sh FOLDER           with Prefect and MLflow stopped
#
# Each database is restored in one transaction: it is as in the backup, or as it was.
set -eu
folder=${1:?usage: restore.sh FOLDER}
(cd "$folder" && sha256sum --check --quiet SHA256SUMS)
for database in prefect mlflow mlflow_auth; do
    pg_restore --username "${POSTGRES_USER:-postgres}" --dbname "$database" --clean --if-exists --single-transaction --exit-on-error "$folder/$database.dump"
done
