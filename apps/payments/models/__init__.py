"""The tables of payments, one module per subject. Django looks here; each name has its address in its module."""

from apps.payments.models import accounts, inbox, ledger, payments, reconciliation, transfers  # noqa: F401
