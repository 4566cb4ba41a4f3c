#!/bin/sh
# Makes the databases and their owners; PostgreSQL's image runs it once, when its volume is empty.
set -eu

owner() {
    # By a variable of psql's: the password is quoted by it, and stands on no command line.
    OWNER_PASSWORD=$2 psql --quiet --no-psqlrc --set ON_ERROR_STOP=1 --username "${POSTGRES_USER:-postgres}" --dbname postgres <<SQL
\getenv password OWNER_PASSWORD
SET password_encryption = 'scram-sha-256';
CREATE ROLE $1 LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE PASSWORD :'password';
SQL
}

database() {
    psql --quiet --no-psqlrc --set ON_ERROR_STOP=1 --username "${POSTGRES_USER:-postgres}" --dbname postgres <<SQL
CREATE DATABASE $1 OWNER $2;
REVOKE ALL ON DATABASE $1 FROM PUBLIC;
SQL
}

owner prefect "$PREFECT_DATABASE_PASSWORD"
owner mlflow "$MLFLOW_DATABASE_PASSWORD"
database prefect prefect
database mlflow mlflow
database mlflow_auth mlflow
