"""Which account at a gateway a payment goes through: the tenant's own where it has one, else the installation's."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from uuid import UUID

from django.conf import settings

from apps.payments.models.accounts import OWN_ACCOUNT, GatewayAccount
from core.sealing import unseal
from core.tenancy import tenant_atomic
from services.payments.base import PaymentGateway
from services.payments.registry import GatewayNotEnabled, build_gateway, get_gateway


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """One account at one gateway, ready to be called. `id` is None for the installation's."""

    gateway: PaymentGateway = field(repr=False)
    code: str
    id: UUID | None = None

    @property
    def key(self) -> UUID:
        """`id`, or the zero UUID of the installation's account."""
        return self.id or OWN_ACCOUNT


@tenant_atomic
def choose_account(gateway: str) -> Account:
    """The account for new business of the tenant in scope, or `GatewayNotEnabled`.

    An account of the tenant's that is switched off is not replaced by the installation's: the money would go elsewhere.
    """
    own: GatewayAccount | None = GatewayAccount.objects.filter(gateway=gateway).first()
    if own is None:
        return Account(gateway=get_gateway(gateway), code=gateway)
    if not own.is_enabled:
        raise GatewayNotEnabled
    return _opened(own)


@tenant_atomic
def open_account(gateway: str, account_id: UUID | None) -> Account:
    """The account that something was begun with, also when it is not offered for new business any more."""
    if account_id is None:
        return Account(gateway=get_gateway(gateway), code=gateway)
    return _opened(GatewayAccount.objects.get(pk=account_id))


def callback_url_of(account: Account) -> str:
    """Where this account's callbacks arrive; empty while the installation does not know its own address."""
    base = getattr(settings, "PUBLIC_URL", "")
    token = settings.PAYMENT_GATEWAYS[account.code]["CALLBACK_TOKEN"]
    return f"{base}/api/v1/webhooks/{account.code}/{token}/" if base and token else ""


def _opened(row: GatewayAccount) -> Account:
    credentials: dict[str, str] = json.loads(unseal(row.credentials))
    return Account(gateway=build_gateway(row.gateway, credentials), code=row.gateway, id=row.pk)
