#!/bin/sh
# Builds the image without a Docker daemon, starts the web in it as production would, and asks for its health.
#
# Options for a machine that needs them: BUILDAH_OPTIONS (before the subcommand: where images are kept),
# BUILD_OPTIONS (of the build: certificates, another base image).
set -eu

if ! command -v buildah >/dev/null 2>&1; then
    echo "image-check skipped: buildah is not installed (apt-get install buildah)."
    exit 0
fi
export BUILDAH_ISOLATION="${BUILDAH_ISOLATION:-chroot}"
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
secret() { python3 -c 'import secrets; print(secrets.token_urlsafe(64))'; }

# Options are lists of words.
# shellcheck disable=SC2086
box() { buildah ${BUILDAH_OPTIONS:-} "$@"; }

echo "Building."
# shellcheck disable=SC2086
box build -q --format docker ${BUILD_OPTIONS:-} -t faraja:check . >/dev/null
container=$(box from faraja:check)
trap 'box rm "$container" >/dev/null' EXIT

echo "Starting the web."
# buildah passes no signals on, so the one program it runs starts the server, asks, and stops it again.
box run --user 10001 --env PORT="$port" --env HOST=127.0.0.1 --env ALLOWED_HOSTS=api.example.org \
    --env SECRET_KEY="$(secret)" --env JWT_SIGNING_KEY="$(secret)" --env FRONTEND_URL=https://app.example.org \
    --env PUBLIC_URL=https://api.example.org \
    --env DATABASE_URL=postgres://check:check@check.invalid/check --env REDIS_URL=rediss://check.invalid:6379/0 \
    --env EMAIL_URL=smtp+tls://check:check@check.invalid:587 "$container" /bin/sh -c '
        /app/docker/entrypoint.sh web >/tmp/log 2>&1 &
        web=$!
        tries=0
        until python /app/docker/healthcheck.py; do
            tries=$((tries + 1))
            if [ "$tries" -ge 30 ] || ! kill -0 "$web"; then
                cat /tmp/log
                echo "The image does not become healthy."
                exit 1
            fi
            sleep 1
        done
        kill "$web"
        wait "$web" && echo "The image is healthy, runs as user $(id -u) and stops when asked."
    '
