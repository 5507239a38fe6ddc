"""What somebody who asks for a message says in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """A text of the tenant's own (e-mail: with a subject), or a template with its values."""

    text: str = field(default="", repr=False)
    subject: str = ""
    template: str = ""
    values: Mapping[str, str] = field(default_factory=dict, repr=False)
    language: str = "en"
