"""The simulators' SQLite ledger: what really happened, whatever anyone was told.

All times are Unix seconds. What a charge or a text has become is worked out from its stored due times at the moment
of asking, so no answer depends on a background task having run. Used from one thread, the event loop's.
"""

from __future__ import annotations

import secrets
import sqlite3
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

SCHEMA = """
CREATE TABLE IF NOT EXISTS token (
    value TEXT PRIMARY KEY, key_digest TEXT NOT NULL, expires_at REAL NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS submission (
    reference TEXT PRIMARY KEY, phone TEXT NOT NULL, amount TEXT NOT NULL, times INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS charge (
    reference TEXT PRIMARY KEY, id TEXT NOT NULL, scenario TEXT NOT NULL, phone TEXT NOT NULL, channel TEXT NOT NULL,
    amount INTEGER NOT NULL, collected INTEGER NOT NULL, currency TEXT NOT NULL, final_status TEXT NOT NULL,
    message TEXT NOT NULL, created_at REAL NOT NULL, ends_at REAL NOT NULL, settles_at REAL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS text (
    request_id INTEGER NOT NULL, recipient_id TEXT NOT NULL, phone TEXT NOT NULL, sender TEXT NOT NULL,
    body TEXT NOT NULL, encoding INTEGER NOT NULL, credits INTEGER NOT NULL, final_status TEXT NOT NULL,
    created_at REAL NOT NULL, reports_at REAL NOT NULL, PRIMARY KEY (request_id, phone)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS callback (
    id INTEGER PRIMARY KEY AUTOINCREMENT, provider TEXT NOT NULL, subject TEXT NOT NULL, kind TEXT NOT NULL,
    body BLOB NOT NULL, tries_left INTEGER NOT NULL, tries INTEGER NOT NULL DEFAULT 0, due_at REAL NOT NULL,
    acknowledged INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX IF NOT EXISTS callback_due ON callback (due_at) WHERE tries_left > 0;
CREATE INDEX IF NOT EXISTS callback_subject ON callback (provider, subject);
"""
EMPTIED = ("submission", "charge", "text", "callback")


@dataclass(frozen=True, slots=True, kw_only=True)
class Charge:
    """A push that was accepted. Amounts are whole shillings; `collected` counts once it has succeeded."""

    reference: str
    id: str
    scenario: str
    phone: str
    channel: str
    amount: int
    collected: int
    currency: str
    final_status: str
    message: str
    created_at: float
    ends_at: float
    settles_at: float | None

    def status(self, now: float) -> str:
        """PROCESSING until it ends; then SUCCESS (later perhaps SETTLED) or FAILED."""
        if now < self.ends_at:
            return "PROCESSING"
        if self.settles_at is not None and now >= self.settles_at:
            return "SETTLED"
        return self.final_status

    def is_paid(self, now: float) -> bool:
        """Whether money has really been taken."""
        return self.status(now) in {"SUCCESS", "SETTLED"}

    def changed_at(self, now: float) -> float:
        """When it got its present status."""
        if now < self.ends_at:
            return self.created_at
        if self.settles_at is not None and now >= self.settles_at:
            return self.settles_at
        return self.ends_at


@dataclass(frozen=True, slots=True, kw_only=True)
class Text:
    """One SMS to one recipient, exactly as it was received."""

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


@dataclass(frozen=True, slots=True, kw_only=True)
class NewCallback:
    """A callback to send at `due_at`, tried up to `tries` times until it is acknowledged."""

    provider: str
    subject: str
    kind: str
    body: bytes
    due_at: float
    tries: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DueCallback:
    """A callback whose time has come, or will at `due_at`."""

    id: int
    provider: str
    subject: str
    kind: str
    body: bytes
    tries_left: int
    tries: int
    due_at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ChargeRecord:
    """Everything known about one reference; `charge` is None when no push was ever accepted under it."""

    reference: str
    phone: str
    amount: str
    submitted: int
    charge: Charge | None
    callbacks_sent: int
    callbacks_acknowledged: int


