"""Charges: what a caller asked for, what became of it, and how often money was really taken."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

import orjson

from services.simulators.ledger.callbacks import Callbacks, DueCallback, NewCallback
from services.simulators.ledger.database import Database, read_json

SCHEMA = """
CREATE TABLE IF NOT EXISTS submission (
    number INTEGER PRIMARY KEY, provider TEXT NOT NULL, reference TEXT NOT NULL, phone TEXT NOT NULL,
    amount TEXT NOT NULL, times INTEGER NOT NULL, UNIQUE (provider, reference)
);
CREATE TABLE IF NOT EXISTS charge (
    number INTEGER PRIMARY KEY, provider TEXT NOT NULL, id TEXT NOT NULL, reference TEXT NOT NULL, kind TEXT NOT NULL,
    scenario TEXT NOT NULL, phone TEXT NOT NULL, channel TEXT NOT NULL, amount INTEGER NOT NULL,
    currency TEXT NOT NULL, collected INTEGER NOT NULL, collected_currency TEXT NOT NULL, outcome TEXT NOT NULL,
    is_waiting INTEGER NOT NULL, created_at REAL NOT NULL, ends_at REAL NOT NULL, settles_at REAL,
    is_dropped INTEGER NOT NULL, extra TEXT NOT NULL, UNIQUE (provider, id)
);
CREATE INDEX IF NOT EXISTS charge_reference ON charge (provider, reference);
CREATE INDEX IF NOT EXISTS charge_day ON charge (provider, created_at);
CREATE INDEX IF NOT EXISTS charge_waiting ON charge (ends_at) WHERE is_waiting;
CREATE TABLE IF NOT EXISTS capture (
    number INTEGER PRIMARY KEY, provider TEXT NOT NULL, charge_id TEXT NOT NULL, amount INTEGER NOT NULL,
    currency TEXT NOT NULL, at REAL NOT NULL
);
CREATE INDEX IF NOT EXISTS capture_charge ON capture (provider, charge_id);
"""


# For a charge without an end of its own: the year 2100.
NEVER = 4_102_444_800.0


class Kind(StrEnum):
    PUSH = "push"  # a question on the payer's phone
    CHECKOUT = "checkout"  # a page at an address, paid by whoever opens it
    CARD = "card"  # the same for a card


class State(StrEnum):
    """What a charge has come to. A provider module translates these into its own words."""

    OPEN = "open"
    PAID = "paid"
    DECLINED = "declined"
    EXPIRED = "expired"  # nobody answered in time
    CANCELLED = "cancelled"  # by the merchant
    REFUNDED = "refunded"  # paid, and given back by the provider of its own accord
    REVERSED = "reversed"  # the same, after it was settled


@dataclass(frozen=True, slots=True, kw_only=True)
class Charge:
    """One charge that was accepted. Amounts are integers in the smallest unit as this provider counts it.

    `reference` is what the caller calls it, `id` what the provider does. It is OPEN until `ends_at` and `outcome` from
    then on. `collected` is what is taken if it is paid. `is_waiting`: only a person ends it before `ends_at`. A dropped
    charge is one that the provider has forgotten; the ledger has not. `extra` belongs to the provider's module.
    """

    provider: str
    id: str
    reference: str
    kind: Kind
    scenario: str
    phone: str
    channel: str
    amount: int
    currency: str
    collected: int
    collected_currency: str
    outcome: State
    is_waiting: bool
    created_at: float
    ends_at: float
    settles_at: float | None = None
    is_dropped: bool = False
    extra: dict[str, Any] = field(default_factory=dict)

    def state(self, now: float) -> State:
        return State.OPEN if now < self.ends_at else self.outcome

    def is_paid(self, now: float) -> bool:
        """Whether it stands as paid."""
        return self.state(now) is State.PAID

    def is_settled(self, now: float) -> bool:
        return self.is_paid(now) and self.settles_at is not None and now >= self.settles_at

    def changed_at(self, now: float) -> float:
        """When it came to its present state."""
        if now < self.ends_at:
            return self.created_at
        if self.settles_at is not None and now >= self.settles_at:
            return self.settles_at
        return self.ends_at


class Charges:
    def __init__(self, db: Database, callbacks: Callbacks) -> None:
        self._db, self._callbacks = db, callbacks

    def count_submission(self, *, provider: str, reference: str, phone: str = "", amount: str = "") -> None:
        """Count one authenticated call that tries to start a charge, whatever becomes of it.

        The first phone and amount are kept.
        """
        self._db.execute(
            "INSERT INTO submission (provider, reference, phone, amount, times) VALUES (?, ?, ?, ?, 1)"
            " ON CONFLICT (provider, reference) DO UPDATE SET times = times + 1",
            (provider, reference, phone, amount),
        )

    def accept(
        self, charge: Charge, callbacks: Iterable[NewCallback] = (), *, is_unique: bool = True
    ) -> list[DueCallback] | None:
        """Store the charge with its callbacks and, when it will be paid, the capture.

        None, and nothing stored, when `is_unique` and the reference was used before.
        """
        with self._db.transaction():
            if is_unique and self.list_by_reference(charge.provider, charge.reference, with_dropped=True):
                return None
            self._db.insert("charge", asdict(charge))
            self._plan_capture(charge)
            return self._callbacks.add(callbacks)

    def change(self, charge: Charge, callbacks: Iterable[NewCallback] | None, *, now: float) -> list[DueCallback]:
        """Store another course of a known charge: what had not happened by `now` never will.

        A capture and callbacks still to come give way to those of the new course; what was taken stays taken. With
        None the callbacks are left alone.
        """
        with self._db.transaction():
            self._save(charge)
            self._db.execute(
                "DELETE FROM capture WHERE provider = ? AND charge_id = ? AND at > ?", (charge.provider, charge.id, now)
            )
            self._plan_capture(charge)
            if callbacks is None:
                return []
            self._callbacks.withdraw(provider=charge.provider, subject=charge.id, after=now)
            return self._callbacks.add(callbacks)

    def save_extra(self, charge: Charge, extra: Mapping[str, Any]) -> Charge:
        """The charge with `extra` merged into its own, stored; nothing else changes."""
        values = asdict(charge) | {"extra": {**charge.extra, **extra}}
        changed = Charge(**{**values, "kind": charge.kind, "outcome": charge.outcome})
        self._save(changed)
        return changed

    def void_captures(self, charge: Charge) -> None:
        """Money that was taken is given back as if it never had been."""
        self._db.execute("DELETE FROM capture WHERE provider = ? AND charge_id = ?", (charge.provider, charge.id))

    def _save(self, charge: Charge) -> None:
        row = asdict(charge)
        key = (row.pop("provider"), row.pop("id"))
        row["extra"] = _json(row["extra"])
        assignments = ", ".join(f"{name} = ?" for name in row)
        self._db.execute(
            f"UPDATE charge SET {assignments} WHERE provider = ? AND id = ?",  # noqa: S608 - names of our own
            (*row.values(), *key),
        )

    def _plan_capture(self, charge: Charge) -> None:
        if charge.outcome is not State.PAID or self.captures(charge, now=float("inf")):
            return
        self._db.insert(
            "capture",
            {
                "provider": charge.provider,
                "charge_id": charge.id,
                "amount": charge.collected,
                "currency": charge.collected_currency,
                "at": charge.ends_at,
            },
        )

    # Questions

    def find(self, provider: str, reference: str, *, with_dropped: bool = False) -> Charge | None:
        """The newest charge under the caller's reference, without those the provider has forgotten."""
        found = self.list_by_reference(provider, reference, with_dropped=with_dropped)
        return found[-1] if found else None

    def find_by_id(self, provider: str, id: str, *, with_dropped: bool = False) -> Charge | None:
        """The charge under the provider's id."""
        row = self._db.execute(
            "SELECT * FROM charge WHERE provider = ? AND id = ? AND (? OR NOT is_dropped)", (provider, id, with_dropped)
        ).fetchone()
        return None if row is None else read_charge(row)

    def list_by_reference(self, provider: str, reference: str, *, with_dropped: bool = False) -> list[Charge]:
        """Oldest first. More than one when the customer paid again, or where references need not be unique."""
        rows = self._db.execute(
            "SELECT * FROM charge WHERE provider = ? AND reference = ? AND (? OR NOT is_dropped) ORDER BY number",
            (provider, reference, with_dropped),
        )
        return [read_charge(row) for row in rows]

    def list_all(self, provider: str, *, since: float = 0.0, until: float = float("inf")) -> list[Charge]:
        """Those made in [since, until), oldest first, without those the provider has forgotten."""
        rows = self._db.execute(
            "SELECT * FROM charge WHERE provider = ? AND created_at >= ? AND created_at < ? AND NOT is_dropped"
            " ORDER BY created_at, number",
            (provider, since, until),
        )
        return [read_charge(row) for row in rows]

    def page(
        self, provider: str, *, since: float, until: float, newest_first: bool, skip: int, limit: int
    ) -> tuple[list[Charge], int]:
        """Some of what `list_all` lists, and how many it would list."""
        where = "FROM charge WHERE provider = ? AND created_at >= ? AND created_at < ? AND NOT is_dropped"
        values = (provider, since, until)
        total = self._db.execute(f"SELECT COUNT(*) {where}", values).fetchone()[0]
        order = "created_at DESC, number DESC" if newest_first else "created_at, number"
        rows = self._db.execute(
            f"SELECT * {where} ORDER BY {order} LIMIT ? OFFSET ?",
            (*values, limit, skip),
        )
        return [read_charge(row) for row in rows], total

    def page_of_orders(
        self,
        provider: str,
        outcomes: Sequence[State],
        *,
        now: float,
        since: float,
        until: float,
        newest_first: bool,
        skip: int,
        limit: int,
    ) -> tuple[list[Charge], int]:
        """Some of those that have come to one of these ends, by when money was first taken or else by their end."""
        where = (
            "FROM (SELECT c.*, COALESCE((SELECT MIN(at) FROM capture k WHERE k.provider = c.provider"
            " AND k.charge_id = c.id), c.ends_at) AS made_at FROM charge c WHERE c.provider = ? AND NOT c.is_dropped"
            " AND c.ends_at <= ? AND c.outcome IN (SELECT value FROM json_each(?)))"
            " WHERE made_at >= ? AND made_at <= ?"
        )
        values = (provider, now, orjson.dumps(outcomes).decode(), since, until)
        total = self._db.execute(f"SELECT COUNT(*) {where}", values).fetchone()[0]
        order = "made_at DESC, number DESC" if newest_first else "made_at, number"
        rows = self._db.execute(f"SELECT * {where} ORDER BY {order} LIMIT ? OFFSET ?", (*values, limit, skip))
        return [read_charge(row) for row in rows], total

    def list_waiting(self, now: float) -> list[Charge]:
        """Those that a person may still decide, oldest first."""
        rows = self._db.execute("SELECT * FROM charge WHERE is_waiting AND ends_at > ? ORDER BY number", (now,))
        return [read_charge(row) for row in rows]

    def captures(self, charge: Charge, *, now: float) -> int:
        """How often money was really taken under this charge."""
        row = self._db.execute(
            "SELECT COUNT(*) FROM capture WHERE provider = ? AND charge_id = ? AND at <= ?",
            (charge.provider, charge.id, now),
        ).fetchone()
        return int(row[0])

    def captured_at(self, charge: Charge) -> float | None:
        """When money was first taken under this charge, or will be."""
        row = self._db.execute(
            "SELECT MIN(at) FROM capture WHERE provider = ? AND charge_id = ?", (charge.provider, charge.id)
        ).fetchone()
        return None if row[0] is None else float(row[0])

    def captured_total(self, *, now: float) -> dict[tuple[str, str], tuple[int, int]]:
        """How often and how much was taken, by provider and currency."""
        rows = self._db.execute(
            "SELECT provider, currency, COUNT(*), SUM(amount) FROM capture WHERE at <= ? GROUP BY 1, 2", (now,)
        )
        return {(row[0], row[1]): (row[2], row[3]) for row in rows}

    def returned_total(self, *, now: float) -> dict[tuple[str, str], int]:
        """What the providers gave back of their own accord, by provider and currency."""
        rows = self._db.execute(
            "SELECT provider, collected_currency, SUM(collected) FROM charge"
            " WHERE outcome IN (?, ?) AND ends_at <= ? GROUP BY 1, 2",
            (State.REFUNDED, State.REVERSED, now),
        )
        return {(row[0], row[1]): row[2] for row in rows}


_COLUMNS = tuple(Charge.__dataclass_fields__)


def read_charge(row: Any) -> Charge:
    """A charge from a row that has its columns."""
    values = {name: row[name] for name in _COLUMNS}
    return Charge(
        **{
            **values,
            "kind": Kind(values["kind"]),
            "outcome": State(values["outcome"]),
            "is_waiting": bool(values["is_waiting"]),
            "is_dropped": bool(values["is_dropped"]),
            "extra": read_json(values["extra"]),
        }
    )


def _json(value: dict[str, Any]) -> str:
    return orjson.dumps(value).decode()
