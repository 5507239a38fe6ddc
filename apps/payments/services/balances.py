"""What an account at a gateway holds, asked live."""

from __future__ import annotations

import logging

from django.conf import settings
from django.core.cache import cache

from apps.payments.services.accounts import choose_account
from apps.payments.services.payouts import AccountNotYours
from core.money import Money
from core.tenancy import current_tenant_id
from services.http import GatewayUnavailable
from services.payments.base import BalanceNotSupported, GatewayRefused
from services.payments.registry import GatewayNotEnabled

logger = logging.getLogger("faraja.payments")

# Long enough that a page which is reloaded asks once, short enough that nobody is misled for long.
CACHE_SECONDS = 10

# How `read_balances` can refuse, for the schema.
BALANCE_REFUSALS = (GatewayNotEnabled, BalanceNotSupported, AccountNotYours, GatewayUnavailable)


def read_balances(*, gateway: str) -> list[Money]:
    """What the tenant's account at `gateway` holds, one per currency; at most ten seconds old.

    The installation's account is shown only where it is everybody's to pay out from. Call outside a transaction: the
    gateway is asked. Refuses as `BALANCE_REFUSALS` say.
    """
    account = choose_account(gateway)
    if account.id is None and settings.PAYOUTS_FROM_SHARED_ACCOUNT != "free":
        raise AccountNotYours
    key = balance_key(gateway, str(account.key))
    known = _recall(key)
    if known is None:
        try:
            known = [(each.amount, each.currency) for each in account.call(lambda gateway: gateway.balances())]
        except GatewayRefused as refusal:
            logger.error("gateway refused to tell its balance", extra={"gateway": gateway, "reason": refusal.reason})
            raise GatewayUnavailable from None
        _keep(key, known)
    return [Money(amount, currency) for amount, currency in known]


def balance_key(gateway: str, account: str) -> str:
    """Where the answer of an account is kept."""
    return f"{current_tenant_id()}:balance:{gateway}:{account}"


def _recall(key: str) -> list[tuple[int, str]] | None:
    try:
        found: list[tuple[int, str]] | None = cache.get(key)
    except Exception:  # noqa: BLE001  a cache that is away costs one question more, whatever it raises
        return None
    return found


def _keep(key: str, known: list[tuple[int, str]]) -> None:
    try:
        cache.set(key, known, CACHE_SECONDS)
    except Exception as error:  # noqa: BLE001
        logger.warning("balance is not cached", extra={"error": type(error).__name__})
