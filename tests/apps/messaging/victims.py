"""Processes that hand a message over and die on the way, for `test_kills`. One parent forks them: Django starts slowly.

The parent reads lines `tenant message point`; each is a child that sends the message and is killed at the point. It
answers with how the child ended.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

from core.crash import crash_point
from services.sms.base import SmsRequest, SmsResult
from tests.fakes import ScriptedSms

LEDGER = "FARAJA_TEST_LEDGER"


@dataclass
class LedgerSms(ScriptedSms):
    """A provider whose books are a file: whoever sends leaves a line there, also when they die before the answer."""

    def send(self, request: SmsRequest) -> SmsResult:
        with books().open("a") as file:
            file.write(request.key + "\n")
        crash_point("bytes_sent")
        return SmsResult(provider_reference=request.key)


def books() -> Path:
    return Path(os.environ[LEDGER])


def wiring() -> dict[str, Any]:
    """The settings under which both sides work: the provider, and mail that ends in files."""
    # By its name and not by its class's: in the child this module is __main__.
    backend = "tests.apps.messaging.victims.LedgerSms"
    return {
        "SMS_GATEWAYS": {"ledger": {"BACKEND": backend, "OPTIONS": {}, "CALLBACK_TOKEN": "t" * 22}},
        "EMAIL_BACKEND": "django.core.mail.backends.filebased.EmailBackend",
        "EMAIL_FILE_PATH": str(books().parent / "mail"),
    }


def die(tenant: str, message: str, point: str) -> None:
    """In the child: send, and never return where the point is met."""
    from apps.messaging.services.sending import send_message
    from core.tenancy import tenant_scope

    os.environ["CRASH_AT"] = point
    with tenant_scope(UUID(tenant)):
        send_message(message_id=UUID(message))


def main() -> None:
    import django

    django.setup()
    from django.test import override_settings

    import apps.messaging.services.sending  # noqa: F401  so that no child has to load it

    print("ready", flush=True)  # noqa: T201  the test reads it
    for line in sys.stdin:
        child = os.fork()
        if not child:
            with override_settings(CRASH_POINTS_ENABLED=True, **wiring()):
                die(*line.split())
            os._exit(0)
        _pid, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
