"""Selcom's wire: how a call is signed, and how its answer is read.

Sources: Selcom's API reference (developers.selcommobile.com, "Authentication", "Response", "Result codes") and its own
clients, with which the signature agrees on every input. What only one integrator has seen is marked unconfirmed.

Every call is signed alike, whatever its verb: a string of the time and of each named value, in the order in which the
header `Signed-Fields` names them, values raw (neither quoted nor URL-encoded). Bodies are flat, of text and whole
numbers: nothing else has one spelling that both sides would sign.
"""

from __future__ import annotations

import hmac
import re
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from enum import Enum
from hashlib import sha256
from typing import Any

from services.http import READ_TIMEOUT, Answer, Delivery, HttpClient
from services.payments.base import GatewayRefused
from services.reading import read_json, recordable, storable

Fields = Mapping[str, str | int]

EAST_AFRICA = timezone(timedelta(hours=3))  # no clock there has ever been moved for the summer
MAX_SIGNED_FIELDS = 40  # a callback names six
IDENTIFIER = re.compile(r"[!-~]{1,90}")

# Selcom, "Result codes". 001 to 003 stand in its money-transfer table only (unconfirmed).
PENDING_CODES = frozenset({"111", "927", "001", "002", "003"})
AMBIGUOUS_CODE = "999"
# The same table, unconfirmed: somebody behind Selcom is out of service.
OUT_OF_SERVICE_CODES = frozenset({"151", "218", "889", "900"})

# HTTP statuses that Selcom also prints as result codes. It looked at the request and did nothing.
DEFINITE_STATUSES = frozenset({"401", "403", "412"})
# Selcom's codes, and ours. 010 is a bad number or account.
REASONS = {
    "401": "credentials",
    "403": "credentials",
    "010": "recipient",
    "103": "recipient",
    "201": "recipient",
    "202": "recipient",
    "203": "recipient",
    "012": "amount",
    "013": "amount",
    "014": "amount",
    "015": "amount",
    "029": "account_suspended",
    "990": "insufficient_funds",
}


class Verdict(Enum):
    """What an answer says of the call. DONE of a question is not yet what the answer to it is."""

    DONE = "done"
    PENDING = "pending"
    AMBIGUOUS = "ambiguous"  # nobody knows; never a failure
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """One answer in Selcom's envelope. `reference` is its own id; `items` are the objects in `data`."""

    verdict: Verdict
    code: str
    message: str = field(repr=False)
    reference: str
    transid: str
    items: tuple[Mapping[str, Any], ...] = field(repr=False)
    raw: Mapping[str, Any] = field(repr=False)

    def refusal(self) -> GatewayRefused:
        """This failure as an error. `reason` is ours, `detail` Selcom's text."""
        return GatewayRefused(_reason(self.code, self.message), self.message or f"Result code {self.code}")


class SelcomApi:
    """Signed calls to one Selcom account. Thread-safe."""

    def __init__(self, base_url: str, *, api_key: str, api_secret: str, read_timeout: float) -> None:
        self._api_key, self._api_secret, self._read_timeout = api_key, api_secret, read_timeout
        self._http = HttpClient(base_url, read_timeout=min(read_timeout, READ_TIMEOUT))

    def ask(self, path: str, fields: Fields) -> Reply:
        """A question (GET). Raises `GatewayUnavailable` for silence and nonsense, or `GatewayRefused`."""
        return _reply(self._http.request("GET", path, params=_text_of(fields), headers=self._signed(fields)))

    def ask_by_post(self, path: str, fields: Fields) -> Reply:
        """A question that Selcom wants as a POST. Raises as `ask` does."""
        return _reply(self._http.request("POST", path, json=fields, headers=self._signed(fields), is_question=True))

    def do(self, path: str, fields: Fields) -> Reply:
        """A changing POST. Raises `GatewayUnavailable`, `OutcomeUnknown` or, definite, `GatewayRefused`."""
        headers = self._signed(fields)
        return _reply(self._http.request("POST", path, json=fields, headers=headers, read_timeout=self._read_timeout))

    def undo(self, path: str, fields: Fields) -> Reply:
        """A DELETE. Raises as `do` does."""
        return _reply(self._http.request("DELETE", path, params=_text_of(fields), headers=self._signed(fields)))

    def _signed(self, fields: Fields) -> dict[str, str]:
        return signed_headers(fields, api_key=self._api_key, api_secret=self._api_secret, timestamp=timestamp())


def timestamp() -> str:
    """Now, as Selcom wants it: ISO 8601 in East Africa, whole seconds."""
    return datetime.now(EAST_AFRICA).isoformat(timespec="seconds")


