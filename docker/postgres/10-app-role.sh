#!/bin/sh
# Runs once, when the database is empty. The application gets an ordinary role: the image's own user is a superuser,
# and superusers do not see row-level security, which is the second wall between tenants.
set -eu

psql --set ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname postgres \
    --set password="$APP_DATABASE_PASSWORD" <<'SQL'
CREATE ROLE faraja LOGIN NOSUPERUSER NOBYPASSRLS NOCREATEDB NOCREATEROLE PASSWORD :'password';
CREATE DATABASE faraja OWNER faraja;
REVOKE CONNECT ON DATABASE faraja FROM PUBLIC;
SQL
