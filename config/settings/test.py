"""The suite: as development, on whichever database and Redis the run was given, with cheap password hashes."""

from config.settings.base import env
from config.settings.dev import *  # noqa: F403

PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
# Tests of the suite ask Redis through REDIS_URL where they need it; in-process state keeps the others independent.
CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}
SIMULATORS_URL = env.str("SIMULATORS_URL", default="http://127.0.0.1:1")  # nothing listens: a test starts its own
CORS_ALLOWED_ORIGINS = ["https://app.faraja.test"]
