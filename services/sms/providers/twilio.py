"""Twilio: one text to one phone, signed status callbacks, texts from people, and questions about both.

Facts come from Twilio's REST documentation and its Python library (9.13.0); what neither says is marked unconfirmed.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any, NoReturn
from urllib.parse import parse_qs, urlencode, urlsplit

from core.exceptions import Malformed
from services.http import Answer, Delivery, GatewayUnavailable, HttpClient, OutcomeUnknown
from services.options import required
from services.reading import read_json, recordable, storable
from services.sms.base import (
    InboundText,
    MessageStatus,
    Refusal,
    SmsCallbackRejected,
    SmsCapability,
    SmsGateway,
    SmsId,
    SmsNews,
    SmsRefused,
    SmsReport,
    SmsRequest,
    SmsResult,
)
from services.sms.providers.twilio_signing import is_form, is_genuine, read_form

VERSION = "/2010-04-01"
KEY = "key"  # the query parameter of the status callback that carries our key
PAGE = 100  # newest texts to one phone among which a lost one is looked for

# Twilio docs, Message resource: `status`.
STATUS = {
    "accepted": MessageStatus.QUEUED,
    "queued": MessageStatus.QUEUED,
    "scheduled": MessageStatus.QUEUED,
    "sending": MessageStatus.SENT,
    "sent": MessageStatus.SENT,
    "delivered": MessageStatus.DELIVERED,
    "read": MessageStatus.DELIVERED,
    "partially_delivered": MessageStatus.DELIVERED,
    "undelivered": MessageStatus.UNDELIVERABLE,
    "failed": MessageStatus.FAILED,
    "canceled": MessageStatus.FAILED,
}
INBOUND = {"receiving", "received"}
NEVER_SENT = {"failed", "canceled"}

# Twilio docs, error dictionary. Those of 30000 come with a message, the others instead of one.
REFUSALS: dict[int, Refusal] = {
    20003: Refusal.ACCOUNT,  # bad credentials
    21211: Refusal.NUMBER,  # invalid To
    21408: Refusal.ACCOUNT,  # country not enabled for the account
    21602: Refusal.TEXT,  # no body
    21606: Refusal.SENDER,  # From is not ours, or cannot send texts
    21608: Refusal.ACCOUNT,  # a trial account, and a number it has not verified
    21610: Refusal.OPTED_OUT,  # told this sender STOP
    21611: Refusal.LATER,  # From has too many texts in its queue
    21612: Refusal.SENDER,  # no route from this From to this To
    21614: Refusal.NUMBER,  # To cannot receive texts
    21617: Refusal.TEXT,  # longer than 1600 characters
    30001: Refusal.LATER,  # queue overflow
    30002: Refusal.ACCOUNT,  # suspended
    30003: Refusal.NUMBER,  # unreachable handset
    30004: Refusal.OPTED_OUT,  # blocked
    30005: Refusal.NUMBER,  # unknown handset
    30006: Refusal.NUMBER,  # landline or unreachable carrier
    30007: Refusal.TEXT,  # filtered by the carrier
    30008: Refusal.ROUTE,  # unknown error
    30010: Refusal.ROUTE,  # dearer than the highest price allowed
}
TOO_MANY_REQUESTS = 20429
# What an unhappy end means, where the code says more than the status. 30036 is unconfirmed.
ENDS = {
    30003: MessageStatus.UNDELIVERABLE,
    30008: MessageStatus.UNDELIVERABLE,
    30036: MessageStatus.EXPIRED,
}

_PHONE = re.compile(r"\+[1-9][0-9]{6,14}", re.ASCII)
_SID = re.compile(r"(SM|MM)[0-9A-Za-z]{1,64}", re.ASCII)
_SERVICE = re.compile(r"MG[0-9a-f]{32}", re.ASCII)
# How far Twilio's clock may be from ours, and how long a call may take to become a text there.
_EARLY, _LATE = timedelta(minutes=1), timedelta(minutes=3)


class TwilioGateway(SmsGateway):
    """One Twilio account and one of its senders."""

    code = "twilio"
    name = "Twilio"
    capabilities = frozenset({SmsCapability.QUERY, SmsCapability.REPORTS, SmsCapability.INBOUND})

    def __init__(
        self,
        *,
        base_url: str,
        account_sid: str,
        auth_token: str,
        sender: str,
        api_key: str = "",
        api_secret: str = "",
        signing_secret: str = "",
        read_timeout: float = 30.0,
    ) -> None:
        """`base_url` is `https://api.twilio.com`. `sender` is a number (E.164), a name, or the id of a messaging
        service (`MG` and 32 digits).

        `api_key` and `api_secret` make the calls where they are set, else the auth token does; callbacks are signed
        with the auth token in any case, or with `signing_secret` where Twilio says SHA-256. `read_timeout` in seconds:
        there is no idempotency key, so a call given up early is a text nobody may send again. Raises
        `ImproperlyConfigured` for anything else that is empty.
        """
        self._account = required(self.code, "account_sid", account_sid)
        self._token = required(self.code, "auth_token", auth_token)
        self._signing_secret = signing_secret
        pair = f"{self._account}:{self._token}"
        if api_key or api_secret:
            key, secret = required(self.code, "api_key", api_key), required(self.code, "api_secret", api_secret)
            pair = f"{key}:{secret}"
        self._headers = {"Authorization": "Basic " + b64encode(pair.encode()).decode("ascii")}
        self._sender = required(self.code, "sender", sender)
        self._http = HttpClient(base_url, read_timeout=read_timeout)

    # --- Sending ---

    def send(self, request: SmsRequest) -> SmsResult:
        """Hand over one text. Raises `SmsRefused`, `OutcomeUnknown` or `GatewayUnavailable`.

        A status callback goes to `request.callback_url` with our key in its query: Twilio has no field for it.
        """
        sender = request.sender or self._sender
        form = {
            "To": request.phone,
            "MessagingServiceSid" if _SERVICE.fullmatch(sender) else "From": sender,
            "Body": storable(request.text),
        }
        if request.callback_url:
            form["StatusCallback"] = _with_key(request.callback_url, request.key)
        answer = self._call("POST", "/Messages.json", form=form)
        body = answer.json()
        if not answer.is_success:
            _refuse(answer, hidden=(request.phone, request.phone.removeprefix("+"), request.text))
        if not isinstance(body, dict) or not _sid(body):
            raise OutcomeUnknown
        report = _report_of(body)
        if report.raw_status in NEVER_SENT:
            reason = REFUSALS.get(_code(body.get("error_code")), Refusal.ROUTE)
            raise SmsRefused(reason, str(_code(body.get("error_code"))), report.raw_status)
        segments = _text(body.get("num_segments"), limit=5)
        return SmsResult(
            provider_reference=_sid(body),
            # 0 while a messaging service has not chosen the sender.
            parts=(int(segments) or None) if segments.isascii() and segments.isdigit() else None,
            raw=recordable({name: value for name, value in body.items() if name != "body"}),  # it may hold a code
        )

    # --- Asking ---

    def query(self, text: SmsId) -> SmsReport | None:
        """What became of the text, or None while Twilio knows nothing. Raises `GatewayUnavailable` or `SmsRefused`.

        Without Twilio's id, what was sent to the phone around `sent_at` is looked through (the newest 100 texts to it).
        A list does not carry our key: with `text.text` the wording must agree, and where several would do, or without
        `sent_at`, the answer is None.
        """
        if text.provider_reference:
            return self._fetch(text)
        return self._find(text) if text.sent_at else None

    def _fetch(self, text: SmsId) -> SmsReport | None:
        answer = self._call("GET", "/Messages/{sid}.json", path_values={"sid": text.provider_reference})
        if answer.status == 404:
            return None
        body = self._told(answer)
        report = _report_of(body)
        if (report.provider_reference, report.phone) != (text.provider_reference, text.phone) or not report.raw_status:
            raise GatewayUnavailable  # an answer, but not about this text
        return report

    def _find(self, text: SmsId) -> SmsReport | None:
        # By To alone: a filter by the day of sending would leave out what is still in a queue (unconfirmed).
        answer = self._call("GET", "/Messages.json", params={"To": text.phone, "PageSize": str(PAGE)})
        listed = self._told(answer).get("messages")
        if not isinstance(listed, list) or not all(isinstance(each, dict) for each in listed):
            raise GatewayUnavailable
        found = [each for each in listed if _may_be(each, text)]
        return _report_of(found[0]) if len(found) == 1 else None

    def probe(self) -> None:
        """List one text. Raises `GatewayUnavailable` or `SmsRefused`."""
        self._told(self._call("GET", "/Messages.json", params={"PageSize": "1"}))

    # --- What comes by itself ---

    def verify(self, delivery: Delivery) -> None:
        """Raise `SmsCallbackRejected` unless Twilio signed this body for this address."""
        if not is_genuine(delivery, auth_token=self._token, shared_key=self._signing_secret):
            raise SmsCallbackRejected

    def parse(self, delivery: Delivery) -> SmsNews:
        """Read a status callback or what somebody texted to us, or raise `Malformed`."""
        fields = _fields(delivery)
        status = (fields.get("MessageStatus") or fields.get("SmsStatus", "")).lower()
        sid = storable(fields.get("MessageSid") or fields.get("SmsSid", ""), limit=100)
        if not _SID.fullmatch(sid):
            raise Malformed
        if status in INBOUND or (not status and "Body" in fields):
            return _inbound(fields, sid)
        if not status:
            raise Malformed
        return SmsNews(
            reports=(
                _report(
                    key=_key_in(delivery.url),
                    sid=sid,
                    phone=fields.get("To", ""),
                    status=fields.get("MessageStatus") or fields["SmsStatus"],
                    code=_code(fields.get("ErrorCode")),
                    message=fields.get("ErrorMessage", ""),
                ),
            )
        )

    # --- The wire ---

    def _call(self, method: str, path: str, *, path_values: Mapping[str, str] | None = None, **rest: Any) -> Answer:
        return self._http.request(
            method,
            VERSION + "/Accounts/{account}" + path,
            path_values={"account": self._account, **(path_values or {})},
            headers=self._headers,
            **rest,
        )

    def _told(self, answer: Answer) -> dict[str, Any]:
        """The object that answers a question."""
        if not answer.is_success:
            _refuse(answer)
        body = answer.json()
        if not isinstance(body, dict):
            raise GatewayUnavailable
        return body


def _refuse(answer: Answer, *, hidden: tuple[str, ...] = ()) -> NoReturn:
    """Raise what an answer other than 2xx means. Twilio repeats numbers in its messages; `hidden` is taken out."""
    body = answer.json()
    told: dict[str, Any] = body if isinstance(body, dict) else {}
    code = _code(told.get("code"))
    detail = _text(told.get("message"), limit=500)
    for each in hidden:
        detail = detail.replace(each, "[...]") if each else detail
    if code in REFUSALS:
        raise SmsRefused(REFUSALS[code], str(code), detail)
    if code == TOO_MANY_REQUESTS and answer.status != 429:
        raise GatewayUnavailable
    # The documents call 5xx worth a retry, and not that nothing was sent: whoever retries may send twice.
    answer.refuse_unusable()
    # Refused for a reason that we do not know: an operator looks it up, and another provider may do meanwhile.
    raise SmsRefused(Refusal.ACCOUNT, str(code or answer.status), detail)


def _with_key(url: str, key: str) -> str:
    return f"{url}{'&' if urlsplit(url).query else '?'}{urlencode({KEY: key})}"


def _key_in(url: str) -> str:
    try:
        return storable(parse_qs(urlsplit(url).query).get(KEY, [""])[0], limit=100)
    except ValueError:
        return ""


def _fields(delivery: Delivery) -> dict[str, str]:
    if is_form(delivery) or not delivery.headers.get("content-type"):
        form = read_form(delivery.body)
        if not form:
            raise Malformed
        return dict(form)
    body = read_json(delivery.body)
    if not isinstance(body, dict):
        raise Malformed
    return {name: value for name, value in body.items() if isinstance(value, str)}


def _inbound(fields: Mapping[str, str], sid: str) -> SmsNews:
    phone = fields.get("From", "")
    if not _PHONE.fullmatch(phone):
        # A short code or a name: nobody to talk to.
        return SmsNews()
    text = InboundText(
        provider_reference=sid,
        phone=phone,
        to=storable(fields.get("To", ""), limit=50),
        text=storable(fields.get("Body", "")),
    )
    # Sent by services that handle STOP themselves (unconfirmed).
    has_stopped = fields.get("OptOutType", "").upper() == "STOP"
    return SmsNews(inbound=(text,), opted_out=(phone,) if has_stopped else ())


def _may_be(item: Mapping[str, Any], text: SmsId) -> bool:
    """Whether a listed message may be this text."""
    if item.get("to") != text.phone or not str(item.get("direction")).startswith("outbound") or not _sid(item):
        return False
    try:
        created = parsedate_to_datetime(_text(item.get("date_created"), limit=60))  # RFC 2822
    except ValueError:
        return False
    created = created if created.tzinfo else created.replace(tzinfo=UTC)
    is_near = _moment(text) - _EARLY <= created <= _moment(text) + _LATE
    # A trial account puts words of its own before the text.
    return is_near and str(item.get("body")).strip().endswith(text.text.strip())


def _moment(text: SmsId) -> datetime:
    assert text.sent_at is not None  # noqa: S101 - looked at before asking; this is for the type checker
    return text.sent_at


def _report_of(item: Mapping[str, Any]) -> SmsReport:
    """One mapping for answers and lists. The key is not in them."""
    return _report(
        key="",
        sid=_sid(item),
        phone=_text(item.get("to"), limit=20),
        status=_text(item.get("status"), limit=50),
        code=_code(item.get("error_code")),
        message=_text(item.get("error_message"), limit=500),
    )


def _report(*, key: str, sid: str, phone: str, status: str, code: int, message: str) -> SmsReport:
    meaning = STATUS.get(status.lower())
    if meaning in (MessageStatus.FAILED, MessageStatus.UNDELIVERABLE):
        meaning = ENDS.get(code, meaning)
    return SmsReport(
        key=key,
        provider_reference=sid,
        phone=phone if _PHONE.fullmatch(phone) else "",
        status=meaning,
        raw_status=storable(status, limit=50),
        detail=storable(": ".join(part for part in (str(code or ""), message) if part), limit=500),
        is_opt_out=REFUSALS.get(code) is Refusal.OPTED_OUT,
    )


def _sid(item: Mapping[str, Any]) -> str:
    sid = _text(item.get("sid"), limit=100)
    return sid if _SID.fullmatch(sid) else ""


def _code(value: Any) -> int:
    """An error's number, 0 without one."""
    text = _text(value, limit=10)
    return int(text) if text.isascii() and text.isdigit() else 0


def _text(value: Any, *, limit: int) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    return storable(value, limit=limit).strip() if isinstance(value, str) else ""
