"""Parsing input strictly, and the two shapes every app prints: money and pages."""

from __future__ import annotations

from typing import Any, cast

from django.utils.translation import gettext_lazy as _
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from core.money import EXPONENTS, Money
from core.parsers import is_storable

# Read by `core.pagination`, whatever the list.
PAGE_PARAMETERS = frozenset({"cursor", "page", "page_size"})

# PostgreSQL's bigint; far above any real payment, and what the schema tells clients.
MAX_MINOR_UNITS = 9_007_199_254_740_991  # JavaScript's largest exact integer is the smaller of the two limits


class InputSerializer(serializers.Serializer[Any]):
    """Checks shape and spelling. Unknown fields are refused, so that a misspelt optional field is noticed."""

    @classmethod
    def parse(cls, data: Any) -> dict[str, Any]:
        """The clean input, or DRF's `ValidationError` (400 `validation_error` with the fields at fault)."""
        serializer = cls(data=data)
        serializer.is_valid(raise_exception=True)
        return cast(dict[str, Any], serializer.validated_data)

    def to_internal_value(self, data: Any) -> Any:
        value = super().to_internal_value(data)
        unknown = sorted(set(data) - set(self.fields))
        if unknown:
            # The names are echoed back, so they must be as storable as any value.
            raise serializers.ValidationError(
                {name: [_("Unknown field.")] for name in unknown if is_storable(name) and len(name) <= 100}
                or {"non_field_errors": [_("Unknown field.")]}
            )
        return value


class StrictIntegerField(serializers.IntegerField):
    """A JSON whole number. `"5"`, `5.0` and `true` are refused: guessing is how amounts become wrong."""

    def to_internal_value(self, data: Any) -> int:
        if isinstance(data, bool) or not isinstance(data, int):
            self.fail("invalid")
        return super().to_internal_value(data)


class StrictCharField(serializers.CharField):
    """A JSON string; numbers and booleans are refused instead of being turned into text."""

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            self.fail("invalid")
        return super().to_internal_value(data)


class MoneyInput(InputSerializer):
    """`{"amount": 500000, "currency": "TZS"}`: whole minor units and their currency."""

    amount = StrictIntegerField(
        min_value=1, max_value=MAX_MINOR_UNITS, help_text="In the smallest unit: 500000 is TZS 5,000.00."
    )
    currency = serializers.ChoiceField(choices=sorted(EXPONENTS), help_text="ISO 4217.")

    def validate(self, attrs: dict[str, Any]) -> Any:
        return Money(attrs["amount"], attrs["currency"])


@extend_schema_field(
    {
        "type": "object",
        "properties": {
            "amount": {"type": "integer", "format": "int64", "description": "In the smallest unit."},
            "currency": {"type": "string", "enum": sorted(EXPONENTS)},
            "display": {"type": "string", "description": "For people.", "examples": ["TZS 5,000"]},
        },
        "required": ["amount", "currency", "display"],
    }
)
class MoneyField(serializers.Field[Money, Any, dict[str, Any], Any]):
    """Prints a `Money`: `{"amount": 500000, "currency": "TZS", "display": "TZS 5,000"}`."""

    is_pure = True  # see core.output

    def __init__(self, **kwargs: Any) -> None:
        kwargs["read_only"] = True
        super().__init__(**kwargs)

    def to_representation(self, value: Money) -> dict[str, Any]:
        return {"amount": value.amount, "currency": value.currency, "display": value.display}


class FilterInput(InputSerializer):
    """Query parameters of a list. Unknown ones are refused: a misspelt filter would silently show everything."""

    @classmethod
    def parse(cls, data: Any) -> dict[str, Any]:
        return super().parse({name: value for name, value in data.items() if name not in PAGE_PARAMETERS})
