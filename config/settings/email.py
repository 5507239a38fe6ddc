"""How mail goes out, from the environment: which provider sends, and every account that there is.

`EMAIL_PROVIDER` names who sends; without it the mail server of `EMAIL_URL` does. Accounts that are configured and not
chosen go on being heard: what they report about mails sent earlier is still worth knowing.
"""

from __future__ import annotations

from typing import Any

from config.settings.environment import env
from config.settings.reader import Reader

SMTP = "smtp"
FILES = "files"  # development: one file per mail
DELEGATE = "services.email.backend.EmailBackend"
PLAIN: dict[str, Any] = {"BACKEND": "services.email.providers.plain.PlainEmail", "OPTIONS": {}}


def email_settings(simulators_url: str | None = None) -> dict[str, Any]:
    """The settings `EMAIL_...` as names and values: who sends, and how Django itself reaches them.

    With `simulators_url` mails are written to files, unless `EMAIL_PROVIDER` names somebody.
    """
    provider = env.str("EMAIL_PROVIDER", default=SMTP if simulators_url is None else FILES)
    providers = email_providers(Reader(simulators_url), chosen=provider) | {
        (SMTP if simulators_url is None else FILES): PLAIN
    }
    found: dict[str, Any] = {"EMAIL_PROVIDER": provider, "EMAIL_PROVIDERS": providers, "EMAIL_TIMEOUT": 10}
    if provider == SMTP:
        server: dict[str, Any] = env.email_url_config(env.str("EMAIL_URL", default="consolemail://"))
        if server["EMAIL_BACKEND"] == "django.core.mail.backends.smtp.EmailBackend":
            server["EMAIL_BACKEND"] = "services.email.smtp.EmailBackend"
        return found | server
    if provider == FILES:
        return found | {"EMAIL_BACKEND": "django.core.mail.backends.filebased.EmailBackend"}
    return found | {"EMAIL_BACKEND": DELEGATE}


def email_providers(read: Reader, *, chosen: str = "") -> dict[str, Any]:
    """Every provider of which anything is configured, and the chosen one; `core.boot` refuses half of an account."""
    accounts = {
        "amazon_ses": _amazon_ses(read),
        "azure": _azure(read),
        "brevo": _esp(
            "brevo", {"api_key": read.optional("BREVO_API_KEY")}, token=read.optional("BREVO_CALLBACK_TOKEN")
        ),
        "mailersend": _esp(
            "mailersend",
            {
                "api_token": read.optional("MAILERSEND_API_TOKEN"),
                "signing_secret": read.optional("MAILERSEND_SIGNING_SECRET"),
            },
            token=read.optional("MAILERSEND_CALLBACK_TOKEN"),
            for_reports=("signing_secret",),
        ),
        "mailgun": _esp(
            "mailgun",
            {
                "api_key": read.optional("MAILGUN_API_KEY"),
                "sender_domain": read.optional("MAILGUN_SENDER_DOMAIN"),
                "webhook_signing_key": read.optional("MAILGUN_WEBHOOK_SIGNING_KEY"),
                "api_url": read.optional("MAILGUN_API_URL"),
            },
            token=read.optional("MAILGUN_CALLBACK_TOKEN"),
            optional=("sender_domain", "api_url"),
            for_reports=("webhook_signing_key",),
        ),
        "mailjet": _esp(
            "mailjet",
            {"api_key": read.optional("MAILJET_API_KEY"), "secret_key": read.optional("MAILJET_SECRET_KEY")},
            token=read.optional("MAILJET_CALLBACK_TOKEN"),
        ),
        "mailtrap": _esp(
            "mailtrap",
            {
                "api_token": read.optional("MAILTRAP_API_TOKEN"),
                "tracking_secret": read.optional("MAILTRAP_TRACKING_SECRET"),
            },
            token=read.optional("MAILTRAP_CALLBACK_TOKEN"),
            optional=("tracking_secret",),
        ),
        "postmark": _esp(
            "postmark",
            {
                "server_token": read.optional("POSTMARK_SERVER_TOKEN"),
                "message_stream": read.optional("POSTMARK_MESSAGE_STREAM"),
            },
            token=read.optional("POSTMARK_CALLBACK_TOKEN"),
            optional=("message_stream",),
        ),
        "resend": _esp(
            "resend",
            {"api_key": read.optional("RESEND_API_KEY"), "signing_secret": read.optional("RESEND_SIGNING_SECRET")},
            token=read.optional("RESEND_CALLBACK_TOKEN"),
            for_reports=("signing_secret",),
        ),
        "sendgrid": _esp(
            "sendgrid",
            {
                "api_key": read.optional("SENDGRID_API_KEY"),
                "tracking_webhook_verification_key": read.optional("SENDGRID_TRACKING_WEBHOOK_VERIFICATION_KEY"),
            },
            token=read.optional("SENDGRID_CALLBACK_TOKEN"),
            for_reports=("tracking_webhook_verification_key",),
        ),
        "sparkpost": _esp(
            "sparkpost",
            {
                "api_key": read.optional("SPARKPOST_API_KEY"),
                "subaccount": read.optional("SPARKPOST_SUBACCOUNT"),
                "api_url": read.optional("SPARKPOST_API_URL"),
            },
            token=read.optional("SPARKPOST_CALLBACK_TOKEN"),
            optional=("subaccount", "api_url"),
        ),
    }
    return {code: account for code, account in accounts.items() if code == chosen or _is_begun(account)}


