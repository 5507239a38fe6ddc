"""I71: workers that die (SIGKILL) while they hand a message over. No code comes twice, no receipt is lost."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from django.db import connection

from apps.messaging.models.messages import Message
from apps.messaging.services.messages import queue_message
from apps.messaging.services.polling import resolve_uncertain
from apps.messaging.services.sending import send_message
from core.tenancy import tenant_scope, tenant_transaction
from tests.apps.messaging.victims import LEDGER, wiring
from tests.factories.accounts import fresh_phone, make_member
from tests.figures import Figure, RecordFigure

Kill = Callable[[str, str, str], int]
TEXT_POINTS, MAIL_POINTS = (
    ("message_submitting", "bytes_sent", "sms_accepted"),
    ("message_submitting", "email_accepted"),
)
SENDINGS = [
    *[("sms", "code", point) for point in TEXT_POINTS],
    *[("sms", "receipt", point) for point in TEXT_POINTS],
    *[("email", "receipt", point) for point in MAIL_POINTS],
]


@pytest.fixture
def kill(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, transactional_db: None) -> Iterator[Kill]:
    """`kill(tenant, message, point)`: let a process send the message and die at the point; its exit code."""
    (tmp_path / "books").touch()
    monkeypatch.setenv(LEDGER, str(tmp_path / "books"))
    told = connection.settings_dict
    url = f"postgresql://{told['USER']}:{told['PASSWORD']}@{told['HOST']}:{told['PORT']}/{told['NAME']}"
    parent = subprocess.Popen(
        [sys.executable, "-m", "tests.apps.messaging.victims"],
        env={**os.environ, "DATABASE_URL": url, "REDIS_URL": "", "LOG_LEVEL": "CRITICAL"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        bufsize=1,
    )
    assert parent.stdin is not None
    assert parent.stdout is not None
    stdin, stdout = parent.stdin, parent.stdout
    assert stdout.readline() == "ready\n"

    def ask(*words: str) -> int:
        stdin.write(" ".join(words) + "\n")
        return int(stdout.readline())

    yield ask
    stdin.close()
    assert parent.wait(timeout=10) == 0
    stdout.close()


@pytest.mark.postgresql
@pytest.mark.invariant("I71")
def test_whoever_finds_a_half_sent_message_sends_no_code_twice_and_loses_no_receipt(
    kill, settings, tmp_path, figure: Figure, record_figure: RecordFigure
):
    for name, value in wiring().items():
        setattr(settings, name, value)
    member, rounds = make_member(), figure(quick=8, full=1_000)
    messages: dict[str, tuple[str, str, str]] = {}

    for number in range(rounds):
        channel, kind, point = SENDINGS[number % len(SENDINGS)]
        with tenant_scope(member.tenant_id):
            message = queue_message(
                channel=channel,
                to=fresh_phone() if channel == "sms" else "asha@example.com",
                text="Habari",
                key=str(number),
                kind=kind,
                is_repeatable=kind != "code",
            )
            assert kill(str(member.tenant_id), str(message.pk), point) == -signal.SIGKILL
            for _ in range(2):  # as the outbox delivers it again, and again
                send_message(message_id=message.pk)
                resolve_uncertain(message_id=message.pk)
            with tenant_transaction():
                messages[message.pk.hex] = (channel, kind, Message.objects.get(pk=message.pk).status)

    texts = Counter((tmp_path / "books").read_text().split())
    mails = Counter(
        line for path in (tmp_path / "mail").glob("*") for line in path.read_text().splitlines() if "Message-ID" in line
    )
    codes = [texts[key] for key, (_channel, kind, _status) in messages.items() if kind == "code"]
    receipts = [texts[key] for key, told in messages.items() if told[:2] == ("sms", "receipt")]
    assert max(codes) == 1
    assert {status for channel, kind, status in messages.values() if kind == "code"} == {"uncertain"}
    assert set(receipts) <= {1, 2}
    assert {status for channel, kind, status in messages.values() if kind == "receipt"} == {"sent"}
    assert len(mails) == sum(channel == "email" for channel, _kind, _status in messages.values())
    assert set(mails.values()) <= {1, 2}
    record_figure(f"{rounds} kills: {len(codes)} codes, 0 twice; {len(receipts) + len(mails)} receipts, 0 lost")
