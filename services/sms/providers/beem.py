"""Beem Africa: one text to one phone, delivery reports pushed and asked for.

Facts come from Beem's public samples and documentation portal (docs.beem.africa) as clients written against it show
them; what only one source says is marked unconfirmed.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from enum import Enum, auto
from typing import Any, NoReturn
from urllib.parse import parse_qsl

from core.exceptions import Malformed
from services.http import (
    Answer,
    Delivery,
    GatewayUnavailable,
    HttpClient,
    OutcomeUnknown,
)
from services.options import required
from services.reading import read_json, recordable, storable
from services.sms.base import (
    MessageStatus,
    Refusal,
    SmsCapability,
    SmsGateway,
    SmsId,
    SmsNews,
    SmsRefused,
    SmsReport,
    SmsRequest,
    SmsResult,
)
from services.sms.encoding import fits_gsm

GSM, UNICODE = 0, 8  # Beem docs: `encoding`; 8 is unconfirmed


class Meaning(Enum):
    """What a response code means for the message, where it is no refusal."""

    ACCEPTED = auto()
    UNCERTAIN = auto()  # it may have been taken


# Beem docs, SMS response codes. 105 to 108 are from an older list. The OTP product uses the same numbers otherwise.
CODES: dict[int, Meaning | Refusal] = {
    100: Meaning.ACCEPTED,
    101: Refusal.NUMBER,  # invalid destination
    102: Refusal.ACCOUNT,  # not enough balance
    103: Meaning.UNCERTAIN,  # network timeout or internal error
    104: Refusal.TEXT,  # required parameter missing
    105: Refusal.ACCOUNT,  # account not found
    106: Refusal.ACCOUNT,  # no route mapped to the account
    107: Refusal.ACCOUNT,  # no authorization header
    108: Refusal.ACCOUNT,  # invalid token
    109: Refusal.TEXT,  # message empty or invalid
    110: Refusal.TEXT,  # unsupported characters
    111: Refusal.SENDER,  # sender not registered or inactive
    112: Refusal.TEXT,  # scheduled time in the past
    113: Refusal.TEXT,  # malformed body
    114: Refusal.TEXT,  # more than 1000 recipients
    115: Refusal.NUMBER,  # destination missing
    116: Refusal.TEXT,  # reference id missing or invalid
    117: Refusal.TEXT,  # bad scheduled time format
    118: Refusal.TEXT,  # encoding missing
    119: Refusal.TEXT,  # recipients missing
    120: Refusal.ACCOUNT,  # bad authentication parameters
    121: Refusal.SENDER,  # sender name format invalid
}
UNSUPPORTED_CHARACTERS = 110

# PENDING, DELIVERED and UNDELIVERED are documented; the others are unconfirmed.
STATUS = {
    "PENDING": MessageStatus.SENT,
    "RETRY": MessageStatus.SENT,
    "SENT": MessageStatus.SENT,
    "SUBMITTED": MessageStatus.SENT,
    "DELIVERED": MessageStatus.DELIVERED,
    "UNDELIVERED": MessageStatus.UNDELIVERABLE,
    "FAILED": MessageStatus.FAILED,
    "REJECTED": MessageStatus.FAILED,
    "EXPIRED": MessageStatus.EXPIRED,
}


class BeemGateway(SmsGateway):
    """One Beem account and one of its sender names."""

    code = "beem"
    name = "Beem"
    capabilities = frozenset({SmsCapability.QUERY, SmsCapability.REPORTS})

    def __init__(
        self,
        *,
        send_url: str,
        reports_url: str,
        api_key: str,
        secret_key: str,
        sender: str,
        read_timeout: float = 30.0,
    ) -> None:
        """`send_url` and `reports_url` are base URLs: `https://apisms.beem.africa/v1` and
        `https://dlrapi.beem.africa/public/v1`. `read_timeout` in seconds: Beem has no idempotency key, so a call given
        up early is a text nobody may send again. Raises `ImproperlyConfigured` for anything empty.
        """
        # The secret looks like base64 and is used as it stands (Beem's samples).
        pair = f"{required(self.code, 'api_key', api_key)}:{required(self.code, 'secret_key', secret_key)}"
        self._headers = {"Authorization": "Basic " + b64encode(pair.encode()).decode("ascii")}
        self._sender = required(self.code, "sender", sender)
        self._send = HttpClient(send_url, read_timeout=read_timeout)
        self._reports = HttpClient(reports_url)

    def send(self, request: SmsRequest) -> SmsResult:
        """Hand over one text. Raises `SmsRefused`, `OutcomeUnknown` or `GatewayUnavailable`.

        A text that Beem finds unfit for the GSM alphabet is offered once more as Unicode: a refused text was not sent.
        """
        encoding = GSM if fits_gsm(request.text) else UNICODE
        answer = self._offer(request, encoding)
        if encoding == GSM and _code(answer) == UNSUPPORTED_CHARACTERS:
            answer = self._offer(request, UNICODE)
        body = answer.json()
        code = _code(answer)
        match CODES.get(code) if code is not None else None:
            case Meaning.ACCEPTED:
                # Without a request_id the text is on its way all the same; it can just not be asked about.
                return SmsResult(provider_reference=_text(body.get("request_id"), limit=100), raw=recordable(body))
            case Meaning.UNCERTAIN:
                raise OutcomeUnknown
            case Refusal() as reason:
                raise SmsRefused(reason, str(code), _message(body))
            case None:
                _judge_by_status(answer)

    def query(self, text: SmsId) -> SmsReport | None:
        """What became of the message, or None while Beem knows nothing. `key` is empty: this answer does not carry it.

        Beem asks for five minutes' patience after sending (unconfirmed). Raises `GatewayUnavailable` or `SmsRefused`.
        """
        provider_reference = text.provider_reference
        if not provider_reference:
            return None  # accepted without an id: there is nothing to ask by
        number = text.phone.removeprefix("+")
        answer = self._reports.request(
            "GET",
            "/delivery-reports",
            params={"dest_addr": number, "request_id": provider_reference},
            headers=self._headers,
        )
        if answer.status == 404:
            return None
        answer.refuse_unusable()
        body = answer.json()
        if not answer.is_success:
            raise SmsRefused(Refusal.ACCOUNT, str(answer.status), _message(body))
        # An array; one client reads a single object.
        found = body if isinstance(body, list) else [body]
        if not all(isinstance(item, dict) for item in found):
            raise GatewayUnavailable
        reports = [_report(item) for item in found]
        matching = [
            report
            for report in reports
            if (report.phone, report.provider_reference) == (f"+{number}", provider_reference) and report.raw_status
        ]
        if found and not matching:
            raise GatewayUnavailable  # an answer, but not about this message
        return matching[-1] if matching else None

    def probe(self) -> None:
        """Ask about a text that never was. Raises `GatewayUnavailable` or `SmsRefused`."""
        self.query(SmsId(key="", phone="+255700000000", provider_reference="0"))

    def parse(self, delivery: Delivery) -> SmsNews:
        """Read a pushed report, JSON or form, or raise `Malformed`. It carries no proof of its origin.

        Beem's samples answer with the id and a truthy `successful`.
        """
        report = _report(_fields(delivery))
        if not (report.provider_reference and report.raw_status):
            raise Malformed
        return SmsNews(reports=(report,), answer={"request_id": report.provider_reference, "successful": True})

    def _offer(self, request: SmsRequest, encoding: int) -> Answer:
        wish = {
            "source_addr": request.sender or self._sender,
            "schedule_time": "",
            "encoding": encoding,
            "message": request.text,
            "recipients": [{"recipient_id": request.key, "dest_addr": request.phone.removeprefix("+")}],
        }
        return self._send.request("POST", "/send", json=wish, headers=self._headers)


def _judge_by_status(answer: Answer) -> NoReturn:
    """Without a code we know, the HTTP status is all there is."""
    if answer.json() is None and answer.status in (502, 503, 504):
        raise GatewayUnavailable
    answer.refuse_unusable()
    if answer.is_success:
        raise OutcomeUnknown
    # Unconfirmed: no source says which status goes with which code. A request refused like this one (credentials,
    # address) would be refused for every text.
    raise SmsRefused(Refusal.ACCOUNT, str(answer.status), _message(answer.json()))


def _code(answer: Answer) -> int | None:
    body = answer.json()
    code = _text(body.get("code"), limit=10) if isinstance(body, dict) else ""
    return int(code) if code.isascii() and code.isdigit() else None


def _message(body: Any) -> str:
    return _text(body.get("message"), limit=500) if isinstance(body, dict) else ""


def _fields(delivery: Delivery) -> dict[str, Any]:
    body = read_json(delivery.body)
    if isinstance(body, dict):
        return body
    if body is not None:
        raise Malformed
    try:
        return dict(parse_qsl(delivery.body.decode("utf-8"), strict_parsing=True, max_num_fields=50))
    except ValueError:
        raise Malformed from None


def _report(item: Mapping[str, Any]) -> SmsReport:
    # Beem's samples write `Status`, two other clients `status`.
    fields = {name.lower(): value for name, value in item.items()}
    number = _text(fields.get("dest_addr"), limit=20).removeprefix("+")
    raw_status = _text(fields.get("status"), limit=50)
    return SmsReport(
        key=_text(fields.get("recipient_id"), limit=100),
        provider_reference=_text(fields.get("request_id"), limit=100),
        phone=f"+{number}" if number.isascii() and number.isdigit() else "",
        status=STATUS.get(raw_status.upper()),
        raw_status=raw_status,
    )


def _text(value: Any, *, limit: int) -> str:
    """Ids come as numbers in older examples and as text in newer ones."""
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    return storable(value, limit=limit).strip() if isinstance(value, str) else ""
