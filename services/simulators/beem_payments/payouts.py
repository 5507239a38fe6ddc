"""Beem's disbursements and what the account holds (sections 4 and 5). Nothing can be asked about one later.

So what the last three digits of the number choose is told at once: 101 fails, 102 is answered 104, a network timeout
after which nobody knows (here nothing was sent). The other endings do what they do for a push.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from services.simulators import till
from services.simulators.beem_payments.wire import (
    AMOUNT,
    PHONE,
    PREFIX,
    PROVIDER,
    check_basic,
    refuse,
    refuse_caller,
    require_account,
)
from services.simulators.config import BeemPayConfig
from services.simulators.faults import Fault
from services.simulators.ledger.ids import new_id
from services.simulators.ledger.transfers import TransferKind, TransferState
from services.simulators.play import Play
from services.simulators.scenarios import Ending
from services.simulators.world import JSON, NotJSON, Refusal, read_object

APPS = ("BPAY", "AIRTIME", "USSD")
# The wordings of all but the first are unconfirmed.
SUCCESS = "Disbursement successful"
FAILED, LITTLE, TIMEOUT, LARGE = "Disbursement failed", "Insufficient balance", "Network timeout", "Amount too large"
CALLER = {"absent": (109, "No authorization header"), "unreadable": (110, "Invalid token"), "wrong": (120, "")}


async def transfer(request: Request) -> Response:
    """POST /v1/transfer. What a `client_reference_id` does that was used before is a setting."""
    world, wrong = check_basic(request)
    if wrong:
        raise refuse_caller(*CALLER[wrong])
    config = world.config.beem_pay
    try:
        body = await read_object(request)
    except NotJSON as error:
        raise refuse(config, 105) from error
    reference, phone, amount = check_body(config, body)
    starts_at = read_schedule(config, body.get("scheduled_time_utc"))
    play = Play.begin(world, PROVIDER, "payout", reference=reference, phone=phone)

    async def accept() -> Response:
        planned = play.transfer(
            id=new_id("BPAY", 12),
            kind=TransferKind.PAYOUT,
            amount=amount,
            currency="TZS",
            channel=body["destination"]["mobile"]["wallet_code"],
            extra={"scheduled_at": starts_at},
        )
        if planned.outcome is TransferState.FAILED and play.scenario.ends is Ending.PUSH_TIMEOUT:
            raise refuse_timeout()
        if planned.outcome is TransferState.FAILED:
            raise refuse(config, 101, FAILED)
        if till.balance(world, PROVIDER, "TZS") < amount:
            raise refuse(config, 103, LITTLE)
        if not await play.accept_transfer(planned, is_unique=not config.repeats_payouts):
            raise refuse(config, 105)  # unconfirmed
        return JSON({"code": 100, "message": SUCCESS, "transaction_id": planned.id, "reference_id": reference})

    def trouble(fault: Fault) -> Response:
        refusal = refuse(config, 101, FAILED) if fault is Fault.REFUSE else refuse_timeout()
        return JSON(refusal.body, status_code=refusal.status)

    return await play.answer(accept, trouble)


def refuse_timeout() -> Refusal:
    """Nobody knows. The HTTP status is unconfirmed."""
    return Refusal(504, {"code": 104, "message": TIMEOUT})


def check_body(config: BeemPayConfig, body: dict[str, Any]) -> tuple[str, str, int]:
    """Reference, phone and shillings, or the code for what is wrong. The wordings are unconfirmed."""
    source, destination = body.get("source"), body.get("destination")
    mobile = destination.get("mobile") if isinstance(destination, dict) else None
    if not isinstance(source, dict) or not isinstance(mobile, dict):
        raise refuse(config, 105)
    if source.get("currency") != "TZS" or mobile.get("currency") != "TZS":
        raise refuse(config, 105)
    if source.get("account_no") != config.account:
        raise refuse(config, 107, "Account not found")
    amount, phone, reference = body.get("amount"), mobile.get("wallet_number"), body.get("client_reference_id")
    if amount in (None, ""):
        raise refuse(config, 112, "Missing amount")
    if not isinstance(amount, str) or not AMOUNT.fullmatch(amount):
        raise refuse(config, 113, "Invalid amount")
    if phone in (None, ""):
        raise refuse(config, 111, "Missing msisdn")
    if not isinstance(phone, str) or not PHONE.fullmatch(phone):
        raise refuse(config, 102, "Invalid phone number")
    if not isinstance(reference, str) or not reference.strip():
        raise refuse(config, 105)
    code = mobile.get("wallet_code")
    if not isinstance(code, str) or not code.strip():
        raise refuse(config, 105)
    if config.wallet_codes and code not in config.wallet_codes:
        raise refuse(config, 108, "No route")
    if int(amount) > config.payout_limit:
        raise refuse(config, 106, LARGE)
    return reference, phone, int(amount)


def read_schedule(config: BeemPayConfig, text: object) -> float | None:
    """`YYYY-MM-DD HH:MM:SS` in UTC. The money leaves the account at once here, whenever it is to arrive."""
    if text in (None, ""):
        return None
    try:
        return datetime.strptime(str(text), "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC).timestamp()
    except ValueError as error:
        raise refuse(config, 105) from error


async def balance(request: Request) -> Response:
    """GET /v1/credit-balance?app_name=BPAY, in either of the two shapes that were seen."""
    world = require_account(request)
    config, app = world.config.beem_pay, request.query_params.get("app_name", "")
    if app not in APPS:
        raise refuse(config, 105)

    async def accept() -> Response:
        held = till.balance(world, PROVIDER, "TZS") if app == "BPAY" else 0
        return JSON({config.balance_shape: {"credit_bal": f"{held}.0000"}})

    def trouble(fault: Fault) -> Response:
        return JSON({"message": "Internal server error"}, status_code=500)

    return await Play.begin(world, PROVIDER, "balance", only_asks=True).answer(accept, trouble)


def routes() -> Iterable[Route]:
    return [
        Route(f"{PREFIX}/transfer", transfer, methods=["POST"]),
        Route(f"{PREFIX}/credit-balance", balance, methods=["GET"]),
    ]
