"""What a phone number tells by itself: its country, its operator, and whether texts reach people there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeVar

import phonenumbers
from phonenumbers import PhoneNumberType, carrier

T = TypeVar("T")
# What a person carries. Others cost whoever sends (premium, shared cost), or have nobody who reads.
_MOBILE = frozenset({PhoneNumberType.MOBILE, PhoneNumberType.FIXED_LINE_OR_MOBILE})


@dataclass(frozen=True, slots=True)
class Number:
    """A phone number (E.164) and what the numbering plan says of it.

    `country` is ISO 3166, empty where no country has the number; `operator_prefix` the country code and the digits that
    name the operator to whom the number was given first (it may have moved since).
    """

    phone: str
    country: str
    operator_prefix: str
    is_mobile: bool

    @property
    def prefix(self) -> str:
        """The number without its last four digits: what somebody who pumps texts has many of."""
        return self.phone[:-4]

    def find_in(self, table: Mapping[str, T]) -> T | None:
        """What `table` says of this number: under the longest beginning (`25571`), its country, or `*` for all."""
        digits = self.phone.removeprefix("+")
        for length in range(len(digits), 0, -1):
            if digits[:length] in table:
                return table[digits[:length]]
        return table.get(self.country, table.get("*"))


@lru_cache(maxsize=4096)
def look_up(phone: str) -> Number:
    """The number `phone` (E.164), or `ValueError` when no numbering plan has it."""
    try:
        number = phonenumbers.parse(phone, None)
    except phonenumbers.NumberParseException as error:
        raise ValueError(phone) from error
    if not phonenumbers.is_valid_number(number):
        raise ValueError(phone)
    national = phonenumbers.national_significant_number(number)
    length = phonenumbers.length_of_national_destination_code(number)
    return Number(
        phone=phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164),
        country=phonenumbers.region_code_for_number(number) or "",
        operator_prefix=f"{number.country_code}{national[:length]}",
        is_mobile=phonenumbers.number_type(number) in _MOBILE,
    )


def operator_name(phone: str) -> str:
    """The operator to whom `phone` was given first, in English; empty where nobody knows."""
    try:
        return str(carrier.name_for_number(phonenumbers.parse(phone, None), "en"))
    except phonenumbers.NumberParseException:
        return ""
