"""The ledger of one simulator process: what really happened, whatever anyone was told.

What a charge, a transfer or a text has become is worked out from its stored due times at the moment of asking, so no
answer depends on a background task having run.
"""

from __future__ import annotations

from services.simulators.ledger import callbacks, charges, documents, records, texts, tokens, transfers
from services.simulators.ledger.database import Database

TABLES = (tokens, charges, transfers, texts, callbacks, documents)


class Ledger:
    """Opened on a file, which survives restarts, or in memory when `path` is empty. Raises `LedgerUnusable`."""

    def __init__(self, path: str = "") -> None:
        self._db = Database(path, [table.SCHEMA for table in TABLES])
        self.tokens = tokens.Tokens(self._db)
        self.callbacks = callbacks.Callbacks(self._db)
        self.charges = charges.Charges(self._db, self.callbacks)
        self.records = records.Records(self._db)
        self.transfers = transfers.Transfers(self._db, self.callbacks)
        self.texts = texts.Texts(self._db, self.callbacks)
        self.documents = documents.Documents(self._db)

    def close(self) -> None:
        self._db.close()

    def reset(self) -> None:
        """Forget everything but tokens, which stay valid: a client need not notice."""
        self._db.empty(but=("token",))
