# One image for web, worker and beat: the first argument, or ROLE, says which (docker/entrypoint.sh).
ARG PYTHON_IMAGE=python:3.13-slim

FROM ${PYTHON_IMAGE} AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PYTHONDONTWRITEBYTECODE=1
WORKDIR /build
RUN python -m venv /opt/venv
COPY requirements/base.txt requirements/base.txt
# Wheels only: a source package would run its author's code here and ask for a compiler.
RUN /opt/venv/bin/pip install --require-hashes --only-binary :all: -r requirements/base.txt
WORKDIR /app
COPY . .
# Production settings name the storage that hashes and compresses the files. They refuse weak values, so this one
# command gets good ones, which are forgotten with it.
RUN SECRET_KEY="$(/opt/venv/bin/python -c 'import secrets; print(secrets.token_urlsafe(64))')" \
    JWT_SIGNING_KEY="$(/opt/venv/bin/python -c 'import secrets; print(secrets.token_urlsafe(64))')" \
    DJANGO_SETTINGS_MODULE=config.settings.prod \
    ALLOWED_HOSTS=build.invalid \
    FRONTEND_URL=https://build.invalid \
    PUBLIC_URL=https://build.invalid \
    DATABASE_URL=postgres://build:build@build.invalid/build \
    REDIS_URL=rediss://build.invalid:6379/0 \
    EMAIL_URL=smtp+tls://build:build@build.invalid:587 \
    /opt/venv/bin/python manage.py collectstatic --noinput --verbosity 0

FROM ${PYTHON_IMAGE}
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    DJANGO_SETTINGS_MODULE=config.settings.prod \
    PORT=8000 \
    ROLE=web
COPY --from=build /opt/venv /opt/venv
COPY --from=build /app /app
WORKDIR /app
# A number, so that an orchestrator can see that it is not root. It owns nothing here: the code is read-only to it.
USER 10001
EXPOSE 8000
HEALTHCHECK --interval=15s --timeout=5s --start-period=40s --retries=3 CMD ["python", "/app/docker/healthcheck.py"]
# Serves the API with granian on $PORT; `worker`, `beat` or `migrate` as argument (or in ROLE) for the others.
ENTRYPOINT ["/app/docker/entrypoint.sh"]
