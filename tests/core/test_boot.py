"""Production refuses to start on weak settings, and names every weakness at once."""

from __future__ import annotations

import copy
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as configured
from django.core.exceptions import ImproperlyConfigured
from django.core.mail import get_connection
from django.test import Client, override_settings

from config.settings.email import DEMO_AZURE_KEY, email_settings
from config.settings.payment_gateways import DEMO_POLAR_SECRET
from core.boot import is_weak_key, refuse_weak_settings, weaknesses
from tests.factories.tokens import ed_entry, hs_entry, ring, rs_entry

ROOT = Path(__file__).resolve().parents[2]
KEY = "bG9uZyBhbmQgcmFuZG9tIGVub3VnaCB0byBiZSBhIGtleSBmb3Igc2lnbmluZw"
TOKEN = "f3b1c4d5e6a7089b1c2d3e4f5a6b7c8d"

STRONG: dict[str, Any] = {
    "DEBUG": False,
    "SECRET_KEY": KEY,
    "JWT_SIGNING_KEY": KEY[::-1],
    "ALLOWED_HOSTS": ["api.example.org"],
    "DATABASES": {"default": {"ENGINE": "django.db.backends.postgresql"}},
    "CORS_ALLOWED_ORIGINS": ["https://app.example.org"],
    "CRASH_POINTS_ENABLED": False,
    "FRONTEND_URL": "https://app.example.org",
    "PUBLIC_URL": "https://api.example.org",
    "PAYMENT_GATEWAYS": {
        "clickpesa": {
            "OPTIONS": {"base_url": "https://api.clickpesa.com/third-parties"},
            "CREDENTIALS": {"client_id": "ID1", "api_key": "SK1"},
            "CALLBACK_TOKEN": TOKEN,
        },
        "polar": {
            "OPTIONS": {"base_url": "https://api.polar.sh"},
            "CREDENTIALS": {
                "access_token": "t",
                "webhook_secret": "s",
                "product_id": "p",
                "default_currency": "",
            },
            "OPTIONAL": ("default_currency",),
            "CALLBACK_TOKEN": TOKEN,
        },
    },
    "SMS_GATEWAYS": {
        "beem": {
            "OPTIONS": {"send_url": "https://apisms.beem.africa/v1", "api_key": "k", "secret_key": "s", "sender": "X"},
            "CALLBACK_TOKEN": TOKEN,
        }
    },
    "OAUTH_PROVIDERS": {
        "google": {
            "OPTIONS": {"client_ids": ["web", "phone"], "client_secret": "s", "token_url": "https://oauth2.example.org"}
        },
        "churchsuite": {
            "OPTIONS": {"client_id": "c", "client_secret": "s", "admitted": "", "sends_pkce": True},
            "OPTIONAL": ("admitted",),
        },
    },
    "SOCIAL_REDIRECTS": {"web": "https://app.example.org/social", "app": "org.example.app://social"},
}


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    monkeypatch.setenv("EMAIL_URL", "smtp://mail.example.org:25")
    monkeypatch.delenv("CRASH_AT", raising=False)


def changed(path: str, value: Any) -> dict[str, Any]:
    """The strong settings with one value changed; `path` is dotted."""
    settings = copy.deepcopy(STRONG)
    *above, last = path.split(".")
    place = settings
    for name in above:
        place = place[name]
    place[last] = value
    return settings


def test_strong_settings_have_no_weakness():
    assert list(weaknesses(STRONG)) == []
    refuse_weak_settings(STRONG)


def test_an_option_that_may_be_empty_says_so_itself():
    settings = changed("PAYMENT_GATEWAYS.clickpesa.CREDENTIALS.checksum_key", "")
    assert len(list(weaknesses(settings))) == 1

    settings["PAYMENT_GATEWAYS"]["clickpesa"]["OPTIONAL"] = ("checksum_key",)

    assert list(weaknesses(settings)) == []


def test_a_gateway_that_calls_nobody_back_needs_no_token_and_says_so():
    settings = changed("SMS_GATEWAYS.beem.CALLBACK_TOKEN", "")
    assert len(list(weaknesses(settings))) == 1

    settings["SMS_GATEWAYS"]["beem"]["CALLS_BACK"] = False

    assert list(weaknesses(settings)) == []


