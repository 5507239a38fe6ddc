"""Money is an integer count of a currency's smallest unit. Never a float, nowhere."""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

from django.utils.translation import gettext_lazy as _

from core.exceptions import RuleViolated

# ISO 4217 minor-unit exponents of the currencies the kit accepts. One place, because a wrong exponent is a
# hundredfold mistake.
EXPONENTS = {"TZS": 2, "KES": 2, "UGX": 0, "RWF": 0, "USD": 2}

# What a 64-bit column holds. Far below the 28 digits at which Decimal arithmetic begins to round silently.
LARGEST = 2**63 - 1

# Decimal() itself also takes spaces, underscores, other scripts' digits and "Infinity".
_AMOUNT = re.compile(r"-?[0-9]{1,30}(\.[0-9]{1,30})?")


class AmountNotRepresentable(RuleViolated):
    """The amount has a fraction that the provider's unit cannot carry."""

    code = "amount_not_representable"
    message = _("This amount cannot be charged exactly in this currency by this payment method.")


@dataclass(frozen=True, slots=True)
class Money:
    """`amount` minor units of `currency`: `Money(500_000, "TZS")` is 5,000 Tanzanian shillings."""

    amount: int
    currency: str

    def __post_init__(self) -> None:
        if isinstance(self.amount, bool) or not isinstance(self.amount, int):
            raise TypeError("Money counts whole minor units: an int, nothing else.")
        if self.currency not in EXPONENTS:
            raise ValueError(f"Unknown currency {self.currency!r}.")
        if abs(self.amount) > LARGEST:
            raise ValueError("An amount of money must fit 64 bits.")

    @property
    def decimal(self) -> Decimal:
        """The amount in major units, exact."""
        return Decimal(self.amount).scaleb(-EXPONENTS[self.currency])

    @property
    def display(self) -> str:
        """For people: `TZS 5,000`, `USD 12.50`. Fractions are shown only where there are any."""
        places = 0 if self.decimal == self.decimal.to_integral_value() else EXPONENTS[self.currency]
        return f"{self.currency} {self.decimal:,.{places}f}"

    def to_units(self, *, places: int) -> Decimal:
        """Major units with at most `places` decimals, or `AmountNotRepresentable` where a remainder would be lost."""
        quantum = Decimal(1).scaleb(-places)
        units = self.decimal.quantize(quantum)
        if units != self.decimal:
            raise AmountNotRepresentable
        return units

    @classmethod
    def from_units(cls, units: str | int | Decimal, currency: str) -> Money:
        """Read a provider's major-unit amount. Raises `ValueError` when it is no exact amount of `currency`.

        Accepts plain decimal text, whole numbers and `Decimal`; a float is refused: its digits are already lost.
        """
        if isinstance(units, bool) or not isinstance(units, str | int | Decimal):
            raise ValueError("An amount of money is text, an int or a Decimal; parse JSON numbers as Decimal.")
        if not isinstance(currency, str) or currency not in EXPONENTS:
            raise ValueError(f"Unknown currency {currency!r}.")
        if isinstance(units, str) and not _AMOUNT.fullmatch(units):
            raise ValueError(f"Not an amount of {currency}: {units[:40]!r}")
        value = Decimal(units)
        # Bounded first: 1e999999 is a number too. Then as a fraction: Decimal arithmetic rounds past 28 digits.
        _sign, digits, exponent = value.as_tuple()
        if not isinstance(exponent, int) or len(digits) > 40 or abs(exponent) > 40:
            raise ValueError(f"Not an amount of {currency}.")
        minor = Fraction(value) * 10 ** EXPONENTS[currency]
        if minor.denominator != 1:
            raise ValueError(f"Not an exact amount of {currency}: {value}")
        return cls(minor.numerator, currency)
