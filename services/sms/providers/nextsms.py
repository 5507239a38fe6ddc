"""NextSMS (messaging-service.co.tz): one text to one phone; what became of it is only told when asked, and only once.

Facts come from its documentation as one copy and three client libraries show it: unconfirmed throughout, and marked
again where only one of them says so.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from enum import Enum, auto
from typing import Any, NoReturn

from core.exceptions import Malformed
from services.http import Answer, Delivery, GatewayUnavailable, HttpClient, OutcomeUnknown
from services.options import required
from services.reading import recordable, storable
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

REPORTS = 10  # texts under one reference: one for each try
LOGGED = 500  # newest texts of the account among which one is looked for


class Meaning(Enum):
    """What a word means for a text that is being handed over, where it is no refusal."""

    ACCEPTED = auto()
    UNCERTAIN = auto()


ACCEPTED, UNCERTAIN = Meaning.ACCEPTED, Meaning.UNCERTAIN
QUEUED, SENT, DELIVERED = MessageStatus.QUEUED, MessageStatus.SENT, MessageStatus.DELIVERED
FAILED, UNDELIVERABLE, EXPIRED = MessageStatus.FAILED, MessageStatus.UNDELIVERABLE, MessageStatus.EXPIRED

# NextSMS docs, status codes: what each word means in the answer to a text, and in a report. The numbers beside the
# words differ between two published tables, so only the words count: the name, and where it is unknown the group.
WORDS: dict[str, tuple[Meaning | Refusal, MessageStatus]] = {
    "PENDING": (ACCEPTED, SENT),
    "PENDING_ENROUTE": (ACCEPTED, SENT),
    "PENDING_WAITING_DELIVERY": (ACCEPTED, SENT),
    "PENDING_ACCEPTED": (ACCEPTED, QUEUED),
    "ENROUTE": (ACCEPTED, SENT),
    "SENT": (ACCEPTED, SENT),
    "ACCEPTED": (ACCEPTED, SENT),
    "DELIVERED": (ACCEPTED, DELIVERED),
    "DELIVERED_TO_HANDSET": (ACCEPTED, DELIVERED),
    "EXPIRED": (Refusal.ROUTE, EXPIRED),
    "UNDELIVERABLE": (Refusal.ROUTE, UNDELIVERABLE),
    "DELETED": (Refusal.ROUTE, UNDELIVERABLE),
    "SKIPPED": (Refusal.ROUTE, UNDELIVERABLE),
    "UNKNOWN": (UNCERTAIN, UNDELIVERABLE),
    "REJECTED": (Refusal.ACCOUNT, FAILED),
    "REJECTED_NOT_ENOUGH_CREDITS": (Refusal.ACCOUNT, FAILED),
    "REJECTED_PREPAID_PACKAGE_EXPIRED": (Refusal.ACCOUNT, FAILED),
    "REJECTED_SOURCE": (Refusal.SENDER, FAILED),
    "REJECTED_SENDER": (Refusal.SENDER, FAILED),
    "REJECTED_ROUTE_NOT_AVAILABLE": (Refusal.ROUTE, FAILED),
    "REJECTED_NETWORK": (Refusal.ROUTE, FAILED),
    "REJECTED_DESTINATION_NOT_REGISTERED": (Refusal.ACCOUNT, FAILED),  # an account that may only text known numbers
    "REJECTED_SYSTEM_ERROR": (Refusal.LATER, FAILED),
    "REJECTED_FLOODING_FILTER": (Refusal.LATER, FAILED),
    "REJECTED_DND": (Refusal.OPTED_OUT, UNDELIVERABLE),
    "REJECTED_DESTINATION": (Refusal.OPTED_OUT, UNDELIVERABLE),
    "REJECTED_PREFIX_MISSING": (Refusal.NUMBER, FAILED),
    "REJECTED_INVALID_DESTINATION": (Refusal.NUMBER, FAILED),
    "MISSING_TO": (Refusal.NUMBER, FAILED),
    "REJECTED_MESSAGE_TOO_LONG": (Refusal.TEXT, FAILED),
    "REJECTED_INVALID_UDH": (Refusal.TEXT, FAILED),
    "REJECTED_DUPLICATE_MESSAGE_ID": (Refusal.TEXT, FAILED),
}

# Times without a zone are taken for those of Tanzania (unconfirmed).
_HERE = timezone(timedelta(hours=3))
_EARLY, _LATE = timedelta(minutes=1), timedelta(minutes=3)


class NextSmsGateway(SmsGateway):
    """One NextSMS account and one of its sender names.

    Whoever asks gets each report once: `query` must be called from one place at a time, and its answer stored before
    anything else is done. If it is lost all the same, the next `query` looks into the account's log.
    """

    code = "nextsms"
    name = "NextSMS"
    capabilities = frozenset({SmsCapability.QUERY})

    def __init__(
        self,
        *,
        base_url: str,
        sender: str,
        token: str = "",
        username: str = "",
        password: str = "",
        read_timeout: float = 30.0,
    ) -> None:
        """`base_url` is `https://messaging-service.co.tz`. With a `token` the second version of the interface is
        spoken, else the first with `username` and `password`. `read_timeout` in seconds: there is no idempotency key,
        so a call given up early is a text nobody may send again. Raises `ImproperlyConfigured` for anything missing.
        """
        self._sender = required(self.code, "sender", sender)
        if token:
            self._base, self._is_second = "/api/sms/v2", True
            authorization = f"Bearer {required(self.code, 'token', token, is_header=True)}"
        else:
            self._base, self._is_second = "/api/sms/v1", False
            pair = f"{required(self.code, 'username', username)}:{required(self.code, 'password', password)}"
            authorization = "Basic " + b64encode(pair.encode()).decode("ascii")
        self._headers = {"Authorization": authorization}
        self._http = HttpClient(base_url, read_timeout=read_timeout)

    def send(self, request: SmsRequest) -> SmsResult:
        """Hand over one text. Raises `SmsRefused`, `OutcomeUnknown` or `GatewayUnavailable`.

        Where the answer names no message (the documented example does not), `provider_reference` is our key, under
        which NextSMS can be asked as well.
        """
        wish: dict[str, Any] = {
            "from": request.sender or self._sender,
            "to": request.phone.removeprefix("+"),
            "text": request.text,
            "reference": request.key,
        }
        if self._is_second:
            wish["flash"] = 0
        answer = self._http.request("POST", self._base + "/text/single", json=wish, headers=self._headers)
        if not answer.is_success:
            _refuse(answer)
        item = _only_message(answer.json(), wish["to"])
        word = _word(item.get("status"))
        match WORDS[word][0] if word in WORDS else UNCERTAIN:
            case Refusal() as reason:
                raise SmsRefused(reason, _raw(item.get("status")), _described(item.get("status")))
            case Meaning.UNCERTAIN:
                raise OutcomeUnknown
        parts = item.get("smsCount")
        return SmsResult(
            provider_reference=_text(item.get("messageId"), limit=100) or request.key,
            parts=parts if isinstance(parts, int) and not isinstance(parts, bool) and parts > 0 else None,
            raw=recordable({name: value for name, value in item.items() if name != "text"}),
        )

    def query(self, text: SmsId) -> SmsReport | None:
        """What became of the text, or None while NextSMS tells nothing. Raises `GatewayUnavailable` or `SmsRefused`.

        A report is served once; after that, and before there is one, the account's log is looked through (its newest
        500 texts). The log knows no key of ours, so `sent_at` and `text` say which line is meant; where several would
        do the answer is None.
        """
        by_message = bool(text.provider_reference) and text.provider_reference != text.key
        name, value = ("messageId", text.provider_reference) if by_message else ("reference", text.key)
        reported = [
            each
            for each in self._ask("/reports", {name: value, "size": str(REPORTS)})
            if _phone(each) == text.phone and (not by_message or each.get("messageId") in (value, None))
        ]
        if reported:
            # Several tries may have gone out under one key: the text has arrived when one of them has.
            told = [_report(each, text) for each in reported]
            return next((each for each in told if each.status is DELIVERED), told[-1])
        logged = [
            each for each in self._ask("/logs", {"limit": str(LOGGED), "offset": "0"}) if _is_meant(each, text, name)
        ]
        return _report(logged[0], text) if len(logged) == 1 else None

    def probe(self) -> None:
        """Ask for the balance. Raises `GatewayUnavailable` or `SmsRefused`."""
        answer = self._http.request("GET", self._base + "/balance", headers=self._headers)
        if not answer.is_success:
            _refuse(answer)
        if not isinstance(answer.json(), dict):
            raise GatewayUnavailable

    def parse(self, delivery: Delivery) -> SmsNews:
        """Raise `Malformed`: NextSMS calls nobody."""
        raise Malformed

    def _ask(self, path: str, params: Mapping[str, str]) -> list[dict[str, Any]]:
        answer = self._http.request("GET", self._base + path, params=params, headers=self._headers)
        if not answer.is_success:
            _refuse(answer)
        body = answer.json()
        results = body.get("results") if isinstance(body, dict) else None
        if not isinstance(results, list) or not all(isinstance(each, dict) for each in results):
            raise GatewayUnavailable
        return results


def _refuse(answer: Answer) -> NoReturn:
    """Raise what an answer other than 2xx means."""
    answer.refuse_unusable()
    # Which 4xx there are, and for what, no document says; without a word for the text it is about the account.
    raise SmsRefused(Refusal.ACCOUNT, str(answer.status))


def _only_message(body: Any, to: str) -> dict[str, Any]:
    """The one message that the answer is about, or `OutcomeUnknown`."""
    messages = body.get("messages") if isinstance(body, dict) else None
    if isinstance(messages, list) and len(messages) == 1 and isinstance(messages[0], dict):
        item: dict[str, Any] = messages[0]
        if _text(item.get("to"), limit=30).removeprefix("+") in (to, ""):
            return item
    raise OutcomeUnknown


def _word(status: Any) -> str:
    """The name that we know, else the group's."""
    if not isinstance(status, dict):
        return ""
    names = [_text(status.get(each), limit=50).upper() for each in ("name", "groupName")]
    return next((name for name in names if name in WORDS), "")