@pytest.mark.parametrize(
    ("path", "value", "named"),
    [
        ("DEBUG", True, "DEBUG"),
        ("FRONTEND_URL", "http://localhost:3000", "FRONTEND_URL"),
        ("PUBLIC_URL", "http://127.0.0.1:8000", "PUBLIC_URL"),
        ("SECRET_KEY", "", "SECRET_KEY"),
        ("SECRET_KEY", KEY[:31], "SECRET_KEY"),
        ("SECRET_KEY", "a" * 64, "SECRET_KEY"),
        ("SECRET_KEY", "django-insecure-" + KEY, "SECRET_KEY"),
        ("SECRET_KEY", KEY + "-changeme", "SECRET_KEY"),
        ("SECRET_KEY_FALLBACKS", [KEY, "weak"], "SECRET_KEY_FALLBACKS"),
        ("JWT_SIGNING_KEY", "", "JWT_SIGNING_KEY"),
        ("JWT_SIGNING_KEY", "short", "JWT_SIGNING_KEY"),
        ("JWT_SIGNING_KEY", KEY, "JWT_SIGNING_KEY equals SECRET_KEY"),
        ("ALLOWED_HOSTS", [], "ALLOWED_HOSTS"),
        ("ALLOWED_HOSTS", ["*"], "ALLOWED_HOSTS"),
        ("ALLOWED_HOSTS", ["api.example.org", "*.example.org"], "ALLOWED_HOSTS"),
        ("ALLOWED_HOSTS", [".example.org"], "ALLOWED_HOSTS"),
        ("DATABASES.default.ENGINE", "django.db.backends.sqlite3", "DATABASE_URL"),
        ("CORS_ALLOWED_ORIGINS", ["*"], "CORS_ALLOWED_ORIGINS"),
        ("CORS_ALLOW_ALL_ORIGINS", True, "CORS_ALLOWED_ORIGINS"),
        ("CRASH_POINTS_ENABLED", True, "CRASH_AT"),
        ("PAYMENT_GATEWAYS.clickpesa.OPTIONS.base_url", "http://127.0.0.1:8001/clickpesa", "CLICKPESA_BASE_URL"),
        ("PAYMENT_GATEWAYS.clickpesa.OPTIONS.base_url", "", "CLICKPESA_BASE_URL"),
        ("PAYMENT_GATEWAYS.clickpesa.CREDENTIALS.api_key", "demo-api-key", "CLICKPESA_API_KEY"),
        ("PAYMENT_GATEWAYS.clickpesa.CREDENTIALS.api_key", "", "CLICKPESA_API_KEY"),
        ("PAYMENT_GATEWAYS.polar.CREDENTIALS.webhook_secret", DEMO_POLAR_SECRET, "POLAR_WEBHOOK_SECRET"),
        ("PAYMENT_GATEWAYS.polar.CREDENTIALS.product_id", "", "POLAR_PRODUCT_ID"),
        ("SMS_GATEWAYS.beem.OPTIONS.sender", "", "BEEM_SENDER"),
        ("PAYMENT_GATEWAYS.clickpesa.CALLBACK_TOKEN", "", "CLICKPESA_CALLBACK_TOKEN"),
        ("PAYMENT_GATEWAYS.clickpesa.CALLBACK_TOKEN", TOKEN[:21], "CLICKPESA_CALLBACK_TOKEN"),
        ("PAYMENT_GATEWAYS.clickpesa.CALLBACK_TOKEN", "demo-clickpesa-callback-token", "CLICKPESA_CALLBACK_TOKEN"),
        ("SMS_GATEWAYS.beem.OPTIONS.send_url", "http://apisms.beem.africa/v1", "BEEM_SEND_URL"),
        ("SMS_GATEWAYS.beem.OPTIONS.secret_key", "demo-secret", "BEEM_SECRET_KEY"),
        ("SMS_GATEWAYS.beem.OPTIONS.secret_key", "ZGVtby1henVyZS1hY2Nlc3Mta2V5", "BEEM_SECRET_KEY"),
        ("SMS_GATEWAYS.beem.CALLBACK_TOKEN", "x", "BEEM_CALLBACK_TOKEN"),
        ("OAUTH_PROVIDERS.google.OPTIONS.client_ids", [], "GOOGLE_CLIENT_IDS"),
        ("OAUTH_PROVIDERS.google.OPTIONS.client_ids", ["web", "demo-google-phone"], "GOOGLE_CLIENT_IDS"),
        ("OAUTH_PROVIDERS.google.OPTIONS.client_secret", "", "GOOGLE_CLIENT_SECRET"),
        ("OAUTH_PROVIDERS.google.OPTIONS.token_url", "http://127.0.0.1:8001/google/token", "GOOGLE_TOKEN_URL"),
        ("OAUTH_PROVIDERS.churchsuite.OPTIONS.client_id", "", "CHURCHSUITE_CLIENT_ID"),
        ("SOCIAL_REDIRECTS.web", "http://app.example.org/social", "SOCIAL_REDIRECTS"),
        ("SOCIAL_REDIRECTS.web", "javascript://app.example.org/%0aalert(1)", "SOCIAL_REDIRECTS"),
        ("SOCIAL_REDIRECTS.web", "https:///social", "SOCIAL_REDIRECTS"),
        ("SOCIAL_REDIRECTS.app", "social", "SOCIAL_REDIRECTS"),
        ("SOCIAL_REDIRECTS.app", "https://app.example.org/#social", "SOCIAL_REDIRECTS"),
    ],
)
def test_one_weakness_is_one_sentence_that_names_its_variable(path, value, named):
    (told,) = weaknesses(changed(path, value))

    assert named in told
    if (
        isinstance(value, str)
        and len(value) > 4
        and "URL" not in named
        and "REDIRECTS" not in named
        and "ENGINE" not in path
    ):
        assert value not in told, "the sentence repeats the secret"


