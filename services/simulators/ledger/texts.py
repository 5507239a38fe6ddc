"""SMS, exactly as they were received: those a provider took to send, and those that people text to us."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

from services.simulators.ledger.callbacks import Callbacks, DueCallback, NewCallback
from services.simulators.ledger.database import Database, read_json

SCHEMA = """
CREATE TABLE IF NOT EXISTS text (
    number INTEGER PRIMARY KEY AUTOINCREMENT, provider TEXT NOT NULL, id TEXT NOT NULL, reference TEXT NOT NULL,
    phone TEXT NOT NULL, sender TEXT NOT NULL, body TEXT NOT NULL, encoding TEXT NOT NULL, parts INTEGER NOT NULL,
    end TEXT NOT NULL, is_inbound INTEGER NOT NULL, created_at REAL NOT NULL, ends_at REAL NOT NULL,
    extra TEXT NOT NULL, UNIQUE (provider, id, phone)
);
"""


class TextEnd(StrEnum):
    """What becomes of a text; each provider has words of its own for it."""

    DELIVERED = "delivered"
    UNDELIVERED = "undelivered"
    EXPIRED = "expired"
    PENDING = "pending"  # for ever


@dataclass(frozen=True, slots=True, kw_only=True)
class Text:
    """One SMS to one recipient, or with `is_inbound` one from that phone to us, at the number `sender`.

    `id` is the provider's name for it (some give one to all recipients of a call), `reference` the caller's. `phone` is
    digits with the country code. `encoding` is in the provider's words.
    """

    provider: str
    id: str
    phone: str
    sender: str
    body: str
    created_at: float
    ends_at: float
    end: TextEnd = TextEnd.DELIVERED
    reference: str = ""
    encoding: str = ""
    parts: int = 1
    is_inbound: bool = False
    extra: dict[str, Any] = field(default_factory=dict)

    def ended(self, now: float) -> TextEnd | None:
        """What has become of it, or None while it is on its way."""
        return None if now < self.ends_at else self.end


class Texts:
    def __init__(self, db: Database, callbacks: Callbacks) -> None:
        self._db, self._callbacks = db, callbacks

    def spent_parts(self, provider: str) -> int:
        """How many parts a provider has taken to send."""
        total: int = self._db.execute(
            "SELECT COALESCE(SUM(parts), 0) FROM text WHERE provider = ? AND NOT is_inbound", (provider,)
        ).fetchone()[0]
        return total

    def new_number(self, provider: str) -> int:
        """Milliseconds since 1970, or the next free number: unlike a plain counter, it survives a lost ledger."""
        last: int = self._db.execute(
            "SELECT COALESCE(MAX(CAST(id AS INTEGER)), 0) FROM text WHERE provider = ?", (provider,)
        ).fetchone()[0]
        return max(last + 1, int(time.time() * 1000))

    def accept(self, texts: Sequence[Text], callbacks: Iterable[NewCallback]) -> list[DueCallback]:
        """Store the texts of one call together with their callbacks."""
        with self._db.transaction():
            for text in texts:
                self._db.insert("text", asdict(text))
            return self._callbacks.add(callbacks)

    def find(self, *, provider: str, id: str, phone: str = "") -> Text | None:
        """The text of this id; where several recipients share one, the phone says whose."""
        row = self._db.execute(
            "SELECT * FROM text WHERE provider = ? AND id = ? AND ? IN ('', phone) AND NOT is_inbound",
            (provider, id, phone),
        ).fetchone()
        return None if row is None else _text(row)

    def list_all(self, *, provider: str = "", phone: str = "", reference: str = "", limit: int = -1) -> list[Text]:
        """Newest first; an empty filter lets everything through."""
        rows = self._db.execute(
            "SELECT * FROM text WHERE ? IN ('', provider) AND ? IN ('', phone) AND ? IN ('', reference)"
            " ORDER BY number DESC LIMIT ?",
            (provider, phone, reference, limit),
        )
        return [_text(row) for row in rows]


def _text(row: Any) -> Text:
    kept = {name: row[name] for name in row.keys() if name != "number"}  # noqa: SIM118 - a Row yields values
    return Text(
        **{
            **kept,
            "end": TextEnd(row["end"]),
            "is_inbound": bool(row["is_inbound"]),
            "extra": read_json(row["extra"]),
        }
    )