def _raw(status: Any) -> str:
    """The provider's own word."""
    if not isinstance(status, dict):
        return ""
    return _text(status.get("name"), limit=50) or _text(status.get("groupName"), limit=50)


def _described(status: Any) -> str:
    return _text(status.get("description"), limit=500) if isinstance(status, dict) else ""


def _phone(item: Mapping[str, Any]) -> str:
    return "+" + _text(item.get("to"), limit=30).removeprefix("+")


def _is_meant(item: Mapping[str, Any], text: SmsId, name: str) -> bool:
    """Whether a line of the log may be this text."""
    if _phone(item) != text.phone:
        return False
    value = text.provider_reference if name == "messageId" else text.key
    told = _text(item.get(name), limit=100)
    if told:
        return told == value
    # Without a name at the provider, only a moment shows that the line is not about an earlier text.
    if text.sent_at is None and not text.provider_reference:
        return False
    return (text.sent_at is None or _is_near(item, text.sent_at)) and (
        not text.text or str(item.get("text")).strip() == text.text.strip()
    )


def _is_near(item: Mapping[str, Any], moment: datetime) -> bool:
    try:
        sent = datetime.fromisoformat(_text(item.get("sentAt"), limit=40))
    except ValueError:
        return False
    sent = sent if sent.tzinfo else sent.replace(tzinfo=_HERE)
    return moment - _EARLY <= sent <= moment + _LATE


def _report(item: Mapping[str, Any], text: SmsId) -> SmsReport:
    """The report in our words. Its name is the one that was asked by: not every answer repeats it."""
    # A refused text may have an error alone.
    status = item.get("status") or item.get("error")
    word, raw = _word(status), _raw(status)
    if not raw:
        raise GatewayUnavailable
    meaning = WORDS.get(word)
    return SmsReport(
        key="",
        provider_reference=text.provider_reference or _text(item.get("messageId"), limit=100) or text.key,
        phone=text.phone,
        status=meaning[1] if meaning else None,
        raw_status=raw,
        detail=_described(item.get("error")) or _described(status),
        is_opt_out=meaning is not None and meaning[0] is Refusal.OPTED_OUT,
    )


def _text(value: Any, *, limit: int) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    return storable(value, limit=limit).strip() if isinstance(value, str) else ""
