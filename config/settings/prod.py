"""Production. Refuses to boot on weak settings (`core.boot`); every value comes from the environment."""

from config.settings.base import *  # noqa: F403
from config.settings.base import logging_config, social_redirects
from config.settings.email import email_settings
from config.settings.environment import databases, env
from config.settings.payment_gateways import payment_gateways
from config.settings.providers import oauth_providers
from config.settings.sms_gateways import sms_gateways
from core.boot import refuse_weak_settings

DEBUG = env.bool("DEBUG", default=False)
SECRET_KEY = env.str("SECRET_KEY", default="")
JWT_SIGNING_KEY = env.str("JWT_SIGNING_KEY", default="")
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=[])
DATABASES = databases("sqlite://:memory:")
REDIS_URL = env.str("REDIS_URL", default="")

PAYMENT_GATEWAYS = payment_gateways()
SMS_GATEWAYS = sms_gateways()
OAUTH_PROVIDERS = oauth_providers()
SOCIAL_REDIRECTS = social_redirects()
vars().update(email_settings())

CORS_ALLOWED_ORIGINS = env.list("CORS_ALLOWED_ORIGINS", default=[])

STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"},
}

ADMIN_REQUIRES_MFA = env.bool("ADMIN_REQUIRES_MFA", default=True)

NUM_PROXIES = env.int("NUM_PROXIES", default=1)  # CapRover's nginx; 2 behind a CDN as well, 0 without any

# CapRover's nginx ends TLS and says so in this header.
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
SECURE_HSTS_SECONDS = 31_536_000
SECURE_HSTS_INCLUDE_SUBDOMAINS = True
SECURE_HSTS_PRELOAD = True
# No redirect from http to https: an API client that sent its token in clear must notice (ASVS 4.1.2).
SECURE_SSL_REDIRECT = False
SILENCED_SYSTEM_CHECKS = [
    "auth.E003",  # as in base.py
    "security.W003",  # a subclass of Django's CSRF middleware guards the admin (core.middleware)
    "security.W008",
]
SESSION_COOKIE_SECURE = True
CSRF_COOKIE_SECURE = True
CSRF_TRUSTED_ORIGINS = env.list("CSRF_TRUSTED_ORIGINS", default=[])

LOGGING = logging_config("json")

refuse_weak_settings(globals())
