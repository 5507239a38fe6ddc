"""Production refuses to start on settings that would hurt somebody later. All faults are told at once."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from django.core.exceptions import ImproperlyConfigured

from core.keyring import HS256, KeyRingInvalid, read_ring

MIN_KEY_LENGTH = 32
MIN_DISTINCT_CHARACTERS = 10
_WEAK = "missing or weak; set it to the output of: openssl rand -base64 48"
MIN_CALLBACK_TOKEN_LENGTH = 22  # 128 bits in URL-safe base64
# The second and third as keys are written: base64 of faraja-demo- (webhooks) and of demo- (Azure).
DEMO_BEGINNINGS = ("demo-", "whsec_ZmFyYWphLWRlbW8t", "ZGVtby1")
APP_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*")
BROWSER_SCHEMES = frozenset(
    {"http", "https", "javascript", "data", "vbscript", "file", "blob", "about", "ftp", "ws", "wss"}
)


def refuse_weak_settings(settings: Mapping[str, Any]) -> None:
    """Raise `ImproperlyConfigured` naming every weakness of `settings`, or return."""
    faults = list(weaknesses(settings))
    if faults:
        raise ImproperlyConfigured("Refusing to start in production:\n- " + "\n- ".join(faults))


def weaknesses(settings: Mapping[str, Any]) -> Iterator[str]:
    """One sentence per weakness, naming the variable and what to do."""
    if settings["DEBUG"]:
        yield "DEBUG is on; remove it."
    if is_weak_key(settings["SECRET_KEY"]):
        yield f"SECRET_KEY is {_WEAK}"
    for place, key in enumerate(settings.get("SECRET_KEY_FALLBACKS", ()), start=1):
        if is_weak_key(key):
            yield f"SECRET_KEY_FALLBACKS holds a weak key in place {place}; remove it."
    yield from _ring_weaknesses(settings)
    yield from _sealing_weaknesses(settings)
    if not settings["ALLOWED_HOSTS"] or any("*" in host or host.startswith(".") for host in settings["ALLOWED_HOSTS"]):
        yield "ALLOWED_HOSTS must name the hosts that are served, without wildcards."
    if settings["DATABASES"]["default"]["ENGINE"] == "django.db.backends.sqlite3":
        yield "DATABASE_URL must name a PostgreSQL server; SQLite is for one computer."
    yield from _email_weaknesses(settings)
    if not settings["FRONTEND_URL"].startswith("https://"):
        yield "FRONTEND_URL must be the https address of the web frontend; links in e-mails lead there."
    if not settings["PUBLIC_URL"].startswith("https://"):
        yield "PUBLIC_URL must be the https address of this API; payment gateways are told to report there."
    if "*" in settings["CORS_ALLOWED_ORIGINS"] or settings.get("CORS_ALLOW_ALL_ORIGINS"):
        yield "CORS_ALLOWED_ORIGINS must name origins, without wildcards."
    if settings.get("CRASH_POINTS_ENABLED") or os.environ.get("CRASH_AT"):
        yield "Crash points are for tests; unset CRASH_AT."
    for kind in ("PAYMENT_GATEWAYS", "SMS_GATEWAYS"):
        for code, config in settings[kind].items():
            yield from _option_weaknesses(code, config)
            # Without credentials only tenants have accounts there.
            if config.get("CREDENTIALS", {}) is not None and config.get("CALLS_BACK", True):
                yield from _callback_weaknesses(code, config["CALLBACK_TOKEN"])
    for code, config in settings.get("OAUTH_PROVIDERS", {}).items():
        yield from _option_weaknesses(code, config)
    yield from _redirect_weaknesses(settings.get("SOCIAL_REDIRECTS", {}))


def is_weak_key(key: str) -> bool:
    """Too short, too uniform, or a known default."""
    is_default = any(word in key.lower() for word in ("insecure", "changeme", "change-me", "example"))
    return len(key) < MIN_KEY_LENGTH or len(set(key)) < MIN_DISTINCT_CHARACTERS or is_default


def _ring_weaknesses(settings: Mapping[str, Any]) -> Iterator[str]:
    """Of the keys that sign tokens. `JWT_SIGNING_KEY` counts only where `JWT_KEYS` is not set."""
    text, secret = settings.get("JWT_KEYS", ""), settings["JWT_SIGNING_KEY"]
    if not text:
        if is_weak_key(secret):
            yield f"JWT_SIGNING_KEY is {_WEAK}"
        if secret and secret == settings["SECRET_KEY"]:
            yield "JWT_SIGNING_KEY equals SECRET_KEY; one leak must not open both."
        return
    try:
        keys = read_ring(text, secret).keys
    except KeyRingInvalid as refusal:
        yield from (f"JWT_KEYS: {fault}." for fault in refusal.faults)
        return
    for key in keys:
        if key.alg == HS256 and is_weak_key(key.entry["key"]):
            yield f"JWT_KEYS: key {key.kid} is weak; make one with: manage.py jwt_keys add"
        if key.alg == HS256 and key.entry["key"] == settings["SECRET_KEY"]:
            yield f"JWT_KEYS: key {key.kid} equals SECRET_KEY; one leak must not open both."
    for place, key in enumerate(keys):
        for other in keys[:place]:
            if key.public == other.public:
                yield f"JWT_KEYS: keys {other.kid} and {key.kid} are the same; retiring one would change nothing."


def _sealing_weaknesses(settings: Mapping[str, Any]) -> Iterator[str]:
    for place, key in enumerate(settings.get("ENCRYPTION_KEYS", ()), start=1):
        if is_weak_key(key):
            yield f"ENCRYPTION_KEYS holds a weak key in place {place}; make one with: openssl rand -base64 48"
        if key in (settings["SECRET_KEY"], settings["JWT_SIGNING_KEY"]):
            yield f"ENCRYPTION_KEYS repeats another key in place {place}; one leak must not open both."


def _email_weaknesses(settings: Mapping[str, Any]) -> Iterator[str]:
    """Of who sends mail, and of every account of which anything is configured."""
    chosen, accounts = settings.get("EMAIL_PROVIDER", "smtp"), settings.get("EMAIL_PROVIDERS", {})
    if chosen == "smtp" and not os.environ.get("EMAIL_URL"):
        yield "EMAIL_URL is missing; e-mail would go nowhere. Set it, or EMAIL_PROVIDER with its credentials."
    if chosen != "smtp" and chosen not in accounts:
        yield f"EMAIL_PROVIDER names {chosen}, which is not known; see docs/email.md."
    for code, config in accounts.items():
        if "CALLBACK_TOKEN" not in config:
            continue  # a mail server: it has no account and reports nothing
        prefix = config.get("PREFIX", code)
        yield from _option_weaknesses(prefix, config)
        together = [name for name in config.get("TOGETHER", ()) if not config["OPTIONS"][name]]
        if 0 < len(together) < len(config.get("TOGETHER", ())):
            yield f"{f'{prefix}_{together[0]}'.upper()} is empty, and its other half is not."
        has_token = bool(config["CALLBACK_TOKEN"])
        if has_token:
            yield from _callback_weaknesses(prefix, config["CALLBACK_TOKEN"])
        for name in config.get("FOR_REPORTS", ()):
            if has_token != bool(config["OPTIONS"][name]):
                variable, token = f"{prefix}_{name}".upper(), f"{prefix}_CALLBACK_TOKEN".upper()
                yield f"{variable} and {token} go together: set both, or neither and hear of no bounces."


def _option_weaknesses(code: str, config: Mapping[str, Any]) -> Iterator[str]:
    for name, value in (config["OPTIONS"] | (config.get("CREDENTIALS") or {})).items():
        variable = f"{code}_{name}".upper()
        if name.endswith("url"):
            if not value and name in config.get("OPTIONAL", ()):
                continue
            if urlsplit(value).scheme != "https":
                yield f"{variable} must be an https address; a simulator's is for development."
        elif any(isinstance(each, str) and each.startswith(DEMO_BEGINNINGS) for each in _listed(value)):
            yield f"{variable} is a demo credential."
        elif value in ("", []) and name not in config.get("OPTIONAL", ()):
            yield f"{variable} is empty."


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _callback_weaknesses(code: str, token: str) -> Iterator[str]:
    if len(token) < MIN_CALLBACK_TOKEN_LENGTH or token.startswith("demo-"):
        yield f"{code.upper()}_CALLBACK_TOKEN must be random; set it to the output of: openssl rand -hex 16"


def _redirect_weaknesses(redirects: Mapping[str, str]) -> Iterator[str]:
    """A code goes there: to an https page, or to an app by a scheme of its own."""
    for name, url in redirects.items():
        scheme, _colon, rest = url.partition(":")
        is_page = scheme == "https" and urlsplit(url).hostname
        is_app = APP_SCHEME.fullmatch(scheme) and scheme not in BROWSER_SCHEMES and rest.startswith("//")
        if not name or not (is_page or is_app) or "#" in url:
            yield f"SOCIAL_REDIRECTS: {name or url} must be name=https://... or name=scheme-of-an-app://..."
