"""What operators are asked before money moves."""

from __future__ import annotations

import json
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _
from unfold.widgets import UnfoldAdminTextInputWidget

from core.admin import ConfirmationForm, ReasonForm
from core.money import Money


class RefundForm(ReasonForm):
    """How much, and why. `seen` is what the operator looked at: the versions of the payments, by their ids."""

    amount = forms.CharField(
        label=_("Amount"),
        required=False,
        max_length=30,
        help_text=_("For example 1500 or 12.50. Empty: all that is left."),
        widget=UnfoldAdminTextInputWidget,
    )
    seen = forms.CharField(required=False, max_length=10_000, widget=forms.HiddenInput)
    field_order = ("amount", "reason", "seen")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.initial["seen"] = json.dumps({str(row.pk): row.version for row in self.rows})

    def clean_seen(self) -> dict[str, int]:
        try:
            told = json.loads(self.cleaned_data["seen"] or "{}")
        except (ValueError, RecursionError):
            return {}
        return {name: told[name] for name in told if type(told[name]) is int} if isinstance(told, dict) else {}

    def clean_amount(self) -> Money | None:
        text = str(self.cleaned_data["amount"]).replace(",", "").replace(" ", "")
        if not text:
            return None
        rows = list(self.rows[:2])
        if len(rows) != 1:
            raise ValidationError(_("An amount is for one payment. Leave it empty for several."))
        try:
            money = Money.from_units(text, rows[0].currency)
        except ValueError:
            money = None
        if money is None or money.amount <= 0:
            raise ValidationError(_("Enter an amount of %(currency)s."), params={"currency": rows[0].currency})
        return money


class EvidenceForm(ConfirmationForm):
    """How a person knows."""

    evidence = forms.CharField(
        label=_("How do you know?"),
        max_length=300,
        help_text=_("For example the reference of the transfer. It stays with the transfer and in the audit log."),
        widget=UnfoldAdminTextInputWidget,
    )


class ExplanationForm(ConfirmationForm):
    explanation = forms.CharField(
        label=_("Explanation"),
        max_length=300,
        help_text=_("Why the books differ, and what was done about it."),
        widget=UnfoldAdminTextInputWidget,
    )
