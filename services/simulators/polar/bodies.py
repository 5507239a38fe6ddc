"""Polar's product, customer and checkout as JSON, with every field of the samples. Only reads."""

from __future__ import annotations

import hashlib
from fractions import Fraction
from typing import Any

from services.simulators.config import Config
from services.simulators.ledger.charges import Charge, State
from services.simulators.polar.wire import DECIMALS, ORGANIZATION_ID, PREFIX, as_time, belonging

PRODUCT_ID = "e8b2c1a4-5f3d-4c7e-9a10-2b6c7d8e9f01"
PRODUCT_NAME = "Order payment"
CATALOG_PRICE_ID = "5c1b7a90-3d2e-4f68-8b4a-9e0d1c2f3a45"
FOUNDED = 1788249600.0  # 2026-09-01T08:00:00Z, when the product was made
# Who pays when the caller has not said: a card page asks for both.
CUSTOMER_NAME, CUSTOMER_EMAIL, COUNTRY = "Asha Juma", "asha@example.com", "TZ"


def whole_units(amount: int, currency: str) -> int:
    """Whole shillings or dollars in the smallest unit."""
    return amount * int(10 ** DECIMALS[currency])


# Products


def price(id: str, currency: str, amount: int, *, source: str, at: float) -> dict[str, Any]:
    return {
        "created_at": as_time(at),
        "modified_at": None,
        "id": id,
        "source": source,
        "amount_type": "fixed",
        "price_currency": currency.lower(),
        "tax_behavior": None,
        "is_archived": False,
        "product_id": PRODUCT_ID,
        "price_amount": amount,
    }


def catalog_price(config: Config) -> dict[str, Any]:
    """15,000 of the organization's default currency."""
    currency = config.polar_currency.upper()
    return price(CATALOG_PRICE_ID, currency, whole_units(15_000, currency), source="catalog", at=FOUNDED)


def product_core() -> dict[str, Any]:
    """What every place that names the product says of it."""
    return {
        "id": PRODUCT_ID,
        "created_at": as_time(FOUNDED),
        "modified_at": None,
        "trial_interval": None,
        "trial_interval_count": None,
        "name": PRODUCT_NAME,
        "description": None,
        "visibility": "private",
        "recurring_interval": None,
        "recurring_interval_count": None,
        "meter_interval": None,
        "meter_interval_count": None,
        "is_recurring": False,
        "is_archived": False,
        "organization_id": ORGANIZATION_ID,
    }


def product(config: Config) -> dict[str, Any]:
    """The one product, as its own endpoint shows it. Fields beyond those of a checkout's product are the SDK's."""
    return {
        **product_core(),
        "metadata": {},
        "is_deletable": False,
        "prices": [catalog_price(config)],
        "benefits": [],
        "medias": [],
        "attached_custom_fields": [],
    }


# Checkouts


def expires_at(charge: Charge) -> float:
    """When the session is over; it says so only when the job has come by, at `ends_at`."""
    return float(charge.extra.get("expires_at", charge.ends_at))


def checkout_status(charge: Charge, now: float) -> str:
    """Section 2. Between Pay and the money a session is `confirmed`."""
    match charge.state(now):
        case State.OPEN:
            return "confirmed" if charge.outcome is State.PAID else "open"
        case State.DECLINED:
            return "failed"
        case State.EXPIRED:
            return "expired"
    return "succeeded"


def client_secret(charge: Charge) -> str:
    """Made with the checkout; one that was invented has another nobody knows."""
    digest = hashlib.sha256(charge.id.encode()).hexdigest()
    return str(charge.extra.get("client_secret") or f"polar_c_{digest[:43]}")


def metadata_of(charge: Charge) -> dict[str, Any]:
    metadata = charge.extra.get("metadata")
    return dict(metadata) if isinstance(metadata, dict) else {"reference": charge.reference}


def tax_on(charge: Charge, amount: int) -> int:
    """Exclusive tax. To the nearest smallest unit (that halves go to the even one is unconfirmed)."""
    return round(Fraction(amount * int(charge.extra.get("tax_percent", 0)), 100))


