"""One computer, nothing installed: SQLite, the bundled Valkey when `make run` started one, and the simulators."""

from datetime import timedelta

from config.settings.base import *  # noqa: F403
from config.settings.base import RATE_LIMITS, logging_config, social_redirects
from config.settings.email import email_settings
from config.settings.environment import VAR_DIR, databases, env
from config.settings.payment_gateways import payment_gateways
from config.settings.payouts import shared_payouts
from config.settings.providers import oauth_providers
from config.settings.sms_gateways import sms_gateways

DEBUG = False  # errors are the envelope here as in production; tracebacks stand in the log
SECRET_KEY = env.str("SECRET_KEY", default="insecure-development-secret-key-never-used-in-production")
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=["127.0.0.1", "localhost", "[::1]"])
DATABASES = databases(f"sqlite:///{VAR_DIR / 'faraja.sqlite3'}")
# Files are served from where the packages keep them (WhiteNoise's finders); the folder only has to exist.
STATIC_ROOT = VAR_DIR / "static"
STATIC_ROOT.mkdir(parents=True, exist_ok=True)

SIMULATORS_URL = env.str("SIMULATORS_URL", default="http://127.0.0.1:8001").rstrip("/")
PAYMENT_GATEWAYS = payment_gateways(SIMULATORS_URL)
PAYOUTS_FROM_SHARED_ACCOUNT = shared_payouts(default="free")  # the simulators' money
SMS_GATEWAYS = sms_gateways(SIMULATORS_URL)
SMS_CONFIRM_SECONDS = env.int("SMS_CONFIRM_SECONDS", default=5)
OAUTH_PROVIDERS = oauth_providers(SIMULATORS_URL)
SOCIAL_REDIRECTS = social_redirects(app="faraja://social")

vars().update(email_settings(SIMULATORS_URL))
EMAIL_FILE_PATH = env.str("EMAIL_FILE_PATH", default=str(VAR_DIR / "mail"))

JWT_SIGNING_KEY = env.str("JWT_SIGNING_KEY", default="insecure-development-jwt-key-never-used-in-production")
AUTH_COOKIE_SECURE = False  # plain http on localhost

CORS_ALLOWED_ORIGINS = env.list(
    "CORS_ALLOWED_ORIGINS",
    default=[f"http://{host}:{port}" for host in ("localhost", "127.0.0.1") for port in (3000, 5173, 8000, 8080)],
)

# Everybody is 127.0.0.1 here: the limits per address would be one limit for all. Those per account stand.
RATE_LIMITS = RATE_LIMITS | {
    "login_client": (1000, timedelta(minutes=1)),
    "register_client": (1000, timedelta(hours=1)),
    "reset_client": (1000, timedelta(hours=1)),
    "otp_client": (1000, timedelta(hours=1)),
    "otp_guess_client": (1000, timedelta(minutes=1)),
    "social_client": (1000, timedelta(minutes=1)),
}

CRASH_POINTS_ENABLED = True
DEMO_ACCOUNTS_ALLOWED = True
WHITENOISE_USE_FINDERS = True
LOGGING = logging_config("text")
