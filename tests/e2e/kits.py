"""Whole kits for the tests in e2e/ and chaos/: every process real, in a hurry, with the books open beside them.

A kit is started once per engine and shared; a test that kills something starts it again.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
import sqlite3
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID

import httpx
import psycopg
import pytest
from psycopg.rows import dict_row

from apps.payments.history import is_intact
from apps.payments.models.payments import PaymentEvent
from tests.templates import migrated_sqlite, postgresql_template
from tools.demo.frontend import new_phone
from tools.processes import Guard, Running, ToolError, stop_all
from tools.services import find_redis, fresh_database, start_redis
from tools.stack import Stack, running_stack

T = TypeVar("T")
PASSWORD = "kahawa-na-chai-7"
CRASH_FILE = "crash_at"  # holds the point at which a process of the kit has to die, while there is one
WAIT = 60.0  # seconds; nothing here takes more than a few, unless the computer is busy
HURRY = {
    "PAYMENT_POLL_SECONDS": "2,1,1,2,2,5",
    "OUTBOX_LEASE_SECONDS": "2",
    "SMS_CONFIRM_SECONDS": "3",
    "SIMULATOR_APPROVE_AFTER": "0.3",
    "SIMULATOR_PUSH_TIMEOUT": "1",
    "SIMULATOR_LATE_CALLBACK": "4",
    "SIMULATOR_SETTLE_AFTER": "0.5",
    "SIMULATOR_HANG": "1",
    # After the lease, before the confirmation: who recovers a text finds no report yet, and must wait for it.
    "SIMULATOR_DELIVER_AFTER": "2.5",
    # A web process needs seconds to come back, and the callback must find it there.
    "SIMULATOR_CALLBACK_TRIES": "8",
}


def wait_until(look: Callable[[], Any], what: str, *, timeout: float = WAIT) -> Any:
    """What `look` finds, as soon as it finds something true; `TimeoutError` naming `what` otherwise."""
    end = time.monotonic() + timeout
    while not (found := look()):
        if time.monotonic() > end:
            raise TimeoutError(f"{what} did not come about within {timeout:.0f} s.")
        time.sleep(0.1)
    return found


class Books:
    """The kit's database, read (and its clocks moved) from outside, as an operator with SQL would."""

    def __init__(self, url: str) -> None:
        self.is_postgresql = url.startswith("postgres")
        self._url = url
        self._connection: psycopg.Connection[dict[str, Any]] | None = None

    def read(self, sql: str, *values: Any, tenant_id: str = "") -> list[dict[str, Any]]:
        """Rows of a query with `%s` in it. A tenant's rows need its id: row-level security holds here too."""
        if self.is_postgresql:
            if self._connection is None:
                self._connection = psycopg.connect(self._url, row_factory=dict_row, autocommit=True)
            self._connection.execute("SELECT set_config('app.tenant_id', %s, false)", [tenant_id])
            cursor = self._connection.execute(sql.encode(), values)
            return cursor.fetchall() if cursor.description else []
        path = self._url.removeprefix("sqlite:///")
        with contextlib.closing(sqlite3.connect(path, timeout=20, isolation_level=None)) as connection:
            connection.row_factory = sqlite3.Row
            return [dict(row) for row in connection.execute(sql.replace("%s", "?"), values)]

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()

    def id(self, text: str) -> str:
        """An id as this engine stores it."""
        return text if self.is_postgresql else UUID(text).hex

    def time(self, moment: datetime) -> str:
        """A moment as this engine stores it."""
        moment = moment.astimezone(UTC)
        return moment.isoformat() if self.is_postgresql else moment.replace(tzinfo=None).isoformat(" ")

    def waiting_events(self, tenant_id: str | None = None) -> list[dict[str, Any]]:
        """The events that are due by now or soon; the expiry of payments is far away.

        With `tenant_id` only that tenant's, and those whose tenant is not known yet: a kit is shared, and what another
        test left behind is not waited for.
        """
        sql = (
            "SELECT name, tenant_id, attempts, next_at, lease_until, last_error FROM outbox_outboxevent"
            " WHERE done_at IS NULL AND dead_at IS NULL AND next_at < %s"
        )
        soon = self.time(datetime.now(UTC) + timedelta(seconds=10))
        if tenant_id is None:
            return self.read(sql, soon)
        return self.read(sql + " AND (tenant_id IS NULL OR tenant_id = %s)", soon, self.id(tenant_id))

    def dead_events(self) -> list[tuple[str, str]]:
        rows = self.read("SELECT name, last_error FROM outbox_outboxevent WHERE dead_at IS NOT NULL")
        return [(row["name"], row["last_error"]) for row in rows]

    def date_refresh(self, email: str, moment: datetime) -> None:
        """As if the person's session had been refreshed last at that moment."""
        self.read(
            "UPDATE accounts_authsession SET rotated_at = %s"
            " WHERE user_id = (SELECT id FROM accounts_user WHERE email = %s)",
            self.time(moment),
            email,
        )

    def is_history_intact(self, payment_id: str, tenant_id: str) -> bool:
        """Whether the payment has a history, and its chain of hashes holds."""
        rows = self.read(
            "SELECT payment_id, seq, kind, from_status, to_status, cause, actor, at, data, previous_hash, hash"
            " FROM payments_paymentevent WHERE payment_id = %s ORDER BY seq",
            self.id(payment_id),
            tenant_id=tenant_id,
        )
        return bool(rows) and is_intact([_as_event(row) for row in rows])


