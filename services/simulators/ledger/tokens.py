"""Access tokens that were handed out. They survive a restart, as a provider's would."""

from __future__ import annotations

import time

from services.simulators.ledger.database import Database

SCHEMA = """
CREATE TABLE IF NOT EXISTS token (
    value TEXT PRIMARY KEY, key_digest TEXT NOT NULL, expires_at REAL NOT NULL
) WITHOUT ROWID;
"""


class Tokens:
    def __init__(self, db: Database) -> None:
        self._db = db

    def add(self, value: str, *, key_digest: str, expires_at: float) -> None:
        with self._db.transaction():
            self._db.execute("DELETE FROM token WHERE expires_at < ?", (time.time(),))
            self._db.execute("INSERT INTO token VALUES (?, ?, ?)", (value, key_digest, expires_at))

    def has(self, value: str, *, key_digest: str, now: float) -> bool:
        """Whether the token is ours, unexpired and made under the present checksum key."""
        row = self._db.execute(
            "SELECT 1 FROM token WHERE value = ? AND key_digest = ? AND expires_at > ?", (value, key_digest, now)
        ).fetchone()
        return row is not None
