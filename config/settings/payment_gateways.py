"""Payment gateways from the environment: where each provider is, and the installation's own account there."""

from __future__ import annotations

from typing import Any

from config.settings.environment import env
from config.settings.reader import Reader

# Made up, for the simulator: beginnings of the numbers of Vodacom, Tigo, Airtel and Halotel.
DEMO_WALLET_CODES = {
    "25574": "DEMOVODA",
    "25575": "DEMOVODA",
    "25576": "DEMOVODA",
    "25565": "DEMOTIGO",
    "25567": "DEMOTIGO",
    "25571": "DEMOTIGO",
    "25568": "DEMOAIRTEL",
    "25569": "DEMOAIRTEL",
    "25578": "DEMOAIRTEL",
    "25562": "DEMOHALO",
}

# As Polar makes them: base64 behind a prefix. It says faraja-demo-polar-webhook-secret.
DEMO_POLAR_SECRET = "whsec_ZmFyYWphLWRlbW8tcG9sYXItd2ViaG9vay1zZWNyZXQ="  # noqa: S105  the simulator's

# How an entry begins: only tenants have accounts there.
NO_ACCOUNT: dict[str, Any] = {"CREDENTIALS": None, "CALLBACK_TOKEN": ""}


def payment_gateways(simulators_url: str | None = None) -> dict[str, Any]:
    """Every gateway of the kit. With `simulators_url` each address and credential has a local default.

    Without, a gateway whose first credential is absent has no account of the installation (`CREDENTIALS` is None):
    tenants may still bring their own.
    """
    read = Reader(simulators_url)
    return {
        "clickpesa": _clickpesa(read),
        "selcom": _selcom(read),
        "beem_pay": _beem_pay(read),
        "polar": _polar(read),
    }


def _clickpesa(read: Reader) -> dict[str, Any]:
    entry: dict[str, Any] = NO_ACCOUNT | {
        "BACKEND": "services.payments.providers.clickpesa.ClickPesaGateway",
        "OPTIONS": {
            "base_url": read.url(
                "CLICKPESA_BASE_URL", live="https://api.clickpesa.com/third-parties", local="/clickpesa/third-parties"
            )
        },
        "OPTIONAL": ("checksum_key",),  # without it callbacks are hints; production refuses any other empty one
    }
    if read.has_account("CLICKPESA_CLIENT_ID"):
        entry["CREDENTIALS"] = {
            "client_id": read.required("CLICKPESA_CLIENT_ID", "demo-client"),
            "api_key": read.required("CLICKPESA_API_KEY", "demo-api-key"),
            "checksum_key": read.optional("CLICKPESA_CHECKSUM_KEY", "demo-checksum-key"),
        }
        entry["CALLBACK_TOKEN"] = read.required("CLICKPESA_CALLBACK_TOKEN", "demo-clickpesa-callback-token")
    return entry


def _selcom(read: Reader) -> dict[str, Any]:
    entry: dict[str, Any] = NO_ACCOUNT | {
        "BACKEND": "services.payments.providers.selcom.SelcomGateway",
        "OPTIONS": {
            "base_url": read.url("SELCOM_BASE_URL", live="https://apigw.selcommobile.com/v1", local="/selcom/v1"),
            "fallback_email": read.optional("SELCOM_FALLBACK_EMAIL", "customers@example.com"),
        },
        # Without a pin nothing is paid out, without a sender nothing to banks.
        "OPTIONAL": ("fallback_email", "float_vendor", "pin", "sender_name", "sender_phone"),
    }
    if read.has_account("SELCOM_VENDOR"):
        entry["CREDENTIALS"] = {
            "vendor": read.required("SELCOM_VENDOR", "demo-till"),
            "api_key": read.required("SELCOM_API_KEY", "demo-selcom-key"),
            "api_secret": read.required("SELCOM_API_SECRET", "demo-selcom-secret"),
            "float_vendor": read.optional("SELCOM_FLOAT_VENDOR"),
            "pin": read.optional("SELCOM_PIN", "demo-pin"),
            "sender_name": read.optional("SELCOM_SENDER_NAME", "Demo Shop"),
            "sender_phone": read.optional("SELCOM_SENDER_PHONE", "+255700000001"),
        }
        entry["CALLBACK_TOKEN"] = read.required("SELCOM_CALLBACK_TOKEN", "demo-selcom-callback-token")
    return entry


