"""Polar's webhooks: their endpoints, what is told in which order, and the two ways of signing it (section 5)."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from services.simulators import till
from services.simulators.config import POLAR_VERSIONS, Config
from services.simulators.ledger.callbacks import DueCallback, Trust
from services.simulators.ledger.charges import Charge, State
from services.simulators.ledger.transfers import Transfer, TransferState
from services.simulators.play import Play
from services.simulators.polar import bodies, records
from services.simulators.polar.form import Form, read_form
from services.simulators.polar.wire import (
    ORGANIZATION_ID,
    PROVIDER,
    as_time,
    cut,
    endpoint,
    not_found,
    path_id,
    trouble,
)
from services.simulators.provider import Notice, Signed
from services.simulators.world import JSON, World

KIND = "webhook endpoint"
# What is ever told here. The endpoint takes the names of the others too, for nothing.
FORMATS = ("raw", "discord", "slack")
GROUPS = (
    "checkout", "order", "refund", "customer", "subscription", "benefit", "benefit_grant", "product", "discount",
    "member", "customer_seat", "organization",
)  # fmt: skip
LOCAL = ("localhost", "127.0.0.1", "::1")


# What is told


@dataclass(frozen=True, slots=True)
class Event:
    """One event about a checkout. `at_start`: it belongs to the beginning, not the end, of what is announced."""

    type: str
    data: dict[str, Any]
    at: float
    at_start: bool = False
    waits: bool = True


def announce(world: World, charge: Charge) -> list[Notice]:
    """Section 5, by the end a charge comes to."""
    config, at = world.config, charge.ends_at
    opened = bodies.checkout(config, charge, status="open", at=charge.created_at)
    events = [Event("checkout.created", opened, charge.created_at, at_start=True)]

    def checkout_is(status: str, type: str = "checkout.updated", *, waits: bool = True) -> Event:
        return Event(type, bodies.checkout(config, charge, status=status, at=at), at, waits=waits)

    def order_event(name: str, *, is_new: bool = False) -> Event:
        return Event(f"order.{name}", records.order(world, charge, at=at, is_new=is_new), at)

    match charge.outcome:
        case State.PAID:
            events += [
                checkout_is("confirmed"),
                order_event("created", is_new=True),
                order_event("updated"),
                order_event("paid"),
                checkout_is("succeeded"),
            ]
        case State.EXPIRED:
            # It is due in a day and must not hold up what comes before.
            events.append(checkout_is("expired", "checkout.expired", waits=False))
        case State.DECLINED:
            events.append(checkout_is("failed"))
        case State.CANCELLED:
            events.append(order_event("updated"))
        case State.REFUNDED | State.REVERSED:
            made = records.refunds_of(world, charge)[-1]
            events.append(Event("refund.created", records.refund(charge, made, at), at))
            events += [order_event("updated"), order_event("refunded")]
    return as_notices(world, charge, events)


def announce_refund(world: World, transfer: Transfer) -> list[Notice]:
    """`refund.created`, and with the money `order.updated` and `order.refunded`; one that was pending is updated first.

    That a refund which fails after it succeeded tells `order.updated` too is unconfirmed.
    """
    charge = world.ledger.charges.find_by_id(PROVIDER, transfer.charge_id, with_dropped=True)
    if charge is None:
        return []
    start, end = transfer.created_at, transfer.ends_at
    events = [Event("refund.created", records.refund(charge, transfer, start), start, at_start=True)]
    if end > start:
        events.append(Event("refund.updated", records.refund(charge, transfer, end), end))
    order = records.order(world, charge, at=end, changed=transfer)
    if transfer.outcome is TransferState.SENT:
        events += [Event("order.updated", order, end), Event("order.refunded", order, end)]
    elif end > start:
        events.append(Event("order.updated", order, end))
    return as_notices(world, charge, events)


def as_notices(world: World, charge: Charge, events: Sequence[Event]) -> list[Notice]:
    """Each event for each endpoint that wants it.

    Polar keeps the order of everything sent to one endpoint; here that of everything about one checkout, so that an
    event held back on purpose delays no other payment.
    """
    notices = []
    for event in events:
        for target in [default_endpoint(world.config), *deliverable_endpoints(world)]:
            if not target["enabled"] or event.type not in target["events"]:
                continue
            body = {"type": event.type, "timestamp": as_time(event.at), "api_version": target["api_version"]}
            notices.append(
                Notice(
                    kind=event.type,
                    body={**body, "data": event.data},
                    url=target["url"],
                    headers={"webhook-id": str(uuid4())},
                    extra={"secret": target["secret"], "is_standard": target["uses_standard_webhook_signature"]},
                    queue=f"polar {charge.id} {target['url']}" if event.waits else "",
                    at_start=event.at_start,
                )
            )
    return notices


async def tell_now(world: World, charge: Charge, events: Sequence[Event]) -> None:
    """Send what belongs to no end of a charge. Not a matter of chance."""
    config, now = world.config, time.time()
    planned = [
        till.new_callback(PROVIDER, charge.id, notice, now, tries=config.callback_tries)
        for notice in as_notices(world, charge, events)
    ]
    await till.deliver(world, world.ledger.callbacks.add(each for each in planned if till.can_be_sent(world, each)))


# Signatures


def signing_key(secret: str, *, is_standard: bool) -> bytes:
    """The secret's bytes behind `whsec_` for endpoints made since 8 September 2026, the whole text before.

    Raises `ValueError` for a secret of the new kind that is no base64.
    """
    if not is_standard:
        return secret.encode()
    encoded = secret.removeprefix("whsec_")
    try:
        key = base64.b64decode(encoded + "=" * (-len(encoded) % 4), validate=True)
    except binascii.Error as error:
        raise ValueError("The secret is not whsec_ and base64.") from error
    if not key:
        raise ValueError("The secret is empty.")
    return key


def sign(config: Config, callback: DueCallback, now: float) -> Signed:
    """Standard Webhooks, with the moment of this try. The id stays the same over all of them."""
    timestamp = str(int(now))
    headers = {"webhook-timestamp": timestamp, "user-agent": "polar.sh webhooks"}
    if callback.trust is Trust.UNSIGNED:
        return Signed(body=callback.body, headers=headers)
    is_forged = callback.trust is Trust.WRONGLY_SIGNED
    key = b"a forger does not know the key" if is_forged else signing_key(
        callback.extra["secret"], is_standard=callback.extra["is_standard"]
    )  # fmt: skip
    text = f"{callback.headers['webhook-id']}.{timestamp}.".encode() + callback.body
    signature = base64.b64encode(hmac.new(key, text, hashlib.sha256).digest()).decode()
    return Signed(body=callback.body, headers={**headers, "webhook-signature": f"v1,{signature}"})


# Endpoints


def default_endpoint(config: Config) -> dict[str, Any]:
    """The one set up on the dashboard: SIMULATOR_POLAR_CALLBACK_URL and its secret. An empty address is filled in."""
    return {
        "url": "",
        "enabled": True,
        "events": [f"{group}.{event}" for group, events in TOLD.items() for event in events],
        "api_version": config.polar_version,
        "secret": config.polar_webhook_secret,
        "uses_standard_webhook_signature": config.polar_standard_signature,
    }


TOLD = {
    "checkout": ("created", "updated", "expired"),
    "order": ("created", "updated", "paid", "refunded"),
    "refund": ("created", "updated"),
}


def deliverable_endpoints(world: World) -> list[dict[str, Any]]:
    """Those on this computer: a simulator does not call strangers."""
    every = world.ledger.documents.list_all(PROVIDER, KIND)
    return [each for each in every if urlsplit(each["url"]).hostname in LOCAL]


def check_url(form: Form) -> None:
    """`https` and a public host. Here this computer is allowed too, or nothing could ever be sent."""
    url = form.url("url")
    if url is None:
        if "url" in form.body:
            form.refuse("url_type", "URL input should be a string or URL", "url")
        return
    if urlsplit(url).hostname not in LOCAL and not url.startswith("https://"):
        form.refuse("url_scheme", "URL scheme should be 'https'", "url", value=url)


def check_events(form: Form) -> None:
    events = form.body.get("events")
    if not isinstance(events, list):
        form.refuse("list_type", "Input should be a valid list", "events", value=events)
        return
    for place, each in enumerate(events):
        if not isinstance(each, str) or each.partition(".")[0] not in GROUPS:
            form.refuse("enum", "Input should be the name of an event", "events", place, value=each)


def new_secret() -> str:
    return "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()


async def create(world: World, request: Request) -> Response:
    """POST /v1/webhooks/endpoints. The secret is of the new kind, as for every endpoint made today."""
    form = await read_form(request)
    for name in ("url", "events"):
        form.needed(name)
    check_url(form)
    format = form.choice("format", FORMATS)
    if "events" in form.body:
        check_events(form)
    label = form.text("name")
    version = form.text("api_version") or world.config.polar_version
    if version not in POLAR_VERSIONS:
        form.refuse("enum", "Input should be a version", "api_version", value=version)
    form.check()

    async def accept() -> Response:
        id = str(uuid4())
        made = {
            "id": id,
            "created_at": as_time(time.time()),
            "modified_at": None,
            "url": form.body["url"],
            "name": label,
            "api_version": version,
            "format": format,
            "secret": new_secret(),
            "organization_id": ORGANIZATION_ID,
            "events": form.body["events"],
            "enabled": True,
            "uses_standard_webhook_signature": True,
        }
        world.ledger.documents.put(PROVIDER, KIND, id, made)
        return JSON(made, status_code=201)

    return await Play.begin(world, PROVIDER, "webhook").answer(accept, trouble)


def find(world: World, request: Request) -> dict[str, Any]:
    found = world.ledger.documents.get(PROVIDER, KIND, path_id(request))
    if found is None:
        raise not_found()
    return found


def save(world: World, made: dict[str, Any], **changes: Any) -> Response:
    changed = {**made, **changes, "modified_at": as_time(time.time())}
    world.ledger.documents.put(PROVIDER, KIND, made["id"], changed)
    return JSON(changed)


async def list_all(world: World, request: Request) -> Response:
    """GET /v1/webhooks/endpoints."""
    return JSON(cut(request, world.ledger.documents.list_all(PROVIDER, KIND), {"created_at": "created_at"}))


async def get(world: World, request: Request) -> Response:
    """GET /v1/webhooks/endpoints/{id}."""
    return JSON(find(world, request))


async def update(world: World, request: Request) -> Response:
    """PATCH /v1/webhooks/endpoints/{id}: address, events, name, or on and off."""
    made, form = find(world, request), await read_form(request)
    check_url(form)
    if "events" in form.body:
        check_events(form)
    form.text("name")
    form.flag("enabled", True)
    form.check()
    given = {name: form.body[name] for name in ("url", "events", "name", "enabled") if name in form.body}
    return save(world, made, **given)


async def rotate(world: World, request: Request) -> Response:
    """PATCH /v1/webhooks/endpoints/{id}/secret. Events that were planned before keep the old one."""
    return save(world, find(world, request), secret=new_secret(), uses_standard_webhook_signature=True)


async def delete(world: World, request: Request) -> Response:
    """DELETE /v1/webhooks/endpoints/{id}."""
    world.ledger.documents.remove(PROVIDER, KIND, find(world, request)["id"])
    return Response(status_code=204)


def routes() -> Iterable[Route]:
    path, one = "/v1/webhooks/endpoints", "/v1/webhooks/endpoints/{id}"
    reads, writes = endpoint("webhooks:read", "webhooks:write"), endpoint("webhooks:write")
    return [
        Route(path, writes(create), methods=["POST"]),
        Route(path, reads(list_all), methods=["GET"]),
        Route(one, reads(get), methods=["GET"]),
        Route(one, writes(update), methods=["PATCH"]),
        Route(one, writes(delete), methods=["DELETE"]),
        Route(f"{one}/secret", writes(rotate), methods=["PATCH"]),
    ]
