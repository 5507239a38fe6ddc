"""Money is an integer count of a currency's smallest unit. Never a float, nowhere."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from django.utils.translation import gettext_lazy as _

from core.exceptions import RuleViolated

# ISO 4217 minor-unit exponents of the currencies the kit accepts. One place, because a wrong exponent is a
# hundredfold mistake.
EXPONENTS = {"TZS": 2, "KES": 2, "UGX": 0, "RWF": 0, "USD": 2}


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

        Accepts text, whole numbers and `Decimal`; a float is refused, because its digits are already lost.
        """
        if isinstance(units, float):
            raise ValueError("A float is not an amount of money; parse JSON numbers as Decimal.")
        try:
            minor = Decimal(units).scaleb(EXPONENTS[currency])
        except (ArithmeticError, KeyError, TypeError) as error:
            raise ValueError(f"Not an amount of {currency}: {units!r}") from error
        if not minor.is_finite() or minor != minor.to_integral_value():
            raise ValueError(f"Not an exact amount of {currency}: {units!r}")
        return cls(int(minor), currency)
