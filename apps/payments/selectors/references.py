"""Whose a gateway's reference is. The only question about payments that needs no tenant."""

from __future__ import annotations

from apps.payments.models.accounts import GatewayReference


def find_gateway_reference(*, gateway: str, reference: str) -> GatewayReference | None:
    """Whose attempt, refund or payout a gateway's news is about."""
    return GatewayReference.objects.filter(gateway=gateway, reference=reference).first()
