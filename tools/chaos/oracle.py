"""Who is right: compares what the providers' ledgers say really happened with what our books say.

It reads the books by SQL and the ledgers by HTTP, and shares no code with the engine that it judges, but for the hashes
of a payment's history.
"""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC
from typing import Any
from uuid import UUID

import httpx
import psycopg
from psycopg.rows import dict_row

from tools.chaos.crowd import Wish

OPEN = ("created", "processing", "requires_action")
ROUND = 5.0  # seconds in which every attempt without an answer is asked about again
MINOR = 2  # decimals of a shilling in our books


@dataclass(frozen=True, slots=True, kw_only=True)
class Charge:
    """Money that a provider has taken for one reference, in our smallest unit."""

    provider: str
    reference: str
    captures: int
    amount: int


class Books:
    """Our database, past every cut. Tenants' rows are read in their rooms: row-level security holds here too."""

    def __init__(self, database_url: str, tenant_ids: Sequence[str]) -> None:
        self._connection = psycopg.connect(database_url, row_factory=dict_row, autocommit=True)
        self._tenant_ids = tenant_ids

    def everywhere(self, sql: str, *values: Any) -> list[dict[str, Any]]:
        """Rows of a query in every tenant's room."""
        rows: list[dict[str, Any]] = []
        for tenant_id in self._tenant_ids:
            self._connection.execute("SELECT set_config('app.tenant_id', %s, false)", [tenant_id])
            rows += self._connection.execute(sql.encode(), values).fetchall()
        return rows

    def outside(self, sql: str, *values: Any) -> list[dict[str, Any]]:
        """Rows of a table that stands outside the walls."""
        return self._connection.execute(sql.encode(), values).fetchall()

    def close(self) -> None:
        self._connection.close()


def charges_of(simulators_url: str) -> list[Charge]:
    """Everything that a provider has taken, by the providers' own ledgers."""
    with httpx.Client(base_url=simulators_url, timeout=60, trust_env=False) as http:
        told = http.get("/simulator/charges").raise_for_status().json()["charges"]
    return [
        Charge(
            provider=row["provider"],
            reference=row["reference"],
            captures=row["captured"],
            amount=row["collected"] * 10 ** (MINOR - row["decimals"]),
        )
        for row in told
        if row["captured"]
    ]


def await_rest(books: Books, *, limit: float) -> float:
    """Wait until no payment is open, nothing but questions is due, and each question has been asked once more.

    The seconds that it took, at most `limit`. What nobody can answer is asked about for a week: that is not waited for.
    """
    started = quiet_since = time.monotonic()
    while (now := time.monotonic()) - started < limit:
        due = books.outside(
            "SELECT count(*) AS number FROM outbox_outboxevent WHERE done_at IS NULL AND dead_at IS NULL"
            " AND name <> 'attempt.poll_due' AND next_at < now() + interval '3 seconds'"
        )[0]["number"]
        pending = sum(
            row["number"]
            for row in books.everywhere(
                "SELECT count(*) AS number FROM payments_payment WHERE status = ANY(%s)", list(OPEN)
            )
        )
        if due or pending:
            quiet_since = now
        elif now - quiet_since > ROUND:
            break
        time.sleep(0.5)
    return now - started


def judge(books: Books, charges: Iterable[Charge], wishes: Sequence[Wish]) -> list[str]:
    """Everything that is wrong, one sentence each; an empty list is what a run has to end with."""
    payments = {
        str(row["id"]): row
        for row in books.everywhere(
            "SELECT id, client_reference, status, amount, currency, captured, version, anomalies FROM payments_payment"
        )
    }
    attempts = {
        (row["gateway"], row["reference"]): row
        for row in books.everywhere("SELECT payment_id, gateway, reference, status, polls FROM payments_attempt")
    }
    taken: dict[str, list[Charge]] = defaultdict(list)
    faults: list[str] = []
    for charge in charges:
        attempt = attempts.get((charge.provider, charge.reference))
        if attempt is None:
            faults.append(f"{charge.provider} took money for {charge.reference}, which our books do not know")
        else:
            taken[str(attempt["payment_id"])].append(charge)
    faults += _keys(payments, wishes)
    faults += _money(payments, taken, list(attempts.values()))
    faults += _ledger(books, payments)
    faults += _events(books, payments)
    faults += _histories(books, payments)
    faults += [
        f"an unexplained break: {row['kind']} {row['gateway']} {row['reference']}: {row['ours']} there {row['theirs']}"
        for row in books.outside("SELECT * FROM payments_reconciliationbreak WHERE resolved_at IS NULL")
    ]
    return faults


