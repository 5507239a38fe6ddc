"""Azure Communication Services: one text to one phone, reports and inbound texts through Event Grid.

Facts come from Azure's published REST specification of SMS (version 2021-03-07), its own Python client, and its pages
on Event Grid's SMS events and on delivery error codes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any, NoReturn
from uuid import UUID

from core.exceptions import Malformed
from services.azure.event_grid import EventsRejected, GridEvent, permission_headers, read_batch
from services.azure.signing import AcsSigner
from services.http import Answer, Delivery, GatewayUnavailable, HttpClient, OutcomeUnknown, json_bytes
from services.options import required
from services.reading import recordable, storable
from services.sms.base import (
    InboundText,
    MessageStatus,
    Refusal,
    SmsCallbackRejected,
    SmsCapability,
    SmsGateway,
    SmsNews,
    SmsRefused,
    SmsReport,
    SmsRequest,
    SmsResult,
)

VERSION = "2021-03-07"
REPORT = "Microsoft.Communication.SMSDeliveryReportReceived"
RECEIVED = "Microsoft.Communication.SMSReceived"
# `deliveryStatus` is sure; the number, which may stand in `deliveryStatusDetails`, only says more about a failure.
STATUS = {"delivered": MessageStatus.DELIVERED, "failed": MessageStatus.FAILED}
FAILURES = {
    "4000": MessageStatus.FAILED,  # fraud suspected
    "4001": MessageStatus.FAILED,  # bad sender
    "4002": MessageStatus.FAILED,  # bad number
    "4003": MessageStatus.FAILED,  # destination not supported
    "4004": MessageStatus.UNDELIVERABLE,  # no such number
    "4005": MessageStatus.UNDELIVERABLE,  # blocked by the carrier
    "4006": MessageStatus.UNDELIVERABLE,  # unreachable
    "4007": MessageStatus.UNDELIVERABLE,  # opted out
    "4008": MessageStatus.FAILED,  # over a limit
    "4009": MessageStatus.FAILED,  # not entitled
    "4010": MessageStatus.FAILED,  # sender not verified
    "4020": MessageStatus.FAILED,  # over a limit
    "5000": MessageStatus.FAILED,  # trouble at the service
    "5001": MessageStatus.FAILED,
    "5002": MessageStatus.EXPIRED,  # no confirmation in time, which some carriers never give
    "9999": MessageStatus.UNDELIVERABLE,  # unknown
}
OPTED_OUT = "4007"
_CODE = re.compile(rf"(?<![0-9])(?:{'|'.join(FAILURES)})(?![0-9])")
_PHONE = re.compile(r"\+?([0-9]{5,20})")


class AzureGateway(SmsGateway):
    """One Communication Services resource and one of its senders."""

    code = "azure"
    name = "Azure Communication Services"
    capabilities = frozenset({SmsCapability.REPORTS, SmsCapability.INBOUND, SmsCapability.IDEMPOTENT_SEND})

    def __init__(
        self, *, endpoint_url: str, access_key: str, sender: str, resource: str = "", read_timeout: float = 15.0
    ) -> None:
        """Raise `ImproperlyConfigured` for anything that cannot be.

        `endpoint_url`: https://<name>.<region>.communication.azure.com. `sender`: a number of the resource's (E.164), a
        short code or a sender name. `resource`: the last part of the resource's path in Azure, to which events must
        belong; empty: any.
        """
        self._sender = required(self.code, "sender", sender)
        self._signer = AcsSigner(endpoint_url, required(self.code, "access_key", access_key))
        self._resource = resource
        self._http = HttpClient(required(self.code, "endpoint_url", endpoint_url), read_timeout=read_timeout)

    def send(self, request: SmsRequest) -> SmsResult:
        """Hand over one text. Azure takes a text with the same key and first time only once."""
        first_sent = (request.first_sent or datetime.now(UTC)).astimezone(UTC)
        answer = self._post(
            "/sms",
            {
                "from": request.sender or self._sender,
                "smsRecipients": [
                    {
                        "to": request.phone,
                        "repeatabilityRequestId": str(UUID(hex=request.key)),
                        "repeatabilityFirstSent": format_datetime(first_sent, usegmt=True),
                    }
                ],
                "message": request.text,
                "smsSendOptions": {"enableDeliveryReport": True, "tag": request.key},
            },
        )
        answer.refuse_unusable()
        body = answer.json()
        if not answer.is_success:
            _refuse(answer.status, *_error(body))
        taken = body.get("value") if isinstance(body, dict) else None
        if not isinstance(taken, list) or len(taken) != 1 or not isinstance(taken[0], dict):
            raise OutcomeUnknown
        return _result(taken[0])

    def probe(self) -> None:
        """Send a text to nobody, which Azure refuses after it has looked at the key."""
        answer = self._post("/sms", {"from": self._sender, "smsRecipients": [], "message": "-"}, is_question=True)
        answer.refuse_unusable()
        if answer.is_success or answer.status == 400:
            return
        _refuse(answer.status, *_error(answer.json()))

    def permit(self, headers: Mapping[str, str]) -> Mapping[str, str]:
        """Event Grid asks so before it sends CloudEvents."""
        return permission_headers(headers)

    def parse(self, delivery: Delivery) -> SmsNews:
        """Read a batch of events, or raise `Malformed`. It carries no proof of its origin.

        Raises `SmsCallbackRejected` for events about another resource than ours.
        """
        try:
            batch = read_batch(delivery, resource=self._resource)
        except EventsRejected:
            raise SmsCallbackRejected from None
        return SmsNews(
            reports=tuple(_report(event) for event in batch.events if event.type == REPORT),
            inbound=tuple(_inbound(event) for event in batch.events if event.type == RECEIVED),
            answer=batch.answer,
        )

    def _post(self, path: str, wish: dict[str, Any], *, is_question: bool = False) -> Answer:
        body, params = json_bytes(wish), {"api-version": VERSION}
        return self._http.request(
            "POST",
            path,
            content=body,
            params=params,
            headers=self._signer.headers(
                method="POST", target=self._http.target(path, params=params), body=body, at=datetime.now(UTC)
            ),
            is_question=is_question,
        )


def _result(taken: Mapping[str, Any]) -> SmsResult:
    """What became of the one recipient; the call's own status says nothing of it."""
    status = taken.get("httpStatusCode")
    if not isinstance(status, int) or not 100 <= status < 600:
        raise OutcomeUnknown
    if status == 429:
        raise GatewayUnavailable
    if 400 <= status < 500 and status != 408:
        _refuse(status, str(status), _text(taken.get("errorMessage"), limit=500))
    reference = _text(taken.get("messageId"), limit=100)
    is_rejected = _text(taken.get("repeatabilityResult"), limit=20).lower() == "rejected"
    if not 200 <= status < 300 or taken.get("successful") is not True or is_rejected or not reference:
        raise OutcomeUnknown
    return SmsResult(provider_reference=reference, raw=recordable(dict(taken)))


