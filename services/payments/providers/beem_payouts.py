"""Beem's disbursement: money to a phone's wallet.

Facts come from Beem's sample (GitHub `beemafrica/beem-disbursement-api-sample`) for the request and from one client
for the reply (unconfirmed). There is no question about a payout and no news of one: the reply is all there ever is.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from django.core.exceptions import ImproperlyConfigured

from services.http import HttpClient, OutcomeUnknown
from services.options import required
from services.payments.answers import text_of
from services.payments.base import (
    Capability,
    Credential,
    PayoutNotSupported,
    PayoutRequest,
    PhoneNotSupported,
    TransferResult,
    TransferStatus,
)
from services.payments.providers.beem import (
    CREDENTIALS_REFUSED,
    MOBILE,
    BeemPayGateway,
    check_money,
    check_reference,
    code_of,
    refuse,
)
from services.reading import recordable, storable

# 100 is accepted and final as far as anybody can tell: nothing is documented that would come after it (unconfirmed).
STATUS = {
    100: TransferStatus.SUCCEEDED,
    101: TransferStatus.FAILED,
    114: TransferStatus.PENDING,
}
REFUSALS = {
    **CREDENTIALS_REFUSED,
    102: "phone",
    103: "insufficient_funds",
    105: "invalid_request",
    106: "amount",
    107: "account",
    108: "no_route",
    111: "phone",
    112: "amount",
    113: "amount",
}
NETWORK_TIMEOUT = 104

OPERATOR = re.compile(r"255[0-9]{1,9}")
PROVIDER_ID = re.compile(r"[!-~]{1,100}")


class BeemPayWithPayouts(BeemPayGateway):
    """An account of an installation that knows the codes of the networks: it pays out to phones if it has a wallet."""

    capabilities = BeemPayGateway.capabilities | {Capability.PAYOUT_PHONE}
    credentials = (*BeemPayGateway.credentials, Credential("account_no", is_required=False, is_secret=False))

    def __init__(
        self, *, payout_url: str, wallet_codes: Mapping[str, str], account_no: str = "", **account: Any
    ) -> None:
        """`wallet_codes` maps the beginning of a number (`25574`) to the code by which Beem knows that network.

        The codes come from Beem; of several beginnings that fit, the longest counts. A number that its owner took to
        another network has the wrong code, and Beem refuses it. `payout_url` is a base URL, `account_no` the number of
        the wallet that pays; an account without one pays nothing out. Raises `ImproperlyConfigured` for anything that
        cannot be used.
        """
        super().__init__(**account)
        self._account_no = account_no.strip()
        if not self._account_no:
            self.capabilities = BeemPayGateway.capabilities
        self._wallet_codes = dict(wallet_codes)
        if not wallet_codes:
            raise ImproperlyConfigured(f"The gateway {self.code} pays out only with wallet_codes; there are none.")
        for beginning, code in self._wallet_codes.items():
            required(self.code, f"wallet_codes of {beginning}", code)
            if not OPERATOR.fullmatch(beginning):
                raise ImproperlyConfigured(
                    f"The gateway {self.code}: wallet_codes maps numbers such as 25574 to codes."
                )
        self._payouts = HttpClient(payout_url, read_timeout=30.0)

    def check_payout(self, request: PayoutRequest) -> None:
        """Raise `PayoutNotSupported`, `CurrencyNotSupported`, `AmountNotRepresentable` or `PhoneNotSupported`.

        The first for banks and without a wallet, the last also for a number whose network has no code here.
        """
        if request.bank is not None or not self._account_no:
            raise PayoutNotSupported
        check_money(request.money)
        if not MOBILE.fullmatch(request.phone) or not self._wallet_code(request.phone):
            raise PhoneNotSupported
        check_reference(request.reference)

    def payout(self, request: PayoutRequest) -> TransferResult:
        """Send money to a phone, once. Raises as `PaymentGateway.payout` says.

        After `OutcomeUnknown` nothing can be asked and nothing may be sent again: a person has to look at Beem's
        portal. What Beem does with a reference that it has seen is not documented.
        """
        self.check_payout(request)
        currency = request.money.currency
        wallet = {
            "wallet_number": request.phone.removeprefix("+"),
            "wallet_code": self._wallet_code(request.phone),
            "currency": currency,
        }
        wish = {
            "amount": str(request.money.to_units(places=0)),
            "client_reference_id": request.reference,
            "source": {"account_no": self._account_no, "currency": currency},
            "destination": {"mobile": wallet},
        }
        answer = self._payouts.request("POST", "/transfer", json=wish, headers=self._authorization)
        body = self._object(answer)
        code = code_of(body)
        if code == NETWORK_TIMEOUT or answer.status == 409 or _is_about_a_repetition(body):
            raise OutcomeUnknown
        status = STATUS.get(code) if code is not None else None
        if status is None:
            refuse(body, answer, REFUSALS, otherwise=OutcomeUnknown())
        if not answer.is_success and status is not TransferStatus.FAILED:
            raise OutcomeUnknown  # the code says yes and the HTTP status no
        reference = text_of(body.get("transaction_id"))
        return TransferResult(
            status=status,
            provider_reference=reference if PROVIDER_ID.fullmatch(reference) else "",
            reason=storable(text_of(body.get("message")), limit=500) if status is TransferStatus.FAILED else "",
            raw=recordable(body),
        )

    def _wallet_code(self, phone: str) -> str:
        number = phone.removeprefix("+")
        fitting = [beginning for beginning in self._wallet_codes if number.startswith(beginning)]
        return self._wallet_codes[max(fitting, key=len)] if fitting else ""


def _is_about_a_repetition(body: Mapping[str, Any]) -> bool:
    # No document says how a used reference is answered. If in words, then a first payout exists.
    message = text_of(body.get("message")).lower()
    return "duplicate" in message or "already" in message