def checkout(config: Config, charge: Charge, *, status: str, at: float) -> dict[str, Any]:
    """The session in one of its statuses. Tax and customer are only known once the customer has pressed Pay."""
    extra = charge.extra
    is_confirmed = status in ("confirmed", "succeeded")
    tax = tax_on(charge, charge.amount) if is_confirmed else None
    made = price(belonging(charge.id, "price"), charge.currency, charge.amount, source="ad_hoc", at=charge.created_at)
    first = made if extra.get("has_own_price", True) else catalog_price(config)
    others = [price(each["id"], each["currency"], each["amount"], source="ad_hoc", at=charge.created_at)
              for each in extra.get("other_prices", [])]  # fmt: skip
    shown = {**product_core(), "prices": [catalog_price(config)], "benefits": [], "medias": []}
    secret = client_secret(charge)
    page = extra.get("url") or f"{config.public_url}{PREFIX}/buy/{secret}"
    payer = customer(charge, at=at)
    return {
        "id": charge.id,
        "created_at": as_time(charge.created_at),
        "modified_at": as_time(at) if at > charge.created_at else None,
        "custom_field_data": {},
        "payment_processor": "stripe",
        "status": status,
        "client_secret": secret,
        "url": page,
        "expires_at": as_time(expires_at(charge)),
        "success_url": extra.get("success_url") or page,
        "return_url": extra.get("return_url"),
        "embed_origin": extra.get("embed_origin"),
        "amount": charge.amount,
        **dict.fromkeys(("seats", "min_seats", "max_seats", "units", "min_units", "max_units")),
        "discount_amount": 0,
        "net_amount": charge.amount,
        "tax_amount": tax,
        "tax_behavior": "exclusive" if is_confirmed else None,
        "total_amount": charge.amount + (tax or 0),
        "currency": charge.currency.lower(),
        "allow_trial": extra.get("allow_trial", True),
        **dict.fromkeys(("active_trial_interval", "active_trial_interval_count", "trial_end")),
        **dict.fromkeys(("trial_interval", "trial_interval_count")),
        "organization_id": ORGANIZATION_ID,
        "product_id": PRODUCT_ID,
        "product_price_id": first["id"],
        "discount_id": None,
        "allow_discount_codes": extra.get("allow_discount_codes", True),
        "require_billing_address": extra.get("require_billing_address", False),
        "is_discount_applicable": True,
        "is_free_product_price": False,
        "is_payment_required": True,
        "is_payment_setup_required": False,
        "is_payment_form_required": True,
        "customer_id": payer["id"] if is_confirmed else extra.get("customer_id"),
        "is_business_customer": extra.get("is_business_customer", False),
        "customer_name": payer["name"] if is_confirmed else extra.get("customer_name"),
        "customer_email": payer["email"] if is_confirmed else extra.get("customer_email"),
        "customer_ip_address": extra.get("customer_ip_address"),
        "customer_billing_name": extra.get("customer_billing_name"),
        "customer_billing_address": payer["billing_address"] if is_confirmed else extra.get("customer_billing_address"),
        "customer_tax_id": extra.get("customer_tax_id"),
        "locale": extra.get("locale"),
        "payment_method_type": "card" if is_confirmed else None,
        "payment_processor_metadata": {},
        "billing_address_fields": {
            "country": "required",
            **dict.fromkeys(("state", "city", "postal_code", "line1", "line2"), "disabled"),
        },
        "metadata": metadata_of(charge),
        "external_customer_id": extra.get("external_customer_id"),
        "customer_metadata": extra.get("customer_metadata", {}),
        "products": [shown],
        "product": shown,
        "product_price": first,
        "prices": {PRODUCT_ID: [first, *others]},
        "discount": None,
        "subscription_id": None,
        "attached_custom_fields": [],
    }


# Customers


def customer_id(charge: Charge) -> str:
    return str(charge.extra.get("customer_id") or belonging(charge.id, "customer"))


def customer(charge: Charge, *, at: float) -> dict[str, Any]:
    """Who pays. A customer is made with each checkout that names no other."""
    extra = charge.extra
    return {
        "id": customer_id(charge),
        "created_at": as_time(charge.created_at),
        "modified_at": None,
        "metadata": extra.get("customer_metadata", {}),
        "external_id": extra.get("external_customer_id"),
        "email": extra.get("customer_email") or CUSTOMER_EMAIL,
        "email_verified": False,
        "type": "individual",
        "name": extra.get("customer_name") or CUSTOMER_NAME,
        "billing_name": extra.get("customer_billing_name"),
        "billing_address": extra.get("customer_billing_address") or {"country": COUNTRY},
        "tax_id": None,
        "locale": extra.get("locale"),
        "organization_id": ORGANIZATION_ID,
        "default_payment_method_id": None,
        "deleted_at": None,
        "first_user_event_at": None,
        "avatar_url": None,
    }
