"""SMS, exactly as they were received."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass

from services.simulators.ledger.callbacks import Callbacks, DueCallback, NewCallback
from services.simulators.ledger.database import Database

SCHEMA = """
CREATE TABLE IF NOT EXISTS text (
    request_id INTEGER NOT NULL, recipient_id TEXT NOT NULL, phone TEXT NOT NULL, sender TEXT NOT NULL,
    body TEXT NOT NULL, encoding INTEGER NOT NULL, credits INTEGER NOT NULL, final_status TEXT NOT NULL,
    created_at REAL NOT NULL, reports_at REAL NOT NULL, PRIMARY KEY (request_id, phone)
) WITHOUT ROWID;
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Text:
    """One SMS to one recipient."""

    request_id: int
    recipient_id: str
    phone: str
    sender: str
    body: str
    encoding: int
    credits: int
    final_status: str
    created_at: float
    reports_at: float

    def status(self, now: float) -> str | None:
        """None before the first status is known."""
        return None if now < self.reports_at else self.final_status


class Texts:
    def __init__(self, db: Database, callbacks: Callbacks) -> None:
        self._db, self._callbacks = db, callbacks

    def spent_credits(self) -> int:
        total: int = self._db.execute("SELECT COALESCE(SUM(credits), 0) FROM text").fetchone()[0]
        return total

    def new_request_id(self) -> int:
        """Milliseconds since 1970, or the next free number: unlike a plain counter, it survives a lost ledger."""
        last: int = self._db.execute("SELECT COALESCE(MAX(request_id), 0) FROM text").fetchone()[0]
        return max(last + 1, int(time.time() * 1000))

    def accept(self, texts: Sequence[Text], callbacks: Iterable[NewCallback]) -> list[DueCallback]:
        """Store the texts of one call together with their report callbacks."""
        with self._db.transaction():
            for text in texts:
                self._db.insert("text", asdict(text))
            return self._callbacks.add(callbacks)

    def find(self, *, request_id: str, phone: str) -> Text | None:
        row = self._db.execute(
            "SELECT * FROM text WHERE CAST(request_id AS TEXT) = ? AND phone = ?", (request_id, phone)
        ).fetchone()
        return None if row is None else Text(**dict(row))

    def list_all(self, phone: str | None = None, limit: int = -1) -> list[Text]:
        """Newest first."""
        rows = self._db.execute(
            "SELECT * FROM text WHERE ? IS NULL OR phone = ? ORDER BY request_id DESC, phone LIMIT ?",
            (phone, phone, limit),
        )
        return [Text(**dict(row)) for row in rows]