def _is_begun(account: dict[str, Any]) -> bool:
    values = {name: value for name, value in account["OPTIONS"].items() if name != "esp"}
    return any(values.values()) or bool(account["CALLBACK_TOKEN"])


def _esp(
    code: str,
    options: dict[str, str],
    *,
    token: str,
    optional: tuple[str, ...] = (),
    for_reports: tuple[str, ...] = (),
) -> dict[str, Any]:
    """An account at one of anymail's providers: its options are anymail's settings of the same names.

    `for_reports`: what may be empty only while nothing is reported to us.
    """
    return {
        "BACKEND": "services.email.providers.esp.EspEmail",
        "OPTIONS": {"esp": code} | options,
        "OPTIONAL": optional + for_reports,
        "FOR_REPORTS": for_reports,
        "CALLBACK_TOKEN": token,
    }


def _amazon_ses(read: Reader) -> dict[str, Any]:
    return {
        "BACKEND": "services.email.providers.amazon_ses.SesEmail",
        "OPTIONS": {
            "region": read.optional("AMAZON_SES_REGION"),
            "configuration_set": read.optional("AMAZON_SES_CONFIGURATION_SET"),
            "access_key_id": read.optional("AMAZON_SES_ACCESS_KEY_ID"),
            "secret_access_key": read.optional("AMAZON_SES_SECRET_ACCESS_KEY"),
            "endpoint_url": read.optional("AMAZON_SES_ENDPOINT_URL"),
            "topic_arns": env.list("AMAZON_SES_TOPIC_ARNS", default=[]),
        },
        "OPTIONAL": ("configuration_set", "access_key_id", "secret_access_key", "endpoint_url", "topic_arns"),
        "TOGETHER": ("access_key_id", "secret_access_key"),
        "FOR_REPORTS": ("topic_arns",),
        "CALLBACK_TOKEN": read.optional("AMAZON_SES_CALLBACK_TOKEN"),
    }


def _azure(read: Reader) -> dict[str, Any]:
    local = f"{read.simulators_url}/azure" if read.is_local else ""
    return {
        "BACKEND": "services.email.providers.azure.AzureEmail",
        "PREFIX": "azure_email",
        "OPTIONS": {
            "endpoint_url": read.optional("AZURE_EMAIL_ENDPOINT_URL", local),
            "access_key": read.optional("AZURE_EMAIL_ACCESS_KEY", DEMO_AZURE_KEY),
            "resource": read.optional("AZURE_EMAIL_RESOURCE"),
        },
        "OPTIONAL": ("resource",),
        "CALLBACK_TOKEN": read.optional("AZURE_EMAIL_CALLBACK_TOKEN", "demo-azure-email-callback-token"),
    }


# Base64, as Azure's keys are, of demo-azure-access-key: the simulator's, and no secret.
DEMO_AZURE_KEY = "ZGVtby1henVyZS1hY2Nlc3Mta2V5"