def signed_headers(fields: Fields, *, api_key: str, api_secret: str, timestamp: str) -> dict[str, str]:
    """The headers that sign `fields` in their order. Raises `UnicodeEncodeError` for lone surrogates in a value."""
    return {
        "Content-Type": "application/json",
        "Authorization": "SELCOM " + b64encode(api_key.encode("ascii")).decode("ascii"),
        "Digest-Method": "HS256",
        "Digest": digest(_text_of(fields), api_secret=api_secret, timestamp=timestamp),
        "Timestamp": timestamp,
        "Signed-Fields": ",".join(fields),
    }


def digest(fields: Mapping[str, str], *, api_secret: str, timestamp: str) -> str:
    """Base64 of the HMAC-SHA256 over `timestamp=...&name=value&...`."""
    text = "&".join([f"timestamp={timestamp}", *(f"{name}={value}" for name, value in fields.items())])
    return b64encode(hmac.new(api_secret.encode(), text.encode(), sha256).digest()).decode("ascii")


def has_right_digest(delivery: Delivery, api_secret: str) -> bool | None:
    """Whether a callback's digest is right; None when it carries none that we could check. Never raises."""
    claim = delivery.headers.get("digest")
    if claim is None or delivery.headers.get("digest-method", "HS256") != "HS256":
        return None
    names = delivery.headers.get("signed-fields", "").split(",")
    body = read_json(delivery.body)
    if not isinstance(body, dict) or len(names) > MAX_SIGNED_FIELDS:
        return False
    values = {name: text_of(body.get(name)) for name in names}
    try:
        right = digest(values, api_secret=api_secret, timestamp=delivery.headers.get("timestamp", ""))
    except UnicodeEncodeError:
        return False
    return hmac.compare_digest(right.encode(), claim.encode("utf-8", "surrogatepass"))


def text_of(value: Any) -> str:
    """A value as Selcom prints it: text as it is, a number by its digits, anything else as nothing."""
    if isinstance(value, str):
        return value
    return str(value) if isinstance(value, int | Decimal) and not isinstance(value, bool) else ""


def identifier_of(value: Any) -> str:
    """An id that a database and a log can hold, or nothing."""
    text = text_of(value)
    return text if IDENTIFIER.fullmatch(text) else ""


def result_code_of(body: Mapping[str, Any]) -> str:
    """`resultcode` (older samples misspell it `resulcode`) with the zeros that a number would have lost."""
    value = body.get("resultcode", body.get("resulcode"))
    return f"{value:03d}" if isinstance(value, int) and not isinstance(value, bool) else text_of(value).strip()


def _text_of(fields: Fields) -> dict[str, str]:
    return {name: str(value) for name, value in fields.items()}


def _reply(answer: Answer) -> Reply:
    """Read the envelope. HTTP is 200 for most refusals, so the result code has the first word."""
    answer.refuse_unusable()
    body = answer.json()
    envelope: Mapping[str, Any] = body if isinstance(body, dict) else {}
    code = result_code_of(envelope)
    message = storable(text_of(envelope.get("message")), limit=500)
    known = code if code in DEFINITE_STATUSES else str(answer.status)
    if known in DEFINITE_STATUSES and code not in PENDING_CODES | {AMBIGUOUS_CODE}:
        raise GatewayRefused(_reason(known, message), message or f"HTTP {answer.status}")
    verdict = _verdict(code, text_of(envelope.get("result"))) if code else None
    if verdict is None or (verdict is Verdict.DONE and not answer.is_success):
        # A page of somebody in between, or JSON that is not Selcom's.
        if answer.is_success or answer.is_question or verdict is Verdict.DONE:
            raise answer.silence()
        raise GatewayRefused("invalid_request", message or f"HTTP {answer.status}")
    data = envelope.get("data")
    return Reply(
        verdict=verdict,
        code=code,
        message=message,
        reference=identifier_of(envelope.get("reference")),
        transid=text_of(envelope.get("transid")),
        items=tuple(item for item in data if isinstance(item, dict)) if isinstance(data, list) else (),
        raw=recordable(envelope),
    )


def _verdict(code: str, result: str) -> Verdict:
    word = result.strip().upper()
    if code == "000":
        return Verdict.DONE if word in {"SUCCESS", ""} else Verdict.AMBIGUOUS
    if code in PENDING_CODES:
        return Verdict.PENDING
    # Selcom: any other code with FAIL is definite. With another word, or none, it is nothing that anybody documents.
    is_failure = word in {"FAIL", "FAILED"} and code != AMBIGUOUS_CODE
    return Verdict.FAILED if is_failure else Verdict.AMBIGUOUS


def _reason(code: str, message: str) -> str:
    # 4032: called from an address that Selcom does not know. 4035: a product that is not switched on (unconfirmed).
    return "not_enabled" if "(4035)" in message else REASONS.get(code, "invalid_request")
