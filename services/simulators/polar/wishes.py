"""What a call to create a checkout asks for, and everything that can be wrong with it (sections 1, 2 and 6)."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from services.simulators.polar import bodies, records
from services.simulators.polar.form import Form
from services.simulators.polar.wire import DECIMALS, PROVIDER, as_uuid, belonging
from services.simulators.world import World

# In the smallest unit (section 1); other currencies have the last two.
LIMITS = {"TZS": (200_000, 250_000_000), "USD": (50, 99_999_999)}
OTHER_LIMITS = (50, 99_999_999)
CUSTOMER_TEXTS = ("customer_name", "customer_ip_address", "customer_billing_name", "customer_tax_id", "locale")


def amount_told(prices: object) -> str:
    """The first ad-hoc price as it was sent, for the count of submissions."""
    match prices:
        case {bodies.PRODUCT_ID: [{"price_amount": amount}, *_]}:
            return str(amount)
    return ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What a call to create asks for; `extra` is only kept and shown again."""

    amount: int
    currency: str
    extra: dict[str, Any]


def read_wish(world: World, form: Form) -> Wish:
    """Shape first, then what the organization has (two 422 with different names, as section 6 shows)."""
    check_products(form)
    prices = read_prices(form)
    currency = form.text("currency")
    form.whole("amount", least=0)  # only for a price that the customer names; ignored for a fixed one
    extra = read_details(form)
    extra["metadata"] = form.metadata()
    form.check()

    for place, each in enumerate(form.body["products"]):
        if as_uuid(each) != bodies.PRODUCT_ID:
            form.refuse("value_error", "Product does not exist.", "products", place, value=each)
    form.check("PolarRequestValidationError")
    for product_id in form.body.get("prices") or ():
        if as_uuid(product_id) != bodies.PRODUCT_ID:
            form.refuse("value_error", "Product is not in the list of products.", "prices", product_id)
    if form.body.get("discount_id") is not None:
        form.refuse("value_error", "Discount does not exist.", "discount_id", value=form.body["discount_id"])
    asked_for = form.body.get("customer_id")
    if asked_for is not None and not is_customer(world, asked_for):
        form.refuse("value_error", "Customer does not exist.", "customer_id", value=asked_for)
    default = world.config.polar_currency.upper()
    if prices and default not in {each["currency"] for each in prices}:
        told = "The organization's default presentment currency must be present in the prices."
        form.refuse("value_error", told, "prices", bodies.PRODUCT_ID, value=form.body["prices"])
    form.check("PolarRequestValidationError")

    if not prices:
        stored = bodies.catalog_price(world.config)
        prices = [{"currency": default, "amount": stored["price_amount"]}]
        extra["has_own_price"] = False
    wanted = (currency or default).upper()
    chosen = [each for each in prices if each["currency"] == wanted]
    if not chosen:
        form.refuse("value_error", "Product is not available in the specified currency.", "currency", value=currency)
        form.check("PolarRequestValidationError")
    extra["other_prices"] = [{**each, "id": str(uuid4())} for each in prices if each is not chosen[0]]
    return Wish(amount=chosen[0]["amount"], currency=wanted, extra=extra)


def check_products(form: Form) -> None:
    products = form.needed("products")
    if "products" not in form.body:
        return
    if not isinstance(products, list):
        form.refuse("list_type", "Input should be a valid list", "products", value=products)
        return
    if not products:
        message = "List should have at least 1 item after validation, not 0"
        form.refuse("too_short", message, "products", value=products)
    for place, each in enumerate(products):
        if as_uuid(each) is None:
            form.refuse("uuid_parsing", "Input should be a valid UUID", "products", place, value=each)
    if len({str(each) for each in products}) < len(products):
        form.refuse("value_error", "Product IDs must be unique.", "products", value=products)


def read_prices(form: Form) -> list[dict[str, Any]]:
    """The ad-hoc prices of the one product. Only fixed ones are played; the wordings are unconfirmed."""
    given = form.body.get("prices")
    if given is None:
        return []
    if not isinstance(given, dict):
        form.refuse("dict_type", "Input should be a valid dictionary", "prices", value=given)
        return []
    prices: list[dict[str, Any]] = []
    for product_id, listed in given.items():
        if as_uuid(product_id) is None:
            form.refuse("uuid_parsing", "Input should be a valid UUID", "prices", product_id, "[key]", value=product_id)
        if not isinstance(listed, list) or not listed:
            message = "List should have at least 1 item after validation, not 0"
            form.refuse("too_short", message, "prices", product_id, value=listed)
            continue
        prices += [
            {"currency": str(each["price_currency"]).upper(), "amount": each["price_amount"]}
            for place, each in enumerate(listed)
            if check_price(form, product_id, place, each)
        ]
    currencies = [each["currency"] for each in prices]
    if len(set(currencies)) < len(currencies):
        form.refuse("value_error", "There can be only one price of a kind in each currency.", "prices", value=given)
    return prices


def check_price(form: Form, product_id: str, place: int, price: object) -> bool:
    where = ("prices", product_id, place)
    if not isinstance(price, dict) or price.get("amount_type") != "fixed":
        form.refuse("union_tag_invalid", "Input tag 'amount_type' should be 'fixed'", *where, value=price)
        return False
    currency, amount = price.get("price_currency"), price.get("price_amount")
    if not isinstance(currency, str) or currency != currency.lower() or currency.upper() not in DECIMALS:
        form.refuse("enum", "Input should be a currency", *where, "price_currency", value=currency)
        return False
    if isinstance(amount, bool) or not isinstance(amount, int):
        form.refuse("int_type", "Input should be a valid integer", *where, "price_amount", value=amount)
        return False
    least, most = LIMITS.get(currency.upper(), OTHER_LIMITS)
    if not least <= amount <= most:
        bound, side = (least, "greater") if amount < least else (most, "less")
        message = f"Input should be {side} than or equal to {bound}"
        form.refuse(f"{side}_than_equal", message, *where, "price_amount", value=amount)
        return False
    return True


def read_details(form: Form) -> dict[str, Any]:
    """What is only kept and shown again."""
    details: dict[str, Any] = {name: form.text(name) for name in CUSTOMER_TEXTS}
    for name in ("external_customer_id", "customer_id", "embed_origin"):
        details[name] = form.text(name)
    for name in ("success_url", "return_url"):
        details[name] = form.url(name)
    for name, default in (
        ("allow_discount_codes", True),
        ("require_billing_address", False),
        ("is_business_customer", False),
    ):
        details[name] = form.flag(name, default)
    details["allow_trial"] = form.flag("allow_trial", True)
    details["customer_email"] = form.email("customer_email")
    details["customer_billing_address"] = form.address("customer_billing_address")
    details["customer_metadata"] = form.metadata("customer_metadata")
    return details


def is_customer(world: World, id: object) -> bool:
    """Whether some checkout made a customer of that id."""
    found = as_uuid(id)
    if found is None:
        return False
    charge = world.ledger.charges.find_by_id(PROVIDER, belonging(found, "customer"))
    return charge is not None and charge.state(time.time()) in records.WITH_ORDER