def _keys(payments: Mapping[str, Any], wishes: Sequence[Wish]) -> list[str]:
    """A key that was answered is one payment, and every answer to it names that one."""
    faults = []
    stored = Counter(row["client_reference"] for row in payments.values())
    for wish in wishes:
        if len(set(wish.answers)) > 1:
            faults.append(f"{wish.key} was answered with {len(set(wish.answers))} different payments")
        if wish.answers and wish.payment_id not in payments:
            faults.append(f"{wish.key} was accepted and is lost")
        if wish.refusal and not wish.answers:
            faults.append(f"{wish.key} was never accepted: {wish.refusal}")
        if stored[wish.key] > 1:
            faults.append(f"{wish.key} is {stored[wish.key]} payments")
    return faults


def _money(
    payments: Mapping[str, Any], taken: Mapping[str, list[Charge]], attempts: Sequence[Mapping[str, Any]]
) -> list[str]:
    """What a provider took once stands in our books once; what it took twice was charged twice."""
    faults = []
    for payment_id, row in payments.items():
        charges = taken.get(payment_id, [])
        captures = sum(charge.captures for charge in charges)
        if captures > 1:
            faults.append(f"{payment_id} was charged {captures} times")
        if captures and row["status"] != "settled":
            faults.append(f"{payment_id} was paid and is {row['status']} here: lost money")
        if not captures and (row["status"] == "settled" or row["captured"]):
            faults.append(f"{payment_id} is {row['status']} here and nobody has paid")
        if captures == 1 and charges[0].amount != row["captured"]:
            faults.append(f"{payment_id}: {charges[0].amount} were taken, {row['captured']} stand in our books")
        if row["status"] in OPEN:
            tried = ", ".join(
                f"{each['gateway']} {each['status']} after {each['polls']} polls"
                for each in attempts
                if each["payment_id"] == row["id"]
            )
            faults.append(f"{payment_id} is still {row['status']}: {tried}")
    return faults


def _ledger(books: Books, payments: Mapping[str, Any]) -> list[str]:
    sums: Counter[str] = Counter()
    for row in books.everywhere(
        "SELECT payment_id, sum(amount) AS total FROM payments_ledgerline"
        " WHERE kind IN ('capture', 'adjustment') GROUP BY payment_id"
    ):
        sums[str(row["payment_id"])] = int(row["total"])
    return [
        f"{payment_id}: the ledger says {sums[payment_id]}, the payment {row['captured']}"
        for payment_id, row in payments.items()
        if sums[payment_id] != row["captured"]
    ]


def _events(books: Books, payments: Mapping[str, Any]) -> list[str]:
    told = Counter(
        row["payment"]
        for row in books.outside(
            "SELECT DISTINCT payload->>'payment_id' AS payment, event_id FROM outbox_outboxevent"
            " WHERE name = 'payment.settled'"
        )
    )
    faults = [
        f"{payment_id} is {row['status']}, and {told[payment_id]} events say that it settled"
        for payment_id, row in payments.items()
        if told[payment_id] != (row["status"] == "settled")
    ]
    return faults + [
        f"an event was given up: {row['name']}: {row['last_error']}"
        for row in books.outside("SELECT name, last_error FROM outbox_outboxevent WHERE dead_at IS NOT NULL")
    ]


def _histories(books: Books, payments: Mapping[str, Any]) -> list[str]:
    from apps.payments.history import is_intact
    from apps.payments.models.payments import PaymentEvent

    lines: dict[str, list[Any]] = defaultdict(list)
    for row in books.everywhere(
        "SELECT payment_id, seq, kind, from_status, to_status, cause, actor, at, data, previous_hash, hash"
        " FROM payments_paymentevent WHERE payment_id IS NOT NULL ORDER BY seq"
    ):
        event = PaymentEvent(**{**row, "payment_id": UUID(str(row["payment_id"])), "at": row["at"].astimezone(UTC)})
        lines[str(row["payment_id"])].append(event)
    return [
        f"{payment_id}: its history is broken"
        for payment_id, row in payments.items()
        if not is_intact(lines[payment_id]) or len(lines[payment_id]) != row["version"]
    ]
