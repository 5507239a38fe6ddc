"""Everything known about charges, for people and tests: what was asked, captured and told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from services.simulators.ledger.charges import Charge, read_charge
from services.simulators.ledger.database import Database

RECORDS = """
SELECT c.*, COALESCE(s.times, 0) AS submitted, COALESCE(s.phone, '') AS asked_phone,
    COALESCE(s.amount, '') AS asked_amount,
    (SELECT COUNT(*) FROM capture k WHERE k.provider = c.provider AND k.charge_id = c.id AND k.at <= :now) AS captured,
    (SELECT COALESCE(SUM(k.amount), 0) FROM capture k
        WHERE k.provider = c.provider AND k.charge_id = c.id AND k.at <= :now) AS captured_amount,
    (SELECT COALESCE(SUM(b.tries), 0) FROM callback b WHERE b.provider = c.provider AND b.subject = c.id) AS sent,
    (SELECT COALESCE(SUM(b.acknowledged), 0) FROM callback b
        WHERE b.provider = c.provider AND b.subject = c.id) AS acknowledged
FROM charge c LEFT JOIN submission s ON s.provider = c.provider AND s.reference = c.reference WHERE TRUE"""
REFUSED = """
SELECT c.* FROM submission c WHERE NOT EXISTS
    (SELECT 1 FROM charge x WHERE x.provider = c.provider AND x.reference = c.reference)"""


def _only(
    statement: str, wanted: Mapping[str, str | None], limit: int | None, **values: Any
) -> tuple[str, dict[str, Any]]:
    """The statement for some rows of `c` and its values: an index only helps where nothing is asked of a NULL."""
    for name, value in wanted.items():
        if value is not None:
            key = name.removeprefix("c.")
            statement += f" AND {name} = :{key}"
            values[key] = value
    order = "" if limit is None else f" DESC LIMIT {limit:d}"
    return f"{statement} ORDER BY c.number{order}", values


@dataclass(frozen=True, slots=True, kw_only=True)
class ChargeRecord:
    """Everything known about one charge, or about a reference under which nothing was ever accepted.

    `submitted` counts the calls that tried to start one, `captured` how often money was really taken.
    """

    provider: str
    reference: str
    phone: str
    amount: str
    submitted: int
    charge: Charge | None
    captured: int
    captured_amount: int
    callbacks_sent: int
    callbacks_acknowledged: int


class Records:
    def __init__(self, db: Database) -> None:
        self._db = db

    def list_all(
        self, *, now: float, provider: str | None = None, reference: str | None = None, limit: int | None = None
    ) -> list[ChargeRecord]:
        """Every charge and every reference that was only submitted; oldest first, or the newest `limit` first."""
        rows = self._db.execute(*_only(RECORDS, {"c.provider": provider, "c.reference": reference}, limit, now=now))
        records = [
            ChargeRecord(
                provider=row["provider"],
                reference=row["reference"],
                phone=row["asked_phone"],
                amount=row["asked_amount"],
                submitted=row["submitted"],
                charge=read_charge(row),
                captured=row["captured"],
                captured_amount=row["captured_amount"],
                callbacks_sent=row["sent"],
                callbacks_acknowledged=row["acknowledged"],
            )
            for row in rows
        ]
        refused = self._db.execute(*_only(REFUSED, {"c.provider": provider, "c.reference": reference}, limit))
        return records + [
            ChargeRecord(
                provider=row["provider"],
                reference=row["reference"],
                phone=row["phone"],
                amount=row["amount"],
                submitted=row["times"],
                charge=None,
                captured=0,
                captured_amount=0,
                callbacks_sent=0,
                callbacks_acknowledged=0,
            )
            for row in refused
        ]
