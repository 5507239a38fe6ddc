"""Africa's Talking: one text to one phone, reports, replies and opt-outs pushed.

Facts come from the official Python client (2.0.3), two copies of the documentation (developers.africastalking.com) and
clients written against it; what only one source says is marked unconfirmed. Nothing is signed, and nobody can be asked
what became of a text.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum, auto
from typing import Any, NoReturn
from urllib.parse import parse_qsl

from core.exceptions import Malformed
from services.http import Answer, Delivery, GatewayUnavailable, HttpClient, OutcomeUnknown
from services.options import required
from services.reading import recordable, storable
from services.sms.base import (
    InboundText,
    MessageStatus,
    Refusal,
    SmsCapability,
    SmsGateway,
    SmsNews,
    SmsRefused,
    SmsReport,
    SmsRequest,
    SmsResult,
)


class Meaning(Enum):
    """What a recipient's status code means for the text, where it is no refusal."""

    ACCEPTED = auto()


# Africa's Talking docs, `statusCode` of each recipient.
CODES: dict[int, Meaning | Refusal] = {
    100: Meaning.ACCEPTED,  # Processed
    101: Meaning.ACCEPTED,  # Sent
    102: Meaning.ACCEPTED,  # Queued
    401: Refusal.ACCOUNT,  # RiskHold
    402: Refusal.SENDER,  # InvalidSenderId
    403: Refusal.NUMBER,  # InvalidPhoneNumber
    404: Refusal.NUMBER,  # UnsupportedNumberType
    405: Refusal.ACCOUNT,  # InsufficientBalance
    406: Refusal.OPTED_OUT,  # UserInBlacklist
    407: Refusal.ROUTE,  # CouldNotRoute
    409: Refusal.ROUTE,  # DoNotDisturbRejection: a register of Nigeria's, which binds some routes only
    500: Refusal.LATER,  # InternalServerError
    501: Refusal.LATER,  # GatewayError
    502: Refusal.ROUTE,  # RejectedByGateway
}
NO_ID = "None"  # stands in `messageId` when there is none

# Africa's Talking docs, `status` of delivery reports. `Delivered` only some integrations have seen.
STATUS = {
    "SENT": MessageStatus.SENT,
    "SUBMITTED": MessageStatus.SENT,
    "BUFFERED": MessageStatus.SENT,
    "SUCCESS": MessageStatus.DELIVERED,
    "DELIVERED": MessageStatus.DELIVERED,
    "REJECTED": MessageStatus.FAILED,
    "FAILED": MessageStatus.UNDELIVERABLE,
    "ABSENTSUBSCRIBER": MessageStatus.UNDELIVERABLE,
    "EXPIRED": MessageStatus.EXPIRED,
}
# `failureReason` of a text that never set out, though its status is `Failed`.
NEVER_SENT = {"InsufficientCredit", "InvalidLinkId", "UserNotSubscribedToProduct"}
BLACKLISTED = "UserInBlackList"


class AfricasTalkingGateway(SmsGateway):
    """One Africa's Talking account and, if it has one, its sender name or short code."""

    code = "africastalking"
    name = "Africa's Talking"
    capabilities = frozenset({SmsCapability.REPORTS, SmsCapability.INBOUND})

    def __init__(
        self, *, base_url: str, username: str, api_key: str, sender: str = "", read_timeout: float = 30.0
    ) -> None:
        """`base_url`: `https://api.africastalking.com`, or `https://api.sandbox.africastalking.com` for the user name
        `sandbox`. Without a `sender` texts go out under Africa's Talking's own.

        `read_timeout` in seconds: there is no idempotency key, so a call given up early is a text nobody may send
        again. Raises `ImproperlyConfigured` for anything else that is empty.
        """
        self._headers = {"apiKey": required(self.code, "api_key", api_key, is_header=True)}
        self._username = required(self.code, "username", username)
        self._sender = sender
        self._http = HttpClient(base_url, read_timeout=read_timeout)

    def send(self, request: SmsRequest) -> SmsResult:
        """Hand over one text. Raises `SmsRefused`, `OutcomeUnknown` or `GatewayUnavailable`."""
        form = {"username": self._username, "to": request.phone, "message": request.text, "bulkSMSMode": "1"}
        sender = request.sender or self._sender
        if sender:
            form["from"] = sender
        answer = self._http.request("POST", "/version1/messaging", form=form, headers=self._headers)
        if answer.status == 503 and answer.json() is None:
            raise GatewayUnavailable  # a front that passed nothing on
        answer.refuse_unusable()
        if not answer.is_success:
            _refuse(answer)
        body = answer.json()
        recipient = _recipient(body)
        reference = _reference(recipient.get("messageId"))
        code = recipient.get("statusCode")
        match CODES.get(code) if isinstance(code, int) else None:
            case Meaning.ACCEPTED:
                # Without an id the text is on its way all the same; its reports can just not be told from others.
                return SmsResult(provider_reference=reference, raw=recordable(body))
            case Refusal.LATER if reference:
                raise OutcomeUnknown  # it failed on the way, after it was taken
            case Refusal() as reason:
                raise SmsRefused(reason, str(code), _text(recipient.get("status"), limit=100))
        raise OutcomeUnknown

    def probe(self) -> None:
        """Ask for the account's balance. Raises `GatewayUnavailable` or `SmsRefused`."""
        answer = self._http.request("GET", "/version1/user", params={"username": self._username}, headers=self._headers)
        answer.refuse_unusable()
        if not answer.is_success:
            _refuse(answer)

    def parse(self, delivery: Delivery) -> SmsNews:
        """Read a report, a reply or an opt-out, all forms to one address, or raise `Malformed`.

        They carry no proof of their origin. What people do with a subscription to premium texts tells us nothing.
        """
        fields = _fields(delivery)
        if "updateType" in fields:
            return SmsNews()
        if "text" in fields and "from" in fields:
            return _inbound(fields)
        if "senderId" in fields and "status" not in fields:
            phone = _phone(fields.get("phoneNumber", ""))
            if not phone:
                raise Malformed
            return SmsNews(opted_out=(phone,))
        return _report(fields)