def _as_event(row: dict[str, Any]) -> PaymentEvent:
    at, data = row["at"], row["data"]
    at = datetime.fromisoformat(at).replace(tzinfo=UTC) if isinstance(at, str) else at.astimezone(UTC)
    data = json.loads(data) if isinstance(data, str) else data
    return PaymentEvent(**{**row, "payment_id": UUID(str(row["payment_id"])), "at": at, "data": data})


@dataclass(frozen=True, kw_only=True)
class Ending:
    """What became of one payment, by everyone's account. `tries`: how often the gateway was asked for the money."""

    status: str
    tries: int
    pushes: int
    charges: int
    texts: int
    mail_ids: frozenset[str]
    mails: int
    is_history_intact: bool
    dead_events: tuple[tuple[str, str], ...]


class Person:
    """Somebody with a phone app: registered, signed in, on a connection of their own."""

    def __init__(self, base_url: str) -> None:
        self.http = httpx.Client(base_url=base_url, timeout=15, trust_env=False)
        self.email = f"asha-{secrets.token_hex(6)}@example.com"
        answer = self.http.post("/api/v1/auth/register/", json={"email": self.email, "password": PASSWORD})
        assert answer.status_code == 201, answer.text
        data = answer.json()["data"]
        self.tenant_id: str = data["tenant"]["id"]
        self.access: str = data["access"]
        self.refresh: str = data["refresh"]
        self.http.headers["Authorization"] = f"Bearer {self.access}"

    def start_payment(self, phone: str = "", *, key: str = "") -> httpx.Response:
        """Ask `phone` for TZS 5,000; a fresh phone and key unless given."""
        key = key or secrets.token_hex(8)
        body = {
            "amount": {"amount": 500_000, "currency": "TZS"},
            "phone": phone or new_phone(),
            "gateway": "clickpesa",
            "client_reference": key,
        }
        return self.http.post("/api/v1/payments/", json=body, headers={"Idempotency-Key": key})

    def started(self, phone: str = "") -> dict[str, Any]:
        """A payment that was accepted."""
        answer = self.start_payment(phone)
        assert answer.status_code == 201, answer.text
        data: dict[str, Any] = answer.json()["data"]
        return data

    def status(self, payment: dict[str, Any]) -> str:
        answer = self.http.get(f"/api/v1/payments/{payment['id']}/")
        assert answer.status_code == 200, answer.text
        return str(answer.json()["data"]["status"])

    def await_status(self, payment: dict[str, Any], status: str) -> None:
        wait_until(lambda: self.status(payment) == status, f"the payment to be {status}")