@pytest.mark.parametrize(("name", "value"), [("EMAIL_URL", ""), ("CRASH_AT", "inbox_committed")])
def test_a_weakness_of_the_environment_is_named(monkeypatch, name, value):
    monkeypatch.setenv(name, value)

    (told,) = weaknesses(STRONG)
    assert name in told


def test_all_weaknesses_are_told_at_once():
    settings = changed("DEBUG", True) | {"SECRET_KEY": "", "ALLOWED_HOSTS": ["*"]}

    with pytest.raises(ImproperlyConfigured) as refusal:
        refuse_weak_settings(settings)

    assert all(name in str(refusal.value) for name in ("DEBUG", "SECRET_KEY", "ALLOWED_HOSTS"))


@pytest.mark.parametrize(
    ("keys", "named"),
    [
        ("{", "it is not valid JSON"),
        (ring(hs_entry("a", KEY), hs_entry("a", KEY[::-1])), "key a: there is more than one of this name"),
        (ring(hs_entry("a", KEY[:31])), "key a is weak"),
        (ring(hs_entry("a", "a" * 64)), "key a is weak"),
        (ring(ed_entry("a"), hs_entry("b", "insecure-" + KEY)), "key b is weak"),
        (ring(hs_entry("a", KEY)), "key a equals SECRET_KEY"),
        (ring(ed_entry("a"), hs_entry("b", KEY)), "key b equals SECRET_KEY"),
        (ring(hs_entry("a", KEY[::-1]), hs_entry("b", KEY[::-1])), "keys a and b are the same"),
        (ring(ed_entry("a"), rs_entry("b"), ed_entry("c")), "keys a and c are the same"),
    ],
)
def test_a_weak_ring_is_one_sentence_that_names_its_key(keys, named):
    (told,) = weaknesses(changed("JWT_KEYS", keys))

    assert told.startswith("JWT_KEYS: ")
    assert named in told
    assert KEY[:31] not in told


def test_with_a_ring_the_single_key_is_not_looked_at():
    settings = changed("JWT_KEYS", ring(hs_entry("a", KEY[::-1]), ed_entry("b"), rs_entry("c")))

    assert list(weaknesses(settings | {"JWT_SIGNING_KEY": ""})) == []


@pytest.mark.parametrize("key", ["", "a" * 100, "abababab" * 8, "Example-" + KEY, "x" + "change-me" + KEY])
def test_a_key_that_can_be_guessed_is_weak(key):
    assert is_weak_key(key)
    assert not is_weak_key(KEY)


# --- E-mail ---------------------------------------------------------------------------------------------------------


def with_email(monkeypatch, **variables: str) -> dict[str, Any]:
    """The strong settings with the e-mail settings that these variables make."""
    monkeypatch.delenv("EMAIL_URL")
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    return STRONG | email_settings()


SES = {"EMAIL_PROVIDER": "amazon_ses", "AMAZON_SES_REGION": "eu-west-1"}
AZURE = {"EMAIL_PROVIDER": "azure", "AZURE_EMAIL_ENDPOINT_URL": "https://kit.communication.azure.com",
         "AZURE_EMAIL_ACCESS_KEY": "a2V5"}  # fmt: skip


