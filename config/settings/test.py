"""The suite: as development, on whichever database and Redis the run was given, with cheap password hashes."""

from config.settings.dev import *  # noqa: F403
from config.settings.dev import DATABASES, RATE_LIMITS, SMS_PHONE_DAILY
from config.settings.environment import VAR_DIR, env

if DATABASES["default"]["ENGINE"] == "django.db.backends.sqlite3":
    # A file, as in real life: SQLite's in-memory database locks whole tables between threads.
    DATABASES["default"]["TEST"] = {"NAME": VAR_DIR / "test.sqlite3"}

# Raised, not removed: every request of the suite is counted, and only tests of a limit meet it.
RATE_LIMITS = {name: (1_000_000, per) for name, (_burst, per) in RATE_LIMITS.items()}

SMS_PHONE_DAILY = dict.fromkeys(SMS_PHONE_DAILY, 1_000_000)

PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
# Tests of the suite ask Redis through REDIS_URL where they need it; in-process state keeps the others independent.
CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}
SIMULATORS_URL = env.str("SIMULATORS_URL", default="http://127.0.0.1:1")  # nothing listens: a test starts its own
CORS_ALLOWED_ORIGINS = ["https://app.faraja.test"]

# The test runner turns DEBUG off, and WhiteNoise would then list every static file again for each test client.
WHITENOISE_AUTOREFRESH = True
