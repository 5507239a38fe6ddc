"""What an installation stores about a person, app by app: how to show it to them, and how to forget it.

`config/personal_data.py` lists the functions of the apps, so that accounts, which starts an export and a deletion,
imports no other app for it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol
from uuid import UUID

from django.conf import settings
from django.utils.module_loading import import_string


@dataclass(frozen=True, slots=True)
class Subject:
    """The person whose data it is.

    `addresses`: e-mail addresses that they use and nobody else has proven; good enough in the tenants that they belong
    to. `proven`: those that they have proven; only these may be looked for anywhere else, since anybody can claim.
    """

    id: UUID
    addresses: tuple[str, ...]
    proven: tuple[str, ...]

    @property
    def placeholder(self) -> str:
        """What stands where their e-mail address stood. `.invalid` can never be an address (RFC 2606, section 2)."""
        return f"{self.id.hex}@deleted.invalid"


class Exporter(Protocol):
    """At most `limit` rows about a person, newest first, in plain JSON values, times and ids; never a secret."""

    def __call__(self, *, subject: Subject, limit: int) -> list[dict[str, Any]]: ...


class Eraser(Protocol):
    """Forget a person, in the transaction of the caller, who holds the locks of their row and of their tenants.

    Must be safe to repeat.
    """

    def __call__(self, *, subject: Subject) -> None: ...


@dataclass(frozen=True, slots=True)
class PersonalData:
    """`exports`: name of the records in the answer to who shows them. `erasers` are called in this order."""

    exports: Mapping[str, Exporter]
    erasers: Sequence[Eraser]


def personal_data() -> PersonalData:
    """The wiring in `config/personal_data.py`."""
    found: PersonalData = import_string(settings.PERSONAL_DATA)
    return found
