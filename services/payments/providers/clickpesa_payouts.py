"""ClickPesa's payouts: money to a phone's wallet or to a bank account.

Facts come from ClickPesa's docs (API reference, payouts; changelog of September 2025 for the pace).
"""

from __future__ import annotations

import re

from django.utils.translation import gettext_lazy as _

from core.money import AmountNotRepresentable
from services.http import Answer, GatewayUnavailable, OutcomeUnknown
from services.payments.base import (
    BankAccount,
    GatewayRefused,
    PayoutNotSupported,
    PayoutRequest,
    PhoneNotSupported,
    TransferId,
    TransferNotFound,
    TransferResult,
    TransferStatus,
)
from services.payments.providers.clickpesa_api import ClickPesaApi, accepted, found_under, message_of
from services.payments.providers.clickpesa_reading import MOBILE, check_reference, transfer_result

PACE = 60  # seconds between two payouts of one merchant
BIC = re.compile(r"[A-Z0-9]{8}([A-Z0-9]{3})?")
ACCOUNT = re.compile(r"[0-9A-Za-z]{4,34}")

# How the remaining wait is worded is not documented (unconfirmed): any of these.
_TOO_SOON = re.compile(
    r"\bwait\b|\b(try again|retry) (in|after|later)\b|\brate limit|\btoo (soon|many)\b"
    r"|\b(one|once|1)\b.{0,40}\b(per|every) ([0-9]+ ?)?(s|secs?|seconds?|mins?|minutes?)\b"
)
_WAIT = re.compile(r"\b([0-9]{1,4})\s*(s|secs?|seconds?|m|mins?|minutes?)\b")

# Of several under one reference, the word that may not be missed: money that is or may be out.
_WEIGHT = [
    TransferStatus.FAILED,
    TransferStatus.RETURNED,
    TransferStatus.UNKNOWN,
    TransferStatus.PENDING,
    TransferStatus.SUCCEEDED,
]


def check(request: PayoutRequest) -> None:
    """Raise `PhoneNotSupported`, `PayoutNotSupported` (with `errors`) or `AmountNotRepresentable`.

    Whole shillings or dollars: payouts take JSON numbers, and only integers mean the same to everybody.
    """
    if request.bank is None:
        if not MOBILE.fullmatch(request.phone):
            raise PhoneNotSupported
    elif errors := _bank_errors(request.bank):
        raise PayoutNotSupported(errors=errors)
    if request.money.to_units(places=0) <= 0:
        raise AmountNotRepresentable
    check_reference(request.reference)


def send(api: ClickPesaApi, request: PayoutRequest, *, read_timeout: float) -> TransferResult:
    """Send `request`, which `check` has passed, once.

    A reference already used (409) is answered with what became of it. Too soon after the last payout is
    `GatewayUnavailable` with the wait that ClickPesa names.
    """
    wish = {
        "amount": int(request.money.to_units(places=0)),
        "currency": request.money.currency,
        "orderReference": request.reference,
    }
    if request.bank is None:
        path = "/payouts/create-mobile-money-payout"
        wish["phoneNumber"] = request.phone.removeprefix("+")
    else:
        path = "/payouts/create-bank-payout"
        wish |= {
            "accountNumber": request.bank.number,
            "accountName": request.bank.name,
            "bic": request.bank.bank,
            "accountCurrency": "TZS",
        }
    answer = api.call("POST", path, json=api.signed(wish), read_timeout=read_timeout)
    if answer.status == 409:
        return _already_sent(api, request.reference)
    _refuse_haste(answer)
    body = accepted(answer)
    if not isinstance(body, dict) or body.get("orderReference", request.reference) != request.reference:
        raise OutcomeUnknown
    result = transfer_result(body)
    if result.status is TransferStatus.UNKNOWN and not result.provider_reference:
        raise OutcomeUnknown  # JSON, but nothing about a payout
    return result


def query(api: ClickPesaApi, payout: TransferId) -> TransferResult:
    """The payout under our reference. Raises `TransferNotFound`, `GatewayUnavailable` or `GatewayRefused`."""
    check_reference(payout.reference)
    answer = api.call("GET", "/payouts/{reference}", path_values={"reference": payout.reference})
    found = [transfer_result(item) for item in found_under(answer, payout.reference)]
    if not found:
        raise TransferNotFound(payout.reference)
    # The newest of those that weigh most.
    return max(reversed(found), key=lambda result: _WEIGHT.index(result.status))


def _already_sent(api: ClickPesaApi, reference: str) -> TransferResult:
    try:
        return query(api, TransferId(reference=reference))
    except (TransferNotFound, GatewayUnavailable, GatewayRefused):
        raise OutcomeUnknown from None  # the reference is spent, so a payout exists


def _refuse_haste(answer: Answer) -> None:
    """Raise `GatewayUnavailable` for "one per 60 seconds", whichever refusal it comes as (429 or 400: unconfirmed)."""
    message = message_of(answer).lower()
    is_haste = 400 <= answer.status < 500 and _TOO_SOON.search(message) and "insufficient" not in message
    if answer.status != 429 and not is_haste:
        return
    waits = [int(number) * (60 if unit.startswith("m") else 1) for number, unit in _WAIT.findall(message)]
    header = answer.headers.get("retry-after", "")
    if header.isascii() and header.isdigit() and len(header) < 6:
        waits = [int(header)]
    # A text may name the rule and what is left of it: the smaller number is what is left.
    raise GatewayUnavailable(retry_after=max(1, min(waits, default=PACE)))


def _bank_errors(bank: BankAccount) -> dict[str, list[object]]:
    errors: dict[str, list[object]] = {}
    if not BIC.fullmatch(bank.bank):
        errors["bank"] = [_("Name the bank by its BIC: eight or eleven capital letters and digits.")]
    if not ACCOUNT.fullmatch(bank.number):
        errors["number"] = [_("An account number has 4 to 34 letters and digits.")]
    if not bank.name.strip():
        errors["name"] = [_("This field may not be blank.")]
    return errors
