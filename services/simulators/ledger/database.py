"""The SQLite file beneath the ledger, and the one way its tables write.

All times are Unix seconds. Used from one thread, the event loop's. `synchronous=OFF`: a killed process loses nothing it
committed, a crash of the whole computer may; a simulator need not survive that.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import orjson

VERSION = 3  # of the tables; a file of another version is emptied


class LedgerUnusable(OSError):
    """The ledger file cannot be opened; the message is one sentence."""


class Database:
    """One connection. Raises `LedgerUnusable` when the file cannot be opened; an empty path means in memory."""

    def __init__(self, path: str, schemas: Sequence[str]) -> None:
        try:
            self._connection = sqlite3.connect(path or ":memory:", isolation_level=None, timeout=5)
            self._connection.row_factory = sqlite3.Row
            self._connection.execute("PRAGMA journal_mode=WAL")
            self._connection.execute("PRAGMA synchronous=OFF")
            self._empty_another_version()
            for schema in schemas:
                self._connection.executescript(schema)
            self._connection.execute(f"PRAGMA user_version = {VERSION}")
        except sqlite3.Error as error:
            raise LedgerUnusable(f"The ledger {path!r} cannot be used: {error}.") from error

    def _empty_another_version(self) -> None:
        if self._connection.execute("PRAGMA user_version").fetchone()[0] == VERSION:
            return
        for name in self._tables():
            self._connection.execute(f'DROP TABLE "{name}"')

    def _tables(self) -> list[str]:
        rows = self._connection.execute(
            "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
        )
        return [row[0] for row in rows]

    def close(self) -> None:
        self._connection.close()

    def execute(self, statement: str, values: Sequence[Any] | Mapping[str, Any] = ()) -> sqlite3.Cursor:
        return self._connection.execute(statement, values)

    def insert(self, table: str, row: Mapping[str, Any]) -> int:
        """The new row's number. A dict among the values is stored as JSON."""
        statement = f"INSERT INTO {table} ({', '.join(row)}) VALUES ({', '.join('?' * len(row))})"  # noqa: S608 - names of our own
        return self.execute(statement, [_stored(value) for value in row.values()]).lastrowid or 0

    @contextmanager
    def transaction(self) -> Iterator[None]:
        self.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self.execute("ROLLBACK")
            raise
        self.execute("COMMIT")

    def empty(self, *, but: Sequence[str]) -> None:
        """Delete every row, except those of the tables named."""
        with self.transaction():
            for name in self._tables():
                if name not in but:
                    self.execute(f'DELETE FROM "{name}"')  # noqa: S608 - names from the database itself


def _stored(value: Any) -> Any:
    return orjson.dumps(value).decode() if isinstance(value, dict) else value


def read_json(text: str) -> dict[str, Any]:
    """A dict stored by `insert`."""
    return dict(orjson.loads(text))
