"""What one provider keeps besides money: products, customers, webhook endpoints. The core reads none of it."""

from __future__ import annotations

import time
from typing import Any

import orjson

from services.simulators.ledger.database import Database, read_json

SCHEMA = """
CREATE TABLE IF NOT EXISTS document (
    number INTEGER PRIMARY KEY, provider TEXT NOT NULL, kind TEXT NOT NULL, id TEXT NOT NULL, created_at REAL NOT NULL,
    body TEXT NOT NULL, UNIQUE (provider, kind, id)
);
"""


class Documents:
    """JSON objects by provider, kind and id."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def put(self, provider: str, kind: str, id: str, body: dict[str, Any]) -> None:
        """Store it, over an earlier one with that id."""
        self._db.execute(
            "INSERT INTO document (provider, kind, id, created_at, body) VALUES (?, ?, ?, ?, ?)"
            " ON CONFLICT (provider, kind, id) DO UPDATE SET body = excluded.body",
            (provider, kind, id, time.time(), orjson.dumps(body).decode()),
        )

    def get(self, provider: str, kind: str, id: str) -> dict[str, Any] | None:
        row = self._db.execute(
            "SELECT body FROM document WHERE provider = ? AND kind = ? AND id = ?", (provider, kind, id)
        ).fetchone()
        return None if row is None else read_json(row[0])

    def list_all(self, provider: str, kind: str) -> list[dict[str, Any]]:
        """Oldest first."""
        rows = self._db.execute(
            "SELECT body FROM document WHERE provider = ? AND kind = ? ORDER BY number", (provider, kind)
        )
        return [read_json(row[0]) for row in rows]

    def remove(self, provider: str, kind: str, id: str) -> None:
        self._db.execute("DELETE FROM document WHERE provider = ? AND kind = ? AND id = ?", (provider, kind, id))
