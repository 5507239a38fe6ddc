"""I8: processes that die (SIGKILL) between "about to submit" and "answer stored", and whoever finds what they left."""

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

from apps.payments.models.payments import Attempt, Payment
from apps.payments.services.attempts import poll_attempt, submit_attempt
from core.tenancy import tenant_scope, tenant_transaction
from tests.apps.payments.victims import LEDGER, IdempotentLedgerGateway, LedgerGateway
from tests.factories.accounts import make_member
from tests.factories.payments import make_payment, only_attempt
from tests.fakes import scripted_gateway

POINTS = ("submitting_committed", "bytes_sent", "reply_read", "reply_recorded")  # P3 to P6
Kill = Callable[[str, str, str, str], int]


@pytest.fixture
def kill(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, transactional_db: None) -> Iterator[Kill]:
    """`kill(tenant, attempt, point, kind)`: let a process submit the attempt and die at the point; its exit code."""
    books = tmp_path / "books"
    books.touch()
    monkeypatch.setenv(LEDGER, str(books))
    told = connection.settings_dict
    url = f"postgresql://{told['USER']}:{told['PASSWORD']}@{told['HOST']}:{told['PORT']}/{told['NAME']}"
    parent = subprocess.Popen(
        [sys.executable, "-m", "tests.apps.payments.victims"],
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
    assert parent.wait(timeout=60) == 0
    stdout.close()


@pytest.mark.postgresql
@pytest.mark.invariant("I8")
def test_whoever_finds_a_half_sent_charge_asks_and_does_not_charge_again(kill, figure, record_figure):
    member, rounds, ends = make_member(), figure(quick=8, full=1_000), Counter[str]()
    kinds = {"asks": LedgerGateway, "repeats": IdempotentLedgerGateway}

    for number in range(rounds):
        point, kind = POINTS[number % 4], ("asks", "repeats")[number // 4 % 2]
        with scripted_gateway(kinds[kind]), tenant_scope(member.tenant_id):
            with tenant_transaction():
                payment = make_payment(member, gateway="scripted")
                attempt = only_attempt(payment)
            assert kill(str(member.tenant_id), str(attempt.pk), point, kind) == -signal.SIGKILL

            for _ in range(2):
                submit_attempt(attempt_id=attempt.pk)  # as the outbox delivers it again
            with tenant_transaction():
                polls = Attempt.objects.get(pk=attempt.pk).polls
            poll_attempt(attempt_id=attempt.pk, poll=polls)
            with tenant_transaction():
                status = Payment.objects.get(pk=payment.pk).status

        # Where nothing was sent and the gateway could be charged twice, nobody tries: it stays unknown.
        is_lost = point == "submitting_committed" and kind == "asks"
        assert status == ("processing" if is_lost else "settled"), (point, kind)
        ends[status] += 1

    charged = Counter(Path(os.environ[LEDGER]).read_text().split())
    assert set(charged.values()) == {1}
    assert len(charged) == ends["settled"]
    record_figure(f"{rounds} kills, {len(charged)} charges, 0 double")