def _refuse(status: int, code: str, detail: str) -> NoReturn:
    """A 4xx, of the call or of the recipient."""
    code = code or str(status)
    if status in (401, 403):
        raise SmsRefused(Refusal.ACCOUNT, code, detail)
    if status == 404:
        raise SmsRefused(Refusal.SENDER, code, detail)  # "unknown from", or the resource itself
    said = detail.lower()
    # "Invalid To phone number format." is documented; how a bad sender is worded is unconfirmed.
    if re.search(r"\bto\b.*\bnumber\b", said) or "recipient" in said:
        raise SmsRefused(Refusal.NUMBER, code, detail)
    if re.search(r"\bfrom\b", said) or "sender" in said:
        raise SmsRefused(Refusal.SENDER, code, detail)
    raise SmsRefused(Refusal.TEXT, code, detail)


def _error(body: Any) -> tuple[str, str]:
    """Code and message of a refused call."""
    error = body.get("error") if isinstance(body, dict) else None
    if not isinstance(error, dict):
        return "", ""
    return _text(error.get("code"), limit=100), _text(error.get("message"), limit=500)


def _fields(event: GridEvent) -> dict[str, Any]:
    # One example of Azure's spells `Tag`.
    return {name.lower(): value for name, value in event.data.items()}


def _report(event: GridEvent) -> SmsReport:
    fields = _fields(event)
    word, detail = (_text(fields.get(name), limit=500) for name in ("deliverystatus", "deliverystatusdetails"))
    reference = _text(fields.get("messageid"), limit=100)
    if not (word and reference):
        raise Malformed
    status, code = STATUS.get(word.lower()), ""
    if status is MessageStatus.FAILED and (found := _CODE.search(detail)):
        code = found[0]
        status = FAILURES[code]
    return SmsReport(
        key=_text(fields.get("tag"), limit=100),
        provider_reference=reference,
        phone=_phone(fields.get("to")),
        status=status,
        raw_status=f"{word} {code}".strip()[:50],
        detail=detail,
        is_opt_out=code == OPTED_OUT,
    )


def _inbound(event: GridEvent) -> InboundText:
    fields = _fields(event)
    reference, phone = _text(fields.get("messageid"), limit=100), _phone(fields.get("from"))
    if not (reference and phone):
        raise Malformed
    return InboundText(
        provider_reference=reference,
        phone=phone,
        to=_text(fields.get("to"), limit=50),
        text=_text(fields.get("message"), limit=5000),
    )


def _phone(value: Any) -> str:
    found = _PHONE.fullmatch(_text(value, limit=30))
    return f"+{found[1]}" if found else ""


def _text(value: Any, *, limit: int) -> str:
    return storable(value, limit=limit) if isinstance(value, str) else ""
