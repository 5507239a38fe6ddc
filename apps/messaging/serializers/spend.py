"""What goes out about budgets."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from core.output import OutputSerializer
from core.serializers import MoneyField


class BudgetOutput(OutputSerializer[Any]):
    period = serializers.CharField(help_text="2026-11-20 or 2026-11, UTC.")
    limit = MoneyField()
    used = MoneyField(help_text="Counted before a text is sent, and given back when it certainly was not.")
    left = MoneyField()


class CountrySpendOutput(OutputSerializer[Any]):
    country = serializers.CharField(help_text="ISO 3166, two letters.")
    texts = serializers.IntegerField()
    parts = serializers.IntegerField()
    price = MoneyField()


class DaySpendOutput(OutputSerializer[Any]):
    day = serializers.DateField()
    texts = serializers.IntegerField()
    parts = serializers.IntegerField()
    price = MoneyField(help_text="With whatever was sent once more.")


class SpendOutput(OutputSerializer[Any]):
    """What texts may cost and have cost."""

    day = BudgetOutput()
    month = BudgetOutput()
    countries = CountrySpendOutput(many=True, help_text="In this month, the dearest first.")
    days = DaySpendOutput(many=True, help_text="The last 30, oldest first.")