class LedgerUnusable(OSError):
    """The ledger file cannot be opened; the message is one sentence."""


class Ledger:
    """Opened on a file, which survives restarts, or in memory when `path` is empty. Raises `LedgerUnusable`."""

    def __init__(self, path: str = "") -> None:
        try:
            self._db = sqlite3.connect(path or ":memory:", isolation_level=None, timeout=5, check_same_thread=False)
            self._db.row_factory = sqlite3.Row
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=NORMAL")
            self._db.executescript(SCHEMA)
        except sqlite3.Error as error:
            raise LedgerUnusable(f"The ledger {path!r} cannot be used: {error}.") from error

    def close(self) -> None:
        self._db.close()

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")

    def reset(self) -> None:
        """Forget charges, texts and callbacks. Tokens stay valid: a client need not notice."""
        with self._transaction():
            for table in EMPTIED:
                self._db.execute(f"DELETE FROM {table}")  # noqa: S608 - names from a constant

    # Tokens

    def add_token(self, value: str, *, key_digest: str, expires_at: float) -> None:
        with self._transaction():
            self._db.execute("DELETE FROM token WHERE expires_at < ?", (time.time(),))
            self._db.execute("INSERT INTO token VALUES (?, ?, ?)", (value, key_digest, expires_at))

    def has_token(self, value: str, *, key_digest: str, now: float) -> bool:
        """Whether the token is ours, unexpired and made under the present checksum key."""
        row = self._db.execute(
            "SELECT 1 FROM token WHERE value = ? AND key_digest = ? AND expires_at > ?", (value, key_digest, now)
        ).fetchone()
        return row is not None

    # Charges

    def count_submission(self, *, reference: str, phone: str, amount: str) -> None:
        """Count one authenticated initiate call, whatever becomes of it. The first phone and amount are kept."""
        self._db.execute(
            "INSERT INTO submission VALUES (?, ?, ?, 1) ON CONFLICT (reference) DO UPDATE SET times = times + 1",
            (reference, phone, amount),
        )

    def accept_charge(self, charge: Charge, callbacks: Iterable[NewCallback]) -> list[DueCallback] | None:
        """Store the charge together with its callbacks; None, and nothing stored, when the reference was used."""
        with self._transaction():
            if self.find_charge(charge.reference) is not None:
                return None
            self._db.execute(
                f"INSERT INTO charge VALUES ({', '.join('?' * 13)})",  # noqa: S608 - only question marks
                (
                    charge.reference, charge.id, charge.scenario, charge.phone, charge.channel, charge.amount,
                    charge.collected, charge.currency, charge.final_status, charge.message, charge.created_at,
                    charge.ends_at, charge.settles_at,
                ),
            )  # fmt: skip
            return self._add_callbacks(callbacks)

    def find_charge(self, reference: str) -> Charge | None:
        row = self._db.execute("SELECT * FROM charge WHERE reference = ?", (reference,)).fetchone()
        return None if row is None else Charge(**dict(row))

    def list_charges(self) -> list[Charge]:
        """Oldest first."""
        rows = self._db.execute("SELECT * FROM charge ORDER BY created_at, reference")
        return [Charge(**dict(row)) for row in rows]

    def list_records(self, reference: str | None = None) -> list[ChargeRecord]:
        """Every reference that was ever submitted, or the one asked for."""
        rows = self._db.execute(
            "SELECT s.reference, s.phone, s.amount, s.times,"
            " (SELECT COALESCE(SUM(tries), 0) FROM callback WHERE provider = 'clickpesa' AND subject = s.reference),"
            " (SELECT COUNT(*) FROM callback WHERE provider = 'clickpesa' AND subject = s.reference AND acknowledged)"
            " FROM submission s WHERE ? IS NULL OR s.reference = ? ORDER BY s.reference",
            (reference, reference),
        ).fetchall()
        return [
            ChargeRecord(
                reference=row[0],
                phone=row[1],
                amount=row[2],
                submitted=row[3],
                charge=self.find_charge(row[0]),
                callbacks_sent=row[4],
                callbacks_acknowledged=row[5],
            )
            for row in rows
        ]

    # Texts

    def spent_credits(self) -> int:
        total: int = self._db.execute("SELECT COALESCE(SUM(credits), 0) FROM text").fetchone()[0]
        return total

    def new_request_id(self) -> int:
        """Milliseconds since 1970, or the next free number: unlike a plain counter, it survives a lost ledger."""
        last: int = self._db.execute("SELECT COALESCE(MAX(request_id), 0) FROM text").fetchone()[0]
        return max(last + 1, int(time.time() * 1000))

    def accept_texts(self, texts: Sequence[Text], callbacks: Iterable[NewCallback]) -> list[DueCallback]:
        """Store the texts of one call together with their report callbacks."""
        with self._transaction():
            self._db.executemany(
                f"INSERT INTO text VALUES ({', '.join('?' * 10)})",  # noqa: S608 - only question marks
                [
                    (
                        text.request_id, text.recipient_id, text.phone, text.sender, text.body, text.encoding,
                        text.credits, text.final_status, text.created_at, text.reports_at,
                    )
                    for text in texts
                ],
            )  # fmt: skip
            return self._add_callbacks(callbacks)

    def find_text(self, *, request_id: str, phone: str) -> Text | None:
        row = self._db.execute(
            "SELECT * FROM text WHERE CAST(request_id AS TEXT) = ? AND phone = ?", (request_id, phone)
        ).fetchone()
        return None if row is None else Text(**dict(row))

    def list_texts(self, phone: str | None = None) -> list[Text]:
        """Newest first."""
        rows = self._db.execute(
            "SELECT * FROM text WHERE ? IS NULL OR phone = ? ORDER BY request_id DESC, phone", (phone, phone)
        )
        return [Text(**dict(row)) for row in rows]

    # Callbacks

    def _add_callbacks(self, callbacks: Iterable[NewCallback]) -> list[DueCallback]:
        added = []
        for new in callbacks:
            cursor = self._db.execute(
                "INSERT INTO callback (provider, subject, kind, body, tries_left, due_at) VALUES (?, ?, ?, ?, ?, ?)",
                (new.provider, new.subject, new.kind, new.body, new.tries, new.due_at),
            )
            added.append(
                DueCallback(
                    id=cursor.lastrowid or 0,
                    provider=new.provider,
                    subject=new.subject,
                    kind=new.kind,
                    body=new.body,
                    tries_left=new.tries,
                    tries=0,
                    due_at=new.due_at,
                )
            )
        return added

    def list_due(self, *, now: float, limit: int) -> list[DueCallback]:
        """Callbacks whose time has come, the earliest first. Those of earlier runs are among them."""
        rows = self._db.execute(
            "SELECT id, provider, subject, kind, body, tries_left, tries, due_at FROM callback"
            " WHERE tries_left > 0 AND due_at <= ? ORDER BY due_at, id LIMIT ?",
            (now, limit),
        )
        return [DueCallback(**dict(row)) for row in rows]

    def next_due_after(self, now: float) -> float | None:
        """When the next callback comes due, or None when none waits."""
        moment: float | None = self._db.execute(
            "SELECT MIN(due_at) FROM callback WHERE tries_left > 0 AND due_at > ?", (now,)
        ).fetchone()[0]
        return moment

    def record_try(self, callback_id: int, *, acknowledged: bool, next_at: float) -> None:
        """Note that a callback was sent once more; when it was not acknowledged it is due again at `next_at`."""
        self._db.execute(
            "UPDATE callback SET tries = tries + 1, acknowledged = ?, due_at = ?,"
            " tries_left = CASE WHEN ? THEN 0 ELSE tries_left - 1 END WHERE id = ?",
            (acknowledged, next_at, acknowledged, callback_id),
        )


def new_id(prefix: str, length: int) -> str:
    """A provider's own id: `prefix` and `length` random upper-case letters or digits."""
    return prefix + "".join(secrets.choice("ABCDEFGHJKLMNPQRSTUVWXYZ23456789") for _ in range(length))
