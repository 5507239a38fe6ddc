"""Defects on purpose: the oracle has to notice each. `CHAOS_MUTANT` names one, and only a chaos run sets it."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import timedelta

from django.apps import AppConfig


def charges_again() -> None:
    """Whoever finds a charge that may have been sent sends another, under a reference of its own."""
    from dataclasses import replace
    from typing import Any

    from apps.payments.references import new_reference
    from apps.payments.services import attempts

    def find_out(gateway: Any, _attempt: Any, request: Any) -> Any:
        return gateway.charge(replace(request, reference=new_reference()))

    setattr(attempts, "_find_out", find_out)  # noqa: B010  a defect on purpose


def trusts_anybody() -> None:
    """Callbacks are believed without a look at who sent them."""
    from services.payments.base import Trust
    from services.payments.registry import gateway_class, gateway_codes

    def verify(_self: object, _delivery: object) -> None:
        pass

    for code in gateway_codes():
        setattr(gateway_class(code), "verify", verify)  # noqa: B010  a defect on purpose, which the types would refuse
        setattr(gateway_class(code), "trust", property(lambda _self: Trust.SIGNED))  # noqa: B010


REST = timedelta(seconds=3)
MUTANTS: dict[str, Callable[[], None]] = {"charges_again": charges_again, "trusts_anybody": trusts_anybody}


class ChaosConfig(AppConfig):
    """Installed by `tools.chaos.settings` alone: shortens the breaker's rest, and brings in the mutant of the run."""

    name = "tools.chaos"
    label = "chaos"

    def ready(self) -> None:
        from apps.payments.services import breaker

        setattr(breaker, "REST", REST)  # noqa: B010  a cut of two seconds is not worth half a minute here
        name = os.environ.get("CHAOS_MUTANT", "")
        if name:
            MUTANTS[name]()
