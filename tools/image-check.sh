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
log=$(mktemp)
web=
finish() {
    # buildah passes no signal on, so the whole group is told.
    [ -z "$web" ] || kill -TERM -- "-$web" 2>/dev/null || true
    [ -z "$web" ] || wait "$web" 2>/dev/null || true
    box rm "$container" >/dev/null
    rm -f "$log"
}
trap finish EXIT
trap 'exit 1' INT TERM

# Words again: what both commands inside share.
options="--user 10001 --env PORT=$port --env HOST=127.0.0.1 --env ALLOWED_HOSTS=api.example.org"
# shellcheck disable=SC2086
inside() { box run $options "$container" "$@"; }

echo "Starting the web."
# setsid: a process group of its own, so that what buildah started can be ended with it.
# shellcheck disable=SC2086
setsid buildah ${BUILDAH_OPTIONS:-} run $options --env SECRET_KEY="$(secret)" --env JWT_SIGNING_KEY="$(secret)" \
    --env PUBLIC_URL=https://api.example.org --env DATABASE_URL=postgres://check:check@check.invalid/check \
    --env REDIS_URL=rediss://check.invalid:6379/0 --env EMAIL_URL=smtp+tls://check:check@check.invalid:587 \
    "$container" /app/docker/entrypoint.sh web >"$log" 2>&1 &
web=$!

tries=0
until inside python /app/docker/healthcheck.py 2>/dev/null; do
    tries=$((tries + 1))
    if [ "$tries" -ge 30 ] || ! kill -0 "$web" 2>/dev/null; then
        cat "$log" >&2
        echo "The image does not become healthy." >&2
        exit 1
    fi
    sleep 1
done
echo "The image is healthy $(inside sh -c 'id -u' | sed 's/^/and runs as user /')."