def _refuse(answer: Answer) -> NoReturn:
    """A 4xx is plain text (unconfirmed). A request refused like this one would be refused for every text."""
    detail = storable(answer.body.decode("utf-8", "replace"), limit=500).strip()
    raise SmsRefused(Refusal.ACCOUNT, str(answer.status), detail)


def _recipient(body: Any) -> Mapping[str, Any]:
    """The one recipient of our text, or `SmsRefused` where there is none, or `OutcomeUnknown`."""
    data = body.get("SMSMessageData") if isinstance(body, dict) else None
    recipients = data.get("Recipients") if isinstance(data, dict) else None
    if recipients == []:
        # The reason stands in the sentence for people (unconfirmed); an unknown sender is the usual one.
        message = _text(data.get("Message") if isinstance(data, dict) else "", limit=500)
        is_sender = message.replace(" ", "").lower().startswith("invalidsenderid")
        raise SmsRefused(Refusal.SENDER if is_sender else Refusal.ACCOUNT, "no_recipients", message)
    if not isinstance(recipients, list) or len(recipients) != 1 or not isinstance(recipients[0], dict):
        raise OutcomeUnknown
    return recipients[0]


def _reference(value: Any) -> str:
    found = _text(value, limit=100)
    return "" if found == NO_ID else found


def _fields(delivery: Delivery) -> dict[str, str]:
    try:
        text = delivery.body.decode("ascii")
        found = parse_qsl(text, keep_blank_values=True, strict_parsing=True, errors="strict", max_num_fields=50)
    except ValueError:
        raise Malformed from None
    return {name: storable(value, limit=2000) for name, value in found}


def _report(fields: Mapping[str, str]) -> SmsNews:
    reference, raw_status = _text(fields.get("id"), limit=100), _text(fields.get("status"), limit=50)
    if not reference or reference == NO_ID or not raw_status:
        raise Malformed
    reason = _text(fields.get("failureReason"), limit=100)
    status = STATUS.get(raw_status.upper())
    if raw_status.upper() == "FAILED" and reason in NEVER_SENT:
        status = MessageStatus.FAILED
    report = SmsReport(
        key="",
        provider_reference=reference,
        phone=_phone(fields.get("phoneNumber", "")),
        status=status,
        raw_status=raw_status,
        detail=reason,
        is_opt_out=reason == BLACKLISTED,
    )
    return SmsNews(reports=(report,))


def _inbound(fields: Mapping[str, str]) -> SmsNews:
    reference = _text(fields.get("id"), limit=100)
    if not reference:
        raise Malformed
    phone = _phone(fields["from"])
    if not phone:
        return SmsNews()  # from a name or a hidden number: nobody could be answered
    text = InboundText(
        provider_reference=reference, phone=phone, to=_text(fields.get("to"), limit=50), text=fields["text"]
    )
    return SmsNews(inbound=(text,))


def _phone(value: str) -> str:
    """E.164, or nothing. A plus that nobody escaped has become a space."""
    digits = value.strip().removeprefix("+")
    return f"+{digits}" if digits.isascii() and digits.isdigit() and 7 <= len(digits) <= 15 else ""


def _text(value: Any, *, limit: int) -> str:
    return storable(value, limit=limit).strip() if isinstance(value, str) else ""
