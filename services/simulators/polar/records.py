"""Polar's orders, refunds and payments as JSON: what became of the money of a checkout. Only reads."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from services.simulators.ledger.charges import Charge, State
from services.simulators.ledger.transfers import Transfer, TransferKind, TransferState
from services.simulators.polar.bodies import (
    PRODUCT_ID,
    PRODUCT_NAME,
    customer,
    customer_id,
    metadata_of,
    product_core,
    tax_on,
)
from services.simulators.polar.wire import ORGANIZATION_ID, PROVIDER, as_time, belonging
from services.simulators.world import World

# An order exists while its charge is one of these; CANCELLED is one that will not be collected.
WITH_ORDER = (State.PAID, State.REFUNDED, State.REVERSED, State.CANCELLED)
GIVEN_BACK = (State.REFUNDED, State.REVERSED)


def order_id(charge: Charge) -> str:
    return belonging(charge.id, "order")


def paid_at(world: World, charge: Charge) -> float:
    """When the order was made."""
    return world.ledger.charges.captured_at(charge) or charge.ends_at


def refunds_of(world: World, charge: Charge, *, changed: Transfer | None = None) -> list[Transfer]:
    """The refunds of a charge, oldest first, and last the one with which Polar has given back the rest by itself.

    `changed` takes the place of the one it is a later course of; it may be new.
    """
    made = [
        each
        for each in world.ledger.transfers.list_by_charge(PROVIDER, charge.id)
        if each.kind is TransferKind.REFUND and (changed is None or each.id != changed.id)
    ]
    made += [changed] if changed is not None else []
    if charge.outcome in GIVEN_BACK:
        made.append(own_refund(charge, made))
    return made


def own_refund(charge: Charge, others: Sequence[Transfer]) -> Transfer:
    """The refund that Polar makes of its own accord when a charge is flipped to REFUNDED or REVERSED."""
    rest = charge.collected - sum(each.amount for each in others if each.outcome is TransferState.SENT)
    rest_of_tax = tax_on(charge, charge.collected) - sum(
        int(each.extra["tax"]) for each in others if each.outcome is TransferState.SENT
    )
    return Transfer(
        provider=PROVIDER,
        id=belonging(charge.id, "refund"),
        reference=charge.reference,
        kind=TransferKind.REFUND,
        amount=rest,
        currency=charge.collected_currency,
        outcome=TransferState.SENT,
        created_at=charge.ends_at,
        ends_at=charge.ends_at,
        charge_id=charge.id,
        extra={"tax": rest_of_tax, "reason": "other", "metadata": {}},
    )


def refund_status(transfer: Transfer, now: float) -> str:
    match transfer.state(now):
        case TransferState.OPEN:
            return "pending"
        case TransferState.SENT:
            return "succeeded"
        case TransferState.FAILED:
            return "failed"
    return "canceled"


def refund(charge: Charge, transfer: Transfer, now: float) -> dict[str, Any]:
    extra, is_changed = transfer.extra, now >= transfer.ends_at > transfer.created_at
    return {
        "created_at": as_time(transfer.created_at),
        "modified_at": as_time(transfer.ends_at) if is_changed else None,
        "id": transfer.id,
        "metadata": extra.get("metadata", {}),
        "status": refund_status(transfer, now),
        "reason": extra.get("reason", "other"),
        "amount": transfer.amount,
        "tax_amount": int(extra.get("tax", 0)),
        "currency": transfer.currency.lower(),
        "organization_id": ORGANIZATION_ID,
        "order_id": order_id(charge),
        "subscription_id": None,
        "customer_id": customer_id(charge),
        "revoke_benefits": extra.get("revoke_benefits", False),
        "dispute": None,
    }


def order_status(charge: Charge, refunded: int, now: float) -> str:
    """Section 4. Between Pay and the money it is `pending`."""
    if charge.state(now) is State.CANCELLED:
        return "void"
    if not refunded:
        return "paid"
    return "refunded" if refunded >= charge.collected else "partially_refunded"


def order(
    world: World, charge: Charge, *, at: float, changed: Transfer | None = None, is_new: bool = False
) -> dict[str, Any]:
    """The order of a charge that was paid, as it is at that moment.

    `is_new`: as it is made, before the payment is applied to it (that it is `pending` then is unconfirmed).
    """
    net, tax, made_at = charge.collected, tax_on(charge, charge.collected), paid_at(world, charge)
    sent = [each for each in refunds_of(world, charge, changed=changed) if each.state(at) is TransferState.SENT]
    back, tax_back = sum(each.amount for each in sent), sum(int(each.extra.get("tax", 0)) for each in sent)
    status = "pending" if is_new else order_status(charge, back, at)
    is_paid = status not in ("pending", "void")
    payer = customer(charge, at=at)
    modified = max((each.ends_at for each in sent), default=None)
    return {
        "id": order_id(charge),
        "created_at": as_time(made_at),
        "modified_at": as_time(modified) if modified is not None else None,
        "status": status,
        "paid": is_paid,
        "subtotal_amount": net,
        "discount_amount": 0,
        "net_amount": net,
        "tax_amount": tax,
        "total_amount": net + tax,
        "applied_balance_amount": 0,
        "due_amount": net + tax if is_new else 0,
        "refunded_amount": back,
        "refunded_tax_amount": tax_back,
        "refundable_amount": net - back if is_paid else 0,
        "refundable_tax_amount": tax - tax_back if is_paid else 0,
        "currency": charge.collected_currency.lower(),
        "billing_reason": "purchase",
        "billing_name": payer["billing_name"] or payer["name"],
        "billing_address": payer["billing_address"],
        "invoice_number": f"DEMO-{charge.id[:8].upper()}",
        "is_invoice_generated": False,
        "receipt_number": None,
        "seats": None,
        "units": None,
        "customer_id": payer["id"],
        "product_id": PRODUCT_ID,
        "discount_id": None,
        "subscription_id": None,
        "checkout_id": charge.id,
        "next_payment_attempt_at": None,
        "metadata": metadata_of(charge),
        "custom_field_data": {},
        "platform_fee_amount": net * 4 // 100,  # for display only; the real scale, and its currency, are unconfirmed
        "platform_fee_currency": "usd",
        "customer": payer,
        "product": {**product_core(), "metadata": {}},
        "discount": None,
        "subscription": None,
        "items": [
            {
                "created_at": as_time(made_at),
                "modified_at": None,
                "id": belonging(charge.id, "item"),
                "label": PRODUCT_NAME,
                "amount": net,
                "tax_amount": tax,
                "proration": False,
                "product_price_id": belonging(charge.id, "price"),
                "start_timestamp": None,
                "end_timestamp": None,
            }
        ],
        "description": PRODUCT_NAME,
    }


# Payments: each try with a card


def payments_of(world: World, charge: Charge, now: float) -> list[dict[str, Any]]:
    """Every try at one checkout, oldest first: those declined, and the one that was paid."""
    made = [
        payment(charge, id=each["id"], at=each["at"], status="failed", order=None)
        for each in charge.extra.get("declined", [])
    ]
    if charge.state(now) in WITH_ORDER and charge.outcome is not State.CANCELLED:
        made.append(
            payment(
                charge,
                id=belonging(charge.id, "payment"),
                at=paid_at(world, charge),
                status="succeeded",
                order=order_id(charge),
            )
        )
    return made


def payment(charge: Charge, *, id: str, at: float, status: str, order: str | None) -> dict[str, Any]:
    is_paid = status == "succeeded"
    net, currency = (charge.collected, charge.collected_currency) if is_paid else (charge.amount, charge.currency)
    return {
        "created_at": as_time(at),
        "modified_at": None,
        "id": id,
        "processor": "stripe",
        "status": status,
        "amount": net + tax_on(charge, net),
        "currency": currency.lower(),
        "method": "card",
        "method_metadata": {"brand": "visa", "last4": "4242" if is_paid else "0002"},
        "trigger": "purchase",
        "decline_reason": None if is_paid else "generic_decline",
        "decline_message": None if is_paid else "Your card was declined.",
        "organization_id": ORGANIZATION_ID,
        "checkout_id": charge.id,
        "order_id": order,
        "processor_metadata": {},
    }
