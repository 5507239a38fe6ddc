"""What all calls to Beem's payments share: HTTP Basic, the codes of refusals, and the words for them.

Source of every shape and code in this package: the vendor notes on Beem's payment products. They are the least certain
of all providers', so much here is marked "unconfirmed"; where they say that something is unknown, a setting decides.
"""

from __future__ import annotations

import hmac
import re

from starlette.requests import Request

from services.simulators.config import BeemPayConfig
from services.simulators.world import Refusal, World, basic_pair, world_of

PREFIX = "/beem/pay/v1"
PROVIDER = "beem_pay"
DECIMALS = {"TZS": 0}
TOKEN_HEADER = "beem-secure-token"  # noqa: S105 - its name
MEANING = {
    100: "Invalid Mobile Number",
    101: "Invalid Amount",
    102: "Invalid Transaction ID",
    105: "Invalid parameters",  # for a checkout this code is unconfirmed
    120: "Invalid Authentication Parameters",
}

PHONE = re.compile(r"255[67][0-9]{8}")
AMOUNT = re.compile(r"[1-9][0-9]{0,11}")


def refuse(config: BeemPayConfig, code: int, message: str = "") -> Refusal:
    """Failure `code`. Its HTTP status is stated nowhere."""
    return Refusal(config.error_status, {"code": code, "message": message or MEANING[code]})


def refuse_caller(code: int, message: str = "") -> Refusal:
    return Refusal(401, {"code": code, "message": message or MEANING[code]})


def check_basic(request: Request) -> tuple[World, str]:
    """The world, and what is wrong with the caller's key and secret: "", "absent", "unreadable" or "wrong"."""
    world = world_of(request)
    config, header = world.config.beem_pay, request.headers.get("authorization")
    if header is None:
        return world, "absent"
    given = basic_pair(header)
    if given is None:
        return world, "unreadable"
    is_right = hmac.compare_digest(given, f"{config.api_key}:{config.secret_key}".encode())
    return world, "" if is_right else "wrong"


def require_account(request: Request) -> World:
    """The world, for a caller with the right key and secret; otherwise 120 whatever is wrong with them."""
    world, wrong = check_basic(request)
    if wrong:
        raise refuse_caller(120)
    return world


def with_prefix(config: BeemPayConfig, reference: str) -> str:
    """A reference as Beem's portal writes it."""
    return f"{config.prefix}-{reference}" if config.prefix else reference
