"""What a text costs, known before it is sent."""

from __future__ import annotations

from dataclasses import dataclass

from django.conf import settings

from core.money import Money
from services.sms.encoding import Encoding, measure
from services.sms.numbers import Number


@dataclass(frozen=True, slots=True)
class Bill:
    """How a text is written, in how many parts it travels, and what one sending of it costs."""

    encoding: Encoding
    parts: int
    price: Money


def bill_for(number: Number, text: str) -> Bill:
    """The bill for `text` to `number`, by `settings.SMS_PRICES`."""
    found = measure(text)
    return Bill(found.encoding, found.parts, Money(found.parts * part_price(number), settings.SMS_CURRENCY))


def part_price(number: Number) -> int:
    """What one part to `number` costs, in the smallest unit of SMS_CURRENCY. What nobody has priced costs the most."""
    found = number.find_in(settings.SMS_PRICES)
    return max(settings.SMS_PRICES.values()) if found is None else found
