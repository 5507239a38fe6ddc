#!/bin/sh
# web | worker | beat | migrate, or any command to run in the image; with no argument, what ROLE says, else web (on
# CapRover a variable is easier to set than a command). The last step is always exec: signals reach the server itself,
# so a deployment ends it gracefully.
set -eu

[ $# -gt 0 ] || set -- "${ROLE:-web}"
role=$1
# The health check asks the web over HTTP; for the others it is enough that they run.
printf '%s\n' "$role" >/tmp/faraja-role

case $role in
    web)
        # Off by default: with several web containers, or a compose file, one `migrate` runs before them instead.
        # CapRover has no such step, so its web app (one instance while it migrates) sets RUN_MIGRATIONS=1.
        if [ "${RUN_MIGRATIONS:-0}" = 1 ]; then
            python manage.py migrate --noinput
        fi
        exec granian --interface wsgi --host "${HOST:-0.0.0.0}" --port "${PORT:-8000}" --no-ws \
            --workers "${WEB_WORKERS:-2}" --blocking-threads "${WEB_THREADS:-4}" \
            --workers-kill-timeout 25 --respawn-failed-workers config.wsgi:application
        ;;
    worker)
        exec celery -A config worker --pool threads --concurrency "${WORKER_THREADS:-4}" --loglevel INFO
        ;;
    beat)
        # Exactly one of these per installation. The schedule file only remembers the last runs, and may be lost.
        exec celery -A config beat --schedule /tmp/celerybeat-schedule --loglevel INFO
        ;;
    migrate)
        exec python manage.py migrate --noinput
        ;;
    *)
        exec "$@"
        ;;
esac
