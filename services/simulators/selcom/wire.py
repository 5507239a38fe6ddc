"""What all of Selcom's calls share: the signature, the envelope, refusals, and the checks of what is sent.

Source of every shape, code and wording in this package: the Selcom vendor notes. What they do not say is marked
"unconfirmed"; where they say that something is unknown, a setting decides.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import re
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response

from services.simulators.config import SelcomConfig
from services.simulators.faults import Fault
from services.simulators.selcom import signing
from services.simulators.world import JSON, NotJSON, Refusal, World, read_object, world_of

PREFIX = "/selcom/v1"
PROVIDER = "selcom"
# Whole units of both: amounts are integers. How dollars are really counted is unconfirmed.
DECIMALS = {"TZS": 0, "USD": 0}
LOCAL = timezone(timedelta(hours=3))  # Africa/Dar_es_Salaam, which has no summer time
NAME = "ASHA JUMA"
# Prefixes after 255 by network. Numbers have been portable between networks, so this only makes answers plausible.
CHANNELS = {
    "MPESA-TZ": ("74", "75", "76", "79"),
    "TIGOPESATZ": ("65", "67", "71", "77"),
    "AIRTELMONEY": ("68", "69", "78"),
    "HALOPESATZ": ("61", "62"),
    "TTCLMOBILE": ("73",),
}
NOT_A_NUMBER = "Invalid mobile number or operator not supported"

PHONE = re.compile(r"255[67][0-9]{8}")
_WHOLE = re.compile(r"[0-9]{1,12}")


# Answers


def new_reference() -> str:
    """A reference of Selcom's. Longer than those seen in the wild, so that ten thousand never meet."""
    return "02" + "".join(secrets.choice("0123456789") for _ in range(12))


def envelope(
    code: str, result: str, message: str, *, reference: str = "", transid: str = "", data: Any = ()
) -> dict[str, Any]:
    """Section 3: `resultcode` is text, `data` a list, and `transid` may be missing."""
    body = {"reference": reference or new_reference()}
    if transid:
        body["transid"] = transid
    return {**body, "resultcode": code, "result": result, "message": message, "data": list(data)}


def done(message: str, *, reference: str = "", transid: str = "", data: Any = ()) -> Response:
    """The call succeeded."""
    return JSON(envelope("000", "SUCCESS", message, reference=reference, transid=transid, data=data))


def refuse(code: str, message: str, *, status: int = 200, transid: str = "") -> Refusal:
    """A definitive refusal. HTTP is 200 for those of the business."""
    return Refusal(status, envelope(code, "FAIL", message, transid=transid))


def refuse_undocumented(config: SelcomConfig, message: str, *, transid: str = "") -> Refusal:
    """A refusal whose code nobody has seen: duplicates, unknown orders, orders that cannot be cancelled or paid."""
    return refuse(config.refusal_code, message, status=config.refusal_status, transid=transid)


def refuse_parameter(name: str) -> Refusal:
    """Observed for `no_of_items`; for the others it is unconfirmed."""
    return refuse("412", f"Parameter {name} is invalid or missing", status=412)


def refuse_call(message: str) -> Refusal:
    """The wording is unconfirmed."""
    return refuse("401", message, status=401)


NOT_ENABLED = "API endpoint not enabled for the vendor (4035)"


def trouble_with(config: SelcomConfig, *, code: str = "403", message: str = NOT_ENABLED) -> Callable[[Fault], Response]:
    """How a call goes wrong on purpose. `code` and `message` are those of its refusal."""

    def trouble(fault: Fault) -> Response:
        if fault is Fault.REFUSE:
            status = 403 if code == "403" else 200
            return JSON(envelope(code, "FAIL", message), status_code=status)
        if config.is_ambiguous:
            return JSON(envelope("999", "AMBIGUOUS", "No reponse from upstream system"))
        # The body that goes with a 500 is unconfirmed; "error bodies use the same envelope".
        return JSON(envelope("500", "FAIL", "Internal server error"), status_code=500)

    return trouble


