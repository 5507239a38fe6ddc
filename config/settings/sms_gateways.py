"""SMS gateways from the environment: where each provider is, and our account there."""

from __future__ import annotations

from typing import Any

from config.settings.environment import env
from config.settings.reader import Reader


def sms_gateways(simulators_url: str | None = None) -> dict[str, Any]:
    """Every gateway that has an account: its first credential is there, or, with `simulators_url`, a simulator's."""
    read = Reader(simulators_url)
    found: dict[str, Any] = {}
    if read.has_account("BEEM_API_KEY"):
        found["beem"] = _beem(read)
    if read.has_account("AFRICASTALKING_API_KEY"):
        found["africastalking"] = _africastalking(read)
    if read.has_account("TWILIO_ACCOUNT_SID"):
        found["twilio"] = _twilio(read)
    if read.has_account("NEXTSMS_TOKEN") or read.has_account("NEXTSMS_USERNAME"):
        found["nextsms"] = _nextsms(read)
    if read.has_account("AZURE_SENDER"):
        found["azure"] = _azure(read)
    # Nothing here plays Amazon, so there is an account only where somebody has one.
    if read.optional("SNS_REGION"):
        found["sns"] = _sns(read)
    return found


def _beem(read: Reader) -> dict[str, Any]:
    return {
        "BACKEND": "services.sms.providers.beem.BeemGateway",
        "OPTIONS": {
            "send_url": read.url("BEEM_SEND_URL", live="https://apisms.beem.africa/v1", local="/beem/sms/v1"),
            "reports_url": read.url(
                "BEEM_REPORTS_URL",
                live="https://dlrapi.beem.africa/public/v1",
                local="/beem/dlr/public/v1",
            ),
            "api_key": read.required("BEEM_API_KEY", "demo-key"),
            "secret_key": read.required("BEEM_SECRET_KEY", "demo-secret"),
            "sender": read.required("BEEM_SENDER", "FARAJA"),
        },
        "CALLBACK_TOKEN": read.required("BEEM_CALLBACK_TOKEN", "demo-beem-callback-token"),
    }


def _africastalking(read: Reader) -> dict[str, Any]:
    return {
        "BACKEND": "services.sms.providers.africastalking.AfricasTalkingGateway",
        "OPTIONS": {
            "base_url": read.url(
                "AFRICASTALKING_BASE_URL", live="https://api.africastalking.com", local="/africastalking"
            ),
            "username": read.required("AFRICASTALKING_USERNAME", "sandbox"),
            "api_key": read.required("AFRICASTALKING_API_KEY", "demo-africastalking-key"),
            "sender": read.optional("AFRICASTALKING_SENDER", "FARAJA"),
        },
        "OPTIONAL": ("sender",),
        "CALLBACK_TOKEN": read.required("AFRICASTALKING_CALLBACK_TOKEN", "demo-africastalking-callback-token"),
    }


def _twilio(read: Reader) -> dict[str, Any]:
    return {
        "BACKEND": "services.sms.providers.twilio.TwilioGateway",
        "OPTIONS": {
            "base_url": read.url("TWILIO_BASE_URL", live="https://api.twilio.com", local="/twilio"),
            "account_sid": read.required("TWILIO_ACCOUNT_SID", "AC00000000000000000000000000000001"),
            "auth_token": read.required("TWILIO_AUTH_TOKEN", "demo-twilio-token"),
            "sender": read.required("TWILIO_SENDER", "FARAJA"),
            "api_key": read.optional("TWILIO_API_KEY"),
            "api_secret": read.optional("TWILIO_API_SECRET"),
            "signing_secret": read.optional("TWILIO_SIGNING_SECRET"),
        },
        # Calls are made with the auth token unless there is a key for them.
        "OPTIONAL": ("api_key", "api_secret", "signing_secret"),
        "CALLBACK_TOKEN": read.required("TWILIO_CALLBACK_TOKEN", "demo-twilio-callback-token"),
    }


def _nextsms(read: Reader) -> dict[str, Any]:
    account = {"token": read.optional("NEXTSMS_TOKEN", "demo-nextsms-token")}
    if not account["token"]:
        account = {
            "username": read.required("NEXTSMS_USERNAME", "demo"),
            "password": read.required("NEXTSMS_PASSWORD", "demo-nextsms-password"),
        }
    return {
        "BACKEND": "services.sms.providers.nextsms.NextSmsGateway",
        "OPTIONS": {
            "base_url": read.url("NEXTSMS_BASE_URL", live="https://messaging-service.co.tz", local="/nextsms"),
            "sender": read.required("NEXTSMS_SENDER", "FARAJA"),
            **account,
        },
        # There is nothing to tell us at: no address matches an empty token.
        "CALLS_BACK": False,
        "CALLBACK_TOKEN": "",
    }


def _azure(read: Reader) -> dict[str, Any]:
    return {
        "BACKEND": "services.sms.providers.azure.AzureGateway",
        "OPTIONS": {
            # The resource's own address, https://<name>.<region>.communication.azure.com, so there is no default.
            "endpoint_url": read.required("AZURE_ENDPOINT_URL", f"{read.simulators_url}/azure"),
            "access_key": read.required("AZURE_ACCESS_KEY", "ZGVtby1henVyZS1hY2Nlc3Mta2V5"),
            "sender": read.required("AZURE_SENDER", "FARAJA"),
            "resource": read.optional("AZURE_RESOURCE", "demo-communication"),
        },
        "OPTIONAL": ("resource",),
        "CALLBACK_TOKEN": read.required("AZURE_CALLBACK_TOKEN", "demo-azure-callback-token"),
    }


def _sns(read: Reader) -> dict[str, Any]:
    topics = [each.strip() for each in read.optional("SNS_TOPICS").split(",") if each.strip()]
    backend = "SnsWithTopics" if topics else "SnsGateway"
    return {
        "BACKEND": f"services.sms.providers.sns.{backend}",
        "OPTIONS": {
            "region": read.optional("SNS_REGION"),
            "access_key": read.optional("SNS_ACCESS_KEY"),
            "secret_key": read.optional("SNS_SECRET_KEY"),
            "sender": read.optional("SNS_SENDER"),
            "max_price": read.optional("SNS_MAX_PRICE"),
            "is_carrier_enough": env.bool("SNS_CARRIER_IS_ENOUGH", default=False),
            **({"topics": topics} if topics else {}),
        },
        "OPTIONAL": ("access_key", "secret_key", "sender", "max_price"),
        "CALLBACK_TOKEN": str(env.str("SNS_CALLBACK_TOKEN")),
    }
