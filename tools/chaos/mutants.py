"""Defects on purpose: the oracle has to notice each. `CHAOS_MUTANT` names one, and only a chaos run sets it."""

from __future__ import annotations

import os
from collections.abc import Callable

from django.apps import AppConfig


def charges_again() -> None:
    """Whoever finds a charge that may have been sent sends another, under a reference of its own."""
    from dataclasses import replace
    from typing import Any

    from apps.payments.references import new_reference
    from apps.payments.services import attempts

    def find_out(gateway: Any, request: Any, *_args: Any, **_kwargs: Any) -> Any:
        return gateway.charge(replace(request, reference=new_reference()))

    attempts._find_out = find_out


def trusts_anybody() -> None:
    """Callbacks are believed without a look at who sent them."""
    from services.payments.base import PaymentGateway, Trust

    def verify(self: PaymentGateway, delivery: object) -> None:
        pass

    for kind in _all_kinds(PaymentGateway):
        kind.verify = verify  # type: ignore[method-assign]
        kind.trust = property(lambda self: Trust.SIGNED)  # type: ignore[assignment]


def _all_kinds(kind: type) -> list[type]:
    from services.payments.registry import gateway_class, gateway_codes

    return [gateway_class(code) for code in gateway_codes()]


MUTANTS: dict[str, Callable[[], None]] = {"charges_again": charges_again, "trusts_anybody": trusts_anybody}


class MutantConfig(AppConfig):
    """Installed by `tools.chaos.settings` alone."""

    name = "tools.chaos"
    label = "chaos"

    def ready(self) -> None:
        name = os.environ.get("CHAOS_MUTANT", "")
        if name:
            MUTANTS[name]()
