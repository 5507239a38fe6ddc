"""Selcom's payouts from the float: to a wallet, to Selcom Pesa, to a bank; and what the float holds (section 6).

The last three digits of the number or account that gets the money choose what happens, as for a push: 101 fails.
Nothing is ever called back about them. What Selcom charges for one is unconfirmed; here it is nothing.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, replace

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from services.simulators import till
from services.simulators.config import SelcomConfig
from services.simulators.ledger.transfers import Transfer, TransferKind, TransferState
from services.simulators.play import Play
from services.simulators.selcom.wire import (
    NAME,
    PHONE,
    PREFIX,
    PROVIDER,
    Fields,
    done,
    envelope,
    new_reference,
    refuse,
    refuse_parameter,
    refuse_undocumented,
    require_call,
    trouble_with,
)
from services.simulators.world import JSON

MINIMUM = 1000
WALLETS = ("VMCASHIN", "AMCASHIN", "TPCASHIN", "EZCASHIN", "HPCASHIN", "TTCASHIN", "CASHIN")
BANKS = (
    "CRDBBANK",
    "NMB",
    "NBC",
    "ABSA",
    "DTB",
    "EQUITYBANK",
    "EXIMBANK",
    "STANBIC",
    "TCB",
    "NCBA",
    "PBZ",
    "UBA",
)
WRONG_NUMBER = "Invalid utility reference"  # the wording that goes with 010 here is unconfirmed
STATUS = {TransferState.OPEN: "INPROGRESS", TransferState.SENT: "SUCCESS"}


def status_of(transfer: Transfer, now: float) -> str:
    """What was sent and came back reads FAIL, as what never left (unconfirmed)."""
    return STATUS.get(transfer.state(now), "FAIL")


@dataclass(frozen=True, slots=True)
class Rail:
    """One way to pay out. `read` checks what only this rail asks for and gives the number or account and its name."""

    name: str
    call: str
    read: Callable[[Fields], tuple[str, str]]


def read_wallet(fields: Fields) -> tuple[str, str]:
    code, number = fields.text("utilitycode"), fields.text("utilityref")
    if code not in WALLETS:
        raise refuse_parameter("utilitycode")
    if not PHONE.fullmatch(number):
        raise refuse("010", WRONG_NUMBER, transid=fields.text("transid"))
    return number, code


def read_selcom_pesa(fields: Fields) -> tuple[str, str]:
    """The table names a fixed `utilitycode`, the sample has none: either will do."""
    if fields.optional("utilitycode") not in ("", "SPSCASHIN"):
        raise refuse_parameter("utilitycode")
    number = fields.text("utilityref")
    if not PHONE.fullmatch(number):
        raise refuse("010", WRONG_NUMBER, transid=fields.text("transid"))
    return number, "SPSCASHIN"


def read_bank(fields: Fields) -> tuple[str, str]:
    bank, account = fields.text("recipientFiCode"), fields.text("recipientAccount")
    if bank not in BANKS:
        raise refuse("612", "Institution not found", transid=fields.text("transid"))  # wording unconfirmed
    for name in ("recipientName", "senderAccount", "senderName", "purpose"):
        fields.text(name)
    fields.matching("msisdn", PHONE)
    if not (account.isascii() and account.isalnum()):
        raise refuse("103", "Invalid recipient", transid=fields.text("transid"))  # wording unconfirmed
    return account, bank


RAILS = (
    Rail("walletcashin", "process", read_wallet),
    Rail("selcompesa", "cashin", read_selcom_pesa),
    Rail("qwiksend", "process", read_bank),
)


def check_float(config: SelcomConfig, fields: Fields) -> None:
    """Float account and its pin. The refusal is unconfirmed."""
    if fields.text("vendor") != config.vendor:
        raise refuse_parameter("vendor")
    if fields.text("pin") != config.pin:
        raise refuse_parameter("pin")


def processing(rail: Rail) -> Callable[[Request], Awaitable[Response]]:
    async def process(request: Request) -> Response:
        """POST to a rail: accepted, and known for certain only by a query, unless the setting says at once."""
        world, fields = await require_call(request)
        config, transid = world.config.selcom, fields.text("transid")
        check_float(config, fields)
        number, channel = rail.read(fields)
        amount = fields.whole("amount")
        if amount < MINIMUM:
            message = "Payment amount must be greater than or equal to TZS 1,000."
            raise refuse("013", message, transid=transid)
        play = Play.begin(world, PROVIDER, "payout", reference=transid, phone=number)

        async def accept() -> Response:
            if world.ledger.transfers.list_by_reference(PROVIDER, transid, kind=TransferKind.PAYOUT):
                raise refuse_undocumented(config, f"Duplicate transid {transid}", transid=transid)
            if till.balance(world, PROVIDER, "TZS") < amount:
                raise refuse("990", "Insufficient float balance", transid=transid)  # wording unconfirmed
            transfer = play.transfer(
                id=new_reference(),
                kind=TransferKind.PAYOUT,
                amount=amount,
                currency="TZS",
                channel=channel,
                extra={"rail": rail.name},
            )
            if config.pays_out_at_once:
                transfer = replace(transfer, ends_at=transfer.created_at)
            await play.accept_transfer(transfer)
            return told(transfer, time.time())

        trouble = trouble_with(config, code="403")
        return await play.answer(accept, trouble)

    return process


def told(transfer: Transfer, now: float) -> Response:
    """How a payout stands; the wordings are unconfirmed, and so is the code of one that failed on its way."""
    about = {"reference": transfer.id, "transid": transfer.reference}
    match transfer.state(now):
        case TransferState.OPEN:
            return JSON(envelope("111", "INPROGRESS", "Transaction in progress", **about))
        case TransferState.SENT:
            return done("Transaction successful", data=[{"receipt": f"R{transfer.id}"}], **about)
    return JSON(envelope("400", "FAIL", "Transaction failed", **about))


def asking(rail: Rail) -> Callable[[Request], Awaitable[Response]]:
    async def query(request: Request) -> Response:
        """GET {rail}/query?transid=. One that never was, or went by another rail, is ambiguous too."""
        world, fields = await require_call(request)
        transid = fields.text("transid")

        async def accept() -> Response:
            found = world.ledger.transfers.list_by_reference(PROVIDER, transid, kind=TransferKind.PAYOUT)
            here = [transfer for transfer in found if transfer.extra.get("rail") == rail.name]
            if not here:
                return JSON(envelope("999", "AMBIGUOUS", "No reponse from upstream system", transid=transid))
            return told(here[-1], time.time())

        play = Play.begin(world, PROVIDER, "query", reference=transid, only_asks=True)
        return await play.answer(accept, trouble_with(world.config.selcom))

    return query


async def look_up_name(request: Request) -> Response:
    """GET /walletcashin/namelookup. A transid may be used again here."""
    world, fields = await require_call(request)
    read_wallet(fields)

    async def accept() -> Response:
        return done("Name fetch successful", transid=fields.text("transid"), data=[{"name": NAME}])

    play = Play.begin(world, PROVIDER, "preview", reference=fields.text("transid"), only_asks=True)
    return await play.answer(accept, trouble_with(world.config.selcom))


async def look_up_account(request: Request) -> Response:
    """GET /qwiksend/lookup. That the answer looks as for a wallet is unconfirmed."""
    world, fields = await require_call(request)
    bank, transid = fields.text("bank"), fields.text("transid")
    fields.text("account")
    if bank not in BANKS:
        raise refuse("612", "Institution not found", transid=transid)

    async def accept() -> Response:
        return done("Name fetch successful", transid=transid, data=[{"name": NAME}])

    play = Play.begin(world, PROVIDER, "preview", reference=transid, only_asks=True)
    return await play.answer(accept, trouble_with(world.config.selcom))


async def balance(request: Request) -> Response:
    """POST /vendor/balance."""
    world, fields = await require_call(request)
    check_float(world.config.selcom, fields)
    transid = fields.text("transid")

    async def accept() -> Response:
        held = till.balance(world, PROVIDER, "TZS")
        return done("Balance successful", transid=transid, data=[{"balance": str(held)}])

    play = Play.begin(world, PROVIDER, "balance", reference=transid, only_asks=True)
    return await play.answer(accept, trouble_with(world.config.selcom))


def routes() -> Iterable[Route]:
    return [
        *(Route(f"{PREFIX}/{rail.name}/{rail.call}", processing(rail), methods=["POST"]) for rail in RAILS),
        *(Route(f"{PREFIX}/{rail.name}/query", asking(rail), methods=["GET"]) for rail in RAILS),
        Route(f"{PREFIX}/walletcashin/namelookup", look_up_name, methods=["GET"]),
        Route(f"{PREFIX}/qwiksend/lookup", look_up_account, methods=["GET"]),
        Route(f"{PREFIX}/vendor/balance", balance, methods=["POST"]),
    ]
