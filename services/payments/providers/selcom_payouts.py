"""Selcom's payouts: to a mobile wallet ("wallet cash-in") and to a bank ("qwiksend"), and what the float holds.

Source: Selcom's API reference, "Wallet cashin", "Qwiksend" and "Vendor balance"; live behaviour as one integrator saw
it is marked unconfirmed. Selcom calls nobody back about a payout: it has to be asked.

Each rail answers only for its own payouts, and a question on the wrong one proves nothing. So what `payout` returns as
the provider's reference begins with the rail (`wallet:0289999288`). After silence there is no such reference; then all
rails that the account has are asked and their answers weighed together (`weigh`), and the one that knows the payout is
named for the next question (`wallet:`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from django.utils.translation import gettext_lazy as _

from core.money import AmountNotRepresentable, Money
from services.payments.base import (
    AmountOutOfRange,
    BankAccount,
    CustomerDetailsMissing,
    PayoutRequest,
    TransferResult,
    TransferStatus,
)
from services.payments.providers.selcom_api import Fields, Reply, Verdict
from services.reading import storable

# Seen live as "Payment amount must be greater than or equal to TZS 1,000" (unconfirmed).
SMALLEST = Money(100_000, "TZS")

# The code under which Selcom finds the operator itself. The operators' own codes would have to be chosen by prefix, and
# numbers in Tanzania are portable.
ANY_OPERATOR = "CASHIN"

# Words of a refused question that say "no such payout". Undocumented, so they are read in the careful direction only:
# without them a failure of the question would be taken for a failure of the payout.
NO_SUCH_PAYOUT = re.compile(r"not (been )?found|no (such )?(record|transaction)|does ?n[o']t exist|unknown trans", re.I)

BANK_CODE = re.compile(r"[0-9A-Za-z_-]{2,30}")
ACCOUNT_NUMBER = re.compile(r"[0-9A-Za-z]{4,34}")


class Rail(StrEnum):
    """Which of Selcom's products carries a payout."""

    WALLET = "wallet"
    BANK = "qwiksend"

    @property
    def process(self) -> str:
        """Where a payout is asked for."""
        return "/walletcashin/process" if self is Rail.WALLET else "/qwiksend/process"

    @property
    def question(self) -> str:
        """Where one is asked about."""
        return "/walletcashin/query" if self is Rail.WALLET else "/qwiksend/query"


@dataclass(frozen=True, slots=True, kw_only=True)
class Float:
    """The account that pays out. `sender_name` and `sender_phone` (E.164) are what a bank is told of the sender."""

    vendor: str
    pin: str
    sender_name: str = ""
    sender_phone: str = ""

    @property
    def rails(self) -> tuple[Rail, ...]:
        """What can be paid out: nothing without a pin, and to banks only under a sender's name and phone."""
        if not self.pin:
            return ()
        return (Rail.WALLET, Rail.BANK) if self.sender_name and self.sender_phone else (Rail.WALLET,)


def check_amount(money: Money) -> None:
    """Raise `AmountNotRepresentable` (whole shillings, above zero) or `AmountOutOfRange` (below Selcom's smallest)."""
    if money.to_units(places=0) <= 0:
        raise AmountNotRepresentable
    if money.amount < SMALLEST.amount:
        raise AmountOutOfRange


def check_bank(bank: BankAccount) -> None:
    """Raise `CustomerDetailsMissing` for a bank, a number or a name that Selcom could not take."""
    faults = {
        "bank.bank": not BANK_CODE.fullmatch(bank.bank),
        "bank.number": not ACCOUNT_NUMBER.fullmatch(bank.number),
        "bank.name": not bank.name.strip(),
    }
    if any(faults.values()):
        raise CustomerDetailsMissing(errors={name: [_("This field is required.")] for name in faults if faults[name]})


def payout_fields(request: PayoutRequest, account: Float) -> Fields:
    """What is sent for a payout, in the order in which it is signed."""
    amount = int(request.money.to_units(places=0))
    if request.bank is None:
        return {
            "transid": request.reference,
            "utilitycode": ANY_OPERATOR,
            "utilityref": request.phone.removeprefix("+"),
            "amount": amount,
            "vendor": account.vendor,
            "pin": account.pin,
        }
    narration = storable(request.narration.strip(), limit=100) or "Payout"
    return {
        "transid": request.reference,
        "recipientFiCode": request.bank.bank,
        "recipientAccount": request.bank.number,
        "recipientName": storable(request.bank.name.strip(), limit=100),
        # What Selcom expects here is unconfirmed: the float that pays has no other number than its vendor id.
        "senderAccount": account.vendor,
        "senderName": account.sender_name,
        "amount": amount,
        "vendor": account.vendor,
        "pin": account.pin,
        "msisdn": account.sender_phone.removeprefix("+"),
        "purpose": narration,
    }


def transfer_result(reply: Reply, *, provider_reference: str) -> TransferResult:
    """One mapping for replies and questions. Of a question, 999 says that nobody knows, not that the payout exists."""
    status = {
        Verdict.DONE: TransferStatus.SUCCEEDED,
        Verdict.PENDING: TransferStatus.PENDING,
        Verdict.AMBIGUOUS: TransferStatus.UNKNOWN,
        Verdict.FAILED: TransferStatus.FAILED,
    }[reply.verdict]
    return TransferResult(
        status=status,
        provider_reference=provider_reference,
        reason=(reply.message or reply.code) if status is TransferStatus.FAILED else "",
        raw=reply.raw,
    )


def found_on(rail: Rail, reply: Reply) -> TransferResult:
    """What `rail` says of a payout of which nobody remembers the rail.

    Only the rail is told of its reference: in the answer to a question it may be that of the question (unconfirmed).
    """
    is_there = reply.verdict in {Verdict.DONE, Verdict.PENDING}
    return transfer_result(reply, provider_reference=f"{rail}:" if is_there else "")


def rail_of(provider_reference: str) -> Rail | None:
    """The rail that a provider's reference names, if it does."""
    name, colon, _reference = provider_reference.partition(":")
    return Rail(name) if colon and name in set(Rail) else None


def weigh(answers: Mapping[Rail, TransferResult | None]) -> TransferResult | None:
    """What several rails say together about one payout that rode exactly one of them. None: they know nothing of it.

    An answer of None is a rail's word that it has no such payout. One that says it succeeded, or that it is on its way,
    must be the right one. It failed only if every rail says so, whichever it was; else the failure may be the wrong
    rail's way of saying that it knows nothing.
    """
    known = [answer for answer in answers.values() if answer is not None]
    for status in (TransferStatus.SUCCEEDED, TransferStatus.PENDING):
        for answer in known:
            if answer.status is status:
                return answer
    if known and len(known) == len(answers) and all(each.status is TransferStatus.FAILED for each in known):
        return known[0]
    return TransferResult(status=TransferStatus.UNKNOWN, raw=known[0].raw) if known else None
