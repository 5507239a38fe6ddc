"""Payments for operators. Each module registers its pages; Django imports this package only."""

from apps.payments.admin import accounts, callbacks, ledger, payments, reconciliation, transfers

__all__ = ["accounts", "callbacks", "ledger", "payments", "reconciliation", "transfers"]
