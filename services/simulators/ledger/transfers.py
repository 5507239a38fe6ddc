"""Money that leaves: refunds of a charge and payouts."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

from services.simulators.ledger.callbacks import Callbacks, DueCallback, NewCallback
from services.simulators.ledger.database import Database, read_json

SCHEMA = """
CREATE TABLE IF NOT EXISTS transfer (
    number INTEGER PRIMARY KEY, provider TEXT NOT NULL, id TEXT NOT NULL, reference TEXT NOT NULL, kind TEXT NOT NULL,
    charge_id TEXT NOT NULL, scenario TEXT NOT NULL, recipient TEXT NOT NULL, channel TEXT NOT NULL,
    amount INTEGER NOT NULL, fee INTEGER NOT NULL, currency TEXT NOT NULL, outcome TEXT NOT NULL,
    created_at REAL NOT NULL, ends_at REAL NOT NULL, extra TEXT NOT NULL, UNIQUE (provider, id)
);
CREATE INDEX IF NOT EXISTS transfer_reference ON transfer (provider, reference);
CREATE INDEX IF NOT EXISTS transfer_charge ON transfer (provider, charge_id);
"""


class TransferKind(StrEnum):
    REFUND = "refund"
    PAYOUT = "payout"


class TransferState(StrEnum):
    """What a transfer has come to. A provider module translates these into its own words."""

    OPEN = "open"
    SENT = "sent"
    FAILED = "failed"  # nothing left the account
    REFUNDED = "refunded"  # came back: the provider could not deliver it
    REVERSED = "reversed"  # came back after it was sent


@dataclass(frozen=True, slots=True, kw_only=True)
class Transfer:
    """One refund or payout that was accepted. `amount` and `fee` are in the smallest unit; both leave the balance.

    `charge_id` is the provider's id of the charge a refund belongs to. OPEN until `ends_at`, `outcome` from then on.
    """

    provider: str
    id: str
    reference: str
    kind: TransferKind
    amount: int
    currency: str
    outcome: TransferState
    created_at: float
    ends_at: float
    charge_id: str = ""
    scenario: str = ""
    recipient: str = ""
    channel: str = ""
    fee: int = 0
    extra: dict[str, Any] = field(default_factory=dict)

    def state(self, now: float) -> TransferState:
        return TransferState.OPEN if now < self.ends_at else self.outcome

    def changed_at(self, now: float) -> float:
        return self.created_at if now < self.ends_at else self.ends_at


class Transfers:
    def __init__(self, db: Database, callbacks: Callbacks) -> None:
        self._db, self._callbacks = db, callbacks

    def accept(
        self, transfer: Transfer, callbacks: Iterable[NewCallback] = (), *, is_unique: bool = True
    ) -> list[DueCallback] | None:
        """Store it with its callbacks; None, and nothing stored, when `is_unique` and the reference was used before."""
        with self._db.transaction():
            if is_unique and self.list_by_reference(transfer.provider, transfer.reference, kind=transfer.kind):
                return None
            self._db.insert("transfer", asdict(transfer))
            return self._callbacks.add(callbacks)

    def change(self, transfer: Transfer, callbacks: Iterable[NewCallback]) -> list[DueCallback]:
        """Store another end of a known transfer; callbacks not sent yet give way to the new ones."""
        with self._db.transaction():
            self._db.execute(
                "UPDATE transfer SET outcome = ?, ends_at = ? WHERE provider = ? AND id = ?",
                (transfer.outcome, transfer.ends_at, transfer.provider, transfer.id),
            )
            self._callbacks.withdraw(provider=transfer.provider, subject=transfer.id, after=transfer.ends_at)
            return self._callbacks.add(callbacks)

    def find(self, provider: str, name: str) -> Transfer | None:
        """The newest one under the caller's reference, or under the provider's id."""
        row = self._db.execute(
            "SELECT * FROM transfer WHERE provider = ? AND (reference = ? OR id = ?) ORDER BY number DESC LIMIT 1",
            (provider, name, name),
        ).fetchone()
        return None if row is None else _read(row)

    def find_by_id(self, provider: str, id: str) -> Transfer | None:
        row = self._db.execute("SELECT * FROM transfer WHERE provider = ? AND id = ?", (provider, id)).fetchone()
        return None if row is None else _read(row)

    def list_by_reference(self, provider: str, reference: str, *, kind: TransferKind) -> list[Transfer]:
        """Oldest first."""
        rows = self._db.execute(
            "SELECT * FROM transfer WHERE provider = ? AND reference = ? AND kind = ? ORDER BY number",
            (provider, reference, kind),
        )
        return [_read(row) for row in rows]

    def list_by_charge(self, provider: str, charge_id: str) -> list[Transfer]:
        """The refunds of one charge, oldest first."""
        rows = self._db.execute(
            "SELECT * FROM transfer WHERE provider = ? AND charge_id = ? ORDER BY number", (provider, charge_id)
        )
        return [_read(row) for row in rows]

    def list_all(self, provider: str | None = None, *, limit: int | None = None) -> list[Transfer]:
        """Oldest first, or the newest `limit` first."""
        rows = self._db.execute(
            "SELECT * FROM transfer WHERE ? IS NULL OR provider = ?"
            " ORDER BY CASE WHEN ? THEN -number ELSE number END LIMIT ?",
            (provider, provider, limit is not None, -1 if limit is None else limit),
        )
        return [_read(row) for row in rows]

    def refunded(self, provider: str, charge_id: str, *, now: float) -> int:
        """How much of a charge has been given back or is on its way."""
        back = [each for each in self.list_by_charge(provider, charge_id) if each.state(now) not in CAME_BACK]
        return sum(each.amount for each in back)

    def left(self, *, now: float) -> dict[tuple[str, str], int]:
        """What left each account, with fees, by provider and currency. What failed or came back is not in it."""
        rows = self._db.execute(
            "SELECT provider, currency, SUM(amount + fee) FROM transfer"
            " WHERE NOT (ends_at <= ? AND outcome IN (?, ?, ?)) GROUP BY 1, 2",
            (now, *CAME_BACK),
        )
        return {(row[0], row[1]): row[2] for row in rows}


CAME_BACK = (TransferState.FAILED, TransferState.REFUNDED, TransferState.REVERSED)
_COLUMNS = tuple(Transfer.__dataclass_fields__)


def _read(row: Any) -> Transfer:
    values = {name: row[name] for name in _COLUMNS}
    return Transfer(
        **{
            **values,
            "kind": TransferKind(values["kind"]),
            "outcome": TransferState(values["outcome"]),
            "extra": read_json(values["extra"]),
        }
    )
