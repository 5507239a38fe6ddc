"""What all of ClickPesa's calls share: tokens, error bodies, and the checks of what is sent.

Source of every shape and wording in this package: the ClickPesa vendor notes (sections 1 to 6). What they do not say
is marked "unconfirmed".
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from services.simulators import signing
from services.simulators.config import Config
from services.simulators.faults import Fault
from services.simulators.world import JSON, NotJSON, Refusal, World, read_object, world_of

PREFIX = "/clickpesa/third-parties"
PROVIDER = "clickpesa"
DECIMALS = {"TZS": 0, "USD": 2}
REFERENCE_LIMIT = 20
# Prefixes after 255 by network. Numbers have been portable between networks, so this only makes answers plausible.
CHANNELS = {
    "M-PESA": ("74", "75", "76", "79"),
    "TIGO-PESA": ("65", "67", "71", "77"),
    "AIRTEL-MONEY": ("68", "69", "78"),
    "HALOPESA": ("61", "62"),
}
CUSTOMER = {"customerName": "Asha Juma", "customerEmail": "asha@example.com"}

_SHILLINGS = re.compile(r"[1-9][0-9]{0,11}")
_DOLLARS = re.compile(r"(?:0|[1-9][0-9]{0,9})(?:\.[0-9]{1,2})?")
_PHONE = re.compile(r"255[67][0-9]{8}")
_REFERENCE = re.compile(r"[A-Za-z0-9]+")


# Errors


def refuse(status: int, message: str) -> Refusal:
    """The plain error body, as section 6 lists it."""
    return Refusal(status, {"message": message})


def refuse_fields(*messages: str) -> Refusal:
    """The error body with a list, as section 2.4 shows it for checksums; for other fields it is unconfirmed."""
    return Refusal(400, {"statusCode": 400, "message": list(messages), "error": "Bad Request"})


def refuse_used(reference: str) -> Refusal:
    return refuse(409, f"Order reference {reference} already used: Create a different reference")


def trouble(fault: Fault) -> Response:
    """A call that goes wrong on purpose. The refusal is one of section 6, the wording of the last is unconfirmed."""
    if fault is Fault.REFUSE:
        return JSON({"message": "Account has no payment collection methods"}, status_code=404)
    if fault is Fault.ERROR_BEFORE:
        return JSON({"message": "Error validating fee, try again later"}, status_code=500)
    return JSON({"statusCode": 500, "message": "Internal server error"}, status_code=500)


# Tokens


async def generate_token(request: Request) -> Response:
    """POST /generate-token: a token that already starts with `Bearer ` and really expires."""
    world = world_of(request)
    client_id, api_key = request.headers.get("client-id"), request.headers.get("api-key")
    if not client_id or not api_key:
        raise refuse(401, "Unauthorized")
    if not hmac.compare_digest(client_id.encode(), world.config.clickpesa_client_id.encode()):
        raise refuse(403, "Invalid client details")
    if not hmac.compare_digest(api_key.encode(), world.config.clickpesa_api_key.encode()):
        raise refuse(403, "Invalid or Expired API-Key")
    token = f"Bearer eyJ{secrets.token_urlsafe(48)}"
    expires_at = time.time() + world.config.token_lifetime
    world.ledger.tokens.add(token, key_digest=key_digest(world.config), expires_at=expires_at)
    return JSON({"success": True, "token": token})


def key_digest(config: Config) -> str:
    """Stored beside a token, because changing the checksum settings invalidates tokens (section 1)."""
    return hashlib.sha256(config.clickpesa_checksum_key.encode()).hexdigest()


def require_token(request: Request) -> World:
    """The world, for a caller with a valid token; otherwise 401."""
    world = world_of(request)
    token = request.headers.get("authorization", "")
    if not world.ledger.tokens.has(token, key_digest=key_digest(world.config), now=time.time()):
        raise refuse(401, "Unauthorized")
    return world


# Bodies


async def read_body(request: Request) -> dict[str, Any]:
    try:
        return await read_object(request)
    except NotJSON as error:
        # The shape for unreadable JSON is unconfirmed.
        raise Refusal(400, {"statusCode": 400, "message": str(error), "error": "Bad Request"}) from error


def check_signature(config: Config, body: Mapping[str, Any]) -> None:
    """Section 2.4. Nothing is asked for when no key is configured."""
    if not config.clickpesa_checksum_key:
        return
    if not body.get("checksum"):
        raise refuse_fields("checksum is required")
    if not signing.is_valid(config.clickpesa_checksum_key, body):
        raise refuse_fields("Invalid checksum")


def count_submission(world: World, body: Mapping[str, Any], *, phone: str = "", amount: str = "amount") -> None:
    """Count a call that tries to start a charge. `phone` and `amount` are the names of those fields."""
    if isinstance(body.get("orderReference"), str):
        told = str(body.get(phone) or "") if phone else ""
        world.ledger.charges.count_submission(
            provider=PROVIDER, reference=body["orderReference"], phone=told, amount=str(body.get(amount))
        )


def check_reference(reference: object, *, limit: int | None = REFERENCE_LIMIT) -> str:
    if not isinstance(reference, str) or not _REFERENCE.fullmatch(reference):
        raise refuse(400, "Invalid Order Reference, should only contain alphanumeric characters and cannot be blank")
    if limit is not None and len(reference) > limit:
        raise refuse(400, f"Order Reference should be less than or equal to {limit} characters")
    return reference


def check_phone(phone: object) -> str:
    """Country code first, no plus: 255712345678."""
    if not isinstance(phone, str) or not _PHONE.fullmatch(phone):
        raise refuse(400, "Invalid / unsupported phone number")
    return phone


def smallest_unit(text: str, currency: str) -> int | None:
    """Whole shillings, or cents of a dollar; None for what is no amount greater than zero."""
    if currency == "TZS":
        return int(text) if _SHILLINGS.fullmatch(text) else None
    if not _DOLLARS.fullmatch(text):
        return None
    return int(Decimal(text) * 100) or None


def as_text(amount: int, currency: str) -> str:
    """`15000` shillings, `49` or `49.50` dollars."""
    whole, part = divmod(amount, 10 ** DECIMALS.get(currency, 0))
    return f"{whole}.{part:02d}" if part else str(whole)


def as_number(amount: int, currency: str) -> int | float:
    """The same as a JSON number."""
    whole, part = divmod(amount, 10 ** DECIMALS.get(currency, 0))
    return float(as_text(amount, currency)) if part else whole


def with_decimals(amount: int, currency: str) -> str:
    """`1047.00`, as payouts print it whatever the currency."""
    whole, part = divmod(amount, 10 ** DECIMALS.get(currency, 0))
    return f"{whole}.{part:02d}"


def channel_of(phone: str) -> str:
    """The network a number looks like. A prefix of no known network counts as M-PESA, so that any number can pay."""
    return next((name for name, prefixes in CHANNELS.items() if phone[3:5] in prefixes), "M-PESA")


# Queries


def read_day(text: str | None, name: str) -> float | None:
    """Midnight of a day written `YYYY-MM-DD` or `DD-MM-YYYY`, in UTC (unconfirmed)."""
    if text is None:
        return None
    for form in ("%Y-%m-%d", "%d-%m-%Y"):
        try:
            return datetime.strptime(text, form).replace(tzinfo=UTC).timestamp()
        except ValueError:
            continue
    raise refuse_fields(f"{name} must be YYYY-MM-DD or DD-MM-YYYY")


def read_period(asked: Mapping[str, str]) -> tuple[float, float]:
    """`startDate` and `endDate`, both days included, as Unix times [since, until)."""
    start, end = read_day(asked.get("startDate"), "startDate"), read_day(asked.get("endDate"), "endDate")
    return start or 0.0, float("inf") if end is None else end + 86_400


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """How a list is asked for (section 3.6): filters that were given, order, and which part."""

    filters: Mapping[str, str]
    newest_first: bool
    skip: int
    limit: int

    def of(self, rows: list[dict[str, Any]]) -> dict[str, Any]:
        """The page of rows that come in order of time."""
        rows = [row for row in rows if all(row.get(name) == wanted for name, wanted in self.filters.items())]
        if self.newest_first:
            rows.reverse()
        return {"data": rows[self.skip : self.skip + self.limit], "totalCount": len(rows)}


def read_cut(asked: Mapping[str, str], filters: tuple[str, ...]) -> Cut:
    if asked.get("sortBy", "createdAt") != "createdAt":
        raise refuse_fields("sortBy must be createdAt")
    order_by = asked.get("orderBy", "DESC")
    if order_by not in ("ASC", "DESC"):
        raise refuse_fields("orderBy must be ASC or DESC")
    return Cut(
        filters={name: asked[name] for name in filters if name in asked},
        newest_first=order_by == "DESC",
        skip=read_natural(asked.get("skip", "0"), "skip"),
        limit=read_natural(asked.get("limit", "20"), "limit"),
    )


def read_natural(text: str, name: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise refuse_fields(f"{name} must be a whole number")
    return int(text)
