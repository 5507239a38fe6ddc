"""Amounts for people. Everywhere else an amount is an integer in the provider's smallest unit."""

from __future__ import annotations

from services.simulators.provider import PaymentProvider


def in_words(amount: int, currency: str, provider: PaymentProvider) -> str:
    """`TZS 15,000` or `USD 49.50`."""
    decimals = provider.decimals.get(currency, 2)
    whole, part = divmod(amount, 10**decimals)
    return f"{currency} {whole:,}" + (f".{part:0{decimals}d}" if decimals and part else "")