class Kit:
    """A running stack with its own Redis, its books, and the simulators' ledgers."""

    def __init__(self, stack: Stack, books: Books, guard: Guard, redis: Running, *, crash_file: Path) -> None:
        self.stack, self.books, self.redis = stack, books, redis
        self._guard, self._crash_file = guard, crash_file
        self._simulators = httpx.Client(base_url=stack.simulators_url, timeout=15, trust_env=False)

    def person(self) -> Person:
        return Person(self.stack.base_url)

    def let_die(self, name: str, point: str, trigger: Callable[[], T]) -> tuple[T, int]:
        """Have process `name` kill itself at `point`, do what leads there, start it again once it is dead.

        Returns what `trigger` gave and the exit code.
        """
        self._crash_file.write_text(point)
        try:
            result = trigger()
            exit_code = self.stack.wait_exit(name, timeout=WAIT)
        finally:
            self._crash_file.unlink()
        self.stack.start(name)
        return result, exit_code

    def whole(self) -> Kit:
        """This kit, with whatever an earlier test killed running again."""
        if not self.redis.is_running:
            self.start_redis()
        for name in self.stack.names:
            if not self.stack.is_running(name):
                self.stack.start(name)
        return self

    def start_redis(self) -> None:
        """Start the kit's own Redis again, on the same port."""
        with Path(os.devnull).open("wb") as nowhere:
            self.redis = Running(self.redis.spec, self._guard, output=nowhere)

    def look(self, path: str, **params: str) -> Any:
        answer = self._simulators.get(f"/simulator/{path}", params=params)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def charges(self, payment: dict[str, Any]) -> list[dict[str, Any]]:
        """What ClickPesa's ledger says about the payment's phone."""
        phone = payment["phone"].removeprefix("+")
        return [charge for charge in self.look("clickpesa/charges")["charges"] if charge["phone"] == phone]

    def texts(self, payment: dict[str, Any]) -> list[dict[str, Any]]:
        """What Beem's ledger says about the payment's phone."""
        found: list[dict[str, Any]] = self.look("beem/messages", phone=payment["phone"])["messages"]
        return found

    def callbacks(self, payment: dict[str, Any]) -> list[dict[str, Any]]:
        """The callbacks that ClickPesa sent about the payment, with the status each was answered with."""
        (charge,) = self.charges(payment)
        calls: list[dict[str, Any]] = self.look("calls")["calls"]
        return [call for call in calls if call["direction"] == "sent" and charge["reference"] in call["body"]]

    def mail_ids(self, payment: dict[str, Any]) -> list[str]:
        """The Message-ID of each e-mail about the payment, as the files have it."""
        found = []
        for path in self.stack.mail_dir.iterdir():
            for mail in re.split(r"^-{79}$", path.read_text(), flags=re.MULTILINE):
                if f"Reference: {payment['client_reference']}\n" in mail:
                    found += re.findall(r"^Message-ID: (.+)$", mail, flags=re.MULTILINE)
        return found

    def await_quiet(self, tenant_id: str | None = None) -> None:
        """Wait until the outbox is drained, as far as it is the tenant's; a `TimeoutError` tells what is stuck."""
        try:
            wait_until(lambda: not self.books.waiting_events(tenant_id), "an empty outbox")
        except TimeoutError as error:
            ended = [name for name in self.stack.names if not self.stack.is_running(name)]
            waiting = "\n".join(map(str, self.books.waiting_events(tenant_id)))
            raise TimeoutError(
                f"{error} Not running: {ended}. Waiting:\n{waiting}\n{self.stack.logs('worker')[-4000:]}"
            ) from error

    def forget_callbacks(self) -> None:
        """Let no provider call back any more about what was started until now; their ledgers are empty then."""
        self.await_quiet()
        self._simulators.post("/simulator/reset").raise_for_status()

    def ending(self, person: Person, payment: dict[str, Any]) -> Ending:
        """Wait until nothing is left to do, and tell how it ended."""
        self.await_quiet(person.tenant_id)
        charges, mails = self.charges(payment), self.mail_ids(payment)
        return Ending(
            status=person.status(payment),
            tries=sum(charge["submitted"] for charge in charges),
            pushes=sum(charge["pushes"] for charge in charges),
            charges=sum(charge["accepted"] for charge in charges),
            texts=len(self.texts(payment)),
            mails=len(mails),
            mail_ids=frozenset(mails),
            is_history_intact=self.books.is_history_intact(payment["id"], person.tenant_id),
            dead_events=tuple(self.books.dead_events()),
        )


@contextlib.contextmanager
def postgresql_kit_of_its_own(folder: Path) -> Iterator[Kit]:
    """A kit on a new database of the suite's PostgreSQL, with two web workers."""
    template = postgresql_template()
    with (
        fresh_database(os.environ["DATABASE_URL"], template=template or "template1") as url,
        _kit(url, folder, web_workers=2, migrate=template is None) as kit,
    ):
        yield kit


@contextlib.contextmanager
def sqlite_kit_of_its_own(folder: Path) -> Iterator[Kit]:
    """A kit as `make run` starts it, on a SQLite file."""
    path = folder / "faraja.sqlite3"
    is_migrated = migrated_sqlite(path)
    with _kit(f"sqlite:///{path}", folder, web_workers=1, migrate=not is_migrated) as kit:
        yield kit


@contextlib.contextmanager
def _kit(url: str, folder: Path, *, web_workers: int, migrate: bool) -> Iterator[Kit]:
    """A kit on the database of `url`, with a Redis of its own.

    Never one that kits share: their workers would take each other's messages, whose events they do not have, and each
    event so lost waits for its lease to run out.
    """
    program = find_redis()
    if program is None:
        raise ToolError("No Redis-compatible server here: install the dev requirements.")
    env = HURRY | {"CRASH_AT": f"@{folder / CRASH_FILE}"}
    with Guard() as guard, contextlib.closing(Books(url)) as books:
        redis, server = start_redis(program, folder, guard)
        kit = None
        try:
            with running_stack(
                database_url=url,
                redis_url=server.url,
                web_workers=web_workers,
                extra_env=env,
                migrate=migrate,
                leave_out=("beat",),
            ) as stack:
                kit = Kit(stack, books, guard, redis, crash_file=folder / CRASH_FILE)
                yield kit
        finally:
            stop_all([kit.redis if kit else redis])


@pytest.fixture(scope="session")
def postgresql_kit(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kit]:
    with postgresql_kit_of_its_own(tmp_path_factory.mktemp("kit")) as kit:
        yield kit


@pytest.fixture(scope="session")
def sqlite_kit(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kit]:
    with sqlite_kit_of_its_own(tmp_path_factory.mktemp("kit")) as kit:
        yield kit


@pytest.fixture(scope="module", params=[pytest.param("postgresql", marks=pytest.mark.postgresql), "sqlite"])
def kit(request: pytest.FixtureRequest) -> Kit:
    """A kit on each engine: PostgreSQL with two web workers, and SQLite."""
    found: Kit = request.getfixturevalue(f"{request.param}_kit")
    return found.whole()
