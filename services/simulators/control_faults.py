"""Script faults, and set how often chance strikes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from services.simulators.control import PREFIX, provider_called, read_wish, refuse, text_of
from services.simulators.faults import CallbackFault, Fault, Rates, Script
from services.simulators.provider import PaymentProvider
from services.simulators.texting import SmsProvider
from services.simulators.world import JSON, world_of

FAULTS: Mapping[str, Fault | CallbackFault] = {each.value: each for each in (*Fault, *CallbackFault)}


async def list_faults(request: Request) -> Response:
    """Queued scripts, the rates, and for each provider the operations that faults can be scripted for."""
    world = world_of(request)
    everyone: list[PaymentProvider | SmsProvider] = [*world.providers.values(), *world.sms_providers.values()]
    return JSON(
        {
            "faults": [script_as_data(script) for script in world.faults.scripts],
            "rates": rates_as_data(world.faults.rates),
            "names": {"calls": list(Fault), "callbacks": list(CallbackFault)},
            "providers": [
                {"provider": each.code, "name": each.name, "operations": list(each.operations)} for each in everyone
            ],
        }
    )


def script_as_data(script: Script) -> dict[str, Any]:
    return {
        "id": script.id,
        "provider": script.provider,
        "operation": script.operation or None,
        "reference": script.reference or None,
        "phone": script.phone or None,
        "fault": script.fault,
        "times": script.times,
    }


async def add_fault(request: Request) -> Response:
    """`{"provider", "fault", "operation"?, "reference"?, "phone"?, "times"?}`: strikes the next calls that match."""
    world, wish = world_of(request), await read_wish(request)
    code = wish.get("provider")
    sms_provider = world.sms_providers.get(code) if isinstance(code, str) else None
    provider = sms_provider or provider_called(world, code)
    fault, times, operation = FAULTS.get(text_of(wish, "fault")), wish.get("times", 1), text_of(wish, "operation")
    if fault is None:
        raise refuse(400, f"fault must be one of {', '.join(FAULTS)}.")
    if isinstance(times, bool) or not isinstance(times, int) or not 0 < times <= 1_000_000:
        raise refuse(400, "times must be a whole number greater than zero.")
    if operation and operation not in provider.operations:
        raise refuse(400, f"operation must be one of {', '.join(provider.operations)}.")
    script = world.faults.add(
        provider=provider.code,
        fault=fault,
        operation=operation,
        reference=text_of(wish, "reference"),
        phone=text_of(wish, "phone").lstrip("+"),
        times=times,
    )
    return JSON({"fault": script_as_data(script)}, status_code=201)


async def clear_faults(request: Request) -> Response:
    """Forget every script; the rates stay."""
    world_of(request).faults.clear()
    return JSON({"status": "ok"})


def rates_as_data(rates: Rates) -> dict[str, Any]:
    return {
        "rate": rates.rate,
        "callback_rate": rates.callback_rate,
        "seed": rates.seed,
        "faults": list(rates.faults),
        "callback_faults": list(rates.callback_faults),
    }


async def set_rates(request: Request) -> Response:
    """`{"rate"?, "callback_rate"?, "seed"?, "faults"?, "callback_faults"?}`; what is absent stays as it is."""
    world, wish = world_of(request), await read_wish(request)
    now = world.faults.rates
    world.faults.rates = Rates(
        rate=share_of(wish, "rate", now.rate),
        callback_rate=share_of(wish, "callback_rate", now.callback_rate),
        seed=text_of(wish, "seed") or now.seed,
        faults=[Fault(name) for name in names_of(wish, "faults", [*Fault], now.faults)],
        callback_faults=[
            CallbackFault(name) for name in names_of(wish, "callback_faults", [*CallbackFault], now.callback_faults)
        ],
    )
    return JSON({"rates": rates_as_data(world.faults.rates)})


def share_of(wish: Mapping[str, Any], name: str, default: float) -> float:
    value = wish.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise refuse(400, f"{name} must be a number from 0 to 1.")
    return float(value)


def names_of(wish: Mapping[str, Any], name: str, choices: list[Any], default: Iterable[Any]) -> list[str]:
    value = wish.get(name)
    if value is None:
        return list(default)
    if not isinstance(value, list) or not value or any(each not in choices for each in value):
        raise refuse(400, f"{name} must be a list of some of {', '.join(choices)}.")
    return value


def routes() -> Iterable[Route]:
    return [
        Route(f"{PREFIX}/faults", list_faults, methods=["GET"]),
        Route(f"{PREFIX}/faults", add_fault, methods=["POST"]),
        Route(f"{PREFIX}/faults", clear_faults, methods=["DELETE"]),
        Route(f"{PREFIX}/faults/rates", set_rates, methods=["POST"]),
    ]
