"""Callbacks to send, with what their signing needs, and how often each was sent."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

from services.simulators.ledger.database import Database, read_json

SCHEMA = """
CREATE TABLE IF NOT EXISTS callback (
    id INTEGER PRIMARY KEY AUTOINCREMENT, provider TEXT NOT NULL, subject TEXT NOT NULL, kind TEXT NOT NULL,
    url TEXT NOT NULL, body BLOB NOT NULL, headers TEXT NOT NULL, trust TEXT NOT NULL, extra TEXT NOT NULL,
    queue TEXT NOT NULL, due_at REAL NOT NULL, tries_left INTEGER NOT NULL, tries INTEGER NOT NULL DEFAULT 0,
    acknowledged INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX IF NOT EXISTS callback_subject ON callback (provider, subject);
"""


class Trust(StrEnum):
    """Who sends it."""

    GENUINE = "genuine"
    UNSIGNED = "unsigned"  # a forgery
    WRONGLY_SIGNED = "wrongly_signed"  # a forgery


@dataclass(frozen=True, slots=True, kw_only=True)
class NewCallback:
    """A callback to send at `due_at`, tried up to `tries` times until it is acknowledged.

    `subject` is the provider's id of the charge, transfer or text it is about. An empty `url` means where that
    provider's callbacks go. `headers` are sent as they are; what depends on the moment of sending is added by the
    provider's `sign`, which may read `extra`. Callbacks of one `queue` are sent one after the other, each when the
    one before it was acknowledged or given up; an empty `queue` waits for nobody.
    """

    provider: str
    subject: str
    kind: str
    body: bytes
    due_at: float
    tries: int
    url: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    trust: Trust = Trust.GENUINE
    extra: Mapping[str, Any] = field(default_factory=dict)
    queue: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class DueCallback:
    """A stored callback; `tries` counts those already made."""

    id: int
    provider: str
    subject: str
    kind: str
    url: str
    body: bytes
    headers: Mapping[str, str]
    trust: Trust
    extra: Mapping[str, Any]
    queue: str
    due_at: float
    tries_left: int
    tries: int


class Callbacks:
    def __init__(self, db: Database) -> None:
        self._db = db

    def add(self, callbacks: Iterable[NewCallback]) -> list[DueCallback]:
        """Store them; hand the result to `CallbackSender.schedule` once the transaction has ended."""
        added = []
        for new in callbacks:
            row = asdict(new)
            row["tries_left"] = row.pop("tries")
            number = self._db.insert("callback", row)
            added.append(DueCallback(id=number, tries=0, **row))
        return added

    def find(self, callback_id: int) -> DueCallback | None:
        """The callback, or None when it is not to be sent (any more)."""
        row = self._db.execute("SELECT * FROM callback WHERE id = ? AND tries_left > 0", (callback_id,)).fetchone()
        if row is None:
            return None
        kept = {name: row[name] for name in row.keys() if name != "acknowledged"}  # noqa: SIM118 - a Row yields values
        return DueCallback(
            **{
                **kept,
                "headers": read_json(row["headers"]),
                "extra": read_json(row["extra"]),
                "trust": Trust(row["trust"]),
            }
        )

    def list_waiting(self) -> list[tuple[float, int, str]]:
        """Due time, id and queue of everything still to be sent, in the order of their ids. For a start only."""
        rows = self._db.execute("SELECT due_at, id, queue FROM callback WHERE tries_left > 0 ORDER BY id")
        return [(row[0], row[1], row[2]) for row in rows]

    def withdraw(self, *, provider: str, subject: str, after: float) -> None:
        """Never send those about `subject` that were due after that moment: something else has happened instead."""
        self._db.execute(
            "DELETE FROM callback WHERE provider = ? AND subject = ? AND tries = 0 AND tries_left > 0 AND due_at > ?",
            (provider, subject, after),
        )

    def record_try(self, callback_id: int, *, acknowledged: bool, next_at: float) -> None:
        """Note that a callback was sent once more; when it was not acknowledged it is due again at `next_at`."""
        self._db.execute(
            "UPDATE callback SET tries = tries + 1, acknowledged = ?, due_at = ?,"
            " tries_left = CASE WHEN ? THEN 0 ELSE tries_left - 1 END WHERE id = ?",
            (acknowledged, next_at, acknowledged, callback_id),
        )
