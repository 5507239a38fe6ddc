"""The page at which a customer pays: one for every provider that sends customers to an address.

Nothing pays such a charge by itself. Whoever opens the address decides, in a browser or by a POST of a form with
`action` set to `pay`, `decline` or `abandon`: when the reply that carried the address is lost, nobody can pay.
"""

from __future__ import annotations

import html
import time
from collections.abc import Iterable
from urllib.parse import parse_qs

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from services.simulators import till
from services.simulators.ledger.charges import Charge, State
from services.simulators.money import in_words
from services.simulators.world import NotJSON, Refusal, World, read_bytes, world_of

PREFIX = "/pay"
TOLD = {
    State.PAID: "Paid. Thank you.",
    State.DECLINED: "The payment was declined.",
    State.EXPIRED: "This page has expired.",
    State.CANCELLED: "This payment was cancelled.",
    State.REFUNDED: "This payment was given back.",
    State.REVERSED: "This payment was reversed.",
}

# What an action says that left the page open.
LEFT_OPEN = {
    "abandon": "You left without paying. The page stays open.",
    "decline": "The payment was declined. You can try again.",
}


def url_of(request: Request, charge: Charge) -> str:
    """The address of the page: where we are called, or SIMULATOR_PUBLIC_URL when a browser must call elsewhere."""
    base = world_of(request).config.public_url or str(request.base_url).rstrip("/")
    return f"{base}{PREFIX}/{charge.provider}/{charge.id}"


async def show_page(request: Request) -> Response:
    """GET /pay/{provider}/{id}."""
    world, charge = charge_called(request)
    return HTMLResponse(page(world, charge, time.time()))


async def act_on_page(request: Request) -> Response:
    """POST /pay/{provider}/{id}: pay, decline or abandon, then back to where the provider sends the customer."""
    world, charge = charge_called(request)
    return await act(request, world, charge)


async def act(request: Request, world: World, charge: Charge) -> Response:
    """For a provider whose page has an address of another shape."""
    try:
        action = parse_qs((await read_bytes(request)).decode(errors="replace")).get("action", [""])[0]
    except NotJSON as error:
        raise Refusal(400, {"message": str(error)}) from error
    try:
        match action:
            case "pay":
                charge = await till.decide(world, charge, State.PAID)
            case "decline":
                charge = await till.decide(world, charge, State.DECLINED)
            case "abandon":
                pass  # nothing is told to anyone; the page can be opened again
            case _:
                raise Refusal(400, {"message": "action must be pay, decline or abandon."})
    except till.NotPossible as error:
        return HTMLResponse(page(world, charge, time.time(), str(error)), status_code=409)
    back = world.providers[charge.provider].back_to(charge, action)
    if back.startswith(("http://", "https://")):
        return RedirectResponse(back, 303)
    now = time.time()
    told = LEFT_OPEN.get(action, "") if charge.state(now) is State.OPEN else ""
    return HTMLResponse(page(world, charge, now, told))


def charge_called(request: Request) -> tuple[World, Charge]:
    world = world_of(request)
    provider, id = request.path_params["provider"], request.path_params["id"]
    charge = world.ledger.charges.find_by_id(provider, id) if provider in world.providers else None
    if charge is None:
        raise Refusal(404, {"message": "There is no such page."})
    return world, charge


STYLE = """
:root{color-scheme:light dark;--bg:#f2f4f7;--card:#fff;--ink:#17202c;--dim:#5c6775;--line:#dfe4ea;--go:#0d7a4f}
@media(prefers-color-scheme:dark){:root{--bg:#11161d;--card:#1a212b;--ink:#e8edf3;--dim:#97a3b2;--line:#2c3644;
--go:#2aa574}}
*{box-sizing:border-box}body{margin:0;min-height:100vh;display:grid;place-items:center;background:var(--bg);
color:var(--ink);font:16px/1.5 system-ui,sans-serif;padding:1rem}
main{background:var(--card);border:1px solid var(--line);border-radius:16px;padding:2rem;width:100%;max-width:24rem}
.top{display:flex;justify-content:space-between;color:var(--dim);font-size:.85rem}
h1{font-size:2.1rem;letter-spacing:-.02em;margin:1.2rem 0 .2rem}p{margin:.2rem 0;overflow-wrap:anywhere}
.dim{color:var(--dim);font-size:.9rem}
form{display:grid;gap:.6rem;margin-top:1.6rem}button{font:inherit;padding:.75rem;border-radius:10px;cursor:pointer;
border:1px solid var(--line);background:none;color:inherit}
button.go{background:var(--go);border-color:var(--go);color:#fff;font-weight:600}
.note{margin-top:1.2rem;padding:.75rem;border-radius:10px;background:var(--bg)}
"""


def page(world: World, charge: Charge, now: float, told: str = "") -> str:
    """The page as HTML: who asks, how much, and three buttons while it is open."""
    provider = world.providers[charge.provider]
    state = charge.state(now)
    buttons = (
        '<form method="post">'
        '<button class="go" name="action" value="pay">Pay</button>'
        '<button name="action" value="decline">Decline</button>'
        '<button name="action" value="abandon">Leave without paying</button></form>'
        if state is State.OPEN
        else ""
    )
    note = told or TOLD.get(state, "")
    merchant, amount = charge.extra.get("merchant") or "Demo shop", in_words(charge.amount, charge.currency, provider)
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        '<link rel="icon" href="data:,">'
        f"<title>Pay {html.escape(amount)}</title><style>{STYLE}</style><main>"
        f'<div class="top"><span>{html.escape(provider.name)}</span><span>simulated</span></div>'
        f"<h1>{html.escape(amount)}</h1><p>to {html.escape(str(merchant))}</p>"
        f'<p class="dim">{html.escape(charge.reference)}</p>'
        f"{buttons}{f'<p class=note>{html.escape(note)}</p>' if note else ''}</main></html>"
    )


def routes() -> Iterable[Route]:
    return [
        Route(f"{PREFIX}/{{provider}}/{{id}}", show_page, methods=["GET"]),
        Route(f"{PREFIX}/{{provider}}/{{id}}", act_on_page, methods=["POST"]),
    ]
