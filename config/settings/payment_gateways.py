"""Payment gateways from the environment: where each provider is, and the installation's own account there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from config.settings.environment import env


def payment_gateways(simulators_url: str | None = None) -> dict[str, Any]:
    """Every gateway of the kit. With `simulators_url` each address and credential has a local default.

    Without, a gateway whose first credential is absent has no account of the installation (`CREDENTIALS` is None):
    tenants may still bring their own.
    """
    read = _Reader(simulators_url)
    return {"clickpesa": _clickpesa(read), "polar": _polar(read)}


def _clickpesa(read: _Reader) -> dict[str, Any]:
    has_account = read.is_local or bool(read.optional("CLICKPESA_CLIENT_ID"))
    return {
        "BACKEND": "services.payments.providers.clickpesa.ClickPesaGateway",
        "OPTIONS": {
            "base_url": read.url(
                "CLICKPESA_BASE_URL", live="https://api.clickpesa.com/third-parties", local="/clickpesa/third-parties"
            )
        },
        "CREDENTIALS": {
            "client_id": read.required("CLICKPESA_CLIENT_ID", "demo-client"),
            "api_key": read.required("CLICKPESA_API_KEY", "demo-api-key"),
            "checksum_key": read.optional("CLICKPESA_CHECKSUM_KEY", "demo-checksum-key"),
        }
        if has_account
        else None,
        "OPTIONAL": ("checksum_key",),  # without it callbacks are hints; production refuses any other empty one
        "CALLBACK_TOKEN": read.required("CLICKPESA_CALLBACK_TOKEN", "demo-clickpesa-callback-token")
        if has_account
        else "",
    }


def _polar(read: _Reader) -> dict[str, Any]:
    has_account = read.is_local or bool(read.optional("POLAR_ACCESS_TOKEN"))
    return {
        "BACKEND": "services.payments.providers.polar.PolarGateway",
        "OPTIONS": {"base_url": read.url("POLAR_BASE_URL", live="https://api.polar.sh", local="/polar")},
        "CREDENTIALS": {
            "access_token": read.required("POLAR_ACCESS_TOKEN", "demo-polar-token"),
            "webhook_secret": read.required("POLAR_WEBHOOK_SECRET", "demo-polar-webhook-secret"),
            "product_id": read.required("POLAR_PRODUCT_ID", "e8b2c1a4-5f3d-4c7e-9a10-2b6c7d8e9f01"),
            "default_currency": read.optional("POLAR_DEFAULT_CURRENCY"),
        }
        if has_account
        else None,
        "OPTIONAL": ("default_currency",),  # without it: US dollars, as Polar's organizations begin
        "CALLBACK_TOKEN": read.required("POLAR_CALLBACK_TOKEN", "demo-polar-callback-token") if has_account else "",
    }


@dataclass(frozen=True, slots=True)
class _Reader:
    """Variables with a local default each, which counts only where the simulators play the providers."""

    simulators_url: str | None

    @property
    def is_local(self) -> bool:
        return self.simulators_url is not None

    def url(self, name: str, *, live: str, local: str) -> str:
        return str(env.str(name, default=live if self.simulators_url is None else self.simulators_url + local))

    def required(self, name: str, demo: str) -> str:
        return str(env.str(name, default=demo if self.is_local else env.NOTSET))

    def optional(self, name: str, demo: str = "") -> str:
        return str(env.str(name, default=demo if self.is_local else ""))