# Requests


@dataclass(frozen=True, slots=True)
class Fields:
    """The parameters of one call. Every reader refuses with 412 what is missing or wrong."""

    values: Mapping[str, Any]

    def optional(self, name: str) -> str:
        """Text or a whole number as text; empty when absent."""
        value = self.values.get(name, "")
        return str(value)

    def text(self, name: str) -> str:
        value = self.optional(name)
        if not value.strip():
            raise refuse_parameter(name)
        return value

    def matching(self, name: str, pattern: re.Pattern[str], *, is_optional: bool = False) -> str:
        value = self.optional(name)
        if is_optional and not value:
            return ""
        if not pattern.fullmatch(value):
            raise refuse_parameter(name)
        return value

    def whole(self, name: str, *, default: int | None = None) -> int:
        """A whole number greater than zero, as a number or as digits."""
        value = self.optional(name)
        if not value and default is not None:
            return default
        if not _WHOLE.fullmatch(value) or int(value) == 0:
            raise refuse_parameter(name)
        return int(value)

    def address(self, name: str) -> str:
        """A URL that was sent in base64; empty when absent."""
        value = self.optional(name)
        try:
            url = base64.b64decode(value, validate=True).decode()
        except (binascii.Error, ValueError) as error:
            raise refuse_parameter(name) from error
        if url and not url.startswith(("http://", "https://")):
            raise refuse_parameter(name)
        return url


async def require_call(request: Request) -> tuple[World, Fields]:
    """The world and the parameters, for a caller whose signature is right; otherwise 401 or 403.

    The address is looked at first, because "even with a perfect signature" the answer is 403.
    """
    world = world_of(request)
    config, given = world.config.selcom, request.headers
    check_address(config, request.client.host if request.client else "")
    expected = signing.authorization(config.api_key)
    if not hmac.compare_digest(given.get("authorization", "").encode(), expected.encode()):
        raise refuse_call("Invalid API key")
    moment = signing.read_timestamp(given.get("timestamp", ""))
    if moment is None or (config.clock_window and abs(time.time() - moment) > config.clock_window):
        raise refuse_call("Invalid timestamp")
    fields = await read_fields(request)
    if not signing.is_valid(config.api_secret, given, fields):
        raise refuse_call("Invalid digest")
    if request.url.path.removeprefix(f"{PREFIX}/").partition("/")[0] not in config.products:
        raise refuse("403", NOT_ENABLED, status=403)
    return world, Fields(fields)


def check_address(config: SelcomConfig, address: str) -> None:
    if config.addresses and address not in config.addresses:
        raise refuse("403", "Source IP not whitelisted (4032)", status=403)


async def read_fields(request: Request) -> dict[str, Any]:
    """The members of the body of a POST, else the decoded query."""
    if request.method != "POST":
        return dict(request.query_params)
    try:
        body = await read_object(request)
    except NotJSON as error:
        raise refuse("400", "Request body is not valid JSON", status=400) from error  # unconfirmed
    if "pin" in body:
        request.state.body = orjson.dumps({**body, "pin": "..."})  # the log of calls shows no credentials
    return body


# Words


def channel_of(phone: str) -> str:
    """The network a number looks like. A prefix of no known network counts as M-Pesa, so that any number can pay."""
    return next((name for name, prefixes in CHANNELS.items() if phone[3:5] in prefixes), "MPESA-TZ")


def local_time(moment: float) -> str:
    """`2019-06-06 22:00:00` in Tanzania (the zone is unconfirmed)."""
    return datetime.fromtimestamp(moment, LOCAL).strftime("%Y-%m-%d %H:%M:%S")


def read_day(fields: Fields, name: str) -> datetime:
    """Midnight in Tanzania of a day written `YYYY-MM-DD`, in UTC."""
    try:
        day = datetime.strptime(fields.text(name), "%Y-%m-%d").replace(tzinfo=LOCAL)
        return day.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise refuse_parameter(name) from error