@pytest.mark.parametrize("variables", [
    {"EMAIL_URL": "smtp+tls://user:password@mail.example.org:587"},
    SES,
    SES | {"AMAZON_SES_TOPIC_ARNS": "arn:aws:sns:eu-west-1:1:t", "AMAZON_SES_CALLBACK_TOKEN": TOKEN},
    SES | {"AMAZON_SES_ACCESS_KEY_ID": "AKID", "AMAZON_SES_SECRET_ACCESS_KEY": "s"},
    AZURE, AZURE | {"AZURE_EMAIL_CALLBACK_TOKEN": TOKEN},
    {"EMAIL_PROVIDER": "brevo", "BREVO_API_KEY": "k"},
    {"EMAIL_PROVIDER": "mailersend", "MAILERSEND_API_TOKEN": "k"},
    {"EMAIL_PROVIDER": "mailgun", "MAILGUN_API_KEY": "k"},
    {"EMAIL_PROVIDER": "mailjet", "MAILJET_API_KEY": "k", "MAILJET_SECRET_KEY": "s"},
    {"EMAIL_PROVIDER": "mailtrap", "MAILTRAP_API_TOKEN": "k"},
    {"EMAIL_PROVIDER": "postmark", "POSTMARK_SERVER_TOKEN": "k", "POSTMARK_CALLBACK_TOKEN": TOKEN},
    {"EMAIL_PROVIDER": "resend", "RESEND_API_KEY": "k"},
    {"EMAIL_PROVIDER": "sendgrid", "SENDGRID_API_KEY": "k"},
    {"EMAIL_PROVIDER": "sparkpost", "SPARKPOST_API_KEY": "k"},
], ids=str)  # fmt: skip
def test_a_whole_account_boots_and_sends_by_that_provider(monkeypatch, variables):
    settings = with_email(monkeypatch, **variables)

    assert list(weaknesses(settings)) == []
    assert settings["EMAIL_PROVIDER"] == variables.get("EMAIL_PROVIDER", "smtp")
    with override_settings(**{name: settings[name] for name in ("EMAIL_PROVIDER", "EMAIL_PROVIDERS", "EMAIL_BACKEND")}):
        backend = get_connection()
        assert type(backend).__module__ != "django.core.mail.backends.locmem"


@pytest.mark.parametrize(("variables", "named"), [
    ({}, "EMAIL_URL"),
    ({"EMAIL_PROVIDER": "smtp"}, "EMAIL_URL"),
    ({"EMAIL_PROVIDER": "pigeon"}, "EMAIL_PROVIDER"),
    ({"EMAIL_PROVIDER": "postmark"}, "POSTMARK_SERVER_TOKEN"),
    ({"EMAIL_PROVIDER": "mailjet", "MAILJET_API_KEY": "k"}, "MAILJET_SECRET_KEY"),
    (SES | {"AMAZON_SES_REGION": ""}, "AMAZON_SES_REGION"),
    (SES | {"AMAZON_SES_ACCESS_KEY_ID": "AKID"}, "AMAZON_SES_SECRET_ACCESS_KEY"),
    (SES | {"AMAZON_SES_ENDPOINT_URL": "http://127.0.0.1:5566"}, "AMAZON_SES_ENDPOINT_URL"),
    (SES | {"AMAZON_SES_CALLBACK_TOKEN": TOKEN}, "AMAZON_SES_TOPIC_ARNS"),
    (SES | {"AMAZON_SES_TOPIC_ARNS": "arn:aws:sns:eu-west-1:1:t"}, "AMAZON_SES_CALLBACK_TOKEN"),
    (AZURE | {"AZURE_EMAIL_ENDPOINT_URL": "http://127.0.0.1:8001/azure"}, "AZURE_EMAIL_ENDPOINT_URL"),
    (AZURE | {"AZURE_EMAIL_ACCESS_KEY": DEMO_AZURE_KEY}, "AZURE_EMAIL_ACCESS_KEY"),
    (AZURE | {"AZURE_EMAIL_CALLBACK_TOKEN": "short"}, "AZURE_EMAIL_CALLBACK_TOKEN"),
    ({"EMAIL_PROVIDER": "mailgun", "MAILGUN_API_KEY": "k", "MAILGUN_CALLBACK_TOKEN": TOKEN},
     "MAILGUN_WEBHOOK_SIGNING_KEY"),
    ({"EMAIL_PROVIDER": "brevo", "BREVO_API_KEY": "k", "RESEND_CALLBACK_TOKEN": TOKEN}, "RESEND_API_KEY"),
], ids=lambda each: each if isinstance(each, str) else "")  # fmt: skip
def test_half_an_account_for_mail_is_refused_by_name(monkeypatch, variables, named):
    found = list(weaknesses(with_email(monkeypatch, **variables)))

    assert any(named in fault for fault in found), found


