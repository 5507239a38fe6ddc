"""SMS gateways from the environment: where each provider is, and our account there."""

from __future__ import annotations

from typing import Any

from config.settings.reader import Reader


def sms_gateways(simulators_url: str | None = None) -> dict[str, Any]:
    """Every gateway that has an account: its first credential is there, or, with `simulators_url`, a simulator's."""
    read = Reader(simulators_url)
    found: dict[str, Any] = {}
    if read.has_account("BEEM_API_KEY"):
        found["beem"] = _beem(read)
    if read.has_account("AFRICASTALKING_API_KEY"):
        found["africastalking"] = _africastalking(read)
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
