"""Processes that submit an attempt and die on the way, for `test_kills`. One parent forks them: Django starts slowly.

The parent reads lines `tenant attempt point kind`; each is a child that submits the attempt and is killed at the point.
It answers with how the child ended.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any
from uuid import UUID

from core.crash import crash_point
from core.money import Money
from services.payments.base import (
    Capability,
    ChargeId,
    ChargeNotFound,
    ChargeRequest,
    ChargeResult,
    ChargeStatus,
)
from tests.fakes import ScriptedGateway

LEDGER = "FARAJA_TEST_LEDGER"
ASKED = Money(500_000, "TZS")


class LedgerGateway(ScriptedGateway):
    """A provider whose books are a file: whoever charges leaves a line there, also when they die before the answer."""

    def charge(self, request: ChargeRequest) -> ChargeResult:
        with _books().open("a") as books:
            books.write(request.reference + "\n")
        crash_point("bytes_sent")
        return ChargeResult(status=ChargeStatus.PENDING, provider_reference=request.reference)

    def query(self, charge: ChargeId) -> ChargeResult:
        if charge.reference not in _books().read_text().split():
            raise ChargeNotFound
        return ChargeResult(status=ChargeStatus.PAID, provider_reference=charge.reference, money=ASKED)


class IdempotentLedgerGateway(LedgerGateway):
    """The same, at a provider that refuses a second charge under one reference."""

    capabilities: frozenset[Capability] = ScriptedGateway.capabilities | {Capability.IDEMPOTENT_CHARGE}


def _books() -> Path:
    return Path(os.environ[LEDGER])


def die(tenant: str, attempt: str, point: str, kind: str) -> None:
    """In the child: submit, and never return where the point is met."""
    from apps.payments.services.attempts import submit_attempt
    from core.tenancy import tenant_scope
    from tests.fakes import scripted_gateway

    os.environ["CRASH_AT"] = point
    gateway: Any = {"asks": LedgerGateway, "repeats": IdempotentLedgerGateway}[kind]
    with scripted_gateway(gateway), tenant_scope(UUID(tenant)):
        submit_attempt(attempt_id=UUID(attempt))


def main() -> None:
    import django

    django.setup()
    from django.test import override_settings

    import apps.payments.services.attempts  # noqa: F401  so that no child has to load it

    print("ready", flush=True)  # noqa: T201  the test reads it
    for line in sys.stdin:
        child = os.fork()
        if not child:
            with override_settings(CRASH_POINTS_ENABLED=True):
                die(*line.split())
            os._exit(0)
        _pid, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
