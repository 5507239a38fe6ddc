"""The customer behind every phone: answers by itself, or waits for a person at the page."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Mode(StrEnum):
    AUTO = "auto"  # a push is answered as the phone number says
    ASK = "ask"  # a push to an ordinary number waits for a person


@dataclass(slots=True)
class Customer:
    mode: Mode = Mode.AUTO