# --- Real processes --------------------------------------------------------------------------------------------------

STRONG_ENVIRONMENT = {
    "SECRET_KEY": KEY,
    "JWT_SIGNING_KEY": KEY[::-1],
    "ALLOWED_HOSTS": "api.example.org",
    "DATABASE_URL": "postgres://faraja:x@127.0.0.1:1/faraja",
    "EMAIL_URL": "smtp://mail.example.org:25",
    "FRONTEND_URL": "https://app.example.org",
    "PUBLIC_URL": "https://api.example.org",
    "CLICKPESA_CLIENT_ID": "ID1",
    "CLICKPESA_API_KEY": "SK1",
    "CLICKPESA_CALLBACK_TOKEN": TOKEN,
    "POLAR_ACCESS_TOKEN": "polar_oat_1",
    "POLAR_WEBHOOK_SECRET": "whsec_1",
    "POLAR_PRODUCT_ID": "p",
    "POLAR_CALLBACK_TOKEN": TOKEN,
    "BEEM_API_KEY": "k",
    "BEEM_SECRET_KEY": "s",
    "BEEM_SENDER": "FARAJA",
    "BEEM_CALLBACK_TOKEN": TOKEN,
}
BOOT = "import django; django.setup(); from django.conf import settings; print('booted', *settings.PAYMENT_GATEWAYS)"


def boot(*arguments: str, **changes: str) -> subprocess.CompletedProcess[str]:
    env = {"PATH": os.environ["PATH"], "DJANGO_SETTINGS_MODULE": "config.settings.prod"}
    return subprocess.run(
        [sys.executable, *(arguments or ("-c", BOOT))],
        env=env | STRONG_ENVIRONMENT | changes,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_a_strong_environment_boots():
    done = boot()

    assert done.returncode == 0, done.stderr
    assert done.stdout == f"booted {' '.join(configured.PAYMENT_GATEWAYS)}\n"


def test_a_weak_environment_does_not_boot_and_hears_every_reason():
    weak = {"DEBUG": "1", "SECRET_KEY": "weak", "JWT_SIGNING_KEY": "weak", "ALLOWED_HOSTS": "*", "DATABASE_URL": ""}
    weak |= {
        "EMAIL_URL": "",
        "CRASH_AT": "x",
        "CLICKPESA_BASE_URL": "http://127.0.0.1:8001",
        "BEEM_API_KEY": "demo-key",
    }
    weak |= {"FRONTEND_URL": "http://localhost:3000", "PUBLIC_URL": "http://localhost:8000"}
    # Half a provider's credentials, the simulator's address, and a page that could be read on the way.
    weak |= {
        "GITHUB_CLIENT_ID": "demo-github-client",
        "GITHUB_WEB_URL": "http://127.0.0.1:8001",
    }
    weak |= {"CHURCHSUITE_CLIENT_SECRET": "demo-churchsuite-secret", "SOCIAL_REDIRECTS": "web=http://localhost:3000"}
    weak |= {"CORS_ALLOWED_ORIGINS": "*", "CLICKPESA_CALLBACK_TOKEN": "short"}

    done = boot(**weak, GOOGLE_CLIENT_SECRET="s")

    assert done.returncode != 0
    assert "Refusing to start in production" in done.stderr
    for name in (*weak, "GOOGLE_CLIENT_IDS", "GITHUB_CLIENT_SECRET", "JWT_SIGNING_KEY equals SECRET_KEY"):
        assert name in done.stderr, name
    assert "booted" not in done.stdout


def test_a_strong_ring_boots_without_the_single_key():
    done = boot(JWT_KEYS=ring(ed_entry("a"), hs_entry("b", KEY[::-1])), JWT_SIGNING_KEY="")

    assert done.returncode == 0, done.stderr


def test_djangos_own_check_for_deployment_finds_nothing():
    done = boot("manage.py", "check", "--deploy", "--fail-level", "WARNING")

    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.django_db
def test_the_admin_is_guarded_against_forged_forms_though_that_check_is_silenced():
    response = Client(enforce_csrf_checks=True).post("/admin/login/", {"username": "a@example.com", "password": "x"})

    assert response.status_code == 403