def _beem_pay(read: Reader) -> dict[str, Any]:
    has_account = read.has_account("BEEM_PAY_API_KEY")
    mode = env.str("BEEM_PAY_TOKEN_MODE", default="per_order")
    # The codes of the networks come from Beem; without them there is nowhere to pay out to.
    wallet_codes = env.dict("BEEM_PAY_WALLET_CODES", default=DEMO_WALLET_CODES if read.is_local else {})
    entry: dict[str, Any] = NO_ACCOUNT | {
        "BACKEND": "services.payments.providers.beem.BeemPayGateway",
        "OPTIONS": {
            "checkout_url": read.url(
                "BEEM_PAY_CHECKOUT_URL", live="https://checkout.beem.africa/v1", local="/beem/pay/v1"
            ),
            "balance_url": read.url(
                "BEEM_PAY_BALANCE_URL", live="https://apitopup.beem.africa/v1", local="/beem/pay/v1"
            ),
            "token_mode": mode,
        },
        "OPTIONAL": ("secure_token",) if mode == "off" else (),  # production refuses any other empty one
    }
    if has_account:
        entry["CREDENTIALS"] = {
            "api_key": read.required("BEEM_PAY_API_KEY", "demo-beem-key"),
            "secret_key": read.required("BEEM_PAY_SECRET_KEY", "demo-beem-secret"),
            "secure_token": read.optional("BEEM_PAY_SECURE_TOKEN", "demo-beem-secure-token"),
            "reference_prefix": read.required("BEEM_PAY_REFERENCE_PREFIX", "DEMO"),
        }
        entry["CALLBACK_TOKEN"] = read.required("BEEM_PAY_CALLBACK_TOKEN", "demo-beem-pay-callback-token")
    if wallet_codes:
        entry["BACKEND"] = "services.payments.providers.beem_payouts.BeemPayWithPayouts"
        entry["OPTIONS"] |= {
            "payout_url": read.url(
                "BEEM_PAY_PAYOUT_URL",
                # One client of 2026 uses https://bpay.beem.africa/v1 (unconfirmed); this is the samples'.
                live="https://apipay.beem.africa/webservices/disbursement",
                local="/beem/pay/v1",
            ),
            "wallet_codes": wallet_codes,
        }
        if has_account:
            entry["CREDENTIALS"] |= {"account_no": read.required("BEEM_PAY_ACCOUNT_NO", "demo-account")}
    return entry


def _polar(read: Reader) -> dict[str, Any]:
    entry: dict[str, Any] = NO_ACCOUNT | {
        "BACKEND": "services.payments.providers.polar.PolarGateway",
        "OPTIONS": {"base_url": read.url("POLAR_BASE_URL", live="https://api.polar.sh", local="/polar")},
        "OPTIONAL": ("default_currency",),  # without it: US dollars, as Polar's organizations begin
    }
    if read.has_account("POLAR_ACCESS_TOKEN"):
        entry["CREDENTIALS"] = {
            "access_token": read.required("POLAR_ACCESS_TOKEN", "demo-polar-token"),
            "webhook_secret": read.required("POLAR_WEBHOOK_SECRET", DEMO_POLAR_SECRET),
            "product_id": read.required("POLAR_PRODUCT_ID", "e8b2c1a4-5f3d-4c7e-9a10-2b6c7d8e9f01"),
            "default_currency": read.optional("POLAR_DEFAULT_CURRENCY", "tzs"),
        }
        entry["CALLBACK_TOKEN"] = read.required("POLAR_CALLBACK_TOKEN", "demo-polar-callback-token")
    return entry
